import MillBase
import MillCore
import MillLog
import Testing

private let out = (name: "out", target: "d.t")
private let audit = (name: "audit", target: "d.audit")

private func named(_ number: UInt8, _ table: (name: String, target: String)) -> NamedDestination {
  NamedDestination(destination: Destination(rawValue: number), name: table.name, target: table.target)
}

extension Start {
  /// The checkpoint of a life that had these tables; none: of a release that had one and didn't name it.
  fileprivate func checkpoint(_ known: [NamedDestination]) -> FoundCheckpoint {
    var manifest = manifest()
    manifest.plan.destinations = known
    let count = Int(known.last?.destination.rawValue ?? 1) + 1
    manifest.nextBatchNumbers = Array(repeating: 5, count: max(2, count))
    manifest.tableIdentities = Array(repeating: "", count: max(2, count))
    return FoundCheckpoint(name: "c0", manifest: manifest, problem: nil)
  }

  /// Answers all that is asked before the log is begun, and gives what it begins with.
  fileprivate mutating func begun(_ sinks: Int, witness: String? = "millrace:\(lineage):2") -> [Command] {
    let facts = TableFacts(
      mode: .tokenAndProvenance, window: 10_000, partitionsMax: 1, reserve: 100, windowSeconds: 0, identity: "table", hasProvenance: false,
      warnings: [])
    var all = core.step(.source(0, .witnessRead(witness)), now: now)
    all += core.step(.source(0, .described(SourceLook(clusterID: "c", topicID: "", low: [0], stableEnd: [10]))), now: now)
    for sink in 0..<sinks { all += core.step(.sink(sink, exchange: 1, .described(facts)), now: now) }
    if witness == nil { all += core.step(.source(0, .startsResolved([0])), now: now) }
    all += core.step(.source(0, .anchorsChecked([])), now: now)
    return all
  }
}

/// Whose number is whose, as the log will have it.
private func numbers(_ commands: [Command]) -> [NamedDestination]? {
  begun(commands)?.lazy.compactMap { if case .plan(let plan) = $0 { plan.destinations } else { nil } }.first
}

private func sealed(_ number: UInt8, _ batch: BatchNumber) -> SealedBatch {
  var sealed = MillCoreTests.batch(batch, rows: 2, Destination(rawValue: number))
  sealed.target = number == 0 ? out.target : audit.target
  return sealed
}

@Suite struct TablesTests {
  @Test func `a state keeps its tables' numbers by name, whatever their order in the file, and a new one gets a number of its own`() {
    var start = Start(tables: [("new", "d.new"), audit, out])
    #expect(stop(start.open([start.checkpoint([named(0, out), named(2, audit)])])) == nil)
    #expect(numbers(start.begun(3)) == [named(0, out), named(2, audit), named(3, ("new", "d.new"))])
  }

  @Test func `a sink that was renamed is known by its table`() {
    var start = Start(tables: [out, ("journal", audit.target)])
    #expect(stop(start.open([start.checkpoint([named(0, out), named(2, audit)])])) == nil)
    #expect(numbers(start.begun(2)) == [named(0, out), named(2, ("journal", audit.target))])
  }

  @Test func `the number of a sink that is gone is given to nobody else`() {
    var start = Start(tables: [out, ("new", "d.new")])
    #expect(stop(start.open([start.checkpoint([named(0, out), named(2, audit)])])) == nil)
    #expect(numbers(start.begun(2)) == [named(0, out), named(2, audit), named(3, ("new", "d.new"))])
  }

  @Test func `a state that has had 255 tables takes those that it knows, and refuses another one`() {
    let known = (0...UInt8.max).filter { $0 != 1 }.map { named($0, ("sink\($0)", "d.t\($0)")) }
    for (table, isKnown) in [(("sink7", "d.t7"), true), (("new", "d.new"), false)] {
      var start = Start(tables: [table])
      let found = stop(start.open([start.checkpoint(known)]))
      #expect((found == nil) == isKnown, "\(String(describing: found))")
      if let found { #expect(found.kind == .invalidPipeline && found.message.contains("has had 255 tables")) }
    }
  }

  @Test(arguments: [[("first", "d.a"), ("second", "d.b")], [("second", "d.b"), ("first", "d.a")]])
  func `of a state that had one table the sink goes on that writes into it`(_ tables: [(name: String, target: String)]) {
    var start = Start(tables: tables)
    var waiting = batch(5, rows: 2)
    waiting.target = "d.b"
    let seal = LogRecord.seal(Seal(epoch: 0, covered: [], batches: [waiting]))
    #expect(stop(start.open([start.checkpoint([])], records: [seal], end: 3)) == nil)
    #expect(numbers(start.begun(2))?.first { $0.destination == .table }?.name == "second")
  }

  @Test func `a sink that is gone while batches of it are on their way ends the start, and says how to go on`() throws {
    var start = Start(tables: [out])
    let seal = LogRecord.seal(Seal(epoch: 0, covered: [], batches: [sealed(2, 5)]))
    let found = try #require(stop(start.open([start.checkpoint([named(0, out), named(2, audit)])], records: [seal], end: 3)))
    #expect(found.kind == .promise && found.rule == "R12")
    #expect(found.message.contains("sink audit is gone") && found.message.contains("1 of its batches aren't in d.audit"))
  }

  @Test func `a table that doesn't answer holds up no other, and what is said names its sink`() throws {
    var start = Start(tables: [out, audit])
    #expect(stop(start.open([start.checkpoint([named(0, out), named(2, audit)])])) == nil)
    _ = start.begun(2)
    var commands = start.core.step(.logBegun(end: 4, durableEnd: 4), now: start.now)
    commands += start.core.step(.stateOpened, now: start.now)
    let both = Seal(epoch: 0, covered: [], batches: [sealed(0, 5), sealed(2, 5)])
    commands = start.core.step(.sealed(both, position: 4, durableEnd: 5, logByteCount: 100), now: start.now)
    let sent = Dictionary(
      uniqueKeysWithValues: commands.compactMap { command -> (Int, UInt64)? in
        if case .exchange(let sink, let id, .insert) = command { (sink, id) } else { nil }
      })
    #expect(sent.keys.sorted() == [0, 1])
    commands = start.core.step(.sink(0, exchange: try #require(sent[0]), .notSent(reason: "connection refused")), now: start.now)
    #expect(said(commands) == ["sink out: waiting for ClickHouse: connection refused"])
    #expect(start.core.progress.waits.map(\.sink) == ["out"])
    commands = start.core.step(.sink(1, exchange: try #require(sent[1]), .committed), now: start.now)
    let isGoingOn = commands.contains { command in
      switch command {
      case .append(.ack(let ack)): ack.destination == Destination(rawValue: 2)
      case .exchange(1, _, .count): true
      default: false
      }
    }
    #expect(isGoingOn)
  }
}
