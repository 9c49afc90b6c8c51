import MillBase
import MillCore
import MillLog
import Testing

/// A core over sources `b` and `s`, of a directory that knows `s` alone, whose number is the first.
private struct Joining: ~Copyable {
  var core: Core
  let start = Start()

  init(known: [NamedSource] = [], names: [(name: String, topic: String)] = [("b", "u"), ("s", "t")], records: [LogRecord] = []) {
    core = Core(
      options: CoreOptions(
        pipeline: "p", sources: names.map { SourceOptions(name: $0.name, topic: $0.topic) }, plan: start.plan,
        tables: [TableOptions(name: "out", target: "d.t")]))
    _ = core.step(.started, now: start.now)
    var manifest = start.manifest()
    manifest.plan.sources = known
    let log = FoundLog(
      first: 0, end: 2 + UInt64(records.count),
      records: records.enumerated().map { (position: 2 + UInt64($0.offset), record: $0.element) })
    _ = core.step(
      .opened(
        Opened(
          checkpoints: [FoundCheckpoint(name: "c0", manifest: manifest, problem: nil)], log: log, lineage: Lineage(0xdef),
          hashSeed: Digest128(low: 3, high: 4), instance: 9)), now: start.now)
  }

  /// Everything answers, each source in a cluster of its own that has so many records.
  mutating func look(witness: [String?], ends: [Int64] = [10, 10]) -> [Command] {
    var all: [Command] = []
    for (index, text) in witness.enumerated() {
      all += core.step(.source(index, .witnessRead(text)), now: start.now)
      let look = SourceLook(
        clusterID: ["b": "c2", "s": "c"][index == 0 ? "b" : "s"] ?? "", topicID: "", low: [0], stableEnd: [ends[index]])
      all += core.step(.source(index, .described(look)), now: start.now)
    }
    let facts = TableFacts(
      mode: .tokenAndProvenance, window: 10_000, partitionsMax: 1, reserve: 100, windowSeconds: 0, identity: "table", hasProvenance: true,
      warnings: [])
    all += core.step(.sink(0, exchange: 1, .described(facts)), now: start.now)
    for case .ask(let index, .resolveStarts) in all { all += core.step(.source(index, .startsResolved([7])), now: start.now) }
    for case .ask(let index, .checkAnchors) in all { all += core.step(.source(index, .anchorsChecked([])), now: start.now) }
    for case .exchange(_, let id, .greatestBatch) in all { all += core.step(.sink(0, exchange: id, .greatestBatch(nil)), now: start.now) }
    return all
  }
}

/// What a start writes before anything is read.
private func written(_ commands: [Command]) -> [LogRecord] { begun(commands) ?? [] }

@Suite struct JoiningTests {
  private let own = "millrace:\(Start.lineage):2"

  @Test func `a source that joins has the next number, and its start is in the log before anything is read`() {
    var joining = Joining()
    let records = written(joining.look(witness: [nil, own]))
    var plan: PlanRecord?
    var starts: [SourceStart] = []
    for record in records {
      if case .plan(let its) = record { plan = its }
      if case .sourceStart(let start) = record { starts.append(start) }
    }
    #expect(
      plan?.sources == [
        NamedSource(number: .first, name: "s", topic: "t"), NamedSource(number: SourceNumber(rawValue: 1), name: "b", topic: "u"),
      ])
    #expect(starts == [SourceStart(source: SourceNumber(rawValue: 1), topic: "u", clusterID: "c2", topicID: "", offsets: [7])])
  }

  @Test func `a start that the log has isn't asked for again`() {
    let number = SourceNumber(rawValue: 1)
    var plan = Start().plan
    plan.sources = [NamedSource(number: .first, name: "s", topic: "t"), NamedSource(number: number, name: "b", topic: "u")]
    var joining = Joining(records: [
      .plan(plan), .sourceStart(SourceStart(source: number, topic: "u", clusterID: "c2", topicID: "", offsets: [3])),
    ])
    let commands = joining.look(witness: [own, own])
    let asked = commands.contains { if case .ask(_, .resolveStarts) = $0 { true } else { false } }
    #expect(!asked)
    #expect(!written(commands).contains { if case .sourceStart = $0 { true } else { false } })
    #expect(!written(commands).isEmpty)
  }

  @Test func `a source that comes back is another one`() {
    let gone = NamedSource(number: SourceNumber(rawValue: 1), name: "b", topic: "u", isGone: true)
    var joining = Joining(known: [NamedSource(number: .first, name: "s", topic: "t"), gone])
    var plans: [PlanRecord] = []
    for case .plan(let plan) in written(joining.look(witness: [own, own])) { plans.append(plan) }
    #expect(plans.first?.sources.dropFirst() == [gone, NamedSource(number: SourceNumber(rawValue: 2), name: "b", topic: "u")])
  }

  @Test func `a witness of another life is told with the name of its source (R15)`() {
    var joining = Joining()
    let found = stop(joining.look(witness: ["millrace:\(Lineage(0x123)):1", own]))
    #expect(found?.rule == "R15")
    #expect(found?.message.hasPrefix("source b: ") == true)
  }
}
