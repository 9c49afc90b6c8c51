internal import Glibc
internal import MillBase
internal import MillConfig
internal import Synchronization

/// The process's own two streams, written whole and without buffers of ours.
enum Output {
  /// What no text may hold from now on, whoever words it: `***` stands in its place.
  static func conceal(_ secrets: Secrets) { concealed.withLock { $0 = secrets } }

  /// `text` without secrets.
  static func concealing(_ text: String) -> String { concealed.withLock(\.self).conceal(text) }

  private static let concealed = Mutex(Secrets())

  /// One line of a result: whatever it quotes, it stays one, and short.
  static func line(_ text: String) { result(shown(text) + "\n") }

  /// Lines of a result, each with its end. What they quote of others has gone through ``shown(_:)``.
  static func out(_ text: String) { result(harmless(concealing(text), keepsLineEnds: true)) }

  /// Results as JSON, a line each: ``jsonText(_:)`` has masked its texts, before it escaped them. Records go out as they came.
  static func json(_ text: String) {
    result(text.split(separator: "\n", omittingEmptySubsequences: false).map { harmlessJSON(String($0)) }.joined(separator: "\n"))
  }

  private static func result(_ text: String) {
    let code = write(text, to: STDOUT_FILENO)
    if code != 0 { lost.withLock { $0 = code } }
  }

  private static let lost = Mutex<Int32>(0)

  /// The system's words for why a result did not reach stdout whole; nil where all did, or a reader has had enough (EPIPE).
  static var lostResult: String? {
    let code = lost.withLock(\.self)
    return code == 0 || code == EPIPE ? nil : unsafe String(cString: strerror(code))
  }

  /// One line that is no result, such as an error: whatever it quotes, it stays one, and short.
  static func errorLine(_ text: String) { aside(shown(text) + "\n") }

  /// Lines that are no result, each with its end. What they quote of others has gone through ``shown(_:)``.
  static func error(_ text: String) { aside(harmless(concealing(text), keepsLineEnds: true)) }

  /// A line of the log, masked and harmless already; without its end.
  static func log(_ line: String) { aside(line + "\n") }

  /// Above the live line, where there is one.
  private static func aside(_ text: String) {
    liveLine.withLock { line in
      _ = write(line.isEmpty ? text : eraseLine + text + line, to: STDERR_FILENO)
    }
  }

  /// Replaces the line at the bottom of the terminal; empty removes it.
  static func live(_ text: String) {
    let text = shown(text)
    liveLine.withLock { line in
      if !line.isEmpty || !text.isEmpty { _ = write(eraseLine + text, to: STDERR_FILENO) }
      line = text
    }
  }

  /// What the terminal shows as its last line now. The lock also keeps writers from mixing their lines.
  private static let liveLine = Mutex("")
  private static let eraseLine = "\r\u{1b}[K"

  /// Whether people read stderr.
  static var isErrorTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Writes all of `text`. A reader that went away (EPIPE) or a full disk ends the writing; the system's error number, 0: none.
  private static func write(_ text: String, to descriptor: Int32) -> Int32 {
    let bytes = Array(text.utf8)
    var count = 0
    while count < bytes.count {
      let written = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress! + count, $0.count - count) }
      if written < 0, errno == EINTR || errno == EAGAIN { continue }
      if written <= 0 { return written < 0 ? errno : EIO }
      count += written
    }
    return 0
  }
}

/// Any text as it is shown to people: without secrets, without what steers a terminal, on one line, and short enough to be read.
func shown(_ text: String) -> String { harmless(ForeignText.cut(Output.concealing(text), to: shownByteCountMax)) }

/// More than any message of ours has: what others said in it was cut before, see ``ForeignText``.
private let shownByteCountMax = 64 << 10

/// `text` without secrets as a JSON string, quotes included.
func jsonText(_ text: String) -> String { jsonLiteral(Output.concealing(text)) }

/// `text` as a JSON string, quotes included. Valid for every Swift string.
func jsonLiteral(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\n": result += "\\n"
    case "\r": result += "\\r"
    case "\t": result += "\\t"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return harmlessJSON(result) + "\""
}
