extension Function {
  static let bits: [Function] = [
    Function("bitAnd", "(a, b)", 2...2) { (call) throws(ExpressionProblem) in try bit(call, .and) },
    Function("bitOr", "(a, b)", 2...2) { (call) throws(ExpressionProblem) in try bit(call, .or) },
    Function("bitXor", "(a, b)", 2...2) { (call) throws(ExpressionProblem) in try bit(call, .xor) },
    Function("bitShiftLeft", "(a, count)", 2...2) { (call) throws(ExpressionProblem) in try shift(call, isLeft: true) },
    Function("bitShiftRight", "(a, count)", 2...2) { (call) throws(ExpressionProblem) in try shift(call, isLeft: false) },
  ]

  enum BitOperation: Sendable {
    case and, or, xor
  }

  /// Over two's complement, in the wider of both types, with a sign where one has it.
  private static func bit(_ call: Call, _ operation: BitOperation) throws(ExpressionProblem) -> Node {
    let (left, right) = try call.typer.met(call.arguments[0], call.arguments[1])
    guard let x = IntegerKind(left.type.bare), let y = IntegerKind(right.type.bare), max(x.byteCount, y.byteCount) <= 16 else {
      throw call.problem("takes two integers of at most 128 bits, these are \(call.types)")
    }
    let result = IntegerKind(isSigned: x.isSigned || y.isSigned, byteCount: max(x.byteCount, y.byteCount))
    let sides = [try extended(call, left, x, result), try extended(call, right, y, result)]
    guard let kernel = result.type.dispatch(Bits(operation: operation)) else { preconditionFailure("\(result.type)") }
    return try call.result(sides, result.type, kernel)
  }

  /// The value's bits in a type that is as wide at least.
  private static func extended(_ call: Call, _ node: Node, _ from: IntegerKind, _ to: IntegerKind) throws(ExpressionProblem) -> Node {
    if from == to { return node }
    guard let kernel = from.type.dispatch(Extension(to: to.type)) else { preconditionFailure("\(from.type)") }
    return try call.result([node], to.type, kernel)
  }

  /// Bits that leave the type are lost, as in ClickHouse; a count below 0 fails the row.
  private static func shift(_ call: Call, isLeft: Bool) throws(ExpressionProblem) -> Node {
    let (value, kind) = try call.integer(0)
    let (_, countKind) = try call.integer(1)
    guard max(kind.byteCount, countKind.byteCount) <= 16 else {
      throw call.problem("takes integers of at most 128 bits, these are \(call.types)")
    }
    let result = IntegerKind(isSigned: kind.isSigned || countKind.isSigned, byteCount: max(kind.byteCount, countKind.byteCount))
    guard let kernel = result.type.dispatch(Shift(isLeft: isLeft, bitCount: kind.byteCount * 8)) else {
      preconditionFailure("\(result.type)")
    }
    return try call.result([extended(call, value, kind, result), call.count(1)], result.type, kernel)
  }
}

private struct Bits: IntegerMaker {
  var operation: Function.BitOperation

  func make<T: NativeInteger>(_: T.Type) -> Kernel {
    switch operation {
    case .and: { Bits.each(&$0, T.self) { $0 & $1 } }
    case .or: { Bits.each(&$0, T.self) { $0 | $1 } }
    case .xor: { Bits.each(&$0, T.self) { $0 ^ $1 } }
    }
  }

  @inline(__always)
  private static func each<T: NativeInteger>(_ call: inout KernelCall, _: T.Type, _ body: (T, T) -> T) {
    let (a, b, out) = (call.values(0, T.self), call.values(1, T.self), call.results(T.self))
    call.rows.each { row in out[row] = body(a[row], b[row]) }
  }
}

private struct Extension: IntegerMaker {
  var to: DataType

  func make<T: NativeInteger>(_: T.Type) -> Kernel {
    guard let kernel = to.dispatch(Target<T>()) else { preconditionFailure("\(to)") }
    return kernel
  }

  private struct Target<A: NativeInteger>: IntegerMaker {
    func make<B: NativeInteger>(_: B.Type) -> Kernel { { Function.mapped(&$0, A.self, B.self) { B(truncatingIfNeeded: $0) } } }
  }
}

private struct Shift: IntegerMaker {
  var isLeft: Bool
  /// Of the value's own type; a greater count is ClickHouse's error too.
  var bitCount: Int

  func make<T: NativeInteger>(_: T.Type) -> Kernel {
    let isLeft = isLeft
    return { call in
      let (a, counts, out) = (call.values(0, T.self), call.values(1, Int64.self), call.results(T.self))
      call.rows.each { row in
        let count = counts[row]
        guard count >= 0 else { return call.fail(row, .badArgument) }
        // Swift's own shifts give 0, or the sign, where the count is as wide as the type.
        out[row] = isLeft ? a[row] << count : a[row] >> count
      }
    }
  }
}
