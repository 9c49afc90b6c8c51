package import MillFlow

/// Rows that go from node to node together, up to some thousands, so that what a node leaves is in the processor's cache for the next.
package struct Piece {
  /// Borrowed: whose it is may change it once the piece is through.
  package var block: RowBlock
  /// Of each row 0 where it has left.
  package var keep: [UInt8] = []
  /// Of each row its event time, or the epoch's clock, milliseconds since 1970.
  package var times: [Int64] = []
  /// Of each row which of the decoded rows it comes from; nil: the one of its own number.
  package var decodedRows: [Int32]?

  package init(_ block: RowBlock) { self.block = block }

  /// Begins with all rows of a block, without their times, and keeps the memory.
  package mutating func start(_ block: RowBlock) {
    self.block = block
    keep.removeAll(keepingCapacity: true)
    keep.append(contentsOf: repeatElement(1, count: block.rowCount))
    times.removeAll(keepingCapacity: true)
    decodedRows = nil
  }

  /// The rows that haven't left, rising; nil: all.
  package var keptRows: [Int32]? {
    guard keep.contains(0) else { return nil }
    return keep.indices.filter { keep[$0] != 0 }.map { Int32(truncatingIfNeeded: $0) }
  }

  package func decodedRow(_ row: Int) -> Int { decodedRows.map { Int($0[row]) } ?? row }

  /// Goes on with another block, which has a row for each one that hasn't left. `isWhole`: none has.
  mutating func replace(_ block: RowBlock, isWhole: Bool) {
    self.block = block
    if !isWhole {
      let rows = keep.indices.filter { keep[$0] != 0 }
      let before = decodedRows
      decodedRows = rows.map { before?[$0] ?? Int32(truncatingIfNeeded: $0) }
      times = rows.map { times[$0] }
      keep.removeAll(keepingCapacity: true)
      keep.append(contentsOf: repeatElement(1, count: rows.count))
    }
    precondition(keep.count == block.rowCount, "\(keep.count) flags for \(block.rowCount) rows")
  }
}
