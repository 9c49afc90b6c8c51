internal import MillBase
package import MillClickHouse

/// What stands behind the `?` of a request's target, as it came: few of many are ever looked at.
struct Parameters {
  private var pairs: [(name: String, value: String)] = []

  init() {}

  /// Reads `name=value` pairs between `&`, percent-encoded.
  init(_ query: ArraySlice<UInt8>) {
    pairs.reserveCapacity(32)
    for pair in query.split(separator: UInt8(ascii: "&")) {
      let name = pair.prefix { $0 != UInt8(ascii: "=") }
      pairs.append((Self.decoded(name), Self.decoded(pair.dropFirst(name.count + 1))))
    }
  }

  subscript(name: String) -> String? { pairs.last { $0.name == name }?.value }

  var names: [String] { pairs.map(\.name) }

  private static func decoded(_ text: ArraySlice<UInt8>) -> String {
    if !text.contains(UInt8(ascii: "%")) { return String(decoding: text, as: UTF8.self) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count)
    var at = text.startIndex
    while at < text.endIndex {
      if text[at] == UInt8(ascii: "%"), at + 2 < text.endIndex, let high = hex(text[at + 1]), let low = hex(text[at + 2]) {
        bytes.append(high << 4 | low)
        at += 3
      } else {
        bytes.append(text[at])
        at += 1
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func hex(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    default: nil
    }
  }
}

/// Statements and parameters that were read before: most questions are asked again and again.
struct ReadBefore {
  private var statements: [String: ServerStatement] = [:]
  private var parameters: [String: Parameters] = [:]

  mutating func statement(_ text: String) -> ServerStatement? {
    if let known = statements[text] { return known }
    guard let statement = ServerStatement(text) else { return nil }
    statements[text] = statement
    return statement
  }

  /// What stands behind the `?` of a target.
  mutating func parameters(_ target: String) -> Parameters {
    if let known = parameters[target] { return known }
    let bytes = Array(target.utf8)
    let read = Parameters(bytes.firstIndex(of: UInt8(ascii: "?")).map { bytes[($0 + 1)...] } ?? [])
    // An INSERT's has the id of its attempt in it.
    if read["query_id"] == nil { parameters[target] = read }
    return read
  }
}

/// One HTTP request between the engine and the simulated server, and what became of it.
final class Exchange {
  let request: HTTPRequest
  let incarnation: Int
  private let done: (Result<HTTPResponse, TransportError>) -> Void
  /// The client no longer listens.
  var isClosed = false
  /// When it gave up without an answer.
  var closedAt: Int64?
  /// It has an answer, or nothing was sent.
  var isAnswered = false
  var viewHasFailed = false
  var isInNetwork = true
  /// The server's boot that it was sent to.
  let boot: Int
  /// Raised when the time of arrival changes; an earlier one no longer counts.
  var arrival = 0
  private(set) var parameters = Parameters()
  private(set) var statement: ServerStatement?
  private(set) var text = ""
  /// The statement's text, shortened.
  var label: String { String(decoding: text.utf8.prefix(160), as: UTF8.self) }
  private(set) var rows: [ServerRow] = []
  /// What is wrong with the body.
  private(set) var bodyError: BodyError?
  /// The block's plain bytes; empty for questions.
  private(set) var plain: [UInt8] = []

  init(_ request: HTTPRequest, incarnation: Int, boot: Int, done: @escaping (Result<HTTPResponse, TransportError>) -> Void) {
    self.request = request
    self.boot = boot
    self.incarnation = incarnation
    self.done = done
  }

  func finish(_ result: Result<HTTPResponse, TransportError>) { done(result) }

  var queryID: String { parameters["query_id"] ?? "" }

  /// Whether it may come however late: guarded by its deadline, or a question.
  var isHarmlessLate: Bool {
    if case .insert = statement { return false }
    return true
  }

  /// A question of a start's look at server and table: they come by the dozen, and a failed one begins the look anew.
  var isLook: Bool {
    switch statement {
    case .version, .settings, .tablesColumns, .table, .describe, .windows, .processes, .writers: true
    default: false
    }
  }

  /// What the invariants look at; nil for questions.
  var seen: InsertSeen? {
    var deadline: Int64?
    switch statement {
    case .insert: break
    case .guardedInsert(_, let guardDeadline, _): deadline = guardDeadline
    default: return nil
    }
    let token = queryID.lastIndex(of: "-").map { String(queryID[..<$0]) } ?? queryID
    return InsertSeen(
      queryID: queryID, token: token, isGuarded: deadline != nil, deadline: deadline,
      deduplicationToken: parameters["insert_deduplication_token"], rows: rows)
  }

  /// Reads target and body, as the server will when it has them.
  func read(_ columns: [(name: String, type: String)], _ before: inout ReadBefore) {
    parameters = before.parameters(request.target)
    text = parameters["query"] ?? String(decoding: request.body, as: UTF8.self)
    statement = before.statement(text)
    do throws(BodyError) {
      switch statement {
      case .insert: plain = parameters["decompress"] == "1" ? try BodyReader.plain(frames: request.body) : request.body
      case .guardedInsert, .rowsByPartition: plain = try part(named: "batch")
      default: return
      }
      rows = try BodyReader.rows(native: plain, types: columns)
    } catch {
      bodyError = error
    }
  }

  // The one part of a multipart/form-data body.
  func part(named name: String) throws(BodyError) -> [UInt8] {
    let type = request.headers.first { $0.name.lowercased() == "content-type" }?.value ?? ""
    guard let boundary = Array(type.utf8).range(of: "boundary=") else { throw BodyError(code: 36, message: "no boundary in \(type)") }
    let mark = Array("--".utf8) + type.utf8.dropFirst(boundary.upperBound)
    let body = request.body
    guard body.starts(with: mark), let head = body.range(of: "\r\n\r\n") else {
      throw BodyError(code: 36, message: "no part in the form")
    }
    let header = String(decoding: body[..<head.lowerBound], as: UTF8.self)
    let tail = [13, 10] + mark + Array("--\r\n".utf8)
    guard header.contains("name=\"\(name)\""), body.count >= head.upperBound + tail.count, body.suffix(tail.count).elementsEqual(tail)
    else {
      throw BodyError(code: 33, message: "Cannot read all data: the form has no end")
    }
    return Array(body[head.upperBound..<body.count - tail.count])
  }
}

extension RandomAccessCollection<UInt8> where Index == Int {
  /// Where `text` stands first; nil where it doesn't.
  func range(of text: String) -> Range<Int>? {
    let wanted = Array(text.utf8)
    guard let first = wanted.first, count >= wanted.count else { return nil }
    for start in startIndex...endIndex - wanted.count where self[start] == first {
      if self[start..<start + wanted.count].elementsEqual(wanted) { return start..<start + wanted.count }
    }
    return nil
  }
}

/// The engine's end: one an incarnation.
package final class SimTransport: Transport, @unchecked Sendable {
  private let server: SimClickHouse
  private let incarnation: Int

  package init(_ server: SimClickHouse, incarnation: Int) {
    self.server = server
    self.incarnation = incarnation
  }

  package func send(_ request: HTTPRequest, done: @escaping @Sendable (Result<HTTPResponse, TransportError>) -> Void) {
    server.send(request, incarnation: incarnation, done: done)
  }
}
