/// A function that expressions can call. Adding one is an entry in a group's list, and a group a line in ``Function/groups``.
struct Function: Sendable {
  var name: String
  /// Its arguments, as the documentation shows them.
  var signature: String
  /// How many it takes.
  var counts: ClosedRange<Int>
  /// Types a call.
  var resolve: @Sendable (Call) throws(ExpressionProblem) -> Node

  init(
    _ name: String, _ signature: String, _ counts: ClosedRange<Int>, _ resolve: @escaping @Sendable (Call) throws(ExpressionProblem) -> Node
  ) {
    self.name = name
    self.signature = signature
    self.counts = counts
    self.resolve = resolve
  }

  /// In the documentation's order.
  static let groups: [(title: String, functions: [Function])] = [
    ("Numbers", numbers), ("Rounding", rounding), ("Bits", bits), ("Strings, by bytes", strings), ("Strings, by characters", characters),
    ("Hexadecimal and base64", encodings), ("Patterns", patterns), ("NULL and choices", choices), ("Conversion", conversions),
    ("Time", times), ("Time moved and cut", timeShifts), ("Hashes", hashes), ("Arrays and maps", arrays),
    ("JSON in a String", json), ("Times as texts", timeTexts),
  ]

  static let all: [String: Function] = Dictionary(
    uniqueKeysWithValues: groups.flatMap(\.functions).map { ($0.name.lowercased(), $0) })

  static let names: [String] = groups.flatMap(\.functions).map(\.name)
}

/// One call of a function, with its arguments typed; literals among them are still without a type.
struct Call {
  let typer: Typer
  let function: Function
  let arguments: [Node]
  let offset: Int
  /// What stands in the text, where it isn't the function's name.
  let name: String

  func problem(_ message: String, at index: Int? = nil) -> ExpressionProblem {
    typer.problem("\(name): \(message)", index.map { arguments[$0].offset } ?? offset)
  }

  /// Types of all arguments, for messages.
  var types: String { arguments.map { typer.settledType($0) }.joined(separator: ", ") }

  /// What an argument is, and what it should be.
  func wrong(_ index: Int, wanted: String) -> ExpressionProblem {
    problem(
      "argument \(index + 1) is \(typer.settledType(arguments[index])), wanted is \(wanted); it takes \(function.signature)", at: index)
  }

  /// An argument with the type that it has alone. NULL takes `type`.
  func argument(_ index: Int, nullAs type: DataType = .string) throws(ExpressionProblem) -> Node {
    let node = arguments[index]
    return node.isNullLiteral ? typer.null(type, node.offset) : try typer.settled(node)
  }

  /// An argument that is a number.
  func number(_ index: Int) throws(ExpressionProblem) -> Node {
    let node = try argument(index, nullAs: .uint8)
    guard node.type.bare.isNumber else { throw wrong(index, wanted: "a number") }
    return node
  }

  func integer(_ index: Int) throws(ExpressionProblem) -> (node: Node, kind: IntegerKind) {
    let node = try argument(index, nullAs: .uint8)
    guard let kind = IntegerKind(node.type.bare) else { throw wrong(index, wanted: "an integer") }
    return (node, kind)
  }

  /// An argument as Float64.
  func float(_ index: Int) throws(ExpressionProblem) -> Node {
    try typer.converted(number(index), to: .float64, keepsNull: true)
  }

  func text(_ index: Int) throws(ExpressionProblem) -> Node {
    let node = try argument(index)
    guard node.type.bare == .string else { throw wrong(index, wanted: "a String") }
    return node
  }

  /// An integer as Int64; beyond that the row fails.
  func count(_ index: Int) throws(ExpressionProblem) -> Node {
    try typer.converted(integer(index).node, to: .int64, keepsNull: true)
  }

  /// An integer that stands in the text.
  func constantInteger(_ index: Int, in range: ClosedRange<Int>) throws(ExpressionProblem) -> Int {
    let node = try argument(index)
    guard let kind = IntegerKind(node.type), let constant = node.constant else {
      throw wrong(index, wanted: "a whole number that stands in the text")
    }
    let value = unsafe constant.bytes.withUnsafeBufferPointer { unsafe Slice(base: $0.baseAddress!, count: $0.count).wide(kind.type) }
    guard value.fits(byteCount: 8, isSigned: true), range.contains(Int(value.int64)) else {
      throw problem("argument \(index + 1) is \(value), must be \(range.lowerBound)…\(range.upperBound)", at: index)
    }
    return Int(value.int64)
  }

  /// A text that stands in the expression.
  func constantText(_ index: Int, _ what: String) throws(ExpressionProblem) -> [UInt8] {
    guard let text = try text(index).constantText else { throw wrong(index, wanted: "\(what) that stands in the text") }
    return text
  }

  /// The result over arguments that have been typed.
  func result(_ arguments: [Node], _ type: DataType, nulls: Operation.Nulls = .give, _ kernel: @escaping Kernel) throws(ExpressionProblem)
    -> Node
  {
    try typer.apply(Operation(function.name, nulls: nulls, kernel), arguments, type, offset)
  }
}

extension Typer {
  func call(_ name: String, _ arguments: [Node], _ offset: Int, sign: String? = nil) throws(ExpressionProblem) -> Node {
    guard let function = Function.all[name.lowercased()] else {
      if let reason = Function.absent[name.lowercased()] { throw problem("\(name) isn't there: \(reason)", offset) }
      let hint = suggestion(name, Function.names)
      throw problem("'\(name)' is no function" + (hint.isEmpty ? "; docs/expressions.md lists them" : hint), offset)
    }
    let call = Call(typer: self, function: function, arguments: arguments, offset: offset, name: sign ?? function.name)
    guard function.counts.contains(arguments.count) else {
      let (least, most) = (function.counts.lowerBound, function.counts.upperBound)
      let wanted = least == most ? "\(least)" : most == .max ? "\(least) or more" : "\(least) to \(most)"
      throw problem(
        "\(function.name) takes \(wanted) arguments, these are \(arguments.count): \(function.name)\(function.signature)", offset)
    }
    return try function.resolve(call)
  }
}
