internal import Glibc
internal import MillBase

/// How much a log line matters, least first.
enum LogLevel: String, CaseIterable, Comparable, Sendable {
  case trace, debug, info, warning, error

  static func < (left: LogLevel, right: LogLevel) -> Bool {
    allCases.firstIndex(of: left)! < allCases.firstIndex(of: right)!
  }
}

/// How a log line is written.
enum LogFormat: String, CaseIterable, Sendable {
  case text, json
}

/// A value of a log line. What is a secret is a `Secret` and describes itself as `***`.
enum LogValue: Sendable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral,
  ExpressibleByBooleanLiteral
{
  case text(String)
  case integer(Int64)
  case flag(Bool)

  init(stringLiteral text: String) { self = .text(text) }
  init(integerLiteral number: Int64) { self = .integer(number) }
  init(booleanLiteral flag: Bool) { self = .flag(flag) }
}

/// Writes log lines to stderr: `2026-01-01T00:00:00.000Z info message key=value`, or one JSON object a line.
///
/// Callable from any thread: a line is written in one call.
struct Logger: Sendable {
  var level: LogLevel
  var format: LogFormat

  func log(_ level: LogLevel, _ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) {
    guard level >= self.level else { return }
    Output.log(Self.line(level, message, values.map { ($0.key, $0.value) }, format: format, time: utcNow()))
  }

  func info(_ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) { log(.info, message, values) }
  func warning(_ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) { log(.warning, message, values) }
  func error(_ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) { log(.error, message, values) }

  /// One line without its end, masked and harmless.
  static func line(_ level: LogLevel, _ message: String, _ values: [(String, LogValue)], format: LogFormat, time: String) -> String {
    switch format {
    case .text:
      let pairs = values.map { name, value in
        switch value {
        case .text(let text): " \(name)=\(isBare(text) ? Output.concealing(text) : jsonText(text))"
        case .integer(let number): " \(name)=\(number)"
        case .flag(let flag): " \(name)=\(flag)"
        }
      }
      return "\(time) \(level.rawValue) \(shown(message))" + pairs.joined()
    case .json:
      let pairs = values.map { name, value in
        switch value {
        case .text(let text): ",\(jsonText(name)):\(jsonText(text))"
        case .integer(let number): ",\(jsonText(name)):\(number)"
        case .flag(let flag): ",\(jsonText(name)):\(flag)"
        }
      }
      return "{\"time\":\"\(time)\",\"level\":\"\(level.rawValue)\",\"message\":\(jsonText(message))" + pairs.joined() + "}"
    }
  }

  /// Whether a text can stand without quotes.
  private static func isBare(_ text: String) -> Bool {
    !text.isEmpty && text.unicodeScalars.allSatisfy { isHarmless($0) && $0 != " " && $0 != "\"" && $0 != "=" && $0 != "\\" }
  }
}

/// The wall clock as ISO 8601 in UTC with milliseconds.
func utcNow() -> String {
  var now = timespec()
  unsafe clock_gettime(CLOCK_REALTIME, &now)
  return utcText(milliseconds: Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000)
}

/// Milliseconds since 1970 as ISO 8601 in UTC with milliseconds.
func utcText(milliseconds: Int64) -> String {
  var seconds = time_t(milliseconds >= 0 ? milliseconds / 1000 : (milliseconds - 999) / 1000)
  let rest = Int(milliseconds - Int64(seconds) * 1000)
  var parts = unsafe tm()
  unsafe gmtime_r(&seconds, &parts)
  func digits(_ number: Int, _ count: Int) -> String { zeroPadded(String(number), count) }
  let year = unsafe Int(parts.tm_year) + 1900
  let date = unsafe "\(digits(year, 4))-\(digits(Int(parts.tm_mon) + 1, 2))-\(digits(Int(parts.tm_mday), 2))"
  let time = unsafe "\(digits(Int(parts.tm_hour), 2)):\(digits(Int(parts.tm_min), 2)):\(digits(Int(parts.tm_sec), 2))"
  return "\(date)T\(time).\(digits(rest, 3))Z"
}

/// Milliseconds of a clock that never goes back.
func monotonicMilliseconds() -> Int64 {
  var now = timespec()
  unsafe clock_gettime(CLOCK_BOOTTIME, &now)
  return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
}
