/// An expression over a schema, checked and typed. A value: any number of evaluators run it.
package struct Expression: Sendable {
  package let text: String
  let root: Node
  /// Of its values.
  package let type: DataType
  /// Indexes into the schema of the fields that it reads, rising.
  package let fields: [Int]

  /// Reads and types a text.
  package static func parse(_ text: String, _ schema: Schema) throws(ExpressionProblem) -> Expression {
    let typer = Typer(text: text, schema: schema)
    let node = try typer.settled(typer.node(try Parser.parse(text)))
    guard !node.isNullLiteral else {
      throw typer.problem("NULL alone has no type: write cast(null as Nullable(String)), or another type", node.offset)
    }
    var fields: Set<Int> = []
    var seen: Set<ObjectIdentifier> = []
    collectFields(node, &fields, &seen)
    // A field alone keeps what its column is declared as.
    let type = if case .field(let index) = node.kind { schema.fields[index].type } else { node.type }
    return Expression(text: text, root: node, type: type, fields: fields.sorted())
  }

  private static func collectFields(_ node: Node, _ fields: inout Set<Int>, _ seen: inout Set<ObjectIdentifier>) {
    guard seen.insert(ObjectIdentifier(node)).inserted else { return }
    if case .field(let index) = node.kind { fields.insert(index) }
    for part in node.parts { collectFields(part, &fields, &seen) }
  }
}

extension Node {
  /// The nodes it is made of.
  var parts: [Node] {
    switch kind {
    case .literal, .constant, .field: []
    case .call(_, let arguments): arguments
    case .all(let parts), .any(let parts): parts
    case .choice(let branches, let otherwise): branches.flatMap { [$0.condition, $0.value] } + (otherwise.map { [$0] } ?? [])
    }
  }
}
