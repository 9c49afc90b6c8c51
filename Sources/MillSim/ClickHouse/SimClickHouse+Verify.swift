internal import MillBase
internal import MillClickHouse

/// The questions of `verify`, which are asked of nobody else, answered from the table as it stands.
extension SimClickHouse {
  func answerAtOnce(_ request: HTTPRequest) -> HTTPResponse {
    let exchange = Exchange(request, incarnation: 0, boot: boot) { _ in }
    var before = ReadBefore()
    exchange.read(definition.columns, &before)
    if let statement = exchange.statement { return answers.success(lines(for: statement)) }
    guard let lines = lines(ofVerify: exchange.text, exchange) else {
      unreadable.append(exchange.label)
      return answers.error(62, "Syntax error: \(exchange.label)")
    }
    return answers.success(lines)
  }

  private func lines(ofVerify text: String, _ exchange: Exchange) -> [String]? {
    let values = Self.quoted(text)
    if text.contains("rowNumberInAllBlocks()"), let token = values.first { return missing(token, exchange) }
    if text.contains(" HAVING "), let token = values.first {
      let doubled = Dictionary(rows(of: token).map { ($0, 1) }, uniquingKeysWith: +).values.reduce(0) { $0 + $1 - 1 }
      return text.hasPrefix("SELECT sum(") ? ["\(doubled)"] : []
    }
    if text.contains(" GROUP BY "), values.count == 2 { return batches(text, values[0], values[1]) }
    guard text.hasPrefix("SELECT count() FROM ") else { return nil }
    let isOurs = { (row: ServerRow) in
      stride(from: 0, to: values.count, by: 2).contains { row.provenance >= values[$0] && row.provenance < values[$0 + 1] }
    }
    return ["\(table.rows.count { !isOurs($0) })"]
  }

  private func rows(of token: String) -> [ServerRow] { table.rows.filter { $0.provenance == token } }

  // SELECT `p`, count(), sum(…), … WHERE `p` >= 'FROM' AND `p` <= 'TO' GROUP BY `p` ORDER BY `p`
  private func batches(_ text: String, _ from: String, _ to: String) -> [String] {
    let isInclusive = text.contains(">= '")
    let sums = text.split(separator: "sum(").dropFirst().map { String($0.prefix { $0 != ")" }) }
    let names = Set(table.rows.map(\.provenance)).filter { (isInclusive ? $0 >= from : $0 > from) && $0 <= to }
    return names.sorted().map { name in
      let rows = rows(of: name)
      return ([name, "\(rows.count)"] + sums.map { "\(sum(of: $0, rows))" }).joined(separator: "\t")
    }
  }

  // toUInt64(`k` or cityHash64(`event_id`
  private func sum(of expression: String, _ rows: [ServerRow]) -> UInt64 {
    let name = expression.split(separator: "`").dropFirst().first ?? ""
    return rows.reduce(0) { $0 &+ Self.number(of: name, $1) }
  }

  private static func number(of column: Substring, _ row: ServerRow) -> UInt64 {
    switch column {
    case "event_id": hash(row.eventID)
    case "sub": hash(row.sub)
    case "k": UInt64(row.group)
    default: UInt64(bitPattern: row.amount)
    }
  }

  private static func hash(_ text: String) -> UInt64 { unsafe Array(text.utf8).withRawBytes { unsafe cityHash64($0) } }

  private func missing(_ token: String, _ exchange: Exchange) -> [String] {
    // A block that can't be read was told when it was inserted.
    guard let block = try? exchange.part(named: "batch"), let wanted = try? BodyReader.rows(native: block, types: definition.columns) else {
      return []
    }
    let found = Set(rows(of: token))
    return wanted.indices.filter { !found.contains(wanted[$0]) }.prefix(5).map(String.init)
  }

  // The texts in single quotes, in order.
  private static func quoted(_ text: String) -> [String] {
    text.split(separator: "'", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }
  }
}
