internal import Glibc

/// Sums, differences, products, quotients and rests of numbers. What doesn't fit its type fails the row.
enum Arithmetic {
  /// In the result's own type, to which both sides have been brought.
  struct Native: IntegerMaker {
    var sign: BinaryOperator

    func make<T: NativeInteger>(_: T.Type) -> Kernel {
      switch sign {
      case .add: { checked(&$0, T.self) { $0.addingReportingOverflow($1) } }
      case .subtract: { checked(&$0, T.self) { $0.subtractingReportingOverflow($1) } }
      default: { checked(&$0, T.self) { $0.multipliedReportingOverflow(by: $1) } }
      }
    }
  }

  /// One pass that takes all results and whether any was too much; where one was, a second that finds it.
  @inline(__always)
  private static func checked<T: NativeInteger>(
    _ call: inout KernelCall, _: T.Type, _ body: (T, T) -> (partialValue: T, overflow: Bool)
  ) {
    let (a, b, out) = (call.values(0, T.self), call.values(1, T.self), call.results(T.self))
    var isOver = false
    call.rows.each { row in
      let (value, overflow) = body(a[row], b[row])
      out[row] = value
      isOver = isOver || overflow
    }
    guard isOver else { return }
    call.rows.each { row in if body(a[row], b[row]).overflow { call.fail(row, .overflow) } }
  }

  /// Quotient or rest, truncated, in a type that holds both sides.
  struct Division: IntegerMaker {
    var isRest: Bool

    func make<T: NativeInteger>(_: T.Type) -> Kernel {
      let isRest = isRest
      return { call in
        let (a, b, out) = (call.values(0, T.self), call.values(1, T.self), call.results(T.self))
        call.rows.each { row in
          let divisor = b[row]
          guard divisor != 0 else { return call.fail(row, .divisionByZero) }
          if isRest {
            // The least number has no quotient by -1, but a rest.
            out[row] = a[row].remainderReportingOverflow(dividingBy: divisor).partialValue
          } else {
            let (value, overflow) = a[row].dividedReportingOverflow(by: divisor)
            if overflow { return call.fail(row, .overflow) }
            out[row] = value
          }
        }
      }
    }
  }

  /// Any integer types, by way of 256 bits.
  static func wide(_ sign: BinaryOperator, _ left: IntegerKind, _ right: IntegerKind, _ result: IntegerKind) -> Kernel {
    switch sign {
    case .add: WideKernel.binary(left, right, result) { $0.added(to: $1).orOverflow }
    case .subtract: WideKernel.binary(left, right, result) { $0.added(to: $1.negated).orOverflow }
    case .multiply: WideKernel.binary(left, right, result) { $0.multiplied(by: $1).orOverflow }
    case .divide:
      WideKernel.binary(left, right, result) {
        $1.isZero ? .failure(RowProblem(code: .divisionByZero)) : .success($0.divided(by: $1).quotient)
      }
    default:
      WideKernel.binary(left, right, result) { $1.isZero ? .failure(RowProblem(code: .divisionByZero)) : .success($0.divided(by: $1).rest) }
    }
  }

  /// Of two Float64.
  static func floats(_ sign: BinaryOperator) -> Kernel {
    switch sign {
    case .add: { finite(&$0) { $0 + $1 } }
    case .subtract: { finite(&$0) { $0 - $1 } }
    case .multiply: { finite(&$0) { $0 * $1 } }
    case .divide: { byDivisor(&$0) { $0 / $1 } }
    default: { byDivisor(&$0) { fmod($0, $1) } }
    }
  }

  @inline(__always)
  private static func finite(_ call: inout KernelCall, _ body: (Double, Double) -> Double) {
    let (a, b, out) = (call.values(0, Double.self), call.values(1, Double.self), call.results(Double.self))
    var isFinite = true
    call.rows.each { row in
      let value = body(a[row], b[row])
      out[row] = value
      isFinite = isFinite && value.isFinite
    }
    guard !isFinite else { return }
    call.rows.each { row in if !out[row].isFinite { call.fail(row, .notFinite) } }
  }

  @inline(__always)
  private static func byDivisor(_ call: inout KernelCall, _ body: (Double, Double) -> Double) {
    let (a, b, out) = (call.values(0, Double.self), call.values(1, Double.self), call.results(Double.self))
    call.rows.each { row in
      let value = body(a[row], b[row])
      out[row] = value
      if !value.isFinite { call.fail(row, b[row] == 0 ? .divisionByZero : .notFinite) }
    }
  }
}
