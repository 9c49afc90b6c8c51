// Feeds whatever libFuzzer thinks of as ClickHouse's HTTP answers: nothing crashes, an answer that holds an error is never a commit, and
// a refusal has the code that stands in the answer. Texts of names and rows that are read come back out of their quotes the same.
internal import FuzzDriver
internal import MillClickHouse
internal import MillCore

/// Status, headers and body: the first byte chooses the status, lines up to an empty one are headers, the rest is the body.
private func answer(_ input: [UInt8]) -> HTTPResponse? {
  guard let control = input.first else { return nil }
  let statuses = [200, 200, 200, 404, 500, 503, 204, 302]
  var headers: [String: String] = [:]
  var rest = input.dropFirst()
  while let end = rest.firstIndex(of: UInt8(ascii: "\n")), end > rest.startIndex {
    let line = rest[..<end]
    rest = rest[(end + 1)...]
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { break }
    headers[String(decoding: line[..<colon], as: UTF8.self).lowercased()] = String(decoding: line[(colon + 1)...], as: UTF8.self)
  }
  return HTTPResponse(status: statuses[Int(control & 7)], headers: headers, body: Array(rest))
}

/// Whether the answer says that something failed; found by plain search, not by the code under test.
private func holdsError(_ response: HTTPResponse) -> Bool {
  if let code = response.headers["x-clickhouse-exception-code"], code != "0", Int(code) != 0 { return true }
  if response.status != 200 { return true }
  let lines = response.body.split { $0 == 10 || $0 == 13 }
  if let tag = response.headers["x-clickhouse-exception-tag"] {
    // 25.11 and later: the marker on one line, the tag on the next.
    for (line, next) in zip(lines, lines.dropFirst()) where line.elementsEqual("__exception__".utf8) && next.elementsEqual(tag.utf8) {
      return true
    }
  }
  guard let last = lines.last else { return false }
  return last.starts(with: "Code: 241, e.displayText() = ".utf8) || last.starts(with: "Code: 60. DB::Exception".utf8)
}

private func check(_ response: HTTPResponse) {
  let isError = holdsError(response)
  let text = String(decoding: response.body, as: UTF8.self)
  for isOnePart in [false, true] {
    let given = Classification.insertAnswer(.success(response), isOnePart: isOnePart, user: "user")
    switch given {
    case .committed: demand(!isError && response.body.isEmpty, "an answer with an error, or a body, is a commit")
    case .refused(let kind, let code, _):
      demand(response.status != 200, "\(kind) out of status 200: rows may be there")
      // Where the words may be a record's own, rows are counted before anything follows.
      let isCounted = kind == .dataAmidst
      demand(isCounted || !text.contains("while pushing to view"), "\(kind), but the table took the rows before a view was asked")
      let said = response.headers["x-clickhouse-exception-code"].flatMap { Int($0) } ?? 0
      demand(said == code || names(code, response.body), "code \(code) stands nowhere in the answer")
      demand(isOnePart || meaning(code, text) != .refusedAmidst(.transient), "code \(code) may come after a part was written")
    case .unknown, .viewFailed: break
    default: fail("an INSERT was answered with \(given)")
    }
  }
  if case .success(let bytes) = Classification.questionAnswer(.success(response), user: "user") {
    demand(!isError && bytes == response.body, "an answer with an error is taken for rows")
  }
}

/// Whether `Code: ` and this number stand somewhere, perhaps with leading zeros.
private func names(_ code: Int, _ body: [UInt8]) -> Bool {
  let mark = Array("Code: ".utf8)
  return body.indices.contains { start in
    guard body[start...].starts(with: mark) else { return false }
    let digits = body[(start + mark.count)...].prefix { (48...57).contains($0) }
    return Int(String(decoding: digits, as: UTF8.self)) == code
  }
}

private func meaning(_ code: Int, _ text: String) -> ErrorMeaning { ErrorTable.meaning(of: code, text) }

/// Readers of what stands in answers, and the writers of what stands in statements.
private func checkTexts(_ bytes: [UInt8]) {
  let rows = TabSeparated.rows(bytes)
  demand(rows.allSatisfy { !$0.isEmpty }, "a row without a field")
  let text = String(decoding: bytes, as: UTF8.self)
  _ = TabSeparated.texts(text)
  if let table = TableName(text) { demand(TableName(table.description) == table, "\(text) is read as another table than it is written") }
  let half = text.index(text.startIndex, offsetBy: text.count / 2)
  let name = TableName(database: String(text[..<half]), table: String(text[half...]))
  demand(TableName(name.description) == name, "a table's name does not come back")
  demand(unquoted(Array(SQL.text(text).utf8)) == Array(text.utf8), "a text does not come back out of its quotes")
  // As ClickHouse writes it: bytes that can't be seen as they are.
  let written = text.utf8.flatMap { [UInt8(ascii: "\\"), UInt8(ascii: "'")].contains($0) ? [UInt8(ascii: "\\"), $0] : [$0] }
  let list = "['\(String(decoding: written, as: UTF8.self))']"
  demand(TabSeparated.texts(list).map { Array($0.utf8) } == [Array(text.utf8)], "a text does not come back out of an answer")
}

/// What ClickHouse reads out of a string literal; nil where it has no end.
private func unquoted(_ literal: [UInt8]) -> [UInt8]? {
  guard literal.count >= 2, literal.first == UInt8(ascii: "'"), literal.last == UInt8(ascii: "'") else { return nil }
  var rest = literal.dropFirst().dropLast()
  var bytes: [UInt8] = []
  while let byte = rest.popFirst() {
    guard byte == UInt8(ascii: "\\") else {
      if byte == UInt8(ascii: "'") { return nil }
      bytes.append(byte)
      continue
    }
    guard let escaped = rest.popFirst() else { return nil }
    guard escaped == UInt8(ascii: "x") else {
      bytes.append(SQL.unescaped(escaped))
      continue
    }
    guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
    rest = rest.dropFirst(2)
    bytes.append(value)
  }
  return bytes
}

private func seeds() -> [[UInt8]] {
  let tail = "\r\n__exception__\r\nabcdefghijklmnop\r\nCode: 395. DB::Exception: x\r\n22 abcdefghijklmnop\r\n__exception__\r\n"
  let texts: [(UInt8, String)] = [
    (0, "\n"), (0, "x-clickhouse-exception-code:209\n\n"), (0, "x-clickhouse-exception-tag:abcdefghijklmnop\n\n1\t2\n" + tail),
    (0, "\n1\nCode: 241, e.displayText() = DB::Exception: Memory limit, e.what() = DB::Exception\n"),
    (3, "\nCode: 60, e.displayText() = DB::Exception: Table x doesn't exist., e.what() = DB::Exception\n"),
    (4, "x-clickhouse-exception-code:252\n\nCode: 252. DB::Exception: Too many partitions for single INSERT block"),
    (4, "\nCode: 469. DB::Exception: Constraint: while pushing to view default.v. (VIOLATED_CONSTRAINT)"),
    (4, "\nCode: 497. DB::Exception: it's necessary to have the grant INSERT(a) ON db.t. (ACCESS_DENIED)"), (5, "\n<html>503</html>"),
    (4, "\nCode: 395. DB::Exception: \(Statements.alteredText): while executing"),
    (0, "\na\\tb\\\\\tc\\n\\N\n`a\\`b`.`c`\n['it\\'s','']\n"),
  ]
  return texts.map { [$0.0] + Array($0.1.utf8) }
}

unsafe runFuzzer(seeds: seeds()) { data in
  let input = unsafe Array(data)
  if let response = answer(input) { check(response) }
  checkTexts(Array(input.dropFirst()))
}
