internal import MillBase

/// Which rows of a piece an instruction is done for: ascending indexes, or all below a count. One owner, the evaluator.
final class Selection {
  private var indexes: GrowableBytes
  private var count = 0
  private var isDense = false
  /// Failures of the piece that it has been cleared of.
  private var seenFailureCount = 0

  init(rowCountMax: Int) { indexes = GrowableBytes(capacity: rowCountMax * 2) }

  private var list: UnsafeMutablePointer<UInt16> { unsafe indexes.base.assumingMemoryBound(to: UInt16.self) }

  /// Valid until the selection changes.
  var rows: RowList { unsafe RowList(indexes: UnsafePointer(list), count: count, isDense: isDense) }

  /// Empty, for a new piece.
  func start() {
    count = 0
    isDense = false
    seenFailureCount = 0
  }

  /// All rows below `count`.
  func setAll(_ count: Int) {
    start()
    self.count = count
    isDense = true
  }

  func append(_ row: Int) {
    unsafe list[count] = UInt16(truncatingIfNeeded: row)
    count += 1
  }

  /// The rows of another selection for which `keep` gives 1, not 0.
  @inline(__always)
  func fill(_ other: Selection, _ keep: (Int) -> UInt8) {
    let list = unsafe self.list
    var count = 0
    other.rows.each { row in
      unsafe list[count] = UInt16(truncatingIfNeeded: row)
      count &+= Int(keep(row))
    }
    self.count = count
    isDense = other.isDense && count == other.count
    seenFailureCount = other.seenFailureCount
  }

  /// Lets the rows that have failed drop out.
  func drop(_ codes: borrowing GrowableBytes, _ failureCount: Int) {
    guard seenFailureCount != failureCount else { return }
    seenFailureCount = failureCount
    let codes = unsafe codes.base.assumingMemoryBound(to: UInt8.self)
    let list = unsafe self.list
    var kept = 0
    rows.each { row in
      unsafe list[kept] = UInt16(truncatingIfNeeded: row)
      kept &+= unsafe codes[row] == 0 ? 1 : 0
    }
    isDense = isDense && kept == count
    count = kept
  }
}
