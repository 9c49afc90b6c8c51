/// An expression over a schema, checked and typed. A value: any number of evaluators run it.
package struct Expression: Sendable {
  package let text: String
  let root: Node
  /// Of its values.
  package let type: DataType
  /// Indexes into the schema of the fields that it reads, rising.
  package let fields: [Int]

  /// The field that it is, and nothing else; index into the schema.
  package var field: Int? { if case .field(let index) = root.kind { index } else { nil } }

  /// The text with its blanks and line ends where they stand in every text of the same tokens.
  package var normalised: String {
    // A field alone may have any name.
    guard field == nil, let tokens = try? Lexer.tokens(text) else { return text }
    let bytes = Array(text.utf8)
    var result = ""
    var before = ""
    for token in tokens.dropLast() {
      let piece = String(decoding: bytes[token.offset..<token.end], as: UTF8.self)
      let isTight = ["(", "[", ".", "$", "::", ""].contains(before) || [")", "]", ",", ".", "::", "(", "["].contains(piece)
      result += (isTight ? "" : " ") + piece
      before = piece
    }
    return result
  }

  /// A field alone.
  package init(field: Int, of schema: Schema) {
    let named = schema.fields[field]
    text = named.name
    root = Node(.field(field), named.type.plain, 0)
    type = named.type
    fields = [field]
  }

  init(text: String, root: Node, type: DataType, fields: [Int]) {
    self.text = text
    self.root = root
    self.type = type
    self.fields = fields
  }

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
