extension Function {
  static let choices: [Function] = [
    Function("if", "(condition, then, else)", 3...3) { (call) throws(ExpressionProblem) in
      try call.typer.choice([(call.arguments[0], call.arguments[1])], otherwise: call.arguments[2], call.offset)
    },
    Function("multiIf", "(condition, then, …, else)", 3...Int.max) { (call) throws(ExpressionProblem) in
      guard call.arguments.count % 2 == 1 else { throw call.problem("takes pairs of condition and value, and a last value") }
      let pairs = stride(from: 0, to: call.arguments.count - 1, by: 2).map { (call.arguments[$0], call.arguments[$0 + 1]) }
      return try call.typer.choice(pairs, otherwise: call.arguments[call.arguments.count - 1], call.offset)
    },
    Function("coalesce", "(x, y, …)", 1...Int.max) { (call) throws(ExpressionProblem) in try firstNotNull(call) },
    Function("ifNull", "(x, y)", 2...2) { (call) throws(ExpressionProblem) in try firstNotNull(call) },
    Function("nullIf", "(x, y)", 2...2) { (call) throws(ExpressionProblem) in
      let (x, y) = try call.typer.met(call.arguments[0], call.arguments[1])
      let isEqual = try call.typer.comparison(.equal, x, y, call.offset)
      guard !x.type.isComposed else { throw call.problem("\(x.type) can't be NULL") }
      return try call.typer.apply(Nulls.nullIf(x.type), [x, isEqual], x.type.nullable(true), call.offset)
    },
    Function("assumeNotNull", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      let x = try call.argument(0)
      return x.type.isNullable ? try call.typer.apply(Nulls.assumeNotNull(x.type), [x], x.type.bare, call.offset) : x
    },
    Function("isNull", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      try call.typer.isNull(call.arguments[0], negated: false, call.offset)
    },
    Function("isNotNull", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      try call.typer.isNull(call.arguments[0], negated: true, call.offset)
    },
  ]

  /// The first argument that isn't NULL; those behind it aren't evaluated for its rows.
  private static func firstNotNull(_ call: Call) throws(ExpressionProblem) -> Node {
    let typer = call.typer
    let type = try typer.commonType(call.arguments, "the arguments of \(call.name)", call.offset)
    var pairs: [(Node, Node)] = []
    var last: Node?
    for argument in call.arguments where !argument.isNullLiteral {
      let node = try typer.converted(argument, to: type, keepsNull: true)
      guard node.type.isNullable else {
        last = node
        break
      }
      let value = try typer.apply(Nulls.assumeNotNull(type), [node], type, node.offset)
      pairs.append((try typer.isNull(node, negated: true, node.offset), value))
    }
    guard !pairs.isEmpty else { return last ?? typer.null(type, call.offset) }
    return try typer.choice(pairs, otherwise: last, call.offset)
  }
}
