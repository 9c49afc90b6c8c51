internal import MillBase

/// A whole number of 256 bits without a sign; signed ones are kept as two's complement.
package struct UInt256: Hashable, Sendable, Comparable, BitwiseCopyable {
  package var low: UInt128
  package var high: UInt128

  package init(low: UInt128, high: UInt128 = 0) {
    self.low = low
    self.high = high
  }

  package static func < (a: UInt256, b: UInt256) -> Bool { (a.high, a.low) < (b.high, b.low) }

  /// 10 to the power of `digits`, 0...77; nil beyond.
  package static func powerOfTen(_ digits: Int) -> UInt256? {
    var power = UInt256(low: 1)
    for _ in 0..<digits {
      guard let next = power.times(10, plus: 0) else { return nil }
      power = next
    }
    return power
  }

  /// `self` · `factor` + `more`; nil where that passes 256 bits.
  package func times(_ factor: UInt64, plus more: UInt64) -> UInt256? {
    let (carry, product) = low.multipliedFullWidth(by: UInt128(factor))
    let (sum, isOver) = UInt128(product).addingReportingOverflow(UInt128(more))
    let (upper, overflow) = high.multipliedReportingOverflow(by: UInt128(factor))
    let (total, isTooMuch) = upper.addingReportingOverflow(carry &+ (isOver ? 1 : 0))
    return overflow || isTooMuch ? nil : UInt256(low: sum, high: total)
  }

  /// `divisor` > 0.
  package func dividedBy(_ divisor: UInt64) -> (quotient: UInt256, remainder: UInt64) {
    let wide = UInt128(divisor)
    let (upper, rest) = high.quotientAndRemainder(dividingBy: wide)
    // The rest is below the divisor, so each step's quotient fits its 64 bits.
    let middle = (rest << 64 | low >> 64).quotientAndRemainder(dividingBy: wide)
    let lower = (middle.remainder << 64 | low & UInt128(UInt64.max)).quotientAndRemainder(dividingBy: wide)
    return (UInt256(low: middle.quotient << 64 | lower.quotient, high: upper), UInt64(lower.remainder))
  }

  /// -self, in two's complement.
  package var negated: UInt256 {
    let (low, carry) = (~self.low).addingReportingOverflow(1)
    return UInt256(low: low, high: ~high &+ (carry ? 1 : 0))
  }

  /// All digits, without leading zeros.
  package var digits: String {
    var rest = self
    var groups: [String] = []
    repeat {
      let (quotient, group) = rest.dividedBy(1_000_000_000_000_000_000)
      let text = String(group)
      rest = quotient
      let isFirst = rest == UInt256(low: 0)
      groups.append(isFirst ? text : zeroPadded(text, 18))
    } while rest != UInt256(low: 0)
    return groups.reversed().joined()
  }
}
