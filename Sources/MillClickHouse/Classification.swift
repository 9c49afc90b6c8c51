internal import MillBase
package import MillCore

/// An error as the server words it.
package struct ServerError: Error, Hashable, Sendable {
  package var code: Int
  package var message: String

  package init(code: Int, message: String) {
    self.code = code
    self.message = message
  }
}

/// What an HTTP answer says. HTTP status alone says nothing: 200 comes with errors, and the same error under many statuses.
package enum Classification {
  /// What stands in an answer.
  package enum Reading: Hashable, Sendable {
    case success
    case failed(ServerError)
    /// Neither success nor an error of ClickHouse's.
    case unreadable(String)
  }

  /// An INSERT's outcome.
  /// - Parameters:
  ///   - isOnePart: the rows of the block are one part, all or none, and so is what remembers them: no partition key and no token,
  ///     which a server that is out of memory in between may have kept without the rows.
  ///   - user: who inserts, for the GRANT that a message may ask for.
  package static func insertAnswer(_ result: Result<HTTPResponse, TransportError>, isOnePart: Bool, user: String) -> SinkAnswer {
    switch result {
    case .failure(let error): return error.nothingSent ? .notSent(reason: error.reason) : .unknown(reason: error.reason)
    case .success(let response):
      switch reading(response) {
      case .success:
        return response.body.isEmpty ? .committed : .unknown(reason: "HTTP 200 with an unexpected body: \(excerpt(response.body))")
      case .unreadable(let reason):
        return isTooLarge(response) ? .refused(.tooLarge, code: response.status, message: reason) : .unknown(reason: reason)
      case .failed(let error):
        let text = ending(response)
        let meaning = ErrorTable.meaning(of: error.code, text)
        let said = ForeignText.cut(error.message)
        let place = viewPlace(text, quotesRows: [.refusedBefore(.data), .refusedAmidst(.data)].contains(meaning))
        // The table took the rows before the view was asked.
        if place == .certain { return .viewFailed(code: error.code, message: said) }
        if response.status == 200 { return .unknown(reason: "HTTP 200 with code \(error.code): \(said)") }
        if place == .possible { return .refused(.dataAmidst, code: error.code, message: said) }
        if error.code == thrown, error.message.contains(Statements.alteredText) {
          return .refused(.schema, code: error.code, message: said)
        }
        return outcome(of: withGrant(error, user: user), meaning, isOnePart: isOnePart)
      }
    }
  }

  /// FUNCTION_THROW_IF_VALUE_IS_NON_ZERO, which says no more than the statement makes it say.
  private static let thrown = 395

  /// What mends an answer that comes again however often it is asked for; empty for those that may pass.
  private static func remedy(_ response: HTTPResponse) -> String {
    switch response.status {
    case 300..<400:
      let target = response.headers["location"].map { " to \(excerpt(Array($0.utf8)))" } ?? ""
      return "waiting doesn't mend this: the address leads elsewhere\(target); write the right one into url"
    case 401, 403, 407: return "waiting doesn't mend this: user and password, or what stands before ClickHouse, don't let the request in"
    case 404, 405, 410: return "waiting doesn't mend this: there is no ClickHouse at this address; look at url, its path too"
    case 414, 431:
      return "waiting doesn't mend this: the statement is too long for what stands before ClickHouse (nginx: large_client_header_buffers)"
    default: return ""
    }
  }

  /// Whether a proxy says that the body was too large for it, in the status' own meaning or in plain words of another one.
  private static func isTooLarge(_ response: HTTPResponse) -> Bool {
    if response.status == 413 { return true }
    guard (400..<500).contains(response.status) else { return false }
    let text = excerpt(response.body).lowercased()
    return ["entity too large", "payload too large", "content too large", "body too large", "body is too large"].contains(
      where: text.contains)
  }

  private enum ViewPlace { case none, possible, certain }

  /// Whether an error was raised while pushing to a view. The server says so at the end.
  /// - Parameter quotesRows: the error may be of a row's value and quote it: before the last quote the words may be the value's. A quote
  ///   in a view's name has its closing backtick behind it.
  private static func viewPlace(_ text: String, quotesRows: Bool) -> ViewPlace {
    let words = "while pushing to view"
    guard text.contains(words) else { return .none }
    guard quotesRows, let quote = text.lastIndex(of: "'") else { return .certain }
    let rest = text[quote...]
    return rest.contains(words) || !rest.count(where: { $0 == "`" }).isMultiple(of: 2) ? .certain : .possible
  }

  /// A question's answer: the bytes, or what the core is told instead.
  package static func questionAnswer(_ result: Result<HTTPResponse, TransportError>, user: String) -> Result<[UInt8], QuestionFailure> {
    switch result {
    case .failure(let error): return .failure(.unanswered(error.reason))
    case .success(let response):
      switch reading(response) {
      case .success: return .success(response.body)
      case .unreadable(let reason): return .failure(.unanswered(reason))
      case .failed(let plain):
        let error = withGrant(plain, user: user)
        switch ErrorTable.meaning(of: error.code, ending(response)) {
        case .refusedBefore(.configuration), .refusedBefore(.schema): return .failure(.denied("code \(error.code): \(error.message)"))
        default: return .failure(.unanswered("code \(error.code): \(error.message)"))
        }
      }
    }
  }

  package static func reading(_ response: HTTPResponse) -> Reading {
    if let header = response.headers["x-clickhouse-exception-code"] {
      guard let code = Int(header) else { return .unreadable("X-ClickHouse-Exception-Code: \(ForeignText.cut(header))") }
      // With 0 the rest of the answer has to say what happened.
      if code != 0 { return .failed(ServerError(code: code, message: words(message(response.body)))) }
    }
    if response.status == 200 {
      guard let error = tail(of: response) else { return .success }
      return .failed(error)
    }
    if let error = serverError(in: message(response.body)) { return .failed(error) }
    let remedy = remedy(response)
    return .unreadable("HTTP \(response.status): \(excerpt(response.body))" + (remedy.isEmpty ? "" : " (\(remedy))"))
  }

  private static func outcome(of error: ServerError, _ meaning: ErrorMeaning, isOnePart: Bool) -> SinkAnswer {
    switch meaning {
    case .refusedBefore(let kind): .refused(kind, code: error.code, message: error.message)
    // The core counts before it acts on these.
    case .refusedAmidst(.data): .refused(isOnePart ? .data : .dataAmidst, code: error.code, message: error.message)
    case .refusedAmidst(let kind) where isOnePart: .refused(kind, code: error.code, message: error.message)
    case .refusedAmidst, .unknownOutcome: .unknown(reason: "code \(error.code): \(error.message)")
    }
  }

  /// As it is told: the server's words cut, and where a right is missing, the statement that gives it.
  private static func withGrant(_ error: ServerError, user: String) -> ServerError {
    let said = ForeignText.cut(error.message)
    // A GRANT that was cut is none.
    let grant = Right.grant(askedFor: error.message, user: user).flatMap { $0.utf8.count <= 4096 ? "; to mend it: \($0)" : nil } ?? ""
    return ServerError(code: error.code, message: said + grant)
  }

  /// An error that came after the status: `__exception__` with the tag that the header names (25.11 and later), the bare word (25.1), or
  /// the error's text as last line (before).
  private static func tail(of response: HTTPResponse) -> ServerError? {
    guard !response.body.isEmpty else { return nil }
    let end = response.body.suffix(32 << 10)
    let lines = end.split { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
    let bare = "__exception__"
    let marker = response.headers["x-clickhouse-exception-tag"].map { bare + $0 } ?? bare
    if let place = lines.lastIndex(where: { $0.elementsEqual(bare.utf8) || $0.elementsEqual(marker.utf8) }) {
      let all = lines[place...].first { $0.starts(with: "Code: ".utf8) } ?? lines[..<place].last { $0.starts(with: "Code: ".utf8) }
      return all.flatMap { serverError(in: String(decoding: $0, as: UTF8.self)) }
        ?? ServerError(code: 0, message: "an exception after the status: \(String(decoding: end, as: UTF8.self).suffix(300))")
    }
    return lines.last.flatMap { $0.starts(with: "Code: ".utf8) ? serverError(in: String(decoding: $0, as: UTF8.self)) : nil }
  }

  /// Reads `Code: N, e.displayText() = …` and `Code: N. DB::Exception: …`.
  private static func serverError(in text: String) -> ServerError? {
    guard text.hasPrefix("Code: ") else { return nil }
    let digits = text.dropFirst("Code: ".count).prefix { $0.isASCII && $0.isNumber }
    let rest = text.dropFirst("Code: ".count + digits.count)
    guard let code = Int(digits), rest.hasPrefix(", e.displayText()") || rest.hasPrefix(". DB::") || rest.hasPrefix(", e.code()") else {
      return nil
    }
    return ServerError(code: code, message: words(text))
  }

  /// What the server says, without the code and the class of its exception in front, as each message of ours begins with the code.
  private static func words(_ text: String) -> String {
    guard text.hasPrefix("Code: "), let end = text.firstRange(of: "Exception: ")?.upperBound else { return text }
    return String(text[end...])
  }

  /// The end of an answer, where the server says how its message came about: the message itself may quote a whole record before.
  private static func ending(_ response: HTTPResponse) -> String { String(decoding: response.body.suffix(64 << 10), as: UTF8.self) }

  private static func message(_ body: [UInt8]) -> String {
    let text = String(decoding: body.prefix(4096), as: UTF8.self)
    return String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
  }

  private static func excerpt(_ body: [UInt8]) -> String { String(decoding: body.prefix(300), as: UTF8.self) }
}

/// Why a question has no answer.
package enum QuestionFailure: Error, Hashable, Sendable {
  /// Ask again.
  case unanswered(String)
  /// No waiting mends it.
  case denied(String)
}
