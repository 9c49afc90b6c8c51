package import MillFlow

/// `select`: rows of new fields, each an expression over the old ones.
package struct SelectPlan: OperatorPlan {
  package let name: String
  package let input: String
  package let inputSchema: Schema
  package let schema: Schema
  package let onError: OnError
  /// One an output field.
  package let fields: [Expression]

  /// - Parameter fields: at least one, each over `inputSchema`.
  package init(
    name: String, input: String, inputSchema: Schema, fields: [(name: String, expression: Expression)], onError: OnError = .deadLetter
  ) {
    precondition(!fields.isEmpty, "a select of nothing")
    self.name = name
    self.input = input
    self.inputSchema = inputSchema
    self.fields = fields.map(\.expression)
    self.onError = onError
    schema = Schema(fields.map { Schema.Field(name: $0.name, type: $0.expression.type) })
  }

  package var expressions: [NodeExpression] {
    computed.map { NodeExpression(place: "fields.\(schema.fields[$0].name)", expression: fields[$0]) }
  }

  /// Output fields that are more than another name.
  var computed: [Int] { fields.indices.filter { fields[$0].field == nil } }

  package func origin(of field: Int) -> Int? { fields[field].field }
  package func make() -> any Operator { make(byteCountMax: 1 << 30) }

  /// - Parameter byteCountMax: of the texts of one field in one piece.
  package func make(byteCountMax: Int) -> any Operator { Select(self, byteCountMax: byteCountMax) }
}

/// Makes a block of its own for each piece. A field that only has another name isn't copied where all rows stay: both blocks have its
/// column.
final class Select: Operator {
  private let fields: [Expression]
  private let computed: [Int]
  /// Nil where nothing is computed.
  private let evaluator: Evaluator?
  /// Of each output field; unused where it is taken as it stands.
  private let columns: [Column]
  private let byteCountMax: Int

  init(_ plan: SelectPlan, byteCountMax: Int) {
    self.byteCountMax = byteCountMax
    fields = plan.fields
    computed = plan.computed
    evaluator = computed.isEmpty ? nil : Evaluator(computed.map { plan.fields[$0] })
    columns = plan.schema.types.map(Column.init)
  }

  func process(_ piece: inout Piece, clock: Int64, failures: inout [RowFailure]) throws(OperatorError) -> Int {
    let rows = piece.keptRows
    let block = piece.block
    for column in columns { column.removeAll() }
    if let evaluator {
      let isDone = evaluator.evaluate(
        block, rows: rows, clock: clock, byteCountMax: byteCountMax, into: computed.map { columns[$0] }, failures: &failures)
      guard isDone else { throw OperatorError.tooLarge(byteCountMax: byteCountMax) }
      for failure in failures { piece.keep[failure.row] = 0 }
    }
    let isWhole = rows == nil && failures.isEmpty
    var output: [Column] = []
    for (column, expression) in zip(columns, fields) {
      guard let field = expression.field else {
        output.append(column)
        continue
      }
      if isWhole {
        output.append(block.columns[field])
      } else {
        column.append(block.columns[field], keep: piece.keep)
        output.append(column)
      }
    }
    piece.replace(RowBlock(columns: output, originsOf: block, keep: isWhole ? nil : piece.keep), isWhole: isWhole)
    return 0
  }
}
