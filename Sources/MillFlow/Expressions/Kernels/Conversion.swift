/// Conversions between numbers. What a type doesn't hold fails the row, or gives NULL; nothing is cut.
enum Conversion {
  /// From an integer type to another: what doesn't fit fails with `code`, or is NULL.
  static func integers(_ from: IntegerKind, _ to: IntegerKind, orNull: Bool) -> Kernel {
    if let kernel = from.type.dispatch(From(to: to.type, orNull: orNull)) { return kernel }
    return wide(from, to, orNull: orNull) { .success($0) }
  }

  private struct From: IntegerMaker {
    var to: DataType
    var orNull: Bool

    func make<T: NativeInteger>(_: T.Type) -> Kernel {
      to.dispatch(To<T>(orNull: orNull))
        ?? wide(IntegerKind(T.self), IntegerKind(isSigned: to == .int256, byteCount: 32), orNull: orNull) { .success($0) }
    }
  }

  private struct To<A: NativeInteger>: IntegerMaker {
    var orNull: Bool

    func make<B: NativeInteger>(_: B.Type) -> Kernel {
      // Those that hold all values need no look at each.
      if B.min <= A.min, B.max >= A.max {
        return { call in
          let (a, out) = (call.values(0, A.self), call.results(B.self))
          call.rows.each { row in out[row] = B(truncatingIfNeeded: a[row]) }
        }
      }
      let orNull = orNull
      return { call in
        let (a, out) = (call.values(0, A.self), call.results(B.self))
        call.rows.each { row in
          guard let value = B(exactly: a[row]) else { return call.refuse(row, .overflow, orNull) }
          out[row] = value
        }
      }
    }
  }

  /// By way of ``Wide``; for Decimals `body` moves the point.
  static func wide(
    _ from: IntegerKind, _ to: IntegerKind, orNull: Bool, _ body: @escaping @Sendable (Wide) -> Result<Wide, RowProblem>
  ) -> Kernel {
    { call in
      let (a, out) = (WideValues(call.argument(0), from), WideResults(call.output, to))
      call.rows.each { row in
        switch body(a[row]) {
        case .success(let value): if !out.store(value, row) { call.refuse(row, .overflow, orNull) }
        case .failure(let problem): call.refuse(row, problem.code, orNull)
        }
      }
    }
  }

  /// Between Decimals, integers being Decimals without places; `precision` nil: the result is an integer.
  static func decimals(_ from: DecimalArithmetic.Side, _ to: DecimalArithmetic.Side, precision: Int?, orNull: Bool) -> Kernel {
    let factor = DecimalArithmetic.power(abs(to.scale - from.scale))
    let isUp = to.scale >= from.scale
    let bound = precision.map { DecimalArithmetic.power($0).magnitude }
    return wide(from.kind, to.kind, orNull: orNull) { value in
      var result = value
      if isUp {
        guard let scaled = value.multiplied(by: factor) else { return .failure(RowProblem(code: .overflow)) }
        result = scaled
      } else {
        let (quotient, rest) = value.divided(by: factor)
        guard rest.isZero else { return .failure(RowProblem(code: .losesDigits)) }
        result = quotient
      }
      if let bound, result.magnitude >= bound { return .failure(RowProblem(code: .overflow)) }
      return .success(result)
    }
  }

  /// Integers and Decimals to the nearest float, as ClickHouse: the whole number's, divided by the power of ten.
  static func toFloat(_ from: DecimalArithmetic.Side, is32: Bool) -> Kernel {
    if let kernel = from.kind.type.dispatch(ToFloat(scale: from.scale, is32: is32)) { return kernel }
    let divisor = powerOfTen(from.scale)
    return { call in
      let (a, float, double) = (WideValues(call.argument(0), from.kind), call.results(Float.self), call.results(Double.self))
      call.rows.each { row in
        let value = nearest(a[row])
        if is32 { float[row] = Float(value) / Float(divisor) } else { double[row] = value / divisor }
      }
    }
  }

  private struct ToFloat: IntegerMaker {
    var scale: Int
    var is32: Bool

    func make<T: NativeInteger>(_: T.Type) -> Kernel {
      let divisor = powerOfTen(scale)
      if is32 {
        let divisor = Float(divisor)
        return { call in
          let (a, out) = (call.values(0, T.self), call.results(Float.self))
          call.rows.each { row in out[row] = Float(a[row]) / divisor }
        }
      }
      return { call in
        let (a, out) = (call.values(0, T.self), call.results(Double.self))
        call.rows.each { row in out[row] = Double(a[row]) / divisor }
      }
    }
  }

  static func powerOfTen(_ digits: Int) -> Double { Double("1e\(digits)") ?? .infinity }

  /// The double nearest to a number.
  static func nearest(_ value: Wide) -> Double {
    // More than 64 bits below the leading ones only matter for whether the rest is exactly half.
    let excess = max(0, value.magnitude.bitWidth - 64)
    var top = UInt64(truncatingIfNeeded: value.magnitude.shiftedRight(excess).low)
    if excess > 0, value.magnitude.shiftedRight(excess).shiftedLeft(excess) != value.magnitude { top |= 1 }
    let magnitude = Double(sign: .plus, exponent: excess, significand: Double(top))
    return value.isNegative ? -magnitude : magnitude
  }

  /// Floats that are whole numbers.
  static func fromFloat(is32: Bool, _ to: IntegerKind, orNull: Bool) -> Kernel {
    { call in
      let (float, double) = (call.values(0, Float.self), call.values(0, Double.self))
      let out = WideResults(call.output, to)
      call.rows.each { row in
        let value = is32 ? Double(float[row]) : double[row]
        guard value.isFinite else { return call.refuse(row, .overflow, orNull) }
        guard value == value.rounded(.towardZero) else { return call.refuse(row, .losesDigits, orNull) }
        guard let wide = Wide(exactly: value), out.store(wide, row) else { return call.refuse(row, .overflow, orNull) }
      }
    }
  }

  static func floatToDouble(_ call: inout KernelCall) {
    let (a, out) = (call.values(0, Float.self), call.results(Double.self))
    call.rows.each { row in out[row] = Double(a[row]) }
  }

  static func doubleToFloat(orNull: Bool) -> Kernel {
    { call in
      let (a, out) = (call.values(0, Double.self), call.results(Float.self))
      call.rows.each { row in
        let value = Float(a[row])
        guard value.isFinite || !a[row].isFinite else { return call.refuse(row, .overflow, orNull) }
        out[row] = value
      }
    }
  }
}

extension KernelCall {
  /// The row fails, or is NULL.
  @inline(__always)
  mutating func refuse(_ row: Int, _ code: FailureCode, _ orNull: Bool) {
    if orNull { setNull(row) } else { fail(row, code) }
  }
}

extension IntegerKind {
  init<T: FixedWidthInteger>(_: T.Type) { self.init(isSigned: T.isSigned, byteCount: T.bitWidth / 8) }
}

extension Wide {
  /// Nil for a fraction, and beyond 256 bits.
  init?(exactly value: Double) {
    guard value.isFinite, value == value.rounded(.towardZero) else { return nil }
    let magnitude = value.magnitude
    guard magnitude >= 1 else {
      self.init(.zero)
      return
    }
    let exponent = Int(magnitude.exponent)
    guard exponent < 256 else { return nil }
    let significand = UInt256(low: UInt128(magnitude.significandBitPattern | 1 << 52))
    self.init(
      isNegative: value < 0, magnitude: exponent >= 52 ? significand.shiftedLeft(exponent - 52) : significand.shiftedRight(52 - exponent))
  }
}
