internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillFlow
internal import MillLog
internal import Synchronization
internal import Testing

/// A replica of a Replicated table, as bytes over HTTP: a script that can be changed while it runs.
private final class Replica: Transport {
  struct Script {
    var uuid = "0b4c1b1e-0000-4000-8000-000000000001"
    var column = "UInt64"
    var engine = "ReplicatedMergeTree"
    /// What happens instead of an answer.
    var failure: TransportError?
    /// By how a statement begins.
    var answers: [String: HTTPResponse] = [:]
    var time = "100\t7"
    var asked: [String] = []
  }

  let script = Mutex(Script())

  func send(_ request: HTTPRequest, done: @escaping @Sendable (Result<HTTPResponse, TransportError>) -> Void) {
    let isInsert = request.target.hasPrefix("/?query=INSERT")
    let statement = isInsert ? "INSERT" : String(decoding: request.body, as: UTF8.self)
    let (answer, failure) = script.withLock { script in
      script.asked.append(statement)
      return (Self.answer(statement, script), script.failure)
    }
    done(failure.map { .failure($0) } ?? .success(answer))
  }

  private static func answer(_ statement: String, _ script: Script) -> HTTPResponse {
    if let special = script.answers.first(where: { statement.hasPrefix($0.key) }) { return special.value }
    let text =
      switch statement {
      case let text where text.hasPrefix("SELECT version()"): "26.9.2.1\n"
      case let text where text.hasPrefix("SELECT name FROM system.settings"): "insert_deduplication_token\n"
      case let text where text.hasPrefix("SELECT `engine`"):
        "\(script.engine)\t\(script.engine) ORDER BY id\tCREATE TABLE t\t\t\(script.uuid)\t[]\t[]\n"
      case let text where text.hasPrefix("DESCRIBE"): "id\t\(script.column)\t\t\n_millrace_batch\tString\t\t\n"
      case let text where text.hasPrefix("SELECT name, value"): "replicated_deduplication_window\t10000\n"
      case let text where text.hasPrefix("CHECK GRANT"): "1\n"
      case let text where text.hasPrefix("SELECT toUInt32"): "\(script.time)\n"
      case let text where text.hasPrefix("SELECT query_id"): "mr-at-\(script.time.prefix(3))\n"
      case let text where text.hasPrefix("SELECT count() FROM `db`"): "12\n"
      default: ""
      }
    return HTTPResponse(status: 200, headers: [:], body: Array(text.utf8))
  }

  func change(_ body: (inout Script) -> Void) { script.withLock { body(&$0) } }
  func asked(_ beginning: String) -> Int { script.withLock { $0.asked.count { $0.hasPrefix(beginning) } } }
}

@Suite struct ReplicaTests {
  private let replicas = [Replica(), Replica(), Replica()]
  private let refused = TransportError(nothingSent: true, reason: "connection refused")
  private let lost = TransportError(nothingSent: false, reason: "connection reset")

  private func makeSink(_ delivery: Delivery = .exactlyOnce) -> ClickHouseSink {
    ClickHouseSink(
      options: SinkOptions(
        urls: ["http://a", "http://b", "http://c"], table: TableName(database: "db", table: "t"), delivery: delivery),
      fields: [SinkField(field: "id", type: .uint64)], transports: replicas, clock: StandingClock())
  }

  private final class Answers: Sendable {
    let given = Mutex<[SinkAnswer]>([])
  }

  private func ask(_ sink: ClickHouseSink, _ request: SinkRequest, _ chunks: [[UInt8]] = []) -> SinkAnswer? {
    let answers = Answers()
    sink.perform(request, body: { chunks }, done: { answer in answers.given.withLock { $0.append(answer) } })
    return answers.given.withLock { $0.count == 1 ? $0[0] : nil }
  }

  private func batch(_ sink: ClickHouseSink) throws -> (SealedBatch, [[UInt8]]) {
    let encoder = try #require(sink.chosen).encoder
    let rows = encoder.encode(makeBlock([(.uint64, [.int(UInt64(1))])]), rows: 0..<1)
    let batch = sealed(encoder, rows, target: "db.t")
    return (batch, encoder.freeze(rows, token: batch.token))
  }

  private func inserts() -> [Int] { replicas.map { $0.asked("INSERT") } }

  private func described(_ answer: SinkAnswer?) -> TableFacts? {
    if case .described(let facts)? = answer { facts } else { nil }
  }

  @Test func `rows go to the first replica as long as it answers`() throws {
    let sink = makeSink()
    #expect(described(ask(sink, .describe(pending: [])))?.mode == .tokenAndProvenance)
    let (batch, chunks) = try batch(sink)
    for attempt in 1...3 { #expect(ask(sink, .insert(batch, attempt: attempt, token: true, partitionsMax: 1), chunks) == .committed) }
    #expect(inserts() == [3, 0, 0])
  }

  @Test func `where nothing could be sent the next replica gets the same attempt, and keeps the next ones`() throws {
    let sink = makeSink()
    _ = ask(sink, .describe(pending: []))
    let (batch, chunks) = try batch(sink)
    replicas[0].change { $0.failure = refused }
    #expect(ask(sink, .insert(batch, attempt: 1, token: true, partitionsMax: 1), chunks) == .committed)
    #expect(inserts() == [1, 1, 0])
    replicas[0].change { $0.failure = nil }
    #expect(ask(sink, .insert(batch, attempt: 2, token: true, partitionsMax: 1), chunks) == .committed)
    #expect(inserts() == [1, 2, 0])
  }

  @Test func `a lost answer stays a doubt, and only the next attempt goes to another replica`() throws {
    let sink = makeSink()
    _ = ask(sink, .describe(pending: []))
    let (batch, chunks) = try batch(sink)
    replicas[0].change { $0.failure = lost }
    #expect(ask(sink, .insert(batch, attempt: 1, token: true, partitionsMax: 1), chunks) == .unknown(reason: "connection reset"))
    #expect(inserts() == [1, 0, 0])
    #expect(ask(sink, .insert(batch, attempt: 2, token: true, partitionsMax: 1), chunks) == .committed)
    #expect(inserts() == [1, 1, 0])
  }

  @Test func `a replica that is read-only leaves the rows to the next`() throws {
    let sink = makeSink()
    _ = ask(sink, .describe(pending: []))
    let (batch, chunks) = try batch(sink)
    let error = HTTPResponse(status: 500, headers: [:], body: Array("Code: 242. DB::Exception: Table is in readonly mode".utf8))
    replicas[0].change { $0.answers["INSERT"] = error }
    guard case .unknown? = ask(sink, .insert(batch, attempt: 1, token: true, partitionsMax: 1), chunks) else { return #expect(Bool(false)) }
    #expect(ask(sink, .insert(batch, attempt: 2, token: true, partitionsMax: 1), chunks) == .committed)
    #expect(inserts() == [1, 1, 0])
  }

  @Test func `with all replicas down nothing was sent`() throws {
    let sink = makeSink()
    _ = ask(sink, .describe(pending: []))
    let (batch, chunks) = try batch(sink)
    for replica in replicas { replica.change { $0.failure = refused } }
    guard case .notSent? = ask(sink, .insert(batch, attempt: 1, token: true, partitionsMax: 1), chunks) else { return #expect(Bool(false)) }
    #expect(inserts() == [1, 1, 1])
  }

  @Test func `a clock is that of the slowest and the fastest replica, and each must answer`() {
    let sink = makeSink()
    replicas[1].change { $0.time = "090\t3" }
    replicas[2].change { $0.time = "130\t9" }
    #expect(ask(sink, .serverTime) == .serverTime(seconds: 90, fastestSeconds: 130, uptimeSeconds: 9, tookMilliseconds: 0))
    #expect(ask(sink, .running(prefix: "mr-")) == .running(["mr-at-100", "mr-at-090", "mr-at-130"]))
    #expect(ask(sink, .kill(prefix: "mr-")) == .killed)
    #expect(replicas.map { $0.asked("KILL") } == [1, 1, 1])
    replicas[2].change { $0.failure = refused }
    for request in [SinkRequest.serverTime, .running(prefix: "mr-"), .kill(prefix: "mr-")] {
      guard case .unanswered? = ask(sink, request) else { return #expect(Bool(false), "\(request)") }
    }
  }

  @Test func `what depends on the rows waits until the replica has caught up, and stays there`() throws {
    let sink = makeSink()
    _ = ask(sink, .describe(pending: []))
    let (batch, chunks) = try batch(sink)
    #expect(ask(sink, .count(target: "db.t", token: batch.token)) == .counted(12))
    #expect(replicas.map { $0.asked("SYSTEM SYNC REPLICA `db`.`t`") } == [1, 0, 0])
    #expect(ask(sink, .guardedInsert(batch, attempt: 1, deadline: 9, looks: true, partitionsMax: 1), chunks) == .committed)
    #expect(replicas.map { $0.asked("SYSTEM SYNC REPLICA `db`.`t`") } == [2, 0, 0] && inserts() == [1, 0, 0])
    replicas[0].change { $0.answers["INSERT"] = HTTPResponse(status: 502, headers: [:], body: []) }
    guard case .unknown? = ask(sink, .guardedInsert(batch, attempt: 2, deadline: 9, looks: true, partitionsMax: 1), chunks) else {
      return #expect(Bool(false))
    }
    #expect(inserts() == [2, 0, 0])
    // Not caught up: nothing is counted or sent.
    let late = HTTPResponse(status: 408, headers: [:], body: Array("Code: 159. DB::Exception: SYNC REPLICA: timeout".utf8))
    replicas[1].change { $0.answers["SYSTEM SYNC"] = late }
    guard case .unanswered? = ask(sink, .count(target: "db.t", token: batch.token)) else { return #expect(Bool(false)) }
    guard case .notSent? = ask(sink, .guardedInsert(batch, attempt: 3, deadline: 9, looks: true, partitionsMax: 1), chunks) else {
      return #expect(Bool(false))
    }
    #expect(replicas[1].asked("SELECT count() FROM `db`") == 0 && inserts() == [2, 0, 0])
  }

  @Test func `verify asks the first replica that answers, once it has caught up`() throws {
    replicas[0].change { [refused] in $0.failure = refused }
    let table = TableName(database: "db", table: "t")
    let options = SinkOptions(urls: ["http://a", "http://b", "http://c"], table: table)
    let questions = try BatchQuestions.open(options, replicas).get()
    #expect(replicas.map { $0.asked("SYSTEM SYNC REPLICA `db`.`t`") } == [0, 1, 0])
    #expect(questions.otherRows(table, prefixes: []) == .success(12))
    #expect(replicas.map { $0.asked("SELECT count() FROM `db`") } == [0, 1, 0])
    let late = HTTPResponse(status: 408, headers: [:], body: Array("Code: 159. DB::Exception: t".utf8))
    replicas[1].change { $0.answers["SYSTEM SYNC"] = late }
    guard case .failure(.unanswered) = BatchQuestions.open(options, replicas) else { return #expect(Bool(false)) }
  }

  private func denied(_ answer: SinkAnswer?) -> String? {
    if case .denied(let reason)? = answer { reason } else { nil }
  }

  @Test func `the right to catch up is asked for at each replica, and missed by name before anything is sent`() {
    let sink = makeSink()
    let no = HTTPResponse(status: 200, headers: [:], body: Array("0\n".utf8))
    replicas[1].change { $0.answers["CHECK GRANT SYSTEM SYNC REPLICA ON `db`.`t`"] = no }
    guard case .unfit(let problems)? = ask(sink, .describe(pending: [])) else { return #expect(Bool(false)) }
    #expect(problems.count == 1 && problems[0].hasSuffix("GRANT SYSTEM SYNC REPLICA ON `db`.`t` TO `default`"), "\(problems)")
    // At least once counts nothing: what needs the right isn't asked then.
    let facts = described(ask(makeSink(.atLeastOnce), .describe(pending: [])))
    #expect(facts?.mode == .atLeastOnce && facts?.hasProvenance == false)
  }

  @Test func `the right to catch up isn't asked for where nothing waits for another replica`() {
    let alone = ClickHouseSink(
      options: SinkOptions(urls: ["http://a"], table: TableName(database: "db", table: "t")),
      fields: [SinkField(field: "id", type: .uint64)], transport: replicas[0], clock: StandingClock())
    #expect(described(ask(alone, .describe(pending: [])))?.mode == .tokenAndProvenance)
    #expect(replicas[0].asked("CHECK GRANT SYSTEM") == 0)
    for replica in replicas { replica.change { $0.engine = "SharedMergeTree" } }
    #expect(described(ask(makeSink(), .describe(pending: [])))?.mode == .tokenAndProvenance)
    #expect(replicas.map { $0.asked("CHECK GRANT SYSTEM") } == [0, 0, 0])
  }

  @Test func `a right to catch up that is lost while running is said with its GRANT, before a count and before an insert`() throws {
    let sink = makeSink()
    _ = ask(sink, .describe(pending: []))
    let (batch, chunks) = try batch(sink)
    let text =
      "Code: 497. DB::Exception: u: Not enough privileges. To execute this query, it's necessary to have the grant "
      + "SYSTEM SYNC REPLICA ON db.t. (ACCESS_DENIED)"
    replicas[0].change { $0.answers["SYSTEM SYNC"] = HTTPResponse(status: 403, headers: [:], body: Array(text.utf8)) }
    let count = denied(ask(sink, .count(target: "db.t", token: batch.token)))
    #expect(count?.hasSuffix("GRANT SYSTEM SYNC REPLICA ON db.t TO `default`") == true)
    let insert = denied(ask(sink, .guardedInsert(batch, attempt: 1, deadline: 9, looks: true, partitionsMax: 1), chunks))
    #expect(insert == count && inserts() == [0, 0, 0])
  }

  @Test func `replicas of different tables are refused by name, an ALTER on its way is waited for`() {
    let sink = makeSink()
    replicas[2].change { $0.uuid = "0b4c1b1e-0000-4000-8000-000000000002" }
    guard case .unfit(let problems)? = ask(sink, .describe(pending: [])) else { return #expect(Bool(false)) }
    #expect(problems.contains { $0.contains("http://a") && $0.contains("http://c") && $0.contains("000000000002") })
    replicas[2].change {
      $0.uuid = "0b4c1b1e-0000-4000-8000-000000000001"
      $0.column = "UInt32"
    }
    guard case .unanswered(let reason)? = ask(sink, .describe(pending: [])) else { return #expect(Bool(false)) }
    #expect(reason.contains("columns differ") && reason.contains("id"))
  }

  @Test func `a replica that was down at the look is warned of, and gets rows only after a look of its own`() throws {
    let sink = makeSink()
    replicas[1].change { $0.failure = refused }
    let facts = try #require(described(ask(sink, .describe(pending: []))))
    #expect(facts.warnings.contains { $0.contains("http://b") && $0.contains("connection refused") })
    let (batch, chunks) = try batch(sink)
    // Back, but another table: never used, whoever is down.
    replicas[1].change {
      $0.failure = nil
      $0.uuid = "0b4c1b1e-0000-4000-8000-000000000002"
    }
    for index in [0, 2] { replicas[index].change { $0.failure = refused } }
    for attempt in 1...2 {
      guard case .notSent? = ask(sink, .insert(batch, attempt: attempt, token: true, partitionsMax: 1), chunks) else {
        return #expect(Bool(false))
      }
    }
    #expect(replicas[1].asked("INSERT") == 0)
    replicas[1].change { $0.uuid = "0b4c1b1e-0000-4000-8000-000000000001" }
    _ = ask(sink, .insert(batch, attempt: 3, token: true, partitionsMax: 1), chunks)
    #expect(ask(sink, .insert(batch, attempt: 4, token: true, partitionsMax: 1), chunks) == .committed)
    #expect(replicas[1].asked("INSERT") == 1)
  }

  @Test func `at least once takes servers with tables of their own`() throws {
    for (index, replica) in replicas.enumerated() {
      replica.change {
        $0.engine = "MergeTree"
        $0.uuid = "0b4c1b1e-0000-4000-8000-00000000000\(index)"
      }
    }
    guard case .unfit(let problems)? = ask(makeSink(), .describe(pending: [])) else { return #expect(Bool(false)) }
    #expect(problems.contains { $0.contains("MergeTree on 3 servers") })
    let loose = makeSink(.atLeastOnce)
    #expect(described(ask(loose, .describe(pending: [])))?.mode == .atLeastOnce)
  }
}
