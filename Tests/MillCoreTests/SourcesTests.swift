import MillBase
import MillCore
import MillLog
import Testing

private let events = SourceOptions(name: "events", topic: "t")
private let users = SourceOptions(name: "users", topic: "u")

private func named(_ number: UInt16, _ source: SourceOptions, isGone: Bool = false) -> NamedSource {
  NamedSource(number: SourceNumber(rawValue: number), name: source.name, topic: source.topic, isGone: isGone)
}

/// A pipeline of several sources over the state of an earlier life, answered until it runs. `bad`: a source whose brokers say something
/// else than the others'.
private struct Pipeline {
  var core: Core
  var now = Instant(wallMilliseconds: 1_000_000, monotonicMilliseconds: 1_000)
  let names: [SourceOptions]

  init(_ sources: [SourceOptions], untilEnd: Bool = false) {
    names = sources
    var options = CoreOptions(
      pipeline: "p", sources: sources, plan: PlanRecord(hash: 7, replayVersion: 1, text: "plan"),
      tables: [TableOptions(name: "out", target: "d.t")])
    options.untilEnd = untilEnd
    core = Core(options: options)
    _ = core.step(.started, now: now)
  }

  mutating func step(_ event: Event, after milliseconds: Int64 = 0) -> [Command] {
    now.monotonicMilliseconds += milliseconds
    now.wallMilliseconds += milliseconds
    return core.step(event, now: now)
  }

  /// A checkpoint of a life that had these sources, each read up to an offset.
  mutating func open(_ known: [NamedSource], next: [UInt16: Int64], records: [LogRecord] = []) -> [Command] {
    var manifest = Start().manifest()
    manifest.plan.sources = known
    manifest.sources = known.filter { next[$0.number.rawValue] != nil }.map { source in
      Manifest.SourceState(
        number: source.number, name: source.name, clusterID: "c", topic: source.topic, topicID: "",
        partitions: [
          Manifest.PartitionState(
            nextOffset: next[source.number.rawValue] ?? 0, maxEventTime: .min, anchorOffset: -1, anchorTimestamp: -1, anchorChecksum: 0)
        ], watermark: .min)
    }
    // Something was sealed: this is no birth.
    manifest.nextBatchNumbers = [5, 1]
    let found = FoundCheckpoint(name: "c0", manifest: manifest, problem: nil)
    let end = 2 + UInt64(records.count)
    let log = FoundLog(first: 0, end: end, records: records.enumerated().map { (position: 2 + UInt64($0.offset), record: $0.element) })
    return step(
      .opened(Opened(checkpoints: [found], log: log, lineage: Lineage(0xdef), hashSeed: Digest128(low: 3, high: 4), instance: 9)))
  }

  /// Answers all that is asked before the log is begun, and gives what was ordered.
  mutating func look(
    starts: Int64 = 0, ends: [Int64], low: [Int64]? = nil, clusters: [String]? = nil, witnesses: [String?]? = nil
  ) -> [Command] {
    let ours = "millrace:\(Start.lineage):2"
    var all: [Command] = []
    for source in names.indices {
      all += step(.source(source, .witnessRead(witnesses?[source] ?? ours)))
      all += step(
        .source(
          source,
          .described(
            SourceLook(
              clusterID: clusters?[source] ?? "c", topicID: "", low: [low?[source] ?? 0], stableEnd: [ends[source]]))))
    }
    let facts = TableFacts(
      mode: .tokenAndProvenance, window: 10_000, partitionsMax: 1, reserve: 100, windowSeconds: 0, identity: "table", hasProvenance: false,
      warnings: [])
    all += step(.sink(0, exchange: 1, .described(facts)))
    for command in all {
      switch command {
      case .ask(let source, .resolveStarts): all += step(.source(source, .startsResolved([starts])))
      case .ask(let source, .checkAnchors): all += step(.source(source, .anchorsChecked([])))
      default: break
      }
    }
    return all
  }

  mutating func run() -> [Command] {
    var all = step(.logBegun(end: 9, durableEnd: 9)) + step(.stateOpened)
    for index in names.indices where all.contains(where: { if case .ask(index, .commitWitness) = $0 { true } else { false } }) {
      all += step(.source(index, .witnessCommitted))
    }
    return all
  }

  mutating func poll(_ polled: [Polled], after milliseconds: Int64 = 0) -> [Command] { step(.polled(polled), after: milliseconds) }
}

private func polled(_ next: Int64, rows: Int = 0, isAtEnd: Bool = true) -> Polled {
  Polled(next: [next], rows: [rows], byteCount: rows * 10, isAtEnd: [isAtEnd], stop: nil)
}

private func sources(_ commands: [Command]) -> [NamedSource]? {
  begun(commands)?.lazy.compactMap { if case .plan(let plan) = $0 { plan.sources } else { nil } }.first
}

private func sourceStarts(_ commands: [Command]) -> [SourceStart] {
  (begun(commands) ?? []).compactMap { if case .sourceStart(let start) = $0 { start } else { nil } }
}

func start(_ number: UInt16, _ topic: String, _ offset: Int64, cluster: String = "c") -> SourceStart {
  SourceStart(source: SourceNumber(rawValue: number), topic: topic, clusterID: cluster, topicID: "", offsets: [offset])
}

private func assigned(_ commands: [Command]) -> [Int: [Int64]] {
  Dictionary(commands.compactMap { if case .assign(let source, let offsets) = $0 { (source, offsets) } else { nil } }) { $1 }
}

private func cut(_ commands: [Command]) -> Intent? {
  for case .cut(let intent) in commands { return intent }
  return nil
}

private func result(_ intent: Intent, watermark: Int64 = .min) -> Event {
  .processed(
    EpochResult(
      epoch: intent.epoch, intent: intent, counters: Counters(), pendingRows: [0, 0], pendingBytes: [0, 0],
      sources: intent.parts.map { _ in EpochResult.Source(maxEventTimes: [.min], watermark: watermark) }, watermark: watermark,
      needsFreeze: false, dropsBuckets: false, logEnd: 10, stop: nil))
}

/// A start that has to replay an epoch which took offsets 5 to 8 of the first source and 7 of the second.
private func replayOfBoth() -> Pipeline {
  let parts = [
    IntentPart(source: .first, ranges: [PartitionRange(partition: 0, start: 5, next: 9)], partitionCount: 1),
    IntentPart(source: SourceNumber(rawValue: 1), ranges: [PartitionRange(partition: 0, start: 7, next: 8)], partitionCount: 1),
  ]
  let intent = Intent(epoch: 1, clockMilliseconds: 1, planHash: 7, parts: parts, inputDigest: Digest128(low: 0, high: 0))
  let seal = Seal(epoch: 1, covered: [Seal.Coverage(destination: .table, firstEpoch: 1)], batches: [])
  var replaying = Pipeline([events, users])
  _ = replaying.open([named(0, events), named(1, users)], next: [0: 5, 1: 7], records: [.intent(intent), .seal(seal)])
  return replaying
}

@Suite struct SourcesTests {
  @Test func `sources keep their numbers by name, whatever their order in the file, and each reads on where it was`() {
    var start = Pipeline([users, events])
    #expect(stop(start.open([named(0, events), named(1, users)], next: [0: 5, 1: 7])) == nil)
    let commands = start.look(ends: [10, 10])
    #expect(sources(commands) == [named(0, events), named(1, users)] && sourceStarts(commands).isEmpty)
    #expect(assigned(start.run()) == [0: [7], 1: [5]])
  }

  @Test func `a source that was renamed is known by its topic`() {
    let people = SourceOptions(name: "people", topic: "u")
    var start = Pipeline([events, people])
    _ = start.open([named(0, events), named(1, users)], next: [0: 5, 1: 7])
    let commands = start.look(ends: [10, 10])
    #expect(sources(commands) == [named(0, events), named(1, people)])
    #expect(assigned(start.run()) == [0: [5], 1: [7]])
  }

  @Test func `a new source begins where the file says, and the log has that before anything is read`() {
    var start = Pipeline([events, users])
    let opened = start.open([named(0, events)], next: [0: 5])
    #expect(said(opened).contains { $0.hasPrefix("source users is new") })
    let commands = start.look(starts: 8, ends: [10, 10])
    #expect(sources(commands) == [named(0, events), named(1, users)])
    #expect(sourceStarts(commands) == [MillCoreTests.start(1, "u", 8)])
    #expect(assigned(start.run()) == [0: [5], 1: [8]])
    // A process that ends before its first checkpoint leaves that behind.
    var next = Pipeline([events, users])
    var plan = PlanRecord(hash: 7, replayVersion: 1, text: "plan")
    plan.sources = [named(0, events), named(1, users)]
    _ = next.open([named(0, events)], next: [0: 5], records: [.plan(plan), .sourceStart(MillCoreTests.start(1, "u", 8))])
    let again = next.look(starts: 3, ends: [10, 10])
    #expect(sourceStarts(again).isEmpty && assigned(next.run()) == [0: [5], 1: [8]])
  }

  @Test func `a source that is gone is forgotten, and one that comes back begins anew under another number`() {
    var start = Pipeline([events])
    _ = start.open([named(0, events), named(1, users)], next: [0: 5, 1: 7])
    #expect(sources(start.look(ends: [10])) == [named(0, events), named(1, users, isGone: true)])
    var back = Pipeline([events, users])
    _ = back.open([named(0, events), named(1, users, isGone: true)], next: [0: 5])
    let commands = back.look(starts: 0, ends: [10, 10])
    #expect(sources(commands) == [named(0, events), named(1, users, isGone: true), named(2, users)])
    #expect(sourceStarts(commands).map(\.source.rawValue) == [2])
  }

  @Test func `states of releases that had one source and no number for it go on with the first`() {
    var old = Pipeline([users, events])
    var manifest = Start().manifest()
    manifest.sources[0].name = "events"
    manifest.nextBatchNumbers = [5, 1]
    _ = old.step(
      .opened(
        Opened(
          checkpoints: [FoundCheckpoint(name: "c0", manifest: manifest, problem: nil)], log: FoundLog(first: 0, end: 2, records: []),
          lineage: Lineage(0xdef), hashSeed: Digest128(low: 3, high: 4), instance: 9)))
    #expect(sources(old.look(ends: [10, 10])) == [named(0, events), named(1, users)])
  }

  @Test func `one epoch takes from every source what its buffers hold, and each is told what was taken of it`() {
    var running = Pipeline([users, events])
    _ = running.open([named(0, events), named(1, users)], next: [0: 5, 1: 7])
    _ = running.look(ends: [20, 20])
    _ = running.run()
    #expect(cut(running.poll([polled(7), polled(9, rows: 4)])) == nil)
    let intent = cut(running.poll([polled(8, rows: 1), polled(9, rows: 4)], after: 100))
    // By number, not by place.
    #expect(intent?.parts.map(\.source.rawValue) == [0, 1])
    #expect(
      intent?.parts.map(\.ranges) == [[PartitionRange(partition: 0, start: 5, next: 9)], [PartitionRange(partition: 0, start: 7, next: 8)]])
    guard let intent else { return }
    _ = running.step(result(intent))
    #expect(running.core.progress.partitions.map(\.next) == [8, 9])
    #expect(running.core.progress.partitions.map(\.source) == ["users", "events"])
    // Nothing moves: no epoch.
    #expect(cut(running.poll([polled(8), polled(9)], after: 1000)) == nil)
  }

  @Test func `an epoch is replayed once the records of all sources are there (R4)`() {
    var replaying = replayOfBoth()
    _ = replaying.look(ends: [20, 20])
    _ = replaying.run()
    func replays(_ commands: [Command]) -> Bool { commands.contains { if case .replay = $0 { true } else { false } } }
    #expect(!replays(replaying.poll([polled(9, rows: 4), polled(7)])))
    // Who is waited for is told.
    let told = warnings(replaying.poll([polled(9, rows: 4), polled(7)], after: 10_001))
    #expect(told.contains { $0.contains("records of source users of epoch 1") }, "\(told)")
    #expect(replays(replaying.poll([polled(9, rows: 4), polled(8, rows: 1)])))
  }

  @Test func `the end has come where every source has been read so far`() {
    var running = Pipeline([events, users], untilEnd: true)
    _ = running.open([named(0, events), named(1, users)], next: [0: 5, 1: 7])
    _ = running.look(ends: [9, 20])
    _ = running.run()
    func read(_ first: Int64, _ second: Int64, _ rows: (Int, Int)) -> Intent? {
      var intent: Intent?
      for wait in [0, 100] as [Int64] {
        intent = cut(running.poll([polled(first, rows: rows.0), polled(second, rows: rows.1)], after: wait)) ?? intent
      }
      if let intent { _ = running.step(result(intent)) }
      return intent
    }
    _ = read(9, 8, (4, 1))
    #expect(read(9, 10, (0, 2))?.parts.map(\.idle) == [[], []], "a source that is read to its end isn't idle by that")
    #expect(running.core.pollOrder != nil, "the second source has more")
    _ = read(9, 20, (0, 10))
    #expect(running.core.pollOrder == nil)
  }

  @Test func `a source of which nothing was read may become another topic, and is new then; one that was read may not`() {
    let other = SourceOptions(name: "users", topic: "v")
    var plan = PlanRecord(hash: 7, replayVersion: 1, text: "plan")
    plan.sources = [named(0, events), named(1, users)]
    let begun = [LogRecord.plan(plan), .sourceStart(MillCoreTests.start(1, "u", 200))]
    var mended = Pipeline([events, other])
    _ = mended.open([named(0, events)], next: [0: 5], records: begun)
    #expect(sourceStarts(mended.look(starts: 3, ends: [10, 500])) == [MillCoreTests.start(1, "v", 3)])
    #expect(assigned(mended.run()) == [0: [5], 1: [3]])
    // The same name on another cluster is another topic too.
    var moved = Pipeline([events, users])
    _ = moved.open([named(0, events)], next: [0: 5], records: begun)
    #expect(sourceStarts(moved.look(starts: 3, ends: [10, 500], clusters: ["c", "d"])) == [MillCoreTests.start(1, "u", 3, cluster: "d")])
    // A checkpoint that knows it, without a record of it, says no more.
    var checked = Pipeline([events, other])
    _ = checked.open([named(0, events), named(1, users)], next: [0: 5, 1: 200])
    #expect(sourceStarts(checked.look(starts: 3, ends: [10, 500])) == [MillCoreTests.start(1, "v", 3)])
    let parts = [
      IntentPart(source: SourceNumber(rawValue: 1), ranges: [PartitionRange(partition: 0, start: 200, next: 210)], partitionCount: 1)
    ]
    let read = Intent(epoch: 1, clockMilliseconds: 1, planHash: 7, parts: parts, inputDigest: Digest128(low: 0, high: 0))
    let seal = Seal(epoch: 1, covered: [Seal.Coverage(destination: .table, firstEpoch: 1)], batches: [])
    var late = Pipeline([events, other])
    _ = late.open([named(0, events)], next: [0: 5], records: begun + [.intent(read), .seal(seal)])
    let found = stop(late.look(starts: 3, ends: [10, 500]))
    #expect(found?.rule == "R4" && found?.message.contains("give the source another name") == true, "\(found?.message ?? "")")
  }

  @Test func `records of a source don't pile up in a replay that waits for another one's (R4)`() {
    var replaying = replayOfBoth()
    _ = replaying.look(ends: [900_000, 20])
    _ = replaying.run()
    func fetched(_ commands: [Command]) -> [Int64?]? {
      for case .fetch(0, let offsets) in commands { return offsets }
      return nil
    }
    #expect(fetched(replaying.poll([polled(9, rows: 4), polled(7)])) == nil)
    #expect(fetched(replaying.poll([polled(400_000, rows: 399_995), polled(7)])) == [nil])
    let commands = replaying.poll([polled(400_000, rows: 399_995), polled(8, rows: 1)])
    #expect(commands.contains { if case .replay = $0 { true } else { false } })
  }

  @Test func `brokers that are away hold up neither a checkpoint nor the process's end`() {
    var running = Pipeline([events, users])
    _ = running.open([named(0, events), named(1, users)], next: [0: 5, 1: 7])
    _ = running.look(ends: [20, 20])
    _ = running.run()
    var down = polled(7)
    down.trouble = "connection refused"
    var intent: Intent?
    for wait in [0, 100] as [Int64] { intent = cut(running.poll([polled(9, rows: 4), down], after: wait)) ?? intent }
    guard let intent else {
      Issue.record("no epoch")
      return
    }
    _ = running.step(result(intent))
    var commands = running.step(.stopRequested)
    var done = 0
    while done < commands.count {
      switch commands[done] {
      case .freeze(let id, _): commands += running.step(.frozen(id: id, position: 10))
      case .stateWork(let work): commands += running.step(.stateWorkDone(work))
      case .sync: commands += running.step(.synced(durableEnd: 10))
      case .publish(let manifest, let name): commands += running.step(.published(manifest.epoch, name: name))
      case .ask(0, .checkAnchors): commands += running.step(.source(0, .anchorsChecked([])))
      default: break
      }
      done += 1
    }
    #expect(commands.contains { if case .publish = $0 { true } else { false } })
    #expect(!commands.contains { if case .ask(1, .commitWitness) = $0 { true } else { false } })
    #expect(stop(commands) == nil)
    #expect(stop(running.step(.source(0, .witnessCommitted)))?.kind == .done)
  }

  @Test func `a loss is told of its source, accepted for it, and goes into the log under its slot (K3)`() {
    var start = Pipeline([events, users])
    _ = start.open([named(0, events), named(1, users)], next: [0: 5, 1: 7])
    let found = stop(start.look(ends: [20, 20], low: [0, 9]))
    #expect(
      found?.rule == "K3" && found?.message.hasPrefix("source users: topic u") == true && found?.message.contains("'u/0:7-8'") == true)
    var losing = users
    losing.acceptedLosses = [LostRange(partition: 0, start: 7, next: 9)]
    var accepting = Pipeline([events, losing])
    _ = accepting.open([named(0, events), named(1, users)], next: [0: 5, 1: 7])
    let gaps = begun(accepting.look(ends: [20, 20], low: [0, 9]))?.filter { if case .gap = $0 { true } else { false } }
    #expect(gaps == [.gap(Gap(slot: Slot(SourceNumber(rawValue: 1), 0), start: 7, next: 9))])
    #expect(assigned(accepting.run()) == [0: [5], 1: [9]])
    // The other source's same offsets aren't given up by it.
    var later = Pipeline([events, users])
    _ = later.open(
      [named(0, events), named(1, users)], next: [0: 7, 1: 7],
      records: [.gap(Gap(slot: Slot(SourceNumber(rawValue: 1), 0), start: 7, next: 9))])
    _ = later.look(ends: [20, 20])
    #expect(assigned(later.run()) == [0: [7], 1: [9]])
  }

  @Test func `where two clusters have a topic of one name, a loss names its source too`() {
    let copy = SourceOptions(name: "copy", topic: "t")
    var start = Pipeline([events, copy])
    _ = start.open([named(0, events), named(1, copy)], next: [0: 5, 1: 7])
    let found = stop(start.look(ends: [20, 20], low: [0, 9], clusters: ["c", "c"]))
    #expect(found?.kind == .invalidPipeline && found?.message.contains("read the same topic t") == true)
    var manifest = Pipeline([events, copy])
    _ = manifest.open([named(0, events), named(1, copy)], next: [0: 5, 1: 7])
    let lost = stop(manifest.look(ends: [20, 20], low: [9, 0], clusters: ["c", "d"]))
    #expect(lost?.message.contains("--accept-loss 'events:t/0:5-8'") == true, "\(lost?.message ?? "")")
  }

  @Test func `the witness of each source is committed, and any that somebody else has written ends the process (R15)`() {
    var running = Pipeline([events, users])
    _ = running.open([named(0, events), named(1, users)], next: [0: 5, 1: 7])
    _ = running.look(ends: [20, 20])
    _ = running.run()
    let asked = running.step(.wake, after: 10_001)
    #expect(asked.count { if case .ask(_, .readWitness) = $0 { true } else { false } } == 2)
    _ = running.step(.source(0, .witnessRead("millrace:\(Start.lineage):2")))
    let found = stop(running.step(.source(1, .witnessRead("millrace:\(Lineage(0x77)):9"))))
    #expect(found?.rule == "R15")
  }

  @Test func `brokers of one source that don't answer are named, and the other source is read on`() {
    var running = Pipeline([events, users])
    _ = running.open([named(0, events), named(1, users)], next: [0: 5, 1: 7])
    _ = running.look(ends: [20, 20])
    _ = running.run()
    var down = polled(7)
    down.trouble = "connection refused"
    let commands = running.poll([polled(9, rows: 4), down])
    #expect(warnings(commands) == ["source users: waiting for Kafka: connection refused"])
    #expect(running.core.progress.waits.map(\.label) == ["kafka (source users)"])
    let intent = cut(running.poll([polled(9, rows: 4), down], after: 100))
    #expect(intent?.parts.map(\.ranges.count) == [1, 0])
  }
}
