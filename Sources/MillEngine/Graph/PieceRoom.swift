internal import MillFlow

/// Bytes that the rows of a piece may still take. Where pieces end decides how late and broken records stand among the dead letters, so
/// that it hangs on plan and records alone; a plan without limits, as older releases had it, has none here either.
struct PieceRoom {
  private static let byteCountMax = 16 << 20
  private let bound: RowBound?
  private var byteCount = Self.byteCountMax

  init(_ plan: SourcePlan) { bound = plan.limits == nil ? nil : RowBound(plan) }

  mutating func reset() { byteCount = Self.byteCountMax }

  /// How many of `limit` records the piece takes, at least one, and whether no other one fits.
  mutating func take(_ buffer: RecordBuffer, skipping skipped: Int, limit: Int) -> (count: Int, isFull: Bool) {
    guard let bound else { return (limit, false) }
    let count = max(1, bound.fitting(buffer, skipping: skipped, limit: limit, byteCount: byteCount))
    let taken = buffer.boundedByteCount(skipping: skipped, first: count)
    byteCount -= bound.rowByteCount(recordCount: count, byteCount: taken)
    return (count, count < limit || byteCount <= 0)
  }
}
