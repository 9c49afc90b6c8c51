/// Sums, differences, products and quotients of Decimals, integers being Decimals without places. A result with more digits than its type
/// has fails the row.
enum DecimalArithmetic {
  /// A side as it is kept.
  struct Side: Sendable {
    var kind: IntegerKind
    var scale: Int
  }

  /// - Parameters:
  ///   - precision: digits of the result.
  ///   - scale: places of the result.
  static func kernel(_ sign: BinaryOperator, _ left: Side, _ right: Side, precision: Int, scale: Int, result: IntegerKind) -> Kernel {
    if left.kind.byteCount <= 8, right.kind.byteCount <= 8, left.kind.isSigned, right.kind.isSigned, result.byteCount <= 8, sign != .divide
    {
      return narrow(sign, left, right, precision, scale, result)
    }
    let bound = power(precision)
    let (leftFactor, rightFactor) =
      sign == .multiply || sign == .divide ? (power(0), power(0)) : (power(scale - left.scale), power(scale - right.scale))
    // A quotient has the places of the dividend, so that the divisor's are added to it first.
    let places = max(0, scale - left.scale + right.scale)
    return WideKernel.binary(left.kind, right.kind, result) { a, b in
      let value: Wide?
      switch sign {
      case .multiply: value = a.multiplied(by: b)
      case .divide:
        guard !b.isZero else { return .failure(RowProblem(code: .divisionByZero)) }
        value = a.quotient(by: b, places: places)
      default:
        guard let x = a.multiplied(by: leftFactor), let y = b.multiplied(by: rightFactor) else {
          return .failure(RowProblem(code: .overflow))
        }
        value = sign == .add ? x.added(to: y) : x.added(to: y.negated)
      }
      guard let value, value.magnitude < bound.magnitude else { return .failure(RowProblem(code: .overflow)) }
      return .success(value)
    }
  }

  /// 10 to the power of `digits`, 0...77.
  static func power(_ digits: Int) -> Wide {
    guard let power = UInt256.powerOfTen(digits) else { preconditionFailure("10 to the power of \(digits)") }
    return Wide(power)
  }

  /// Sides and result of at most 64 bits, by way of 128.
  private static func narrow(
    _ sign: BinaryOperator, _ left: Side, _ right: Side, _ precision: Int, _ scale: Int, _ result: IntegerKind
  ) -> Kernel {
    let isProduct = sign == .multiply
    let leftFactor = isProduct ? 1 : Int128(power(scale - left.scale).magnitude.low)
    let rightFactor = isProduct ? 1 : Int128(power(scale - right.scale).magnitude.low)
    let bound = Int128(power(precision).magnitude.low)
    return { call in
      let (a, b) = (Narrow(call.argument(0), left.kind), Narrow(call.argument(1), right.kind))
      let (four, eight) = (call.results(Int32.self), call.results(Int64.self))
      let isFour = result.byteCount == 4
      call.rows.each { row in
        // Below 2^63 · 10^18 each, so that nothing passes 128 bits.
        let (x, y) = (Int128(a[row]) &* leftFactor, Int128(b[row]) &* rightFactor)
        let value = isProduct ? x &* y : sign == .add ? x &+ y : x &- y
        guard value > 0 &- bound, value < bound else { return call.fail(row, .overflow) }
        if isFour { four[row] = Int32(truncatingIfNeeded: value) } else { eight[row] = Int64(truncatingIfNeeded: value) }
      }
    }
  }

  /// Signed integers of at most 64 bits.
  @safe private struct Narrow {
    private let view: View
    private let byteCount: Int

    init(_ view: View, _ kind: IntegerKind) {
      self.view = view
      byteCount = kind.byteCount
    }

    @inline(__always)
    subscript(row: Int) -> Int64 {
      switch byteCount {
      case 4: Int64(Values<Int32>(view)[row])
      case 8: Values<Int64>(view)[row]
      case 2: Int64(Values<Int16>(view)[row])
      default: Int64(Values<Int8>(view)[row])
      }
    }
  }
}

extension Wide {
  /// self · 10^places / divisor, truncated; nil beyond 256 bits. The divisor isn't zero and below 10^76.
  fileprivate func quotient(by divisor: Wide, places: Int) -> Wide? {
    if let dividend = multiplied(by: DecimalArithmetic.power(places)) { return dividend.divided(by: divisor).quotient }
    // Digit by digit: what is left times ten still fits.
    var (result, rest) = magnitude.divided(by: divisor.magnitude)
    for _ in 0..<places {
      guard let more = rest.times(10, plus: 0) else { return nil }
      let (digit, left) = more.divided(by: divisor.magnitude)
      guard let next = result.times(10, plus: UInt64(truncatingIfNeeded: digit.low)) else { return nil }
      (result, rest) = (next, left)
    }
    return Wide(isNegative: isNegative != divisor.isNegative, magnitude: result)
  }
}
