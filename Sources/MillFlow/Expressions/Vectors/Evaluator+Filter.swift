internal import MillBase

extension Evaluator {
  /// Sets a flag for each row of a block: 1 where the condition, the evaluator's only expression, is true; 0 where it is false or NULL, and
  /// for rows that fail.
  package func passes(_ block: RowBlock, clock: Int64, keep: inout [UInt8], failures: inout [RowFailure]) {
    let column = condition
    column.removeAll()
    let before = failures.count
    evaluate(block, clock: clock, into: [column], failures: &failures)
    keep.removeAll(keepingCapacity: true)
    keep.reserveCapacity(block.rowCount)
    var (failed, value) = (before, 0)
    let values = unsafe column.bytes.raw
    let nulls = unsafe column.nulls.raw
    for row in 0..<block.rowCount {
      if failed < failures.count, failures[failed].row == row {
        failed += 1
        keep.append(0)
      } else {
        let isNull = column.isNullable ? unsafe nulls[value] : 0
        keep.append(unsafe values[value] & (isNull ^ 1))
        value += 1
      }
    }
  }
}
