import MillBase
import MillClickHouse
import MillLog
import MillSim
import Synchronization
import Testing

/// A server without faults of its own, spoken to with the sink's own requests.
private final class Bench {
  let scheduler = Scheduler(seed: 3)
  let server: SimClickHouse
  let transport: SimTransport
  private let columns = [
    ("event_id", "String"), ("k", "UInt32"), ("amount", "Int64"), ("at", "DateTime64(3)"), ("_millrace_batch", "String"),
  ]

  /// A second replica of the server's table; only where it is asked for.
  private(set) var replica: SimClickHouse?

  init(window: Int = 100, partitionKey: String = "k", replicaLag: Int64? = nil) {
    let scheduler = scheduler
    server = SimClickHouse(
      .init(flavour: .modern, engine: "MergeTree", partitionKey: partitionKey, window: window, provenance: ("_millrace_batch", "String")),
      draws: .stream(seed: 3, "server"), scheduler: scheduler, wallOffset: 1_000_000_000, trace: Trace(kept: 0) { scheduler.now })
    transport = SimTransport(server, incarnation: 1)
    guard let replicaLag else { return }
    replica = SimClickHouse(
      server.definition, draws: .stream(seed: 4, "server"), scheduler: scheduler, wallOffset: 1_000_000_000,
      trace: Trace(kept: 0) { scheduler.now }, replicaOf: server)
    replica?.lagMilliseconds = replicaLag
  }

  /// A question to the second replica; its lines.
  func ask(_ statement: String, for milliseconds: Int64) -> [String] {
    guard let replica else { return [] }
    let box = Box()
    SimTransport(replica, incarnation: 1).send(requests.question(statement)) { answer in box.result.withLock { $0 = answer } }
    _ = scheduler.run(limit: scheduler.now + milliseconds) { false }
    guard case .success(let response)? = box.result.withLock({ $0 }) else { return [] }
    return String(decoding: response.body, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// Sends to the first replica and lets so much time pass.
  func send(_ request: HTTPRequest, for milliseconds: Int64) {
    transport.send(request) { _ in }
    _ = scheduler.run(limit: scheduler.now + milliseconds) { false }
  }

  private func batch(_ token: String) -> SealedBatch {
    SealedBatch(
      destination: .table, number: 1, rowStart: 0, rowCount: 2, digest: Digest128(low: 0, high: 0), token: token, chunks: [],
      originChunkCount: 0, byteCount: 0, target: "sim.events", columns: columns.map { BatchColumn(name: $0.0, type: $0.1) })
  }

  private func block(_ token: String, groups: [UInt32]) -> [UInt8] {
    var writer = ByteWriter()
    writer.count(columns.count)
    writer.count(groups.count)
    for (name, type) in columns {
      writer.string(name)
      writer.string(type)
      for group in groups {
        switch name {
        case "event_id": writer.string("e\(group)")
        case "k": writer.integer(group)
        case "_millrace_batch": writer.string(token)
        default: writer.integer(Int64(group))
        }
      }
    }
    return writer.bytes
  }

  private var requests: Requests {
    Requests(
      options: SinkOptions(urls: ["http://sim"], table: TableName(database: "sim", table: "events")),
      dialect: Dialect(
        major: 26, minor: 9, settings: ["insert_deduplication_token", "insert_deduplicate", "deduplicate_insert", "async_insert"]))
  }

  func insert(_ token: String, attempt: Int = 1, groups: [UInt32]) -> HTTPRequest {
    requests.insert(
      batch(token), into: TableName(database: "sim", table: "events"), attempt: attempt, token: true, partitionsMax: 100,
      frames: Frames.encode(block(token, groups: groups)).flatMap { $0 })
  }

  func guarded(_ token: String, attempt: Int = 1, groups: [UInt32], deadline: Int64) -> HTTPRequest {
    requests.guardedInsert(
      batch(token), into: TableName(database: "sim", table: "events"), attempt: attempt, deadline: deadline, looks: true,
      partitionsMax: 100,
      partitionKey: server.definition.partitionKey, provenance: "_millrace_batch", block: block(token, groups: groups))
  }

  /// Sends, and lets time pass until nothing is left to happen; nil: no answer came.
  func run(_ request: HTTPRequest) -> Result<HTTPResponse, TransportError>? {
    let box = Box()
    transport.send(request) { answer in box.result.withLock { $0 = answer } }
    while scheduler.step() {}
    return box.result.withLock { $0 }
  }

  private final class Box: Sendable {
    let result = Mutex<Result<HTTPResponse, TransportError>?>(nil)
  }
}

struct SimClickHouseTests {
  private let token = "mr-1-events-00000000000000000001-aa"

  private func status(_ result: Result<HTTPResponse, TransportError>?) -> Int? { try? result?.get().status }

  @Test func `a repeat under the same token adds nothing and is answered as success`() {
    let bench = Bench()
    for attempt in 1...2 {
      #expect(status(bench.run(bench.insert(token, attempt: attempt, groups: [1, 2]))) == 200)
    }
    #expect(bench.server.table.rows.count == 2)
    #expect(bench.server.unreadable == [])
  }

  @Test func `a token that the window has forgotten lets the rows in again`() {
    let bench = Bench(window: 2, partitionKey: "")
    _ = bench.run(bench.insert(token, groups: [1]))
    for other in ["mr-1-events-00000000000000000002-bb", "mr-1-events-00000000000000000003-cc"] {
      _ = bench.run(bench.insert(other, groups: [1]))
    }
    _ = bench.run(bench.insert(token, attempt: 2, groups: [1]))
    #expect(bench.server.table.count(provenance: token) == 2)
  }

  @Test func `a crash between log and rename burns the token: a repeat succeeds and writes nothing`() {
    let bench = Bench(partitionKey: "")
    bench.server.rates.aimedCrash = 1
    guard case .failure(let error)? = bench.run(bench.insert(token, groups: [1, 2])) else {
      Issue.record("a crashed server answered")
      return
    }
    #expect(!error.nothingSent)
    bench.server.heal()
    #expect(status(bench.run(bench.insert(token, attempt: 2, groups: [1, 2]))) == 200)
    #expect(bench.server.table.count(provenance: token) == 0)
  }

  @Test func `a guarded insert adds what is missing, and nothing when it is repeated`() {
    let bench = Bench()
    bench.server.table.commit(
      .init(
        partition: "1", rows: [ServerRow(eventID: "e1", group: 1, amount: 1, at: 1, provenance: token)], queryID: token + "-1"))
    for attempt in 2...3 {
      #expect(status(bench.run(bench.guarded(token, attempt: attempt, groups: [1, 2, 3], deadline: bench.server.seconds + 1000))) == 200)
      #expect(bench.server.table.count(provenance: token) == 3)
    }
    #expect(bench.server.unreadable == [])
  }

  @Test func `a guarded insert that comes after its deadline adds nothing and is answered as success`() {
    let bench = Bench()
    #expect(status(bench.run(bench.guarded(token, groups: [1, 2], deadline: bench.server.seconds))) == 200)
    #expect(bench.server.table.rows.isEmpty)
  }

  @Test func `a replica sees another's rows late, unless it has caught up`() {
    let table = TableName(database: "sim", table: "events")
    for catchesUp in [false, true] {
      let bench = Bench(replicaLag: 1_000_000)
      bench.send(bench.insert(token, groups: [1, 2]), for: 100)
      #expect(bench.server.table.count(provenance: token) == 2)
      if catchesUp { _ = bench.ask(Statements.catchUp(table), for: 1_000_100) }
      let count = bench.ask(Statements.count(table: table, provenance: "_millrace_batch", token: token), for: 100)
      #expect(count == [catchesUp ? "2" : "0"])
      #expect(bench.replica?.unreadable == [])
    }
  }

  @Test func `replicas share one window: what one took the other takes for repeated`() throws {
    let bench = Bench(replicaLag: 1_000_000)
    bench.send(bench.insert(token, groups: [1, 2]), for: 100)
    let replica = try #require(bench.replica)
    SimTransport(replica, incarnation: 1).send(bench.insert(token, attempt: 2, groups: [1, 2])) { _ in }
    _ = bench.scheduler.run(limit: bench.scheduler.now + 100) { false }
    #expect(bench.server.table.count(provenance: token) == 2)
  }

  @Test func `a body with a damaged frame is refused and writes nothing`() {
    let bench = Bench()
    var request = bench.insert(token, groups: [1, 2])
    request.body[request.body.count - 1] ^= 1
    #expect(status(bench.run(request)) == 500)
    #expect(bench.server.table.rows.isEmpty)
  }

  @Test func `more partitions than the request allows are refused with code 252`() throws {
    let bench = Bench()
    let response = try #require(try bench.run(bench.insert(token, groups: Array(0..<101)))?.get())
    #expect(response.headers["x-clickhouse-exception-code"] == "252")
    #expect(bench.server.table.rows.isEmpty)
  }

  @Test func `a server that is down takes no byte`() {
    let bench = Bench()
    bench.server.crash(down: 1000)
    let box = bench.run(bench.insert(token, groups: [1]))
    guard case .failure(let error)? = box else {
      Issue.record("a server that is down answered")
      return
    }
    #expect(error.nothingSent)
  }
}
