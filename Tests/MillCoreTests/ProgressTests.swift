import MillBase
import MillCore
import MillLog
import Testing

private func intent(_ epoch: EpochNumber, _ start: Int64, _ next: Int64) -> Intent {
  Intent(
    epoch: epoch, clockMilliseconds: 1, planHash: 7, ranges: [PartitionRange(partition: 0, start: start, next: next)],
    inputDigest: Digest128(low: 0, high: 0))
}

/// What the executor says when it has processed all records of an intent.
private func processed(_ intent: Intent) -> Event {
  var counters = Counters()
  counters.records = UInt64(intent.parts[0].ranges[0].next - intent.parts[0].ranges[0].start)
  counters.duplicate = counters.records
  return .processed(
    EpochResult(
      epoch: intent.epoch, intent: intent, counters: counters, pendingRows: [0, 0], pendingBytes: [0, 0], sources: [readResult()],
      watermark: Int64.min, needsFreeze: false, dropsBuckets: false, logEnd: 9, stop: nil))
}

/// The intent's records come, and wait until an epoch is cut of them; when that is.
private func poll(_ start: inout Start, _ intent: Intent, _ clock: inout Int64) -> Instant {
  let range = intent.parts[0].ranges[0]
  let polled = Polled(next: [range.next], rows: [Int(range.next - range.start)], byteCount: 9, stop: nil)
  var now = start.now
  for _ in 0...1 {
    clock += 100
    now = Instant(wallMilliseconds: 1_000_000 + clock, monotonicMilliseconds: clock)
    _ = start.core.step(.polled([polled]), now: now)
  }
  return now
}

private func lines(_ commands: [Command]) -> [String] {
  commands.compactMap { if case .say(_, let text) = $0 { text } else { nil } }
}

@Suite struct ProgressTests {
  @Test func `a record that an earlier process had cut counts as replayed, whether its epoch is replayed or cut anew`() {
    var start = Start()
    let seal = Seal(epoch: 1, covered: [Seal.Coverage(destination: .table, firstEpoch: 1)], batches: [])
    // Epoch 2 was not sealed: its intent is void, and its records are cut anew.
    _ = start.open([whole(start)], records: [.intent(intent(1, 0, 10)), .seal(seal), .intent(intent(2, 10, 20))], end: 5)
    _ = start.look(witness: "millrace:\(Start.lineage):2", end: [1000])
    _ = start.core.step(.logBegun(end: 7, durableEnd: 7), now: start.now)
    _ = start.core.step(.stateOpened, now: start.now)
    func counted(_ core: borrowing Core) -> [UInt64] { [core.progress.replayedRecords, core.progress.counters.records] }

    #expect(start.core.progress.phase == .replaying)
    _ = start.core.step(.polled([Polled(next: [10], rows: [10], byteCount: 10, stop: nil)]), now: start.now)
    _ = start.core.step(processed(intent(1, 0, 10)), now: start.now)
    #expect(counted(start.core) == [10, 0])
    _ = start.core.step(.sealCompared(mismatch: nil), now: start.now)
    #expect(start.core.progress.phase == .running)
    var clock = start.now.monotonicMilliseconds
    func read(_ intent: Intent) { _ = start.core.step(processed(intent), now: poll(&start, intent, &clock)) }
    read(intent(2, 10, 17))
    #expect(counted(start.core) == [17, 0])
    // Old and new records in one epoch: it can't be told which are duplicates, so all of them count.
    read(intent(3, 17, 25))
    #expect(counted(start.core) == [17, 8])
    read(intent(4, 25, 30))
    #expect(counted(start.core) == [17, 13])
    let partition = start.core.progress.partitions[0]
    #expect(partition.next == 30 && partition.end == 1000 && partition.lag == 970 && !partition.isIdle)
  }

  @Test func `what is waited for is told once, is shown with its beginning, and goes when the last that waits has been answered`() {
    var start = Start()
    _ = start.open([whole(start)])
    var said = lines(start.core.step(.source(0, .unavailable(.witness, reason: "no broker")), now: start.now))
    #expect(said.count == 1 && said[0].contains("waiting for Kafka") && said[0].contains("no broker"))
    let later = Instant(wallMilliseconds: start.now.wallMilliseconds + 700, monotonicMilliseconds: start.now.monotonicMilliseconds + 700)
    said = lines(start.core.step(.source(0, .unavailable(.witness, reason: "no broker")), now: later))
    #expect(said.isEmpty)
    _ = start.core.step(.source(0, .unavailable(.describe, reason: "still none")), now: later)
    said = lines(start.core.step(.sink(0, exchange: 1, .unanswered(reason: "refused")), now: later))
    #expect(said.count == 1 && said[0].contains("waiting for ClickHouse"))
    var waits = start.core.progress.waits
    #expect(waits.map(\.subject) == [.kafka, .clickhouse] && waits.map(\.since) == [start.now, later])
    #expect(start.core.progress.phase == .starting)

    _ = start.core.step(.source(0, .witnessRead(nil)), now: later)
    waits = start.core.progress.waits
    #expect(waits.map(\.subject) == [.kafka, .clickhouse] && waits[0].since == later, "the topic hasn't answered yet")
    _ = start.core.step(.source(0, .described(SourceLook(clusterID: "c", topicID: "", low: [0], stableEnd: [10]))), now: later)
    waits = start.core.progress.waits
    #expect(waits.map(\.subject) == [.clickhouse])
  }

  @Test func `a live pipeline does not wait for a witness that was not committed`() {
    var start = Start()
    _ = start.open([whole(start)])
    _ = start.look(witness: "millrace:\(Start.lineage):2")
    _ = start.core.step(.logBegun(end: 4, durableEnd: 4), now: start.now)
    _ = start.core.step(.stateOpened, now: start.now)
    #expect(start.core.progress.phase == .running)
    let said = lines(start.core.step(.source(0, .witnessNotCommitted(reason: "no coordinator")), now: start.now))
    #expect(said.contains { $0.contains("no coordinator") })
    #expect(start.core.progress.waits == [])
    _ = start.core.step(.source(0, .unavailable(.describe, reason: "no broker")), now: start.now)
    #expect(start.core.progress.waits.map(\.subject) == [.kafka])
  }

  @Test func `a witness that was not committed is tried again when a checkpoint is due, although no record has come`() {
    var start = Start()
    _ = start.open([whole(start)])
    _ = start.look(witness: "millrace:\(Start.lineage):2")
    _ = start.core.step(.logBegun(end: 4, durableEnd: 4), now: start.now)
    _ = start.core.step(.stateOpened, now: start.now)
    func commits(_ commands: [Command]) -> Int {
      commands.count { if case .ask(0, .commitWitness) = $0 { true } else { false } }
    }
    var now = start.now
    func pass() {
      now.monotonicMilliseconds += 10_001
      now.wallMilliseconds += 10_001
    }
    pass()
    #expect(commits(start.core.step(.wake, now: now)) == 0, "nothing is owed")
    _ = start.core.step(.source(0, .witnessNotCommitted(reason: "no coordinator")), now: now)
    #expect(commits(start.core.step(.wake, now: now)) == 0, "not at once")
    pass()
    #expect(commits(start.core.step(.wake, now: now)) == 1)
    pass()
    #expect(commits(start.core.step(.wake, now: now)) == 0, "one is under way")
    let answered = start.core.step(.source(0, .witnessCommitted), now: now)
    #expect(
      lines(answered).filter { !$0.hasPrefix("no longer waiting for ") } == ["Kafka answers again (the group's offsets)"]
        && commits(answered) == 0)
    pass()
    #expect(commits(start.core.step(.wake, now: now)) == 0)
  }

  @Test func `a pipeline that is asked to stop tries a witness that failed once more, and stops whether or not that helps`() {
    var start = Start()
    _ = start.open([whole(start)])
    _ = start.look(witness: "millrace:\(Start.lineage):2")
    _ = start.core.step(.logBegun(end: 4, durableEnd: 4), now: start.now)
    _ = start.core.step(.stateOpened, now: start.now)
    _ = start.core.step(.source(0, .witnessNotCommitted(reason: "no coordinator")), now: start.now)
    let asked = start.core.step(.stopRequested, now: start.now)
    #expect(stop(asked) == nil && asked.contains { if case .ask(0, .commitWitness) = $0 { true } else { false } })
    #expect(stop(start.core.step(.source(0, .witnessNotCommitted(reason: "no coordinator")), now: start.now))?.kind == .done)
  }

  @Test func `a full disk holds the source and is waited for until the work has found room`() {
    var start = Start()
    _ = start.open([whole(start)])
    _ = start.look(witness: "millrace:\(Start.lineage):2")
    _ = start.core.step(.logBegun(end: 4, durableEnd: 4), now: start.now)
    _ = start.core.step(.stateOpened, now: start.now)
    #expect(start.core.progress.phase == .running)
    #expect(start.core.progress.hold == nil && start.core.progress.waits == [])
    var said = lines(start.core.step(.outOfSpace(.cut, place: "/log"), now: start.now))
    #expect(said.count == 1 && said[0].contains("no space left for the epoch log (/log)"))
    said = lines(start.core.step(.outOfSpace(.cut, place: "/log"), now: start.now))
    #expect(said.isEmpty)
    #expect(start.core.progress.hold == .disk && start.core.progress.waits.map(\.subject) == [.disk])
    var clock = start.now.monotonicMilliseconds + 2_000
    let room = poll(&start, intent(1, 0, 5), &clock)
    said = lines(start.core.step(processed(intent(1, 0, 5)), now: room))
    #expect(said == ["there is room again for the epoch log"])
    #expect(start.core.progress.waits == [])
  }
}
