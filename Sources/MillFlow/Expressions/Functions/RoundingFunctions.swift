extension Function {
  static let rounding: [Function] = [
    Function("round", "(x[, places])", 1...2) { (call) throws(ExpressionProblem) in try round(call, .halfAway) },
    Function("roundBankers", "(x[, places])", 1...2) { (call) throws(ExpressionProblem) in try round(call, .halfEven) },
    Function("floor", "(x[, places])", 1...2) { (call) throws(ExpressionProblem) in try round(call, .down) },
    Function("ceil", "(x[, places])", 1...2) { (call) throws(ExpressionProblem) in try round(call, .up) },
    Function("trunc", "(x[, places])", 1...2) { (call) throws(ExpressionProblem) in try round(call, .towardZero) },
  ]

  enum Rounding: Sendable {
    /// Of integers and Decimals; floats go to the even neighbour, as in ClickHouse.
    case halfAway
    case halfEven, down, up, towardZero

    var rule: FloatingPointRoundingRule {
      switch self {
      case .halfAway, .halfEven: .toNearestOrEven
      case .down: .down
      case .up: .up
      case .towardZero: .towardZero
      }
    }

    /// A whole number to a multiple of `unit` > 0; nil beyond 256 bits.
    func apply(_ value: Wide, unit: Wide) -> Wide? {
      let (quotient, rest) = value.divided(by: unit)
      if rest.isZero { return value }
      // Whether the magnitude grows to the next multiple.
      let grows: Bool
      switch self {
      case .towardZero: grows = false
      case .down: grows = value.isNegative
      case .up: grows = !value.isNegative
      case .halfAway, .halfEven:
        let other = unit.magnitude.subtracting(rest.magnitude)
        grows = rest.magnitude == other ? self == .halfAway || quotient.magnitude.bit(0) : rest.magnitude > other
      }
      let step = Wide(grows ? value.isNegative ? -1 : 1 : 0)
      return quotient.added(to: step)?.multiplied(by: unit)
    }
  }

  private static func round(_ call: Call, _ rounding: Rounding) throws(ExpressionProblem) -> Node {
    let x = try call.number(0)
    let places = call.arguments.count > 1 ? try call.constantInteger(1, in: -38...38) : 0
    let type = x.type.bare
    if type == .float32 {
      let power = Float(Conversion.powerOfTen(abs(places)))
      return try call.result([x], type) { float(&$0, Float.self, power, places, rounding.rule) }
    }
    if type == .float64 {
      let power = Conversion.powerOfTen(abs(places))
      return try call.result([x], type) { float(&$0, Double.self, power, places, rounding.rule) }
    }
    let scale = if case .decimal(_, let scale) = type { scale } else { 0 }
    if places >= scale { return x }
    let kind = call.storage(type)
    let unit = UInt256.powerOfTen(scale - places)
    let bound = if case .decimal(let precision, _) = type { DecimalArithmetic.power(precision).magnitude } else { nil as UInt256? }
    return try call.result(
      [x], type,
      WideKernel.unary(kind, kind) { value in
        // A unit beyond 256 bits is more than twice any value.
        guard let unit, let result = rounding.apply(value, unit: Wide(unit)) else { return nil }
        if let bound, result.magnitude >= bound { return nil }
        return result
      })
  }

  @inline(__always)
  private static func float<T: BinaryFloatingPoint & BitwiseCopyable>(
    _ call: inout KernelCall, _: T.Type, _ power: T, _ places: Int, _ rule: FloatingPointRoundingRule
  ) {
    let (a, out) = (call.values(0, T.self), call.results(T.self))
    call.rows.each { row in
      let x = a[row]
      let value = places > 0 ? (x * power).rounded(rule) / power : places < 0 ? (x / power).rounded(rule) * power : x.rounded(rule)
      out[row] = value
      if !value.isFinite { call.fail(row, .notFinite) }
    }
  }
}
