internal import MillBase

extension Evaluator {
  /// Sets a flag for each row of a block: 1 where the condition, the evaluator's only expression, is true; 0 where it is false or NULL, for
  /// rows that fail, and for those that aren't asked about.
  /// - Parameter rows: as in ``evaluate(_:rows:clock:byteCountMax:into:failures:)``.
  package func passes(_ block: RowBlock, rows: [Int32]? = nil, clock: Int64, keep: inout [UInt8], failures: inout [RowFailure]) {
    let column = condition
    column.removeAll()
    let before = failures.count
    evaluate(block, rows: rows, clock: clock, into: [column], failures: &failures)
    keep.removeAll(keepingCapacity: true)
    keep.append(contentsOf: repeatElement(0, count: block.rowCount))
    var (failed, value) = (before, 0)
    let values = unsafe column.bytes.raw
    let nulls = unsafe column.nulls.raw
    for index in 0..<(rows?.count ?? block.rowCount) {
      let row = rows.map { Int($0[index]) } ?? index
      if failed < failures.count, failures[failed].row == row {
        failed += 1
      } else {
        let isNull = column.isNullable ? unsafe nulls[value] : 0
        keep[row] = unsafe values[value] & (isNull ^ 1)
        value += 1
      }
    }
  }
}
