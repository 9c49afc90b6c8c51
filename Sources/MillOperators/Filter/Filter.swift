package import MillFlow

/// `filter`: the rows for which a condition is true. NULL isn't true.
package struct FilterPlan: OperatorPlan {
  package let name: String
  package let input: String
  package let schema: Schema
  package let onError: OnError
  package let condition: Expression

  /// `condition` is a Bool over `schema`.
  package init(name: String, input: String, schema: Schema, condition: Expression, onError: OnError = .deadLetter) {
    precondition(condition.type.base == .bool, "a condition of \(condition.type)")
    self.name = name
    self.input = input
    self.schema = schema
    self.condition = condition
    self.onError = onError
  }

  package var inputSchema: Schema { schema }
  package var expressions: [NodeExpression] { [NodeExpression(place: "where", expression: condition)] }
  package func origin(of field: Int) -> Int? { field }
  package func make() -> any Operator { Filter(condition) }
}

/// Takes the flag from rows; the block stays.
final class Filter: Operator {
  private let evaluator: Evaluator
  private var passes: [UInt8] = []

  init(_ condition: Expression) { evaluator = Evaluator([condition]) }

  func process(_ piece: inout Piece, clock: Int64, failures: inout [RowFailure]) -> Int {
    let rows = piece.keptRows
    evaluator.passes(piece.block, rows: rows, clock: clock, keep: &passes, failures: &failures)
    swap(&piece.keep, &passes)
    let passed = piece.keep.count { $0 != 0 }
    return (rows?.count ?? piece.keep.count) - passed - failures.count
  }
}
