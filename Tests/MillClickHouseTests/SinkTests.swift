internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillFlow
internal import MillLog
internal import Synchronization
internal import Testing

/// Answers each statement by its beginning, as a server would; keeps what it was asked.
final class ScriptedTransport: Transport {
  let asked = Mutex<[HTTPRequest]>([])
  private let script: [(beginning: String, answer: Result<HTTPResponse, TransportError>)]

  init(_ script: [(String, String)], _ failures: [(String, Result<HTTPResponse, TransportError>)] = []) {
    self.script =
      failures.map { ($0.0, $0.1) }
      + script.map { ($0.0, .success(HTTPResponse(status: 200, headers: [:], body: Array($0.1.utf8)))) }
  }

  func send(_ request: HTTPRequest, done: @escaping @Sendable (Result<HTTPResponse, TransportError>) -> Void) {
    asked.withLock { $0.append(request) }
    let statement =
      request.target.hasPrefix("/?query=") ? String(request.target.dropFirst(8)) : String(decoding: request.body, as: UTF8.self)
    let found = script.first { statement.hasPrefix($0.beginning) || statement.hasPrefix(percentEncoded($0.beginning, keeping: "-._~")) }
    done(found?.answer ?? .failure(TransportError(nothingSent: false, reason: "no answer to \(statement)")))
  }
}

final class StandingClock: Clock {
  func now() -> Instant { Instant(wallMilliseconds: 0, monotonicMilliseconds: 5) }
}

@Suite struct SinkTests {
  fileprivate static let table = [
    ("SELECT version()", "26.9.2.1\n"), ("SELECT name FROM system.settings", "async_insert\ninsert_deduplication_token\n"),
    (
      "SELECT name FROM system.columns",
      "engine\nengine_full\npartition_key\ncreate_table_query\nuuid\ndependencies_database\ndependencies_table\n"
    ),
    (
      "SELECT `engine`",
      "MergeTree\tMergeTree ORDER BY id\tCREATE TABLE t\t\t0b4c1b1e-0000-4000-8000-000000000001\t['db']\t['it\\\\\\'s']\n"
    ),
    ("DESCRIBE TABLE", "id\tUInt64\t\t\t\t\t\n_millrace_batch\tString\t\t\t\t\t\n"),
    ("SELECT name, value FROM system.merge_tree_settings", "non_replicated_deduplication_window\t100\n"),
    ("SELECT count() FROM system.processes", "1\n"), ("SELECT `_millrace_batch` FROM", ""), ("CHECK GRANT INSERT ON `db`.`t`", "1\n"),
  ]

  private func sink(_ transport: any Transport) -> ClickHouseSink {
    ClickHouseSink(
      options: SinkOptions(urls: ["http://x"], table: TableName(database: "db", table: "t")),
      fields: [SinkField(field: "id", type: .uint64)],
      transport: transport, clock: StandingClock())
  }

  private func ask(_ sink: ClickHouseSink, _ request: SinkRequest, _ chunks: [[UInt8]] = []) -> SinkAnswer? {
    let answer = Mutex<SinkAnswer?>(nil)
    let box = Box(answer)
    sink.perform(request, body: { chunks }, done: { given in box.value.withLock { $0 = given } })
    return box.value.withLock { $0 }
  }

  private final class Box: Sendable {
    let value: Mutex<SinkAnswer?>
    init(_ value: consuming Mutex<SinkAnswer?>) { self.value = value }
  }

  @Test func `a table is described out of eight questions and then takes its batches`() throws {
    let transport = ScriptedTransport(Self.table + [("INSERT INTO", "")])
    let sink = sink(transport)
    guard case .described(let facts)? = ask(sink, .describe(pending: [])) else { return #expect(Bool(false)) }
    #expect(facts.mode == .tokenAndProvenance && facts.window == 100 && facts.partitionsMax == 1)
    #expect(facts.identity == "0b4c1b1e-0000-4000-8000-000000000001")
    let encoder = try #require(sink.chosen).encoder
    let rows = encoder.encode(makeBlock([(.uint64, [.int(UInt64(1))])]), rows: 0..<1)
    let batch = sealed(encoder, rows, target: "db.t")
    let chunks = encoder.freeze(rows, token: batch.token)
    #expect(ask(sink, .insert(batch, attempt: 1, token: true, partitionsMax: 1), chunks) == .committed)
    #expect(ask(sink, .guardedInsert(batch, attempt: 2, deadline: 9, looks: true, partitionsMax: 1), chunks) == .committed)
    let sent = transport.asked.withLock { Array($0.suffix(2)) }
    #expect(sent[0].body == Array(chunks.joined()) && sent[0].target.contains("insert_deduplication_token=\(batch.token)"))
    #expect(try sent[1].body.count > Frames.decode(chunks).count && sent[1].target.contains("query_id=\(batch.token)-2"))
  }

  @Test func `nothing is sent for a table that hasn't been described or bytes that can't be read`() throws {
    let transport = ScriptedTransport(Self.table)
    let sink = sink(transport)
    let encoder = BlockEncoder(columns: [TargetColumn(name: "id", type: .uint64, typeText: "UInt64", source: 0)], provenance: nil)
    let rows = encoder.encode(makeBlock([(.uint64, [.int(UInt64(1))])]), rows: 0..<1)
    let batch = sealed(encoder, rows, target: "db.t")
    guard case .notSent? = ask(sink, .insert(batch, attempt: 1, token: true, partitionsMax: 1)) else { return #expect(Bool(false)) }
    #expect(transport.asked.withLock { $0.isEmpty })
    _ = ask(sink, .describe(pending: []))
    let before = transport.asked.withLock { $0.count }
    let torn = [Array(encoder.freeze(rows, token: "")[0].dropLast())]
    guard case .notSent? = ask(sink, .guardedInsert(batch, attempt: 1, deadline: 9, looks: true, partitionsMax: 1), torn) else {
      return #expect(Bool(false))
    }
    #expect(transport.asked.withLock { $0.count } == before)
  }

  @Test func `questions give typed answers`() {
    let transport = ScriptedTransport([
      ("SELECT toUInt32(now())", "1700000000\t77\n"), ("SELECT count() FROM `db`.`t`", "12\n"), ("SELECT query_id", "mr-a-1\nmr-a-2\n"),
      ("KILL QUERY", ""), ("SELECT max(", "12\n"),
    ])
    let sink = sink(transport)
    #expect(
      ask(sink, .serverTime) == .serverTime(seconds: 1_700_000_000, fastestSeconds: 1_700_000_000, uptimeSeconds: 77, tookMilliseconds: 0))
    #expect(ask(sink, .count(target: "db.t", token: "mr-a")) == .counted(12))
    #expect(ask(sink, .running(prefix: "mr-a")) == .running(["mr-a-1", "mr-a-2"]))
    #expect(ask(sink, .kill(prefix: "mr-a")) == .killed)
    #expect(ask(sink, .greatestBatch(Lineage(0xa))) == .greatestBatch(12))
    #expect(transport.asked.withLock { $0.map(\.freshConnection) } == [true, false, false, false, false])
  }

  @Test func `a look without an answer is asked again, a right that is missing is said`() {
    let silent = ScriptedTransport([])
    guard case .unanswered? = ask(sink(silent), .describe(pending: [])) else { return #expect(Bool(false)) }
    let error = HTTPResponse(status: 500, headers: [:], body: Array("Code: 497. DB::Exception: Not enough privileges".utf8))
    let blind = ScriptedTransport(Self.table, [("SELECT count() FROM system.processes", .success(error))])
    guard case .unfit(let problems)? = ask(sink(blind), .describe(pending: [])) else { return #expect(Bool(false)) }
    #expect(problems.contains { $0.contains("GRANT SELECT ON system.processes") })
    let writing = ScriptedTransport(Self.table, [("SELECT `_millrace_batch` FROM", .success(error))])
    guard case .unfit(let unread)? = ask(sink(writing), .describe(pending: [])) else { return #expect(Bool(false)) }
    #expect(unread.contains { $0.contains("GRANT SELECT ON `db`.`t` TO") })
    let reading = ScriptedTransport([("CHECK GRANT INSERT", "0\n")] + Self.table)
    guard case .unfit(let unwritten)? = ask(sink(reading), .describe(pending: [])) else { return #expect(Bool(false)) }
    #expect(unwritten.contains { $0.contains("GRANT INSERT ON `db`.`t` TO") })
    guard case .unfit(let missing)? = ask(sink(ScriptedTransport([("SELECT `engine`", "")] + Self.table)), .describe(pending: [])) else {
      return #expect(Bool(false))
    }
    #expect(missing.contains { $0.contains("there is no table db.t") })
  }

  @Test(arguments: ["0b4c1b1e-0000-4000-8000-000000000001", "00000000-0000-0000-0000-000000000000"])
  func `a table that is known by its statement alone is looked at anew when it was altered between the questions`(uuid: String) {
    /// Whose statement is another one each time.
    final class Altered: Transport {
      let asked = Mutex(0)
      let others = ScriptedTransport(SinkTests.table)
      let uuid: String
      init(uuid: String) { self.uuid = uuid }

      func send(_ request: HTTPRequest, done: @escaping @Sendable (Result<HTTPResponse, TransportError>) -> Void) {
        let beginning = "SELECT `engine`"
        let statement = String(decoding: request.body, as: UTF8.self)
        guard statement.hasPrefix(beginning) || request.target.contains(percentEncoded(beginning, keeping: "-._~")) else {
          return others.send(request, done: done)
        }
        let number = asked.withLock { count in
          count += 1
          return count
        }
        let row = "MergeTree\tMergeTree ORDER BY id\tCREATE TABLE t\(number)\t\t\(uuid)\t[]\t[]\n"
        done(.success(HTTPResponse(status: 200, headers: [:], body: Array(row.utf8))))
      }
    }
    let answer = ask(sink(Altered(uuid: uuid)), .describe(pending: []))
    if uuid.hasPrefix("0b") {
      guard case .described? = answer else { return #expect(Bool(false), "\(String(describing: answer))") }
    } else {
      guard case .unanswered(let reason)? = answer else { return #expect(Bool(false), "\(String(describing: answer))") }
      #expect(reason == "table db.t was altered while it was looked at")
    }
  }
}
