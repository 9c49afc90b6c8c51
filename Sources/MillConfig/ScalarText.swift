/// Reading and writing of the units that pipeline files use: durations, sizes, moments.
package enum ScalarText {
  private static let durationUnits: [(name: String, milliseconds: Int64)] = [
    ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
  ]
  private static let sizeUnits: [(name: String, byteCount: Int)] = [
    ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1),
  ]

  /// Milliseconds of `250ms 5s 10m 24h 7d`; nil for anything else, also for what an Int64 can't hold.
  package static func duration(_ text: String) -> Int64? {
    guard let (number, unit) = parts(text), let scale = durationUnits.first(where: { $0.name == unit }) else { return nil }
    let (result, overflow) = Int64(number).multipliedReportingOverflow(by: scale.milliseconds)
    return overflow ? nil : result
  }

  /// As ``duration(_:)`` reads it, in the largest unit that holds it whole.
  package static func durationText(_ milliseconds: Int64) -> String {
    let magnitude = milliseconds.magnitude
    let unit = durationUnits.first { magnitude >= UInt64($0.milliseconds) && magnitude % UInt64($0.milliseconds) == 0 }
    guard let unit else { return "\(milliseconds / 1000)s" }
    return "\(milliseconds / unit.milliseconds)\(unit.name)"
  }

  /// Bytes of `64MiB`, `4GiB`, `512KiB`, `100B`; nil for anything else, also for what an Int can't hold.
  package static func size(_ text: String) -> Int? {
    guard let (number, unit) = parts(text), let scale = sizeUnits.first(where: { $0.name == unit }) else { return nil }
    let (result, overflow) = number.multipliedReportingOverflow(by: scale.byteCount)
    return overflow ? nil : result
  }

  /// As ``size(_:)`` reads it, in the largest unit that holds it whole.
  package static func sizeText(_ byteCount: Int) -> String {
    let unit = sizeUnits.first { byteCount >= $0.byteCount && byteCount % $0.byteCount == 0 } ?? ("B", 1)
    return "\(byteCount / unit.byteCount)\(unit.name)"
  }

  /// A decimal number without sign or leading zeros, and the letters after it.
  private static func parts(_ text: String) -> (Int, Substring)? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard !digits.isEmpty, digits.count == 1 || digits.first != "0", let number = Int(digits) else { return nil }
    return (number, text[digits.endIndex...])
  }

  /// Milliseconds since 1970 of `2026-01-01T00:00:00Z`, with up to three digits of a second and `Z` or an offset `+02:00`.
  package static func moment(_ text: String) -> Int64? {
    var rest = Substring(text)
    func number(_ count: Int, _ range: ClosedRange<Int>) -> Int? {
      let digits = rest.prefix(count)
      guard digits.count == count, digits.allSatisfy({ $0.isASCII && $0.isNumber }), let value = Int(digits), range.contains(value)
      else { return nil }
      rest = rest.dropFirst(count)
      return value
    }
    func take(_ letters: String) -> Bool {
      guard let first = rest.first, letters.contains(first) else { return false }
      rest = rest.dropFirst()
      return true
    }
    guard let year = number(4, 1970...9999), take("-"), let month = number(2, 1...12), take("-"), let day = number(2, 1...31),
      day <= dayCount(year, month), take("Tt "), let hour = number(2, 0...23), take(":"), let minute = number(2, 0...59), take(":"),
      let second = number(2, 0...59)
    else { return nil }
    var milliseconds = 0
    if take(".") {
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      guard (1...3).contains(digits.count), let fraction = Int(digits) else { return nil }
      milliseconds = fraction * [100, 10, 1][digits.count - 1]
      rest = rest.dropFirst(digits.count)
    }
    var offsetMinutes = 0
    if !take("Zz") {
      let isNegative = rest.first == "-"
      guard take("+-"), let hours = number(2, 0...14), take(":"), let minutes = number(2, 0...59) else { return nil }
      offsetMinutes = (hours * 60 + minutes) * (isNegative ? -1 : 1)
    }
    guard rest.isEmpty else { return nil }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + (minute - offsetMinutes) * 60 + second
    return Int64(seconds) * 1000 + Int64(milliseconds)
  }

  private static func dayCount(_ year: Int, _ month: Int) -> Int {
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    return month == 2 ? (isLeap ? 29 : 28) : [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
  }

  /// Days from 1970-01-01 to a date of the Gregorian calendar, not before it.
  private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let before = year - 1
    let leaps = before / 4 - before / 100 + before / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400)
    return (year - 1970) * 365 + leaps + (1..<month).reduce(0) { $0 + dayCount(year, $1) } + day - 1
  }
}
