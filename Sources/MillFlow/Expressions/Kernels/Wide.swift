/// A whole number of up to 256 bits with its sign beside it: what sums, products and comparisons of any two numeric types fit in, or don't.
struct Wide: Hashable, Sendable {
  /// False for zero.
  private(set) var isNegative: Bool
  private(set) var magnitude: UInt256

  @inline(__always)
  init(isNegative: Bool, magnitude: UInt256) {
    self.isNegative = isNegative && magnitude != UInt256(low: 0)
    self.magnitude = magnitude
  }

  init(_ magnitude: UInt256) { self.init(isNegative: false, magnitude: magnitude) }

  @inline(__always)
  init(_ value: some BinaryInteger) {
    let negative = value < 0
    self.init(isNegative: negative, magnitude: UInt256(low: UInt128(value.magnitude)))
  }

  /// Of a value in two's complement, 32 bytes.
  init(signed bits: UInt256) {
    let isNegative = bits.high >> 127 == 1
    self.init(isNegative: isNegative, magnitude: isNegative ? bits.negated : bits)
  }

  var isZero: Bool { magnitude == UInt256(low: 0) }

  var negated: Wide { Wide(isNegative: !isNegative, magnitude: magnitude) }

  /// Two's complement, little endian; the value must fit.
  func bytes(count: Int) -> [UInt8] {
    let bits = isNegative ? magnitude.negated : magnitude
    return (0..<count).map { index in
      let half = index < 16 ? bits.low : bits.high
      return UInt8(truncatingIfNeeded: half >> UInt128(8 * (index % 16)))
    }
  }

  /// Two's complement of 32 bytes.
  var bits: UInt256 { isNegative ? magnitude.negated : magnitude }

  @inline(__always)
  func fits(byteCount: Int, isSigned: Bool) -> Bool {
    if !isSigned { return !isNegative && magnitude.bitWidth <= byteCount * 8 }
    let width = magnitude.bitWidth
    return width < byteCount * 8 || isNegative && width == byteCount * 8 && magnitude.isPowerOfTwo
  }

  /// Nil beyond 256 bits, as all below.
  func added(to other: Wide) -> Wide? {
    if isNegative == other.isNegative {
      guard let sum = magnitude.adding(other.magnitude) else { return nil }
      return Wide(isNegative: isNegative, magnitude: sum)
    }
    if magnitude >= other.magnitude { return Wide(isNegative: isNegative, magnitude: magnitude.subtracting(other.magnitude)) }
    return Wide(isNegative: other.isNegative, magnitude: other.magnitude.subtracting(magnitude))
  }

  func multiplied(by other: Wide) -> Wide? {
    guard let product = magnitude.multiplied(by: other.magnitude) else { return nil }
    return Wide(isNegative: isNegative != other.isNegative, magnitude: product)
  }

  /// Truncated; `other` isn't zero. The rest has the sign of self.
  func divided(by other: Wide) -> (quotient: Wide, rest: Wide) {
    let (quotient, rest) = magnitude.divided(by: other.magnitude)
    return (Wide(isNegative: isNegative != other.isNegative, magnitude: quotient), Wide(isNegative: isNegative, magnitude: rest))
  }
}

extension Wide: Comparable {
  static func < (a: Wide, b: Wide) -> Bool {
    if a.isNegative != b.isNegative { return a.isNegative }
    return a.isNegative ? b.magnitude < a.magnitude : a.magnitude < b.magnitude
  }
}

extension Wide: CustomStringConvertible {
  var description: String { (isNegative ? "-" : "") + magnitude.digits }
}

extension UInt256 {
  static let zero = UInt256(low: 0)

  /// Bits up to the highest that is set.
  var bitWidth: Int { high == 0 ? 128 - low.leadingZeroBitCount : 256 - high.leadingZeroBitCount }

  var isPowerOfTwo: Bool { low.nonzeroBitCount + high.nonzeroBitCount == 1 }

  func adding(_ other: UInt256) -> UInt256? {
    let (low, carry) = low.addingReportingOverflow(other.low)
    let (sum, isOver) = high.addingReportingOverflow(other.high)
    let (high, isOverAgain) = sum.addingReportingOverflow(carry ? 1 : 0)
    return isOver || isOverAgain ? nil : UInt256(low: low, high: high)
  }

  /// `other` ≤ self.
  func subtracting(_ other: UInt256) -> UInt256 {
    let (low, borrow) = low.subtractingReportingOverflow(other.low)
    return UInt256(low: low, high: high &- other.high &- (borrow ? 1 : 0))
  }

  func multiplied(by other: UInt256) -> UInt256? {
    guard high == 0 || other.high == 0 else { return nil }
    let (carry, product) = low.multipliedFullWidth(by: other.low)
    let cross = high == 0 ? low.multipliedFullWidth(by: other.high) : high.multipliedFullWidth(by: other.low)
    guard cross.high == 0 else { return nil }
    let (upper, isOver) = carry.addingReportingOverflow(UInt128(cross.low))
    return isOver ? nil : UInt256(low: UInt128(product), high: upper)
  }

  /// `divisor` > 0.
  func divided(by divisor: UInt256) -> (quotient: UInt256, rest: UInt256) {
    if high == 0, divisor.high == 0 {
      let (quotient, rest) = low.quotientAndRemainder(dividingBy: divisor.low)
      return (UInt256(low: quotient), UInt256(low: rest))
    }
    if divisor.high == 0, divisor.low <= UInt128(UInt64.max) {
      let (quotient, rest) = dividedBy(UInt64(divisor.low))
      return (quotient, UInt256(low: UInt128(rest)))
    }
    // Bit by bit; such numbers are rare.
    var (quotient, rest) = (UInt256.zero, UInt256.zero)
    for bit in stride(from: bitWidth - 1, through: 0, by: -1) {
      let carries = rest.high >> 127 == 1
      rest = rest.shiftedLeft(1)
      if self.bit(bit) { rest.low |= 1 }
      if carries || rest >= divisor {
        rest = rest.subtracting(divisor)
        quotient.setBit(bit)
      }
    }
    return (quotient, rest)
  }

  func bit(_ index: Int) -> Bool { (index < 128 ? low >> UInt128(index) : high >> UInt128(index - 128)) & 1 == 1 }

  mutating func setBit(_ index: Int) {
    if index < 128 { low |= 1 << UInt128(index) } else { high |= 1 << UInt128(index - 128) }
  }

  /// 0...255 bits; what leaves at the top is lost.
  func shiftedLeft(_ count: Int) -> UInt256 {
    if count == 0 { return self }
    if count >= 128 { return UInt256(low: 0, high: low << UInt128(count - 128)) }
    return UInt256(low: low << UInt128(count), high: high << UInt128(count) | low >> UInt128(128 - count))
  }

  func shiftedRight(_ count: Int) -> UInt256 {
    if count == 0 { return self }
    if count >= 128 { return UInt256(low: high >> UInt128(count - 128)) }
    return UInt256(low: low >> UInt128(count) | high << UInt128(128 - count), high: high >> UInt128(count))
  }
}
