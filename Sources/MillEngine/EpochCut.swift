package import MillFlow

/// How far the next epoch may go into the buffers, so that its rows take no more memory than they may, whatever stands in the records.
///
/// What it says goes into the intent, so that nothing of it has to be the same in a replay. Flow thread only.
package struct EpochCut {
  private let bound: RowBound
  /// Bytes of an epoch's rows; its dead letters may take four times as many.
  private let byteCountMax: Int
  /// The partition that gives a record where no partition's next one fits in its share; each in its turn.
  private var turn = 0

  package init(_ bound: RowBound, byteCountMax: Int) {
    self.bound = bound
    self.byteCountMax = byteCountMax
  }

  /// Whether the buffers hold more than one epoch may take.
  package func isPassed(by buffers: [RecordBuffer]) -> Bool {
    let (records, bytes) = Self.sums(buffers)
    return isPassed(records, bytes)
  }

  /// Where the epoch ends in each partition; nil: with all that the buffers hold.
  ///
  /// Each partition gives its part of the whole, so that none waits for another's backlog; there is at least one record.
  package mutating func ends(_ buffers: [RecordBuffer]) -> [Int64]? {
    let (records, bytes) = Self.sums(buffers)
    guard isPassed(records, bytes) else { return nil }
    let whole = Double(cost(records, bytes))
    var ends = buffers.map { buffer in
      let share = Double(byteCountMax) * Double(cost(buffer.count, buffer.byteCount)) / whole
      return end(buffer, bound.fitting(buffer, limit: buffer.count, byteCount: Int(share)))
    }
    if zip(ends, buffers).allSatisfy({ $1.count == 0 || $0 == $1.entries[$1.head].offset }) {
      turn += 1
      let order = buffers.indices.map { (turn + $0) % buffers.count }
      if let index = order.first(where: { buffers[$0].count > 0 }) { ends[index] = end(buffers[index], 1) }
    }
    return ends
  }

  private func end(_ buffer: RecordBuffer, _ count: Int) -> Int64 {
    count == buffer.count ? buffer.nextOffset : buffer.entries[buffer.head + count].offset
  }

  private func isPassed(_ records: Int, _ bytes: Int) -> Bool { records > 1 && cost(records, bytes) > byteCountMax }

  private func cost(_ records: Int, _ bytes: Int) -> Int {
    max(bound.rowByteCount(recordCount: records, byteCount: bytes), bound.letterByteCount(recordCount: records, byteCount: bytes) / 4)
  }

  private static func sums(_ buffers: [RecordBuffer]) -> (records: Int, bytes: Int) {
    buffers.reduce((0, 0)) { ($0.0 + $1.count, $0.1 + $1.byteCount) }
  }
}
