import MillBase
import MillCore
import MillLog
import Testing

/// A core that has read a state directory with one checkpoint, and is asked what it makes of what the outside says.
struct Start: ~Copyable {
  var core: Core
  let plan = PlanRecord(hash: 7, replayVersion: 1, text: "plan\n")
  let now = Instant(wallMilliseconds: 1_000_000, monotonicMilliseconds: 1_000)
  static let lineage = Lineage(0xabc)

  init(
    newLineage: Bool = false, planHash: UInt64 = 7, losses: [LostRange] = [], checkpointsReplay: Bool = false, idleAfter: Int64? = nil,
    untilEnd: Bool = false, earlierHash: UInt64? = nil, zones: String = "", acceptsDeadLetters: Bool = false, waitAtMost: Int64? = nil,
    tables: [(name: String, target: String)] = [("out", "d.t")]
  ) {
    var options = CoreOptions(
      pipeline: "p", sources: [SourceOptions(name: "s", topic: "t")],
      plan: PlanRecord(hash: planHash, replayVersion: 1, text: "plan\n" + zones),
      tables: tables.map { TableOptions(name: $0.name, target: $0.target) })
    options.newLineage = newLineage
    options.sources[0].acceptedLosses = losses
    options.checkpointsReplay = checkpointsReplay
    options.sources[0].idleAfterMilliseconds = idleAfter
    options.untilEnd = untilEnd
    options.earlierPlans = earlierHash.map { [PlanRecord(hash: $0, replayVersion: 1, text: "plan")] } ?? []
    if earlierHash != nil { options.plan.replayVersion = 2 }
    options.acceptsDeadLetters = acceptsDeadLetters
    options.waitAtMostMilliseconds = waitAtMost
    core = Core(options: options)
    _ = core.step(.started, now: now)
  }

  func manifest(
    pipeline: String = "p", epoch: EpochNumber = 0, position: LogPosition = 2, partitions: Int = 1, nextBatches: [BatchNumber] = [1, 1]
  ) -> Manifest {
    Manifest(
      pipeline: pipeline, lineage: Self.lineage, hashSeed: Digest128(low: 1, high: 2), epoch: epoch, clockMilliseconds: 0,
      watermark: Int64.min,
      sources: [
        Manifest.SourceState(
          name: "s", clusterID: "c", topic: "t", topicID: "",
          partitions: (0..<partitions).map { _ in
            Manifest.PartitionState(nextOffset: 0, maxEventTime: Int64.min, anchorOffset: -1, anchorTimestamp: -1, anchorChecksum: 0)
          }, watermark: Int64.min)
      ], plan: plan, position: position, unacked: [], nextBatchNumbers: nextBatches, files: [], tableIdentities: ["table", ""])
  }

  mutating func open(
    _ checkpoints: [FoundCheckpoint], instance: UInt64 = 9, records: [LogRecord] = [], end: LogPosition = 2
  ) -> [Command] {
    let first = end - UInt64(records.count)
    let log = FoundLog(
      first: 0, end: end, records: records.enumerated().map { (position: first + UInt64($0.offset), record: $0.element) })
    return core.step(
      .opened(
        Opened(checkpoints: checkpoints, log: log, lineage: Lineage(0xdef), hashSeed: Digest128(low: 3, high: 4), instance: instance)),
      now: now)
  }

  mutating func look(
    witness: String?, cluster: String = "c", low: [Int64] = [0], end: [Int64] = [10], high: [Int64]? = nil, identity: String = "table",
    greatest: BatchNumber? = nil,
    mode: DeliveryMode = .tokenAndProvenance, reserve: Int? = 100
  ) -> [Command] {
    var all = core.step(.source(0, .witnessRead(witness)), now: now)
    all += core.step(.source(0, .described(SourceLook(clusterID: cluster, topicID: "", low: low, stableEnd: end, high: high))), now: now)
    let facts = TableFacts(
      mode: mode, window: 10_000, partitionsMax: 1, reserve: reserve, windowSeconds: 0, identity: identity,
      hasProvenance: mode != .tokenOnly,
      warnings: [])
    all += core.step(.sink(0, exchange: 1, .described(facts)), now: now)
    all += core.step(.source(0, .anchorsChecked([])), now: now)
    all += answerGreatest(all, greatest)
    return all
  }
}

extension Start {
  /// Where the core has asked it.
  mutating func answerGreatest(_ commands: [Command], _ greatest: BatchNumber?) -> [Command] {
    for case .exchange(_, let id, .greatestBatch) in commands {
      return core.step(.sink(0, exchange: id, .greatestBatch(greatest)), now: now)
    }
    return []
  }
}

func stop(_ commands: [Command]) -> Stop? {
  for command in commands { if case .stop(let stop) = command { return stop } }
  return nil
}

private func removed(_ commands: [Command]) -> [String] {
  commands.compactMap { if case .removeCheckpoint(let name) = $0 { name } else { nil } }
}

/// What is said, at any level.
func said(_ commands: [Command]) -> [String] { commands.compactMap { if case .say(_, let text) = $0 { text } else { nil } } }

func warnings(_ commands: [Command]) -> [String] {
  commands.compactMap { if case .say(.warning, let text) = $0 { text } else { nil } }
}

func begins(_ commands: [Command]) -> Bool {
  commands.contains { if case .beginLog = $0 { true } else { false } }
}

func whole(_ start: borrowing Start, epoch: EpochNumber = 0, position: LogPosition = 2) -> FoundCheckpoint {
  FoundCheckpoint(name: "c\(epoch)", manifest: start.manifest(epoch: epoch, position: position), problem: nil)
}

@Suite struct StartTests {
  @Test func `a start whose witness is its own goes on to the log`() {
    var start = Start()
    #expect(stop(start.open([whole(start)])) == nil)
    let commands = start.look(witness: "millrace:\(Start.lineage):2")
    #expect(stop(commands) == nil)
    #expect(begins(commands))
  }

  @Test func `a witness beyond the end of the log stops with exit 4 (R15)`() {
    var start = Start()
    _ = start.open([whole(start)])
    let found = stop(start.look(witness: "millrace:\(Start.lineage):3"))
    #expect(found?.kind == .promise && found?.rule == "R15")
  }

  @Test func `a witness of a lineage that the directory never had stops with exit 4, and --new-lineage accepts it (R15)`() {
    var start = Start()
    _ = start.open([whole(start)])
    #expect(stop(start.look(witness: "millrace:\(Lineage(0x123)):1"))?.rule == "R15")
    var accepting = Start(newLineage: true)
    _ = accepting.open([whole(accepting)])
    let commands = accepting.look(witness: "millrace:\(Lineage(0x123)):1")
    #expect(stop(commands) == nil && begins(commands))
    #expect(accepting.core.lineage == Lineage(0xdef))
  }

  @Test func `a birth stops where the group bears witness of another life (R15, R17)`() {
    var start = Start()
    #expect(stop(start.open([], end: 0)) == nil)
    #expect(stop(start.look(witness: "millrace:\(Lineage(0x123)):1"))?.kind == .promise)
  }

  @Test func `a table with a batch that was never sealed here stops (R15)`() {
    var start = Start()
    _ = start.open([whole(start)])
    #expect(stop(start.look(witness: nil, greatest: 5))?.rule == "R15")
  }

  @Test func `a checkpoint beyond the end of the log stops before any fallback (R17)`() {
    var start = Start()
    let found = stop(start.open([whole(start, epoch: 3, position: 9), whole(start, epoch: 1, position: 1)], end: 5))
    #expect(found?.rule == "R17" && found?.kind == .promise)
  }

  @Test func `a new lineage goes on from the newest checkpoint within what is left of the log (R15, R17)`() {
    var start = Start(newLineage: true)
    let commands = start.open([whole(start, epoch: 3, position: 9), whole(start, epoch: 1, position: 1)], end: 5)
    #expect(stop(commands) == nil && removed(commands).isEmpty)
    #expect(start.core.epoch == 1)
    // The other one is gone before the log uses its position again.
    let looked = start.look(witness: "millrace:\(Start.lineage):9")
    #expect(removed(looked) == ["c3"] && !begins(looked))
    #expect(begins(start.core.step(.checkpointRemoved(name: "c3"), now: start.now)))
  }

  @Test func `a new lineage that can't start removes no checkpoint (R15, R17)`() {
    var damaged = Start(newLineage: true)
    let found = damaged.open([whole(damaged, epoch: 3, position: 9), whole(damaged, epoch: 1, position: 7)], end: 5)
    #expect(stop(found)?.rule == "R17" && removed(found).isEmpty)
    #expect(stop(found)?.message.contains("c1: it needs the log up to position 7") == true)
    var elsewhere = Start(newLineage: true)
    _ = elsewhere.open([whole(elsewhere, epoch: 3, position: 9), whole(elsewhere, epoch: 1, position: 1)], end: 5)
    let looked = elsewhere.look(witness: nil, cluster: "other")
    #expect(stop(looked)?.rule == "K16" && removed(looked).isEmpty)
  }

  @Test func `a corrupt newest checkpoint falls back to the one before (R17)`() {
    var start = Start()
    let broken = FoundCheckpoint(name: "c5", manifest: nil, problem: "sha256 of shard-0/store/1.sst")
    #expect(stop(start.open([broken, whole(start, epoch: 2)])) == nil)
    #expect(start.core.epoch == 2)
  }

  @Test func `with no checkpoint left it never starts empty (R17)`() {
    var start = Start()
    #expect(stop(start.open([FoundCheckpoint(name: "c5", manifest: nil, problem: "gone")]))?.rule == "R17")
  }

  @Test func `state of another pipeline is refused`() {
    var start = Start()
    let other = FoundCheckpoint(name: "c", manifest: start.manifest(pipeline: "other"), problem: nil)
    #expect(stop(start.open([other]))?.kind == .promise)
  }

  @Test func `offsets that were deleted, or that the topic does not reach, stop with the range (K3, K4)`() {
    var deleted = Start()
    _ = deleted.open([whole(deleted)])
    #expect(stop(deleted.look(witness: nil, low: [4]))?.rule == "K3")
    var shrunk = Start()
    _ = shrunk.open([whole(shrunk)])
    #expect(stop(shrunk.look(witness: nil, end: [-1]))?.rule == "K4")
  }

  @Test func `another cluster, fewer partitions, or another table stop with exit 4`() {
    var cluster = Start()
    _ = cluster.open([whole(cluster)])
    #expect(stop(cluster.look(witness: nil, cluster: "d"))?.rule == "K16")
    var fewer = Start()
    _ = fewer.open([whole(fewer)])
    #expect(stop(fewer.look(witness: nil, low: [], end: []))?.rule == "K8")
    // One that joined after the checkpoint is known to the log alone.
    let joined = Intent(
      epoch: 1, clockMilliseconds: 1, planHash: 7,
      ranges: [PartitionRange(partition: 0, start: 0, next: 1), PartitionRange(partition: 1, start: 0, next: 1)],
      inputDigest: Digest128(low: 0, high: 0))
    let seal = Seal(epoch: 1, covered: [Seal.Coverage(destination: .table, firstEpoch: 1)], batches: [])
    var gone = Start()
    _ = gone.open([whole(gone)], records: [.intent(joined), .seal(seal)], end: 4)
    #expect(stop(gone.look(witness: "millrace:\(Start.lineage):2"))?.message.contains("has 1 partitions, the state knows 2") == true)
    var table = Start()
    _ = table.open([FoundCheckpoint(name: "c0", manifest: table.manifest(nextBatches: [2, 1]), problem: nil)])
    #expect(stop(table.look(witness: nil, identity: "anew"))?.rule == "C8")
    var accepting = Start(newLineage: true)
    _ = accepting.open([FoundCheckpoint(name: "c0", manifest: accepting.manifest(nextBatches: [2, 1]), problem: nil)])
    #expect(begins(accepting.look(witness: nil, identity: "anew")))
  }

  @Test func `another plan takes over only where nothing is to be replayed under the old one (R4)`() {
    let intent = Intent(
      epoch: 1, clockMilliseconds: 1, planHash: 7, ranges: [PartitionRange(partition: 0, start: 0, next: 1)],
      inputDigest: Digest128(low: 0, high: 0))
    let seal = Seal(epoch: 1, covered: [Seal.Coverage(destination: .table, firstEpoch: 1)], batches: [])
    var drained = Start(planHash: 8)
    _ = drained.open([whole(drained)])
    #expect(stop(drained.look(witness: nil)) == nil)
    var replaying = Start(planHash: 8)
    _ = replaying.open([whole(replaying)], records: [.intent(intent), .seal(seal)], end: 4)
    #expect(stop(replaying.look(witness: nil))?.rule == "R4")
  }

  @Test(arguments: [(8, 1, true), (8, 9, false), (7, 1, false)] as [(UInt64, UInt32, Bool)])
  func `what a start sealed that had taken over is replayed, though no checkpoint knows of its plan (R4)`(
    _ hash: UInt64, _ version: UInt32, _ goesOn: Bool
  ) {
    let intent = Intent(
      epoch: 1, clockMilliseconds: 1, planHash: hash, ranges: [PartitionRange(partition: 0, start: 0, next: 1)],
      inputDigest: Digest128(low: 0, high: 0))
    let seal = Seal(epoch: 1, covered: [Seal.Coverage(destination: .table, firstEpoch: 1)], batches: [])
    let plan = PlanRecord(hash: hash, replayVersion: version, text: "plan")
    var start = Start(planHash: 8)
    _ = start.open([whole(start)], records: [.plan(plan), .intent(intent), .seal(seal)], end: 5)
    #expect(stop(start.look(witness: nil))?.rule == (goesOn ? nil : "R4"))
  }

  @Test func `epochs of an older release go on under the plan that they were recorded with, all others stop (R4)`() {
    func record(_ epoch: EpochNumber, _ hash: UInt64) -> LogRecord {
      .intent(
        Intent(
          epoch: epoch, clockMilliseconds: 1, planHash: hash, ranges: [PartitionRange(partition: 0, start: 0, next: 1)],
          inputDigest: Digest128(low: 0, high: 0)))
    }
    func seal(_ epoch: EpochNumber) -> LogRecord {
      .seal(Seal(epoch: epoch, covered: [Seal.Coverage(destination: .table, firstEpoch: 1)], batches: []))
    }
    // The manifest's plan is 7.
    func start(_ earlier: UInt64?, _ hashes: [UInt64]) -> (stop: Stop?, said: [String]) {
      var start = Start(planHash: 8, earlierHash: earlier)
      let intents = hashes.enumerated().map { record(EpochNumber($0.offset + 1), $0.element) }
      let records = intents + (hashes.isEmpty ? [] : [seal(EpochNumber(hashes.count))])
      _ = start.open([whole(start)], records: records, end: 2 + LogPosition(records.count))
      let commands = start.look(witness: nil)
      return (stop(commands), commands.compactMap { if case .say(_, let text) = $0 { text } else { nil } })
    }
    let first = start(7, [7, 7])
    #expect(first.stop == nil && first.said.contains { $0.contains("epochs up to 2 were recorded by an older release") })
    // It was killed before a checkpoint covered them.
    let both = start(7, [7, 7, 8])
    #expect(both.stop == nil && both.said.contains { $0.contains("epochs up to 2 were") })
    #expect(start(7, []).said.contains { $0.contains("the rules of this one (version 2) hold from epoch 1") })
    // The file has changed as well.
    #expect(start(6, [7]).stop?.rule == "R4" && start(7, [7, 6]).stop?.rule == "R4" && start(nil, [7]).stop?.rule == "R4")
    #expect(start(6, []).stop == nil)
    // A newer release's.
    var newer = Start(planHash: 8)
    var manifest = newer.manifest()
    (manifest.plan.hash, manifest.plan.replayVersion) = (9, 3)
    _ = newer.open([FoundCheckpoint(name: "c0", manifest: manifest, problem: nil)], records: [record(1, 9), seal(1)], end: 4)
    let text = stop(newer.look(witness: nil))?.message
    #expect(text?.contains("a newer release has recorded (replay version 3, this program has 1)") == true, "\(text ?? "")")
  }

  @Test func `time zones whose rules have changed since are named where epochs are replayed, and where a replay differs`() {
    func said(_ recorded: String, _ now: String, replays: Bool = true) -> (begin: [String], end: String) {
      var start = Start(zones: now)
      var manifest = start.manifest()
      manifest.plan.text += recorded
      let range = PartitionRange(partition: 0, start: 0, next: 0)
      let intent = Intent(epoch: 1, clockMilliseconds: 1, planHash: 7, ranges: [range], inputDigest: Digest128(low: 0, high: 0))
      let seal = Seal(epoch: 1, covered: [Seal.Coverage(destination: .table, firstEpoch: 1)], batches: [])
      let records: [LogRecord] = replays ? [.intent(intent), .seal(seal)] : []
      _ = start.open([FoundCheckpoint(name: "c0", manifest: manifest, problem: nil)], records: records, end: 4)
      let begin = start.look(witness: "millrace:\(Start.lineage):2").compactMap {
        if case .say(.warning, let text) = $0 { text } else { nil }
      }
      guard replays else { return (begin, "") }
      _ = start.core.step(.logBegun(end: 6, durableEnd: 6), now: start.now)
      _ = start.core.step(.stateOpened, now: start.now)
      _ = start.core.step(.polled([Polled(next: [0], rows: [0], byteCount: 0, stop: nil)]), now: start.now)
      _ = start.core.step(
        .processed(
          EpochResult(
            epoch: 1, intent: intent, counters: Counters(), pendingRows: [0, 0], pendingBytes: [0, 0], sources: [readResult()],
            watermark: Int64.min, needsFreeze: false, dropsBuckets: false, logEnd: 6, stop: nil)), now: start.now)
      return (begin, stop(start.core.step(.sealCompared(mismatch: "1 rows"), now: start.now))?.message ?? "")
    }
    let berlin = "zone \"Europe/Berlin\" 01\n"
    let changed = said(berlin + "zone \"Asia/Tokyo\" 05\n", "zone \"Europe/Berlin\" 02\nzone \"Asia/Tokyo\" 05\n")
    #expect(changed.begin.count == 1 && changed.begin.first?.contains("time zone \"Europe/Berlin\" (package tzdata)") == true)
    #expect(changed.end.contains("the rules of time zone \"Europe/Berlin\" have changed since"), "\(changed.end)")
    for (recorded, now) in [(berlin, berlin), ("", berlin), (berlin, "")] {
      let same = said(recorded, now)
      #expect(same.begin.isEmpty && same.end.contains("the program or its input has changed"), "\(same.end)")
    }
    #expect(said(berlin, "zone \"Europe/Berlin\" 02\n", replays: false).begin.isEmpty)
  }

  @Test func `intents after the last seal are void (R4)`() {
    let intents = (1...3).map { epoch in
      LogRecord.intent(
        Intent(
          epoch: EpochNumber(epoch), clockMilliseconds: 1, planHash: 7, ranges: [PartitionRange(partition: 0, start: 0, next: 1)],
          inputDigest: Digest128(low: 0, high: 0)))
    }
    let seal = LogRecord.seal(Seal(epoch: 2, covered: [Seal.Coverage(destination: .table, firstEpoch: 1)], batches: []))
    var start = Start()
    _ = start.open([whole(start)], records: intents + [seal], end: 6)
    let commands = start.look(witness: nil)
    let kept = commands.compactMap { command -> EpochNumber? in
      if case .beginLog(let records) = command, case .restart(let restart) = records.first { restart.lastKeptEpoch } else { nil }
    }
    #expect(kept == [2])
  }
}
