/// Gives every part of an expression its type, and what is constant its value.
struct Typer {
  let text: String
  let schema: Schema

  func problem(_ message: String, _ offset: Int) -> ExpressionProblem { ExpressionProblem(message: message, text: text, offset: offset) }

  func node(_ syntax: Syntax) throws(ExpressionProblem) -> Node {
    let offset = syntax.offset
    switch syntax.kind {
    case .number(let literal): return try Node(.literal(literal), defaultType(literal, offset), offset)
    case .null: return Node(.literal(nil), .nullable(.string), offset)
    case .string(let bytes): return Node(.constant(Constant(bytes)), .string, offset)
    case .bool(let value): return Node(.constant(Constant(fixed: value ? UInt8(1) : 0)), .bool, offset)
    case .name(let name): return try field(name, offset)
    case .call(let name, let arguments):
      if name.lowercased() == "tostartofinterval", arguments.count == 2, case .interval(let count, let unit) = arguments[1].kind {
        return try interval(settled(node(arguments[0])), count, unit, offset)
      }
      return try call(name, nodes(arguments), offset)
    case .negative(let inner): return try call("negate", [node(inner)], offset, sign: "-")
    case .not(let inner): return try negated(node(inner), offset)
    case .all(let parts): return try logic(parts, offset, "and", { .all($0) })
    case .any(let parts): return try logic(parts, offset, "or", { .any($0) })
    case .joined(let parts): return try call("concat", nodes(parts), offset, sign: "||")
    case .binary(let sign, let left, let right):
      if case .interval(let count, let unit) = right.kind, sign == .add || sign == .subtract {
        return try moved(node(left), by: sign == .add ? count : -count, unit, offset)
      }
      if case .interval(let count, let unit) = left.kind, sign == .add { return try moved(node(right), by: count, unit, offset) }
      return try binary(sign, node(left), node(right), offset)
    case .isNull(let inner, let negated): return try isNull(node(inner), negated: negated, offset)
    case .isIn(let left, let items, let negated): return try membership(node(left), nodes(items), negated, offset)
    case .between(let value, let low, let high, let negated):
      return try between(settled(node(value)), node(low), node(high), negated, offset)
    case .like(let value, let pattern, let ignoresCase, let negated):
      let pattern = Node(.constant(Constant(pattern)), .string, offset)
      let result = try call(ignoresCase ? "ilike" : "like", [node(value), pattern], offset)
      return negated ? try self.negated(result, offset) : result
    case .element(let container, let key): return try call("arrayElement", [node(container), node(key)], offset, sign: "[]")
    case .array(let items): return try call("array", nodes(items), offset, sign: "[…]")
    case .interval: throw problem("an interval stands behind + or - of a time only", offset)
    case .choice(let subject, let branches, let otherwise): return try choice(subject, branches, otherwise, offset)
    case .cast(let inner, let type, let orNull): return try cast(node(inner), to: type, orNull: orNull, offset)
    }
  }

  /// `t + interval count unit`.
  private func moved(_ time: Node, by count: Int64, _ unit: TimeUnit, _ offset: Int) throws(ExpressionProblem) -> Node {
    let node = time.isNullLiteral ? null(.dateTime(zone: nil), time.offset) : time
    guard node.type.bare.isTime else { throw problem("an interval is added to a time, this is \(settledType(time))", offset) }
    return try moved(node, by: Node(.constant(Constant(fixed: count)), .int64, offset), unit, sign: 1, offset)
  }

  /// A loop, since `map` doesn't carry typed errors out of a method that recurses.
  func nodes(_ parts: [Syntax]) throws(ExpressionProblem) -> [Node] {
    var result: [Node] = []
    for part in parts { result.append(try node(part)) }
    return result
  }

  private func field(_ name: String, _ offset: Int) throws(ExpressionProblem) -> Node {
    switch schema.match(name) {
    case .found(let index): return Node(.field(index), schema.fields[index].type.plain, offset)
    case .ambiguous: throw problem("both sides of the join have '\(name)': write left.\(name) or right.\(name)", offset)
    case .unknown:
      let names = schema.names
      let list = names.isEmpty ? "there are none" : "there are " + names.prefix(20).joined(separator: ", ")
      throw problem("'\(name)' is no field" + (suggestion(name, names).isEmpty ? "; \(list)" : suggestion(name, names)), offset)
    }
  }

  /// An operation over arguments; over constants alone its value, computed by the same kernel. Where that fails, rows will.
  func apply(_ operation: Operation, _ arguments: [Node], _ type: DataType, _ offset: Int) throws(ExpressionProblem) -> Node {
    assert(!arguments.contains(where: \.isLiteral), "\(operation.name) over a literal without a type")
    if operation.nulls == .give, type.isComposed, let part = arguments.first(where: \.type.isNullable) {
      throw problem(
        "\(operation.name) takes no value that may be NULL (it is \(part.type)), since its result, \(type), can't be: ifNull(x, …) first",
        part.offset)
    }
    let isNullable = type.isNullable || operation.nulls == .give && arguments.contains(where: \.type.isNullable)
    let node = Node(.call(operation, arguments), type.nullable(isNullable), offset)
    return operation.isPure ? folded(node) : node
  }

  /// The node as a constant, where all that it is made of is constant and gives a value.
  func folded(_ node: Node) -> Node {
    guard node.parts.allSatisfy({ $0.constant != nil }) else { return node }
    guard let value = Evaluator(roots: [node], types: [node.type], rowCountMax: 1).constant() else { return node }
    return Node(.constant(value), node.type, node.offset)
  }

  // MARK: Logic

  /// A condition: a Bool, or NULL.
  func condition(_ node: Node, _ what: String) throws(ExpressionProblem) -> Node {
    if node.isNullLiteral { return Node(.constant(Constant(nullOf: .bool)), .nullable(.bool), node.offset) }
    guard node.type.bare == .bool else {
      let remedy = node.type.bare.isNumber ? "; compare it, as in x != 0" : ""
      throw problem("\(what) must be a Bool, this is \(settledType(node))\(remedy)", node.offset)
    }
    return node
  }

  func settledType(_ node: Node) -> String { node.isNullLiteral ? "NULL" : "\(node.type)" }

  private func logic(_ parts: [Syntax], _ offset: Int, _ word: String, _ make: ([Node]) -> Node.Kind) throws(ExpressionProblem) -> Node {
    var nodes: [Node] = []
    for part in parts { nodes.append(try condition(node(part), "each side of '\(word)'")) }
    return folded(Node(make(nodes), DataType.bool.nullable(nodes.contains { $0.type.isNullable }), offset))
  }

  func negated(_ node: Node, _ offset: Int) throws(ExpressionProblem) -> Node {
    try apply(Logic.not, [condition(node, "what stands behind 'not'")], .bool, offset)
  }

  func isNull(_ node: Node, negated: Bool, _ offset: Int) throws(ExpressionProblem) -> Node {
    try apply(Logic.isNull(negated: negated), [node.isNullLiteral ? null(.string, node.offset) : settled(node)], .bool, offset)
  }

  func null(_ type: DataType, _ offset: Int) -> Node { Node(.constant(Constant(nullOf: type)), type.nullable(true), offset) }

  /// `x in (a, b)` is `x = a or x = b`, in three-valued logic.
  private func membership(_ left: Node, _ items: [Node], _ negated: Bool, _ offset: Int) throws(ExpressionProblem) -> Node {
    let left = left.isNullLiteral ? left : try settled(left)
    var (parts, values) = ([] as [Node], [] as [Constant])
    for item in items {
      let met = left.isNullLiteral ? item : try meeting(item, left.type)
      // Values of the left side's own type are searched together.
      if let constant = met.constant, !constant.isNull, met.type.bare == left.type.bare, items.count > 2 {
        values.append(constant)
      } else {
        parts.append(try comparison(.equal, left, item, offset))
      }
    }
    if !values.isEmpty, let kernel = Membership.kernel(left.type.bare, values) {
      parts.insert(try apply(Operation("in", kernel), [left], .bool, offset), at: 0)
    } else {
      for value in values { parts.append(try comparison(.equal, left, Node(.constant(value), left.type.bare, offset), offset)) }
    }
    let type = DataType.bool.nullable(parts.contains { $0.type.isNullable })
    let any = parts.count == 1 ? parts[0] : folded(Node(.any(parts), type, offset))
    return negated ? try self.negated(any, offset) : any
  }

  private func between(_ value: Node, _ low: Node, _ high: Node, _ negated: Bool, _ offset: Int) throws(ExpressionProblem) -> Node {
    let parts = [try comparison(.greaterOrEqual, value, low, offset), try comparison(.lessOrEqual, value, high, offset)]
    let both = folded(Node(.all(parts), DataType.bool.nullable(parts.contains { $0.type.isNullable }), offset))
    return negated ? try self.negated(both, offset) : both
  }

  // MARK: Choices

  private func choice(_ subject: Syntax?, _ branches: [Syntax.Branch], _ otherwise: Syntax?, _ offset: Int) throws(ExpressionProblem)
    -> Node
  {
    let value = if let subject { try settled(node(subject)) } else { nil as Node? }
    var pairs: [(Node, Node)] = []
    for branch in branches {
      var condition = try node(branch.condition)
      if let value { condition = try comparison(.equal, value, condition, condition.offset) }
      pairs.append((condition, try node(branch.value)))
    }
    return try choice(pairs, otherwise: otherwise.map { (syntax) throws(ExpressionProblem) in try node(syntax) }, offset)
  }

  /// Branches brought to one type.
  func choice(_ pairs: [(Node, Node)], otherwise: Node?, _ offset: Int) throws(ExpressionProblem) -> Node {
    let values = pairs.map(\.1) + (otherwise.map { [$0] } ?? [])
    let type = try commonType(values, "the branches", offset)
    var branches: [Node.Branch] = []
    for (test, value) in pairs {
      branches.append(
        Node.Branch(condition: try condition(test, "the condition"), value: try converted(value, to: type, keepsNull: true)))
    }
    let last = if let otherwise { try converted(otherwise, to: type, keepsNull: true) } else { nil as Node? }
    let parts = branches.map(\.value) + (last.map { [$0] } ?? [])
    if type.isComposed, otherwise == nil || values.contains(where: \.isNullLiteral) {
      throw problem("the branches are \(type), which can't be NULL: give an else, such as an empty array", offset)
    }
    let result = type.nullable(otherwise == nil || parts.contains { $0.type.isNullable })
    return folded(Node(.choice(branches, otherwise: last), result, offset))
  }
}
