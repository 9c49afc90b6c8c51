internal import MillBase
internal import MillFlow

/// Texts of single values out of their bytes in Native (little endian).
enum ValueText {
  /// Whole numbers of 8, 16 or 32 bytes (4 too) and Decimals, with all their digits.
  static func integer(_ bytes: ArraySlice<UInt8>, isSigned: Bool, scale: Int) -> String {
    let isNegative = isSigned && bytes[bytes.endIndex - 1] >= 0x80
    var value = UInt256(low: 0)
    // Above the value's own bytes stand those of its sign.
    for index in (0..<32).reversed() {
      let byte = index < bytes.count ? bytes[bytes.startIndex + index] : isNegative ? 0xFF : 0
      value = UInt256(low: value.low << 8 | UInt128(byte), high: value.high << 8 | value.low >> 120)
    }
    var digits = (isNegative ? value.negated : value).digits
    if scale > 0 {
      digits = zeroPadded(digits, scale + 1)
      let point = digits.index(digits.endIndex, offsetBy: -scale)
      digits = digits[..<point] + "." + digits[point...]
    }
    return isNegative ? "-" + digits : digits
  }

  /// `YYYY-MM-DD`.
  static func date(days: Int64) -> String { isoDate(daysSince1970: Int(days)) }

  /// `YYYY-MM-DDThh:mm:ss[.fraction]Z`; the fraction has all `precision` digits.
  static func time(ticks: Int64, precision: Int) -> String {
    let unit = (0..<precision).reduce(Int64(1)) { power, _ in power * 10 }
    var (seconds, rest) = ticks.quotientAndRemainder(dividingBy: unit)
    if rest < 0 { (seconds, rest) = (seconds - 1, rest + unit) }
    let fraction = precision == 0 ? "" : "." + padded(rest, precision)
    var (days, second) = seconds.quotientAndRemainder(dividingBy: 86_400)
    if second < 0 { (days, second) = (days - 1, second + 86_400) }
    return "\(date(days: days))T\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))\(fraction)Z"
  }

  /// 36 characters; the bytes are two halves, each little endian.
  static func uuid(_ bytes: ArraySlice<UInt8>) -> String {
    let ordered = bytes.prefix(8).reversed() + bytes.dropFirst(8).reversed()
    var text = ""
    for (index, byte) in ordered.enumerated() {
      if [4, 6, 8, 10].contains(index) { text += "-" }
      text += hex(UInt16(byte), digits: 2)
    }
    return text
  }

  /// Dotted, from the first byte on.
  static func ipv4(_ bytes: some Collection<UInt8>) -> String { bytes.map { "\($0)" }.joined(separator: ".") }

  /// By RFC 5952: lower case, the first longest run of zeros as `::`; an IPv4 address in it is dotted. 16 bytes.
  static func ipv6(_ bytes: [UInt8]) -> String {
    if bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF { return "::ffff:" + ipv4(bytes.suffix(4)) }
    let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
    var longest = 0..<0
    var index = 0
    while index < 8 {
      let end = groups[index...].firstIndex { $0 != 0 } ?? 8
      if end - index > max(longest.count, 1) { longest = index..<end }
      index = max(end, index + 1)
    }
    let text = { (part: ArraySlice<UInt16>) in part.map { hex($0, digits: 1) }.joined(separator: ":") }
    return longest.isEmpty ? text(groups[...]) : text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
  }

  private static func hex(_ value: UInt16, digits: Int) -> String { zeroPadded(String(value, radix: 16), digits) }

  private static func padded(_ value: Int64, _ count: Int) -> String { zeroPadded(String(value), count) }
}
