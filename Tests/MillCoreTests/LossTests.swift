import MillBase
import MillCore
import MillLog
import Testing

func gap(_ start: Int64, _ next: Int64, partition: Int32 = 0) -> LostRange { LostRange(partition: partition, start: start, next: next) }

/// As an earlier start has written it.
func logGap(_ start: Int64, _ next: Int64, partition: Int32 = 0) -> Gap {
  Gap(slot: Slot(.first, partition), start: start, next: next)
}

/// What a start writes into the log before anything is read; nil: it doesn't begin.
func begun(_ commands: [Command]) -> [LogRecord]? {
  for case .beginLog(let records) in commands { return records }
  return nil
}

/// An epoch's result of the one source, in which nothing was read.
func readResult() -> EpochResult.Source { EpochResult.Source(maxEventTimes: [Int64.min], watermark: Int64.min) }

func gaps(_ commands: [Command]) -> [LostRange]? {
  begun(commands)?.compactMap { record in
    if case .gap(let gap) = record { LostRange(partition: gap.slot.rawValue, start: gap.start, next: gap.next) } else { nil }
  }
}

private func words(_ commands: [Command], _ level: Command.Level) -> [String] {
  commands.compactMap { if case .say(level, let text) = $0 { text } else { nil } }
}

private func intent(_ epoch: EpochNumber, _ start: Int64, _ next: Int64) -> Intent {
  Intent(
    epoch: epoch, clockMilliseconds: 1, planHash: 7, ranges: [PartitionRange(partition: 0, start: start, next: next)],
    inputDigest: Digest128(low: 0, high: 0))
}

private func seal(_ epoch: EpochNumber) -> LogRecord {
  .seal(Seal(epoch: epoch, covered: [Seal.Coverage(destination: .table, firstEpoch: epoch)], batches: []))
}

private func result(_ intent: Intent) -> EpochResult {
  EpochResult(
    epoch: intent.epoch, intent: intent, counters: Counters(), pendingRows: [0, 0], pendingBytes: [0, 0], sources: [readResult()],
    watermark: Int64.min, needsFreeze: false, dropsBuckets: false, logEnd: 9, stop: nil)
}

@Suite struct LossTests {
  @Test func `a loss stops with the option that gives up exactly it (K3)`() {
    var start = Start()
    _ = start.open([whole(start)])
    let found = stop(start.look(witness: nil, low: [4]))
    #expect(found?.kind == .promise && found?.rule == "K3")
    #expect(found?.message.contains("offsets 0 to 3") == true && found?.message.contains("--accept-loss 't/0:0-3'") == true)
  }

  @Test func `an end that is no longer reached is not waited for (K4)`() {
    var start = Start(untilEnd: true)
    _ = start.open([whole(start)])
    _ = start.look(witness: "millrace:\(Start.lineage):2", end: [10])
    _ = start.core.step(.logBegun(end: 4, durableEnd: 4), now: start.now)
    _ = start.core.step(.stateOpened, now: start.now)
    func look() -> [Command] {
      start.core.step(.source(0, .described(SourceLook(clusterID: "c", topicID: "", low: [0], stableEnd: [0]))), now: start.now)
    }
    let first = look()
    #expect(stop(first) == nil && words(first, .warning).count == 1)
    let found = stop(look())
    #expect(found?.rule == "K4" && found?.message.contains("ends at offset 0, but ended at 10") == true, "\(found?.message ?? "")")
  }

  @Test func `the end is where the partition ends, behind an open transaction too, which is named while it is waited for (R14)`() {
    var start = Start(untilEnd: true)
    _ = start.open([whole(start)])
    _ = start.look(witness: "millrace:\(Start.lineage):2", end: [1], high: [4])
    _ = start.core.step(.logBegun(end: 4, durableEnd: 4), now: start.now)
    _ = start.core.step(.stateOpened, now: start.now)
    var clock = start.now.monotonicMilliseconds
    func polled(_ next: Int64, rows: Int) -> [Command] {
      clock += 100
      return start.core.step(
        .polled([Polled(next: [next], rows: [rows], byteCount: rows, isAtEnd: [true], stop: nil)]),
        now: Instant(wallMilliseconds: clock, monotonicMilliseconds: clock))
    }
    func processed(_ commands: [Command]) {
      for case .cut(let intent) in commands {
        var counters = Counters()
        (counters.records, counters.emitted) = (1, 1)
        let result = EpochResult(
          epoch: intent.epoch, intent: intent, counters: counters, pendingRows: [0, 0], pendingBytes: [0, 0], sources: [readResult()],
          watermark: Int64.min, needsFreeze: false, dropsBuckets: false, logEnd: 5, stop: nil)
        _ = start.core.step(.processed(result), now: Instant(wallMilliseconds: clock, monotonicMilliseconds: clock))
      }
    }
    func look(_ end: Int64, _ high: Int64) -> [Command] {
      clock += 1_000
      let look = SourceLook(clusterID: "c", topicID: "", low: [0], stableEnd: [end], high: [high])
      return start.core.step(.source(0, .described(look)), now: Instant(wallMilliseconds: clock, monotonicMilliseconds: clock))
    }
    _ = polled(1, rows: 1)
    processed(polled(1, rows: 1))
    #expect(start.core.progress.partitions[0].next == 1 && start.core.pollOrder != nil, "it goes on beyond the last stable offset")
    let told = look(1, 6)
    #expect(stop(told) == nil && words(told, .warning).count == 1)
    #expect(words(told, .warning).first?.contains("partition 0 of t: a transaction is open at offset 1") == true)
    #expect(start.core.progress.waits.map(\.reason).first?.contains("open at offset 1, below the end 4") == true)
    #expect(words(look(1, 6), .warning).isEmpty)
    // It was aborted: control records and aborted ones take offsets, and nothing more comes.
    #expect(words(look(4, 6), .info).contains { $0.contains("goes on") } && start.core.progress.waits.isEmpty)
    _ = polled(4, rows: 0)
    processed(polled(4, rows: 0))
    #expect(start.core.progress.partitions[0].next == 4 && start.core.pollOrder == nil)
  }

  @Test(arguments: [gap(0, 3), gap(0, 5), gap(1, 4), gap(0, 4, partition: 1)])
  func `any other range than the lost one is not taken for it (K3)`(_ other: LostRange) {
    var start = Start(losses: [other])
    _ = start.open([whole(start)])
    let commands = start.look(witness: nil, low: [4])
    #expect(stop(commands)?.rule == "K3" && gaps(commands) == nil)
  }

  @Test func `an accepted loss goes into the log before anything is read, and reading goes on behind it (K3)`() {
    var start = Start(losses: [gap(0, 4)])
    _ = start.open([whole(start)])
    var commands = start.look(witness: "millrace:\(Start.lineage):2", low: [4])
    #expect(stop(commands) == nil && gaps(commands) == [gap(0, 4)])
    commands = start.core.step(.logBegun(end: 5, durableEnd: 5), now: start.now)
    commands += start.core.step(.stateOpened, now: start.now)
    #expect(commands.contains { if case .assign(0, [4]) = $0 { true } else { false } })
  }

  @Test func `an acceptance of what is there is told to do nothing`() {
    var start = Start(losses: [gap(0, 4)])
    _ = start.open([whole(start)])
    #expect(gaps(start.look(witness: nil)) == nil)
    var commands = start.core.step(.source(0, .examined([nil])), now: start.now)
    commands += start.answerGreatest(commands, nil)
    #expect(gaps(commands) == [] && words(commands, .warning).contains { $0.contains("t/0:0-3") && $0.contains("does nothing") })
  }

  @Test func `a gap that an earlier start wrote is not missed, and a further loss is named without it (K3)`() {
    var start = Start()
    _ = start.open([whole(start)], records: [.gap(logGap(0, 4))], end: 3)
    #expect(gaps(start.look(witness: nil, low: [4])) == [])
    var further = Start()
    _ = further.open([whole(further)], records: [.gap(logGap(0, 4))], end: 3)
    #expect(stop(further.look(witness: nil, low: [6]))?.message.contains("--accept-loss 't/0:4-5'") == true)
  }

  @Test func `what has been deleted of a partition that was added while stopped is a loss too (K3, K7)`() {
    var start = Start()
    _ = start.open([whole(start)])
    #expect(stop(start.look(witness: nil, low: [0, 4], end: [10, 9]))?.message.contains("--accept-loss 't/1:0-3'") == true)
    var accepting = Start(losses: [gap(0, 4, partition: 1)])
    _ = accepting.open([whole(accepting)])
    #expect(gaps(accepting.look(witness: nil, low: [0, 4], end: [10, 9])) == [gap(0, 4, partition: 1)])
    var commands = accepting.core.step(.logBegun(end: 5, durableEnd: 5), now: accepting.now)
    commands += accepting.core.step(.source(0, .witnessCommitted), now: accepting.now)
    commands += accepting.core.step(.stateOpened, now: accepting.now)
    #expect(commands.contains { if case .assign(0, [0, 4]) = $0 { true } else { false } })
    // The next start finds the gap in the log, and no epoch that knows the partition.
    var next = Start()
    _ = next.open([whole(next)], records: [.gap(logGap(0, 4, partition: 1))], end: 3)
    #expect(gaps(next.look(witness: nil, low: [0, 4], end: [10, 9])) == [])
  }

  @Test func `epochs from before a gap are replayed without what is gone and not compared, later ones are (K3, R4)`() {
    var start = Start()
    let (before, after) = (intent(1, 0, 4), intent(2, 6, 8))
    _ = start.open([whole(start)], records: [.intent(before), seal(1), .gap(logGap(0, 6)), .intent(after), seal(2)], end: 7)
    _ = start.look(witness: nil, low: [6])
    _ = start.core.step(.logBegun(end: 9, durableEnd: 9), now: start.now)
    _ = start.core.step(.source(0, .witnessCommitted), now: start.now)
    _ = start.core.step(.stateOpened, now: start.now)
    var commands = start.core.step(.polled([Polled(next: [8], rows: [2], byteCount: 9, stop: nil)]), now: start.now)
    #expect(commands.contains { if case .replay(before, isWhole: false) = $0 { true } else { false } })
    commands = start.core.step(.processed(result(before)), now: start.now)
    #expect(commands.contains { if case .compareSeal(_, isWhole: false) = $0 { true } else { false } })
    commands = start.core.step(.sealCompared(mismatch: nil), now: start.now)
    #expect(commands.contains { if case .replay(after, isWhole: true) = $0 { true } else { false } })
    commands = start.core.step(.processed(result(after)), now: start.now)
    #expect(commands.contains { if case .compareSeal(_, isWhole: true) = $0 { true } else { false } })
  }

  @Test func `a compacted topic is refused before anything is written (K11)`() {
    var start = Start()
    _ = start.open([whole(start)])
    _ = start.look(witness: nil, low: [], end: [])
    var compacted = Start()
    _ = compacted.open([whole(compacted)])
    _ = compacted.core.step(.source(0, .witnessRead(nil)), now: compacted.now)
    _ = compacted.core.step(
      .source(0, .described(SourceLook(clusterID: "c", topicID: "", low: [0], stableEnd: [1], isCompacted: true))), now: compacted.now)
    let facts = TableFacts(
      mode: .tokenAndProvenance, window: 10_000, partitionsMax: 1, windowSeconds: 0, identity: "table", hasProvenance: true, warnings: [])
    let found = stop(compacted.core.step(.sink(0, exchange: 1, .described(facts)), now: compacted.now))
    #expect(found?.rule == "K11" && found?.kind == .invalidPipeline)
  }
}

@Suite struct ReplayCheckpointTests {
  @Test func `where a record can end the process, nothing new is cut before what was replayed is in a checkpoint`() {
    var start = Start(checkpointsReplay: true)
    _ = start.open([whole(start)], records: [.intent(intent(1, 0, 4)), seal(1)], end: 4)
    _ = start.look(witness: "millrace:\(Start.lineage):2")
    _ = start.core.step(.logBegun(end: 6, durableEnd: 6), now: start.now)
    _ = start.core.step(.stateOpened, now: start.now)
    let later = Instant(wallMilliseconds: 2_000_000, monotonicMilliseconds: 2_000)
    let all = Polled(next: [9], rows: [5], byteCount: 9, stop: nil)
    _ = start.core.step(.polled([all]), now: start.now)
    _ = start.core.step(.processed(result(intent(1, 0, 4))), now: start.now)
    var commands = start.core.step(.sealCompared(mismatch: nil), now: start.now)
    commands += start.core.step(.polled([all]), now: later)
    let freeze: UInt64? = commands.lazy.compactMap { if case .freeze(let id, 1) = $0 { id } else { nil } }.first
    #expect(freeze != nil && !cuts(commands))
    commands = start.core.step(.frozen(id: freeze ?? 0, position: 9), now: later)
    commands += start.core.step(.synced(durableEnd: 9), now: later)
    for work in [StateWork.flush(id: freeze ?? 0), .checkpoint(epoch: 1, name: "\(Start.lineage)-00000000000000000001")] {
      commands += start.core.step(.stateWorkDone(work), now: later)
    }
    #expect(published(commands)?.epoch == 1 && !cuts(commands))
    _ = start.core.step(.published(1, name: "\(Start.lineage)-00000000000000000001"), now: later)
    commands = [2_100, 2_200].flatMap { milliseconds in
      start.core.step(.polled([all]), now: Instant(wallMilliseconds: 2_000_000, monotonicMilliseconds: milliseconds))
    }
    #expect(cuts(commands))
  }

  private func cuts(_ commands: [Command]) -> Bool { commands.contains { if case .cut = $0 { true } else { false } } }
}

/// A core that has come to live reading, of one partition.
private struct Running: ~Copyable {
  var start = Start()
  var clock: Int64 = 2_000
  /// What the state lane is at.
  var stateWork: StateWork?

  /// - Parameter lastRead: the offset of the last record that was read.
  init(lastRead: Int64 = -1) {
    var manifest = start.manifest()
    manifest.sources[0].partitions[0].anchorOffset = lastRead
    manifest.sources[0].partitions[0].nextOffset = lastRead + 1
    _ = start.open([FoundCheckpoint(name: "c0", manifest: manifest, problem: nil)])
    _ = start.look(witness: "millrace:\(Start.lineage):2")
    _ = step(.logBegun(end: 4, durableEnd: 4))
    _ = step(.stateOpened)
  }

  mutating func step(_ event: Event, after milliseconds: Int64 = 0) -> [Command] {
    clock += milliseconds
    let commands = start.core.step(event, now: Instant(wallMilliseconds: clock, monotonicMilliseconds: clock))
    for case .stateWork(let work) in commands { stateWork = work }
    return commands
  }

  mutating func look(low: Int64, end: Int64, high: Int64? = nil, after milliseconds: Int64 = 0) -> [Command] {
    step(
      .source(0, .described(SourceLook(clusterID: "c", topicID: "", low: [low], stableEnd: [end], high: high.map { [$0] } ?? []))),
      after: milliseconds)
  }

  /// Epoch 1 has read up to `next`, and a checkpoint is taken of it: what follows on its freeze.
  mutating func freeze(upTo next: Int64) -> [Command] {
    var read = intent(1, 0, next)
    read.parts[0].ranges[0].anchorOffset = next - 1
    for wait in [0, 100] as [Int64] { _ = step(.polled([Polled(next: [next], rows: [Int(next)], byteCount: 9, stop: nil)]), after: wait) }
    _ = step(.processed(result(read)))
    for case .freeze(let id, _) in step(.wake, after: 10_000) { return step(.frozen(id: id, position: 9)) }
    return []
  }

  /// All that the checkpoint waits for, but for what is asked of Kafka.
  mutating func finishCheckpoint() -> [Command] {
    var commands = step(.synced(durableEnd: 9))
    while let work = stateWork {
      stateWork = nil
      commands += step(.stateWorkDone(work))
    }
    return commands
  }

  mutating func lose() -> [Command] {
    step(
      .polled([Polled(next: [0], rows: [0], byteCount: 0, lost: PositionLost(partition: 0, offset: 0, reason: "out of range"), stop: nil)]))
  }
}

private func checked(_ commands: [Command]) -> [AnchorOf]? {
  for case .ask(source: 0, .checkAnchors(let anchors)) in commands { return anchors }
  return nil
}

private func published(_ commands: [Command]) -> Manifest? {
  for case .publish(let manifest, _) in commands { return manifest }
  return nil
}

private func asks(_ commands: [Command]) -> Bool { commands.contains { if case .ask(source: 0, .describe) = $0 { true } else { false } } }

@Suite struct RunningLossTests {
  @Test func `a position lost while running is asked about, and stops after a checkpoint with the range (K3)`() {
    var running = Running()
    #expect(asks(running.lose()))
    let commands = running.look(low: 5, end: 9)
    // Nothing is pending and the newest checkpoint stands at this epoch.
    let found = stop(commands)
    #expect(found?.rule == "K3" && found?.message.contains("--accept-loss 't/0:0-4'") == true)
  }

  @Test func `a partition that is added while running is read from offset 0, whatever is left of it (K7)`() {
    var running = Running()
    let commands = running.step(
      .source(0, .described(SourceLook(clusterID: "c", topicID: "", low: [0, 4], stableEnd: [9, 9]))), after: 30_000)
    #expect(commands.contains { if case .assign(0, [0, 0]) = $0 { true } else { false } })
  }

  @Test func `a position that is there, with the records that were read, is fetched again`() {
    var running = Running()
    _ = running.lose()
    let commands = running.look(low: 0, end: 9)
    #expect(stop(commands) == nil && commands.contains { if case .ask(0, .checkAnchors) = $0 { true } else { false } })
    #expect(running.step(.source(0, .anchorsChecked([]))).allSatisfy { if case .fetch = $0 { false } else { true } })
    #expect(running.step(.wake, after: 1_000).contains { if case .fetch(0, [0]) = $0 { true } else { false } })
  }

  @Test func `a position that is there with other records is a topic made anew (K6)`() {
    var running = Running()
    _ = running.lose()
    _ = running.look(low: 0, end: 9)
    #expect(stop(running.step(.source(0, .anchorsChecked(["partition 0 has another record at offset 3"]))))?.rule == "K6")
  }

  @Test func `a checkpoint isn't published where a record that the one before remembers is another one (K6)`() {
    var running = Running(lastRead: 3)
    #expect(checked(running.freeze(upTo: 6))?.map(\.offset) == [3])
    #expect(published(running.finishCheckpoint()) == nil)
    let found = stop(running.step(.source(0, .anchorsChecked(["partition 0 has another record at offset 3"]))))
    #expect(found?.rule == "K6" && found?.message.contains("may be in the table") == true)
  }

  @Test func `a checkpoint remembers what was read since, once the record before still stands there`() {
    var running = Running(lastRead: 3)
    _ = running.freeze(upTo: 6)
    _ = running.finishCheckpoint()
    #expect(published(running.step(.source(0, .anchorsChecked([]))))?.sources[0].partitions[0].anchorOffset == 5)
  }

  @Test func `where nobody answers, a checkpoint isn't held up and remembers the record that the one before did (K6)`() {
    var running = Running(lastRead: 3)
    _ = running.freeze(upTo: 6)
    _ = running.finishCheckpoint()
    let commands = running.step(.source(0, .unavailable(.anchors, reason: "down")))
    let partition = published(commands)?.sources[0].partitions[0]
    #expect(partition?.anchorOffset == 3 && partition?.nextOffset == 6 && words(commands, .warning).isEmpty)
  }

  @Test func `after a checkpoint that had nothing to ask for, each partition is asked for (K6)`() {
    var manifest = Start().manifest()
    manifest.sources[0].partitions.append(manifest.sources[0].partitions[0])
    var start = Start()
    _ = start.open([FoundCheckpoint(name: "c0", manifest: manifest, problem: nil)])
    _ = start.look(witness: "millrace:\(Start.lineage):2", low: [0, 0], end: [10, 10])
    var clock: Int64 = 2_000
    func step(_ event: Event, after milliseconds: Int64 = 0) -> [Command] {
      clock += milliseconds
      return start.core.step(event, now: Instant(wallMilliseconds: clock, monotonicMilliseconds: clock))
    }
    _ = step(.logBegun(end: 4, durableEnd: 4))
    _ = step(.stateOpened)
    /// What is asked for when a checkpoint of an epoch that has read both partitions is made; then it is published.
    func asked(_ number: EpochNumber) -> [Int32]? {
      var read = intent(number, Int64(number) * 2 - 2, Int64(number) * 2)
      read.parts[0].ranges.append(PartitionRange(partition: 1, start: read.parts[0].ranges[0].start, next: read.parts[0].ranges[0].next))
      for index in 0...1 { read.parts[0].ranges[index].anchorOffset = read.parts[0].ranges[index].next - 1 }
      var both = result(read)
      both.sources[0].maxEventTimes = [Int64.min, Int64.min]
      let polled = Polled(next: read.parts[0].ranges.map(\.next), rows: [2, 2], byteCount: 9, stop: nil)
      for wait in [0, 100] as [Int64] { _ = step(.polled([polled]), after: wait) }
      _ = step(.processed(both))
      var commands: [Command] = []
      for case .freeze(let id, _) in step(.wake, after: 10_000) { commands += step(.frozen(id: id, position: 9)) }
      let anchors = checked(commands)
      if anchors != nil { commands += step(.source(0, .anchorsChecked([]))) }
      commands += step(.synced(durableEnd: 9))
      while case .stateWork(let work)? = commands.last(where: { if case .stateWork = $0 { true } else { false } }) {
        let more = step(.stateWorkDone(work))
        commands = more
        if let name = more.lazy.compactMap({ if case .publish(_, let name) = $0 { name } else { nil } }).first {
          _ = step(.published(number, name: name))
          break
        }
      }
      return anchors?.map(\.partition)
    }
    #expect(asked(1) == nil)
    #expect(asked(2) == [1, 0])
    #expect(asked(3) == [0])
  }

  @Test func `a record that retention has taken since is not asked for`() {
    var running = Running(lastRead: 3)
    _ = running.look(low: 4, end: 9, after: 30_000)
    #expect(checked(running.freeze(upTo: 6)) == nil)
    #expect(published(running.finishCheckpoint())?.sources[0].partitions[0].anchorOffset == 5)
  }

  @Test func `a topic that brokers deny for a moment is waited for, one that stays away was deleted (K8)`() {
    var running = Running()
    #expect(stop(running.step(.source(0, .topicMissing("topic t does not exist")))) == nil)
    #expect(stop(running.look(low: 0, end: 9, after: 9_000)) == nil)
    #expect(stop(running.step(.source(0, .topicMissing("topic t does not exist")), after: 5_000)) == nil)
    #expect(stop(running.step(.source(0, .topicMissing("topic t does not exist")), after: 10_000))?.rule == "K8")
  }

  @Test func `an open transaction is told once while it holds records back, and its end (K10)`() {
    var running = Running()
    _ = running.step(.polled([Polled(next: [0], rows: [0], byteCount: 0, stop: nil)]))
    #expect(words(running.look(low: 0, end: 0, high: 7), .warning).isEmpty)
    #expect(words(running.look(low: 0, end: 0, high: 9, after: 30_000), .warning).contains { $0.contains("LSO stuck") })
    #expect(words(running.look(low: 0, end: 0, high: 9, after: 30_000), .warning).isEmpty)
    #expect(words(running.look(low: 0, end: 9, high: 9, after: 30_000), .info).contains { $0.contains("goes on") })
  }

  @Test func `a trouble is told once a reason, and its end once`() {
    var running = Running()
    func poll(_ trouble: String?) -> Event { .polled([Polled(next: [0], rows: [0], byteCount: 0, trouble: trouble, stop: nil)]) }
    #expect(words(running.step(poll("denied")), .warning) == ["waiting for Kafka: denied"])
    #expect(words(running.step(poll("denied")), .warning).isEmpty)
    #expect(words(running.step(.source(0, .unavailable(.describe, reason: "denied"))), .warning).isEmpty)
    #expect(words(running.step(poll("down")), .warning) == ["waiting for Kafka: down"])
    #expect(words(running.step(poll("denied")), .warning).isEmpty)
    let waitsFor = running.start.core.progress.waits.first?.reason
    #expect(waitsFor == "denied")
    #expect(words(running.step(poll(nil)), .info) == ["Kafka answers again"])
    #expect(words(running.step(poll("denied")), .warning) == ["waiting for Kafka: denied"])
  }
}
