internal import MillClickHouse
internal import MillCore
internal import Testing

@Suite struct ClassificationTests {
  @Test(arguments: [
    (413, "<html><title>413 Request Entity Too Large</title></html>", true), (413, "", true), (400, "Payload Too Large", true),
    (422, "{\"error\": \"request body too large\"}", true), (404, "payload too large?", true), (500, "payload too large", false),
    (400, "Bad Request", false), (431, "Request Header Fields Too Large", false), (414, "URI Too Long", false), (502, "", false),
    (413, "Code: 241. DB::Exception: Memory limit (total) exceeded", false),
  ])
  func `a proxy's word that a body is too large is known`(status: Int, body: String, isTooLarge: Bool) {
    let response = HTTPResponse(status: status, headers: [:], body: Array(body.utf8))
    let answer = Classification.insertAnswer(.success(response), isOnePart: true, user: "u")
    if case .refused(.tooLarge, _, let message) = answer {
      #expect(isTooLarge && message.contains("HTTP \(status)"))
    } else {
      #expect(!isTooLarge, "\(answer)")
    }
  }

  private func insert(_ status: Int, _ body: String = "", _ headers: [String: String] = [:], onePart: Bool = true) -> SinkAnswer {
    Classification.insertAnswer(
      .success(HTTPResponse(status: status, headers: headers, body: Array(body.utf8))), isOnePart: onePart, user: "me")
  }

  private func failed(_ code: Int, _ text: String = "x", onePart: Bool = true) -> SinkAnswer {
    insert(
      500, "Code: \(code). DB::Exception: \(text). (NAME) (version 26.9.2.1)", ["x-clickhouse-exception-code": "\(code)"], onePart: onePart)
  }

  private func isUnknown(_ answer: SinkAnswer) -> Bool {
    if case .unknown = answer { true } else { false }
  }

  private func kind(_ answer: SinkAnswer) -> RefusalKind? {
    if case .refused(let kind, _, _) = answer { kind } else { nil }
  }

  @Test func `only a 200 without error header, body or tail is a commit`() {
    #expect(insert(200) == .committed)
    #expect(insert(200, "", ["x-clickhouse-exception-tag": "abcdefghijklmnop"]) == .committed)
    #expect(isUnknown(insert(200, "", ["x-clickhouse-exception-code": "209"])))
    #expect(isUnknown(insert(200, "Code: 241, e.displayText() = DB::Exception: Memory limit, e.what() = DB::Exception\n")))
    let tail = "\r\n__exception__\r\nabcdefghijklmnop\r\nCode: 395. DB::Exception: x\r\n22 abcdefghijklmnop\r\n__exception__\r\n"
    #expect(isUnknown(insert(200, tail, ["x-clickhouse-exception-tag": "abcdefghijklmnop"])))
    #expect(isUnknown(insert(200, "<html>hello</html>")))
    #expect(isUnknown(insert(204)))
  }

  @Test func `an answer that isn't ClickHouse's says nothing about the rows`() {
    for status in [302, 400, 401, 403, 404, 414, 431, 500, 502, 503, 504] {
      #expect(isUnknown(insert(status, "<html>\(status)</html>")), "\(status)")
    }
    #expect(isUnknown(insert(500, "")))
    #expect(isUnknown(insert(500, "Code: many")))
    #expect(isUnknown(insert(500, "Code: 60, or so")))
  }

  @Test func `the code is read from the header, else from the body as either version words it`() {
    #expect(kind(failed(60)) == .schema)
    #expect(kind(insert(404, "Code: 60, e.displayText() = DB::Exception: Table x doesn't exist., e.what() = DB::Exception\n")) == .schema)
    #expect(kind(insert(500, "Code: 202. DB::Exception: Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)")) == .transient)
  }

  @Test(arguments: ["Code: 60. DB::Exception: Table x", "Code: 60, e.displayText() = DB::Exception: Table x"])
  func `a server's words are told without its code and class in front, which every message begins with`(body: String) {
    for headers in [[:], ["x-clickhouse-exception-code": "60"]] {
      #expect(insert(404, body, headers) == .refused(.schema, code: 60, message: "Table x"))
    }
    #expect(insert(404, "x: " + body, ["x-clickhouse-exception-code": "60"]) == .refused(.schema, code: 60, message: "x: " + body))
  }

  @Test(arguments: [
    159, 203, 209, 210, 216, 236, 254, 279, 319, 364, 384, 394, 416, 425, 499, 529, 568, 574, 710, 999, 1000, 1001, 1002, 95, 244,
  ])
  func `a code of unknown outcome is unknown`(code: Int) { #expect(isUnknown(failed(code))) }

  @Test(arguments: [5_000_000, 1, 0, -7, 158, 307, 396])
  func `a code that isn't listed says nothing about the rows`(code: Int) { #expect(isUnknown(failed(code))) }

  @Test func `each kind of refusal has its codes`() {
    for code in [202, 241, 242, 285, 745] { #expect(kind(failed(code)) == .transient, "\(code)") }
    for code in [16, 47, 53, 60, 81, 117, 218, 368] { #expect(kind(failed(code)) == .schema, "\(code)") }
    for code in [6, 26, 27, 69, 130, 131, 349, 407, 469, 691] { #expect(kind(failed(code)) == .data, "\(code)") }
    for code in [115, 164, 192, 193, 194, 452, 497, 516, 764, 774] { #expect(kind(failed(code)) == .configuration, "\(code)") }
  }

  @Test(arguments: [3, 33, 40, 271, 432])
  func `a body that came torn is sent again and never blamed on its rows`(code: Int) {
    for onePart in [true, false] { #expect(kind(failed(code, onePart: onePart)) == .transient) }
  }

  /// `clickhouse.md` B.7, as written there: which codes are retried, resolved, stopped at, or blamed on rows.
  @Test func `every code of the error classes is listed`() {
    let retried = [
      3, 95, 96, 159, 198, 201, 202, 203, 209, 210, 216, 225, 236, 241, 242, 243, 244, 254, 279, 285, 286, 289, 290, 319, 364, 384, 394,
      416,
      425, 439, 473, 499, 529, 568, 574, 733, 745, 762, 777, 778, 999, 1000, 1001, 1002,
    ]
    let stopping = [16, 36, 47, 60, 81, 115, 164, 192, 193, 194, 516, 218, 452, 497, 774, 764]
    let rows = [6, 27, 33, 38, 41, 53, 69, 70, 72, 117, 128, 131, 190, 321, 349, 376, 407, 441, 467, 469, 675, 676, 691]
    let listed = Set(ErrorTable.lists.flatMap(\.codes))
    #expect((retried + stopping + rows).filter { !listed.contains($0) } == [])
    for code in retried {
      let answer = failed(code)
      #expect(isUnknown(answer) || kind(answer) == .transient, "\(code)")
    }
    for code in stopping { #expect([.schema, .configuration].contains(kind(failed(code))), "\(code)") }
    // 33 alone says that the body was cut; 53, and 117 alone, that the table isn't the one whose types were described.
    for code in rows where ![33, 53, 117].contains(code) { #expect(kind(failed(code)) == .data, "\(code)") }
  }

  /// Without these words 33 and 117 are said of the body and of its header, 32 of either (`clickhouse.md` B.7), 36 of settings.
  @Test(arguments: [12, 25, 32, 33, 36, 42, 117, 353, 427, 454])
  func `a code of functions and of other things is blamed on the rows only where a function was at work`(code: Int) {
    let function = "Cannot parse: while executing 'FUNCTION CAST(s :: 0, 'JSON'_String :: 2) -> CAST(s, 'JSON'_String) JSON : 1'"
    #expect(kind(failed(code, function)) == .data)
    #expect(kind(failed(code, function, onePart: false)) == .dataAmidst)
    // A message that quotes a whole record: the words come last.
    #expect(kind(failed(code, String(repeating: "y", count: 10_000) + function)) == .data)
    for torn in ["Attempt to read after eof: While executing Native", "while executing function CAST on arguments s String(size = 0)"] {
      #expect(![.data, .dataAmidst].contains(kind(failed(code, torn))), "\(torn)")
      #expect(![.data, .dataAmidst].contains(kind(failed(code, torn, onePart: false))), "\(torn)")
    }
  }

  @Test func `18.16 says of code 32 only whether a text was too short`() {
    func old(_ text: String) -> SinkAnswer { insert(500, "Code: 32, e.displayText() = DB::Exception: \(text), e.what() = DB::Exception") }
    #expect(kind(old("Attempt to read after eof: Cannot parse Int32 from String, because value is too short")) == .data)
    #expect(isUnknown(old("Attempt to read after eof")))
    #expect(isUnknown(old("Attempt to read after eof: while executing 'FUNCTION toInt32(")))
  }

  @Test func `an error out of a dictionary is the server's, whatever its code`() {
    let parsing = "Cannot parse string 'x' as UInt64: while executing 'FUNCTION toUInt64(s : 0) -> toUInt64(s) UInt64 : 1'"
    let loading = parsing + ": while executing 'FUNCTION dictGet('db.d'_String :: 1, 'v'_String :: 2) -> dictGet('db.d', 'v') UInt64 : 5'"
    for onePart in [true, false] {
      #expect(isUnknown(failed(6, loading, onePart: onePart)))
      #expect(!isUnknown(failed(6, parsing, onePart: onePart)))
    }
    // Of lazily computed branches the outer function alone is named; within a lambda both are.
    let branch =
      "Dictionary (`d`) not found: while executing 'FUNCTION if(c : 0, dictHas('d', k) :: 2, 0 :: 1) -> if(c, dictHas('d', k), 0) UInt8 : 3'"
    let lambda =
      "Dictionary (`d`) not found: while executing 'FUNCTION dictHas('d'_String : 0, x : 1) -> dictHas('d', x) UInt8 : 2': "
      + "while executing 'FUNCTION arrayExists(__lambda :: 1, a : 0) -> arrayExists(lambda(x), a) UInt8 : 2'"
    for text in [branch, lambda] { #expect(isUnknown(failed(36, text)), "\(text)") }
    let like = "Bad: while executing 'FUNCTION predict(dictionary :: 0, dict : 1) -> predict(dictionary, dict) UInt8 : 2'"
    #expect(kind(failed(36, like)) == .data)
    // A record's own text comes before the server's words.
    let quoted = "Cannot parse string 'while executing 'FUNCTION dictGet(': while executing 'FUNCTION toUInt64(s : 0) -> n UInt64 : 1'"
    #expect(kind(failed(6, quoted)) == .data)
    let old = "Invalid argument: \"x, e.what() = y\": while executing 'FUNCTION parseTimeDelta(s : 0) -> parseTimeDelta(s) Float64 : 5'"
    #expect(kind(failed(36, old)) == .data)
  }

  @Test func `a guarded insert into an altered table is a matter of the table, not of its rows`() {
    #expect(kind(failed(395, "\(Statements.alteredText): while executing 'FUNCTION throwIf", onePart: false)) == .schema)
    #expect(kind(failed(395, "amount is negative: while executing 'FUNCTION throwIf")) == .data)
    #expect(kind(failed(469, "violated at row 1. Column values: note = '\(Statements.alteredText)'")) == .data)
  }

  @Test func `what may come after a part was written proves nothing where there can be two parts`() {
    for code in [201, 225, 241, 242, 243, 285, 286, 289, 290, 439, 473, 777, 778] {
      #expect(isUnknown(failed(code, onePart: false)), "\(code)")
      #expect(kind(failed(code, onePart: true)) == .transient, "\(code)")
    }
  }

  @Test func `a missing right is said with the statement that gives it`() {
    let asked = "it's necessary to have the grant INSERT(a, b) ON db.t. (Missing permissions: INSERT(b) ON db.t). (ACCESS_DENIED)"
    guard case .refused(.configuration, 497, let message) = failed(497, "me: Not enough privileges. To execute this query, \(asked)") else {
      return #expect(Bool(false))
    }
    #expect(message.hasSuffix("; to mend it: GRANT INSERT(a, b) ON db.t TO `me`"))
    guard case .refused(.configuration, 164, let other) = failed(164, "Cannot execute query in readonly mode") else {
      return #expect(Bool(false))
    }
    #expect(!other.contains("GRANT"))
  }

  @Test func `code 252 is overload or too many partitions by its message`() {
    #expect(kind(failed(252, "Too many parts (300). Merges are processing significantly slower than inserts")) == .transient)
    #expect(kind(failed(252, "Too many partitions for single INSERT block (more than 100)")) == .tooManyPartitions)
  }

  @Test func `what may be raised between two partitions is unknown where there can be two`() {
    for code in [36, 225, 241, 242, 243] {
      #expect(!isUnknown(failed(code, onePart: true)), "\(code)")
      #expect(isUnknown(failed(code, onePart: false)), "\(code)")
    }
    // Before these lead to a bisection the core counts (R11).
    for code in [6, 26, 72, 130, 349, 407] { #expect(kind(failed(code, onePart: false)) == .dataAmidst, "\(code)") }
    for code in [60, 202, 252, 469] { #expect(!isUnknown(failed(code, onePart: false)), "\(code)") }
  }

  @Test func `an error raised while pushing to a view is the view's, whatever its code`() {
    guard case .viewFailed(395, _) = failed(395, "Value is non-zero: while pushing to view default.v") else { return #expect(Bool(false)) }
    let long = "There are only columns: " + String(repeating: "a_column_with_a_name, ", count: 500) + "while pushing to view default.v"
    guard case .viewFailed(10, _) = failed(10, long) else { return #expect(Bool(false)) }
    guard case .viewFailed(53, _) = failed(53, "while pushing to view default.v") else { return #expect(Bool(false)) }
  }

  @Test func `a record's own text is not taken for a view's failure`() {
    let violated = "Constraint `c` for table db.t is violated at row 1. Expression: (length(note) < 10). Column values: "
    let note = "note = 'it broke while pushing to view x\\'y'"
    // What a view's name may hold is not known for sure: the rows are counted before they are blamed.
    for onePart in [true, false] {
      #expect(kind(failed(469, violated + note, onePart: onePart)) == .dataAmidst)
      #expect(kind(failed(469, violated + note + ", n = 1", onePart: onePart)) == .dataAmidst)
    }
    let parsing = "Cannot parse string 'while pushing to view x' as Int32: while executing 'FUNCTION toInt32(s : 0) -> n Int32 : 2'"
    #expect(kind(failed(6, parsing)) == .dataAmidst)
    for view in ["v (uuid)", "`v'w`"] {
      for text in [violated + note, violated + note + ", `b c` = 1", parsing, violated + "n = 1"] {
        let answer = failed(469, "\(text): while pushing to view default.\(view)")
        guard case .viewFailed = answer else { return #expect(Bool(false), "\(text)") }
      }
    }
    // A name of which it can't be told: counted, and found.
    #expect(kind(failed(469, violated + note + ": while pushing to view default.`v'\\`w`")) == .dataAmidst)
    #expect(kind(failed(469, violated + "note = 'while pushing to view `x', `b c` = 1")) == .dataAmidst)
  }

  @Test func `each code stands in one list only`() {
    let codes = ErrorTable.lists.flatMap(\.codes)
    #expect(Set(codes).count == codes.count)
    #expect(!codes.contains(252))
  }

  @Test func `a transport error is nothing sent only where the transport is certain`() {
    let sent = Classification.insertAnswer(.failure(TransportError(nothingSent: false, reason: "reset")), isOnePart: true, user: "me")
    #expect(sent == .unknown(reason: "reset"))
    let unsent = Classification.insertAnswer(.failure(TransportError(nothingSent: true, reason: "refused")), isOnePart: true, user: "me")
    #expect(unsent == .notSent(reason: "refused"))
  }

  @Test func `a question is denied where no waiting helps, else it is asked again`() {
    func ask(_ status: Int, _ body: String) -> Result<[UInt8], QuestionFailure> {
      Classification.questionAnswer(.success(HTTPResponse(status: status, headers: [:], body: Array(body.utf8))), user: "me")
    }
    #expect(ask(200, "1\n") == .success(Array("1\n".utf8)))
    guard case .failure(.denied) = ask(500, "Code: 497. DB::Exception: Not enough privileges") else { return #expect(Bool(false)) }
    guard case .failure(.unanswered) = ask(500, "Code: 202. DB::Exception: Too many") else { return #expect(Bool(false)) }
    guard case .failure(.unanswered) = ask(200, "1\nCode: 241, e.displayText() = DB::Exception: Memory\n") else {
      return #expect(Bool(false))
    }
  }
}
