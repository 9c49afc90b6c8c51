internal import CPlatform

/// A number as its text says it: ±mantissa · 10^exponent, without rounding.
struct DecimalNumber {
  var isNegative: Bool
  var mantissa: UInt64
  var exponent: Int
  /// False where digits other than zero didn't fit the mantissa (20 digits and more).
  var isExact: Bool

  init(_ value: Int64) {
    isNegative = value < 0
    mantissa = value.magnitude
    exponent = 0
    isExact = true
  }

  /// Reads a text that ``numberEnd(_:_:_:)`` has found to be a number.
  @inline(__always)
  init(_ bytes: ByteView, _ start: Int, _ end: Int) {
    isNegative = bytes[start] == UInt8(ascii: "-")
    mantissa = 0
    exponent = 0
    isExact = true
    let first = isNegative ? start &+ 1 : start
    // Most numbers: up to 16 digits, or up to 8 before the point and behind it. Digits are read eight at a time: loops over as many as
    // there happen to be are hard to foresee for the processor.
    let digits = eightDigits(bytes, first)
    let whole = min(digitCount(digits), end &- first)
    mantissa = decimalValue(digits, whole)
    var index = first &+ whole
    if whole == 8 {
      let more = eightDigits(bytes, index)
      let count = min(digitCount(more), end &- index)
      if count > 0 { mantissa = mantissa &* mr_power_of_ten(UInt32(truncatingIfNeeded: count)) &+ decimalValue(more, count) }
      index &+= count
    }
    if index == end { return }
    let count = end &- index &- 1
    if whole < 8, count <= 8, bytes[index] == UInt8(ascii: ".") {
      let fraction = eightDigits(bytes, index &+ 1)
      if digitCount(fraction) >= count {
        mantissa = mantissa &* mr_power_of_ten(UInt32(truncatingIfNeeded: count)) &+ decimalValue(fraction, count)
        exponent = 0 &- count
        return
      }
    }
    mantissa = 0
    readRest(bytes, first, end)
  }

  private mutating func readRest(_ bytes: ByteView, _ start: Int, _ end: Int) {
    var index = start
    var isBehindPoint = false
    var isFull = false
    while index < end {
      let byte = bytes[index]
      let digit = byte &- 0x30
      if digit <= 9 {
        let (tenfold, overflow) = mantissa.multipliedReportingOverflow(by: 10)
        let (sum, carry) = tenfold.addingReportingOverflow(UInt64(digit))
        if !isFull, !overflow, !carry {
          mantissa = sum
          if isBehindPoint { exponent &-= 1 }
        } else {
          isFull = true
          if digit != 0 { isExact = false }
          if !isBehindPoint { exponent &+= 1 }
        }
      } else if byte == UInt8(ascii: ".") {
        isBehindPoint = true
      } else {
        readExponent(bytes, index &+ 1, end)
        return
      }
      index &+= 1
    }
  }

  private mutating func readExponent(_ bytes: ByteView, _ start: Int, _ end: Int) {
    var index = start
    let isNegative = bytes[index] == UInt8(ascii: "-")
    if isNegative || bytes[index] == UInt8(ascii: "+") { index &+= 1 }
    var value = 0
    while index < end {
      // No text is so long that its digits could make up for an exponent of that size.
      if value < 1_000_000_000_000_000 { value = value &* 10 &+ Int(bytes[index] &- 0x30) }
      index &+= 1
    }
    exponent &+= isNegative ? -value : value
  }

  /// The magnitude of value · 10^shift as a whole number. A fraction is an error, or with `drop` told by `isCut`.
  @inline(__always)
  func magnitude(shift: Int, drop: Bool, at position: Int32) throws(DecodeFault) -> (value: UInt64, isCut: Bool) {
    let places = exponent &+ shift
    if places == 0, isExact { return (mantissa, false) }
    return try scaled(places, drop, position)
  }

  private func scaled(_ places: Int, _ drop: Bool, _ position: Int32) throws(DecodeFault) -> (value: UInt64, isCut: Bool) {
    if mantissa == 0 { return (0, false) }
    if places >= 0 {
      guard isExact, places <= 19 else { throw DecodeFault(reason: .outOfRange, position: position) }
      let (value, overflow) = mantissa.multipliedReportingOverflow(by: mr_power_of_ten(UInt32(places)))
      guard !overflow else { throw DecodeFault(reason: .outOfRange, position: position) }
      return (value, false)
    }
    var quotient: UInt64 = 0
    var isCut = true
    if places > -20 {
      let parts = mantissa.quotientAndRemainder(dividingBy: mr_power_of_ten(UInt32(-places)))
      quotient = parts.quotient
      isCut = parts.remainder != 0 || !isExact
    }
    guard drop || !isCut else { throw DecodeFault(reason: .losesDigits, position: position) }
    return (quotient, isCut)
  }

  /// value · 10^shift as Int64; with `drop`, what is behind the point is dropped towards minus infinity.
  func integer(shift: Int, drop: Bool, at position: Int32) throws(DecodeFault) -> Int64 {
    let (value, isCut) = try magnitude(shift: shift, drop: drop, at: position)
    guard value <= UInt64(Int64.max) else { throw DecodeFault(reason: .outOfRange, position: position) }
    guard isNegative else { return Int64(value) }
    return isCut ? -Int64(value) &- 1 : -Int64(value)
  }
}

/// The double nearest to a number's text (ties to even); infinite where there is none.
@inline(__always)
func nearestDouble(_ bytes: ByteView, _ start: Int, _ end: Int) -> Double {
  let number = DecimalNumber(bytes, start, end)
  // Both sides are exact doubles, so that one operation rounds once (Clinger).
  if number.isExact, number.mantissa <= 1 << 53, number.exponent >= -22, number.exponent <= 22 {
    let mantissa = Double(number.mantissa)
    let value =
      number.exponent < 0
      ? mantissa / mr_double_power_of_ten(UInt32(-number.exponent)) : mantissa * mr_double_power_of_ten(UInt32(number.exponent))
    return number.isNegative ? -value : value
  }
  return unsafe withTerminatedCopy(bytes, start, end) { unsafe mr_nearest_double($0) }
}

/// The float nearest to a number's text; not by way of a double, which would round twice.
@inline(__always)
func nearestFloat(_ bytes: ByteView, _ start: Int, _ end: Int) -> Float {
  let number = DecimalNumber(bytes, start, end)
  if number.isExact, number.mantissa <= 1 << 24, number.exponent >= -10, number.exponent <= 10 {
    let mantissa = Float(number.mantissa)
    let power = Float(mr_double_power_of_ten(UInt32(abs(number.exponent))))
    let value = number.exponent < 0 ? mantissa / power : mantissa * power
    return number.isNegative ? -value : value
  }
  return unsafe withTerminatedCopy(bytes, start, end) { unsafe mr_nearest_float($0) }
}

@inline(never)
private func withTerminatedCopy<R>(_ bytes: ByteView, _ start: Int, _ end: Int, _ body: (UnsafePointer<CChar>) -> R) -> R {
  unsafe withUnsafeTemporaryAllocation(byteCount: end - start + 1, alignment: 16) { copy in
    let base = copy.baseAddress!
    unsafe base.copyMemory(from: bytes.base + start, byteCount: end - start)
    unsafe base.storeBytes(of: 0, toByteOffset: end - start, as: UInt8.self)
    return unsafe body(UnsafePointer(base.assumingMemoryBound(to: CChar.self)))
  }
}
