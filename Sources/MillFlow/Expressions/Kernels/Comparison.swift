internal import Glibc

/// Comparisons: of one type by its values, of two numeric types by the exact numbers.
enum Comparison {
  /// What is looked for; the others are these with sides swapped or the answer turned round.
  enum Test: Sendable {
    case equal, less, lessOrEqual
  }

  struct Native: IntegerMaker {
    var test: Test
    var flip: UInt8

    func make<T: NativeInteger>(_: T.Type) -> Kernel { Comparison.native(T.self, test, flip) }
  }

  static func native<T: Comparable & BitwiseCopyable & Sendable>(_: T.Type, _ test: Test, _ flip: UInt8) -> Kernel {
    switch test {
    case .equal: { each(&$0, T.self, flip) { $0 == $1 } }
    case .less: { each(&$0, T.self, flip) { $0 < $1 } }
    case .lessOrEqual: { each(&$0, T.self, flip) { $0 <= $1 } }
    }
  }

  @inline(__always)
  private static func each<T: BitwiseCopyable>(_ call: inout KernelCall, _: T.Type, _ flip: UInt8, _ body: (T, T) -> Bool) {
    let (a, b, out) = (call.values(0, T.self), call.values(1, T.self), call.results(UInt8.self))
    call.rows.each { row in out[row] = (body(a[row], b[row]) ? 1 : 0) ^ flip }
  }

  /// Texts and FixedStrings by their bytes; `width` 0 for texts.
  static func bytes(width: Int, _ test: Test, _ flip: UInt8) -> Kernel {
    { call in
      let (a, b, out) = (call.slices(0, width: width), call.slices(1, width: width), call.results(UInt8.self))
      if test == .equal {
        call.rows.each { row in out[row] = (a[row].isEqual(b[row]) ? 1 : 0) ^ flip }
      } else {
        let most = test == .less ? -1 : 0
        call.rows.each { row in out[row] = (a[row].order(b[row]) <= most ? 1 : 0) ^ flip }
      }
    }
  }

  /// Any two numeric types.
  static func exact(_ left: DataType, _ right: DataType, _ test: Test, _ flip: UInt8) -> Kernel {
    { call in
      let (a, b, out) = (ExactValues(call.argument(0), left), ExactValues(call.argument(1), right), call.results(UInt8.self))
      call.rows.each { row in
        let answer: Bool
        if let order = a[row].order(b[row]) {
          answer = test == .equal ? order == 0 : test == .less ? order < 0 : order <= 0
        } else {
          answer = false
        }
        out[row] = (answer ? 1 : 0) ^ flip
      }
    }
  }
}

extension Slice {
  @inline(__always)
  func isEqual(_ other: Slice) -> Bool { unsafe count == other.count && memcmp(base, other.base, count) == 0 }

  /// Below 0 where self stands before the other.
  @inline(__always)
  func order(_ other: Slice) -> Int {
    let order = unsafe memcmp(base, other.base, min(count, other.count))
    return order != 0 ? Int(order) : count - other.count
  }
}

/// A number of any type, exactly.
enum ExactNumber {
  case decimal(Wide, scale: Int)
  case float(Double)

  /// Below 0, 0 or above; nil where one is no number.
  func order(_ other: ExactNumber) -> Int? {
    switch (self, other) {
    case (.decimal(let a, let s), .decimal(let b, let t)): return Self.order(a, s, b, t)
    case (.float(let a), .float(let b)): return a.isNaN || b.isNaN ? nil : a == b ? 0 : a < b ? -1 : 1
    case (.decimal(let a, let scale), .float(let b)): return Self.order(a, scale, b)
    case (.float(let a), .decimal(let b, let scale)): return Self.order(b, scale, a).map { -$0 }
    }
  }

  private static func order(_ a: Wide, _ s: Int, _ b: Wide, _ t: Int) -> Int {
    if a.isNegative != b.isNegative { return a.isNegative ? -1 : 1 }
    let turn = a.isNegative ? -1 : 1
    let (x, restA) = a.magnitude.divided(by: DecimalArithmetic.power(s).magnitude)
    let (y, restB) = b.magnitude.divided(by: DecimalArithmetic.power(t).magnitude)
    if x != y { return x < y ? -turn : turn }
    // Fractions of up to 76 places, brought to the longer one's.
    let places = max(s, t)
    guard let first = restA.multiplied(by: DecimalArithmetic.power(places - s).magnitude),
      let second = restB.multiplied(by: DecimalArithmetic.power(places - t).magnitude)
    else { preconditionFailure("a fraction of \(places) places passes 256 bits") }
    return first == second ? 0 : first < second ? -turn : turn
  }

  private static func order(_ a: Wide, _ scale: Int, _ b: Double) -> Int? {
    if b.isNaN { return nil }
    if a.isNegative != (b < 0) {
      return a.isNegative ? -1 : a.isZero && b == 0 ? 0 : b < 0 ? 1 : a.isZero ? -1 : orderPositive(a, scale, b)
    }
    let order = orderPositive(a, scale, b.magnitude)
    return a.isNegative ? -order : order
  }

  /// Magnitudes.
  private static func orderPositive(_ a: Wide, _ scale: Int, _ b: Double) -> Int {
    let whole = b.rounded(.towardZero)
    guard b.isFinite, let wholeB = Wide(exactly: whole) else { return -1 }
    let (wholeA, rest) = a.magnitude.divided(by: DecimalArithmetic.power(scale).magnitude)
    if wholeA != wholeB.magnitude { return wholeA < wholeB.magnitude ? -1 : 1 }
    // What is left of both is below one: b's as m / 2^e, a's as rest / 10^scale.
    let fraction = b - whole
    if fraction == 0 { return rest == .zero ? 0 : 1 }
    if rest == .zero { return -1 }
    let exponent = Int(fraction.exponent)
    // Below any Decimal's least fraction.
    if exponent < -256 { return 1 }
    let bits = UInt64(fraction.significandBitPattern | 1 << 52)
    return LongNumber(rest).shiftedLeft(52 - exponent).order(LongNumber(DecimalArithmetic.power(scale).magnitude).times(bits))
  }
}

/// A whole number of up to 640 bits, for comparing fractions.
private struct LongNumber {
  /// The lowest first.
  var words = InlineArray<10, UInt64>(repeating: 0)

  init(_ value: UInt256) {
    words[0] = UInt64(truncatingIfNeeded: value.low)
    words[1] = UInt64(truncatingIfNeeded: value.low >> 64)
    words[2] = UInt64(truncatingIfNeeded: value.high)
    words[3] = UInt64(truncatingIfNeeded: value.high >> 64)
  }

  func times(_ factor: UInt64) -> LongNumber {
    var result = self
    var carry: UInt64 = 0
    for index in words.indices {
      let (high, low) = words[index].multipliedFullWidth(by: factor)
      let (sum, isOver) = low.addingReportingOverflow(carry)
      result.words[index] = sum
      carry = high &+ (isOver ? 1 : 0)
    }
    precondition(carry == 0, "a product passes 640 bits")
    return result
  }

  func shiftedLeft(_ count: Int) -> LongNumber {
    var result = self
    let (whole, part) = (count / 64, count % 64)
    for index in words.indices.reversed() {
      let low = index >= whole ? words[index - whole] : 0
      let below = index > whole && part > 0 ? words[index - whole - 1] >> UInt64(64 - part) : 0
      result.words[index] = low << UInt64(part) | below
    }
    return result
  }

  func order(_ other: LongNumber) -> Int {
    for index in words.indices.reversed() where words[index] != other.words[index] { return words[index] < other.words[index] ? -1 : 1 }
    return 0
  }
}

/// Values of any numeric type.
@safe struct ExactValues {
  private let view: View
  private let integers: WideValues?
  private let scale: Int
  private let is32: Bool

  init(_ view: View, _ type: DataType) {
    self.view = view
    integers = type.storage.flatMap(IntegerKind.init).map { WideValues(view, $0) }
    if case .decimal(_, let scale) = type { self.scale = scale } else { scale = 0 }
    is32 = type == .float32
  }

  subscript(row: Int) -> ExactNumber {
    if let integers { return .decimal(integers[row], scale: scale) }
    return .float(is32 ? Double(Values<Float>(view)[row]) : Values<Double>(view)[row])
  }
}
