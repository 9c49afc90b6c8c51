internal import Glibc

extension Function {
  static let numbers: [Function] = [
    Function("abs", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      let x = try call.number(0)
      let type = x.type.bare
      if let kind = IntegerKind(type) {
        guard kind.isSigned else { return x }
        let result = IntegerKind(isSigned: false, byteCount: kind.byteCount)
        return try call.result([x], result.type, type.dispatch(Magnitude()) ?? WideKernel.unary(kind, result) { Wide($0.magnitude) })
      }
      if type == .float32 { return try call.result([x], type) { mapped(&$0, Float.self, Float.self) { $0.magnitude } } }
      if type == .float64 { return try call.result([x], type) { mapped(&$0, Double.self, Double.self) { $0.magnitude } } }
      let kind = call.storage(type)
      return try call.result([x], type, kind.type.dispatch(Magnitude()) ?? WideKernel.unary(kind, kind) { Wide($0.magnitude) })
    },
    Function("sign", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      let x = try call.number(0)
      let type = x.type.bare
      if type == .float32 { return try call.result([x], .int8) { mapped(&$0, Float.self, Int8.self) { $0 < 0 ? -1 : $0 > 0 ? 1 : 0 } } }
      if type == .float64 { return try call.result([x], .int8) { mapped(&$0, Double.self, Int8.self) { $0 < 0 ? -1 : $0 > 0 ? 1 : 0 } } }
      let kind = call.storage(type)
      let int8 = IntegerKind(isSigned: true, byteCount: 1)
      return try call.result(
        [x], .int8, kind.type.dispatch(Signum()) ?? WideKernel.unary(kind, int8) { Wide($0.isNegative ? -1 : $0.isZero ? 0 : 1) })
    },
    Function("negate", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      let x = try call.number(0)
      let type = x.type.bare
      if type == .float32 { return try call.result([x], type) { mapped(&$0, Float.self, Float.self) { -$0 } } }
      if type == .float64 { return try call.result([x], type) { mapped(&$0, Double.self, Double.self) { -$0 } } }
      let kind = call.storage(type)
      let result = kind.isSigned ? kind : IntegerKind(isSigned: true, byteCount: kind.next)
      let kernel = kind.isSigned ? kind.type.dispatch(Negation()) : nil
      return try call.result([x], type.isDecimal ? type : result.type, kernel ?? WideKernel.unary(kind, result) { $0.negated })
    },
    Function("greatest", "(x, y, …)", 2...Int.max) { (call) throws(ExpressionProblem) in try extreme(call, isGreatest: true) },
    Function("least", "(x, y, …)", 2...Int.max) { (call) throws(ExpressionProblem) in try extreme(call, isGreatest: false) },
    Function("intDiv", "(a, b)", 2...2) { (call) throws(ExpressionProblem) in
      let (left, right) = try call.typer.met(call.arguments[0], call.arguments[1])
      guard let x = IntegerKind(left.type.bare), let y = IntegerKind(right.type.bare) else {
        throw call.problem("takes two integers, these are \(call.types)")
      }
      return try call.typer.integers(.divide, left, right, x, y, call.offset)
    },
    Function("modulo", "(a, b)", 2...2) { (call) throws(ExpressionProblem) in
      try call.typer.arithmetic(.modulo, call.arguments[0], call.arguments[1], call.offset)
    },
    Function("sqrt", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      try call.result([call.float(0)], .float64) { finite(&$0) { $0.squareRoot() } }
    },
    Function("exp", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      try call.result([call.float(0)], .float64) { finite(&$0) { Glibc.exp($0) } }
    },
    Function("log", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      try call.result([call.float(0)], .float64) { finite(&$0) { Glibc.log($0) } }
    },
    Function("pow", "(x, y)", 2...2) { (call) throws(ExpressionProblem) in
      try call.result([call.float(0), call.float(1)], .float64) { call in
        let (a, b, out) = (call.values(0, Double.self), call.values(1, Double.self), call.results(Double.self))
        call.rows.each { row in
          let value = Glibc.pow(a[row], b[row])
          out[row] = value
          if !value.isFinite { call.fail(row, .notFinite) }
        }
      }
    },
  ]

  @inline(__always)
  static func mapped<A: BitwiseCopyable, R: BitwiseCopyable>(_ call: inout KernelCall, _: A.Type, _: R.Type, _ body: (A) -> R) {
    let (a, out) = (call.values(0, A.self), call.results(R.self))
    call.rows.each { row in out[row] = body(a[row]) }
  }

  @inline(__always)
  private static func finite(_ call: inout KernelCall, _ body: (Double) -> Double) {
    let (a, out) = (call.values(0, Double.self), call.results(Double.self))
    call.rows.each { row in
      let value = body(a[row])
      out[row] = value
      if !value.isFinite { call.fail(row, .notFinite) }
    }
  }

  /// The greater or lesser of two or more of one type; NULL where one is.
  private static func extreme(_ call: Call, isGreatest: Bool) throws(ExpressionProblem) -> Node {
    let type = try call.typer.commonType(call.arguments, "the arguments of \(call.name)", call.offset)
    var result: Node?
    for argument in call.arguments {
      let node = try call.typer.converted(argument, to: type, keepsNull: true)
      guard let before = result else {
        result = node
        continue
      }
      result = try call.result([before, node], type, extremeKernel(call, type, isGreatest: isGreatest))
    }
    guard let result else { preconditionFailure("\(call.name) without arguments") }
    return result
  }

  private static func extremeKernel(_ call: Call, _ type: DataType, isGreatest: Bool) throws(ExpressionProblem) -> Kernel {
    switch type {
    case .float32: return { Extreme.each(&$0, Float.self, isGreatest) }
    case .float64: return { Extreme.each(&$0, Double.self, isGreatest) }
    case .string:
      return { call in
        let (a, b) = (call.slices(0), call.slices(1))
        var writer = call.textWriter()
        call.rows.each { row in
          let (x, y) = (a[row], b[row])
          writer.append((x.order(y) < 0) == isGreatest ? y : x)
          writer.end(row, &call)
        }
        writer.finish(&call)
      }
    case _ where type.isNumber || type.isTime:
      let kind = call.storage(type)
      return kind.type.dispatch(Extreme(isGreatest: isGreatest))
        ?? WideKernel.binary(kind, kind, kind) { .success(($0 < $1) == isGreatest ? $1 : $0) }
    default: throw call.problem("takes numbers, times and Strings, these are \(call.types)")
    }
  }
}

extension Call {
  /// The integer type that values of an integer, Decimal or time are kept as.
  func storage(_ type: DataType) -> IntegerKind {
    guard let kind = type.storage.flatMap(IntegerKind.init) else { preconditionFailure("\(type) isn't kept as an integer") }
    return kind
  }
}

private struct Magnitude: IntegerMaker {
  func make<T: NativeInteger>(_: T.Type) -> Kernel {
    // As wide as T without its sign, which has room for the magnitude of the least number.
    { call in
      let (a, out) = (call.values(0, T.self), call.results(T.self))
      call.rows.each { row in out[row] = T(truncatingIfNeeded: a[row].magnitude) }
    }
  }
}

private struct Signum: IntegerMaker {
  func make<T: NativeInteger>(_: T.Type) -> Kernel {
    { call in
      let (a, out) = (call.values(0, T.self), call.results(Int8.self))
      call.rows.each { row in out[row] = (a[row] > 0 ? 1 : 0) - (a[row] < 0 ? 1 : 0) }
    }
  }
}

private struct Negation: IntegerMaker {
  func make<T: NativeInteger>(_: T.Type) -> Kernel {
    { call in
      let (a, out) = (call.values(0, T.self), call.results(T.self))
      call.rows.each { row in
        let (value, overflow) = T.zero.subtractingReportingOverflow(a[row])
        if overflow { return call.fail(row, .overflow) }
        out[row] = value
      }
    }
  }
}

private struct Extreme: IntegerMaker {
  var isGreatest: Bool

  func make<T: NativeInteger>(_: T.Type) -> Kernel {
    let isGreatest = isGreatest
    return { Extreme.each(&$0, T.self, isGreatest) }
  }

  @inline(__always)
  static func each<T: Comparable & BitwiseCopyable>(_ call: inout KernelCall, _: T.Type, _ isGreatest: Bool) {
    let (a, b, out) = (call.values(0, T.self), call.values(1, T.self), call.results(T.self))
    call.rows.each { row in
      let (x, y) = (a[row], b[row])
      out[row] = (x < y) == isGreatest ? y : x
    }
  }
}
