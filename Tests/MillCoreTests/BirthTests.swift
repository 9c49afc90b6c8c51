import MillBase
import MillCore
import MillLog
import Testing

/// A core that is live in a lineage of two partitions of which nothing was sealed yet.
private struct Newborn: ~Copyable {
  var start: Start
  var clock: Int64 = 0
  private var epoch: EpochNumber = 0
  private var read: [Int64] = [0, 0]
  private var pendingLetters: UInt64 = 0

  init(
    ends: [Int64] = [0, 0], untilEnd: Bool = false, acceptsDeadLetters: Bool = false, records: [LogRecord] = [],
    nextBatches: [BatchNumber] = [1, 1]
  ) {
    start = Start(untilEnd: untilEnd, acceptsDeadLetters: acceptsDeadLetters)
    let manifest = start.manifest(partitions: 2, nextBatches: nextBatches)
    _ = start.open([FoundCheckpoint(name: "c0", manifest: manifest, problem: nil)], records: records, end: 2 + UInt64(records.count))
    _ = start.look(witness: "millrace:\(Start.lineage):2", low: [0, 0], end: ends)
    _ = start.core.step(.logBegun(end: 4, durableEnd: 4), now: start.now)
    _ = start.core.step(.stateOpened, now: start.now)
  }

  /// Kafka answers at once.
  mutating func step(_ event: Event) -> [Command] {
    let now = Instant(
      wallMilliseconds: start.now.wallMilliseconds + clock, monotonicMilliseconds: start.now.monotonicMilliseconds + clock)
    var commands = start.core.step(event, now: now)
    for command in commands {
      switch command {
      case .ask(source: 0, .readWitness): commands += start.core.step(.source(0, .witnessRead("millrace:\(Start.lineage):2")), now: now)
      case .ask(source: 0, .describe):
        commands += start.core.step(
          .source(0, .described(SourceLook(clusterID: "c", topicID: "", low: [0, 0], stableEnd: read))), now: now)
      default: break
      }
    }
    return commands
  }

  /// Records come, an epoch of them is cut and processed: so many of each fate.
  mutating func take(bad: UInt64 = 0, good: UInt64 = 0, late: UInt64 = 0, duplicate: UInt64 = 0, skipped: UInt64 = 0, partition: Int = 0)
    -> [Command]
  {
    let count = bad + good + late + duplicate + skipped
    var rows = [0, 0]
    rows[partition] = Int(count)
    var commands = poll(rows: rows)
    clock += 20
    commands += poll(rows: rows)
    var intent: Intent?
    for case .cut(let cut) in commands { intent = cut }
    guard let intent else { return commands }
    epoch = intent.epoch
    for range in intent.parts[0].ranges { read[Int(range.partition)] = range.next }
    pendingLetters += bad + late
    var counters = Counters()
    (counters.records, counters.deadLettered, counters.emitted, counters.late) = (count, bad, good, late)
    (counters.duplicate, counters.skipped) = (duplicate, skipped)
    var result = EpochResult(
      epoch: intent.epoch, intent: intent, counters: counters, pendingRows: [good, pendingLetters],
      pendingBytes: [good * 100, pendingLetters * 100],
      sources: [EpochResult.Source(maxEventTimes: [Int64.min, Int64.min], watermark: Int64.min)], watermark: Int64.min, needsFreeze: false,
      dropsBuckets: false, logEnd: 4 + epoch, stop: nil)
    if bad > 0 { result.deadLetters.add("wrong_type", count: bad, example: "partition \(partition), offset 0: no") }
    if late > 0 { result.deadLetters.add("late", count: late, example: "partition \(partition), offset 1: late") }
    if skipped > 0 { result.skipped.add("tombstone", count: skipped, example: "partition \(partition), offset 0: none") }
    result.sources[0].records = count
    if bad > 0 { result.sources[0].refused.add("wrong_type", count: bad, example: "partition \(partition), offset 0: no") }
    if skipped > 0 { result.sources[0].refused.add("tombstone", count: skipped, example: "partition \(partition), offset 0: none") }
    return commands + step(.processed(result))
  }

  /// What the source has: `rows` by partition in the buffers, and nothing behind them where it is at its end.
  mutating func poll(rows: [Int] = [0, 0], isAtEnd: [Bool] = [true, true]) -> [Command] {
    let next = zip(read, rows).map { $0 + Int64($1) }
    return step(.polled([Polled(next: next, rows: rows, byteCount: rows.reduce(0, +) * 10, isAtEnd: isAtEnd, stop: nil)]))
  }
}

private func seals(_ commands: [Command]) -> Bool {
  commands.contains {
    switch $0 {
    case .seal, .freeze: true
    default: false
    }
  }
}

@Suite struct BirthTests {
  @Test func `a new lineage stops at a thousand undecodable records, over all partitions, and has sealed nothing`() {
    var newborn = Newborn()
    var commands = newborn.take(bad: 600)
    #expect(stop(commands) == nil)
    commands += newborn.take(bad: 399, partition: 1)
    #expect(stop(commands) == nil)
    commands += newborn.take(bad: 1, partition: 1)
    let found = stop(commands)
    #expect(found?.kind == .invalidPipeline && found?.message.contains("first 1000 records of t") == true, "\(found?.message ?? "")")
    #expect(found?.message.contains("wrong_type 1000") == true && found?.message.contains("partition 0, offset 0: no") == true)
    #expect(!seals(commands))
  }

  @Test func `skipped records count as undecodable too`() {
    var newborn = Newborn()
    let commands = newborn.take(skipped: 1000)
    #expect(stop(commands)?.message.contains("tombstone 1000") == true && !seals(commands))
  }

  @Test(arguments: [0, 1, 2]) func `one record that can be read, even a late or a repeated one, lets it go on`(_ kind: Int) {
    var newborn = Newborn()
    var commands = newborn.take(bad: 600)
    commands += newborn.take(bad: 399, good: kind == 0 ? 1 : 0, late: kind == 1 ? 1 : 0, duplicate: kind == 2 ? 1 : 0)
    commands += newborn.take(bad: 60_000)
    #expect(stop(commands) == nil)
    newborn.clock += 10_000
    commands = newborn.poll()
    #expect(seals(commands))
  }

  @Test func `fewer records stop it where there are no more, after a while, and no checkpoint is taken of them before`() {
    var newborn = Newborn()
    var commands = newborn.take(bad: 3)
    newborn.clock += 9_000
    commands += newborn.poll()
    #expect(stop(commands) == nil)
    newborn.clock += 1_000
    // One partition hasn't been heard to its end: there may be more.
    commands += newborn.poll(isAtEnd: [true, false])
    #expect(stop(commands) == nil && !seals(commands))
    commands += newborn.poll()
    #expect(stop(commands)?.kind == .invalidPipeline && !seals(commands))
    #expect(stop(commands)?.message.contains("first 3 records") == true)
  }

  @Test func `it does not wait where the end was asked for`() {
    var newborn = Newborn(ends: [3, 0], untilEnd: true)
    let commands = newborn.take(bad: 3)
    #expect(stop(commands)?.kind == .invalidPipeline && !seals(commands))
  }

  @Test func `it wakes by itself when the decision is due`() {
    var newborn = Newborn()
    _ = newborn.take(bad: 3)
    let due = newborn.clock + 10_000
    var commands: [Command] = []
    while stop(commands) == nil, newborn.clock < 2 * due, let wake = newborn.start.core.wakeAt {
      newborn.clock = max(newborn.clock, wake - newborn.start.now.monotonicMilliseconds)
      commands = newborn.step(.wake) + newborn.poll()
    }
    #expect(stop(commands)?.kind == .invalidPipeline && newborn.clock == due, "\(newborn.clock)")
  }

  @Test func `asked to stop it leaves without a seal, and says so`() {
    var newborn = Newborn()
    _ = newborn.take(bad: 3)
    let commands = newborn.step(.stopRequested)
    #expect(stop(commands)?.kind == .done && stop(commands)?.message.contains("before anything was sealed") == true && !seals(commands))
  }

  @Test func `who accepts it gets the dead letters`() {
    var newborn = Newborn(acceptsDeadLetters: true)
    var commands = newborn.take(bad: 2000)
    newborn.clock += 10_000
    commands += newborn.poll()
    #expect(stop(commands) == nil && seals(commands))
  }

  @Test(arguments: [[2, 1], [1, 2]] as [[BatchNumber]]) func `a lineage that has sealed anything is past it`(_ nextBatches: [BatchNumber]) {
    var newborn = Newborn(nextBatches: nextBatches)
    var commands = newborn.take(bad: 2000)
    newborn.clock += 10_000
    commands += newborn.poll()
    #expect(stop(commands) == nil && seals(commands))
  }

  @Test func `a mended file takes over where nothing was sealed: another plan, another table`() {
    var start = Start(planHash: 8)
    _ = start.open([whole(start)])
    let commands = start.look(witness: nil, identity: "made anew")
    #expect(stop(commands) == nil && begins(commands))
  }
}

@Suite struct OutcomeTests {
  @Test func `the first dead letter of each reason is told at once, then counts every ten seconds while they come`() {
    var newborn = Newborn()
    var told = warnings(newborn.take(bad: 1, good: 1))
    #expect(told.count == 1 && told[0].contains("wrong_type") && told[0].contains("partition 0, offset 0: no"), "\(told)")
    told = warnings(newborn.take(bad: 4, good: 1))
    #expect(told.isEmpty)
    told = warnings(newborn.take(good: 1, late: 1))
    #expect(told.count == 1 && told[0].contains("late"))
    newborn.clock += 10_000
    told = warnings(newborn.poll())
    #expect(
      told.count == 1 && told[0].contains("4 more dead letters, 6 of 9 records") && told[0].contains("wrong_type 5, late 1"), "\(told)")
    newborn.clock += 10_000
    told = warnings(newborn.poll())
    #expect(told.isEmpty, "nothing has come since")
    #expect(newborn.start.core.progress.allDeadLetters["wrong_type"] == 5)
  }

  @Test func `a skipped record is told once a reason`() {
    var newborn = Newborn()
    var told = warnings(newborn.take(good: 1, skipped: 4))
    #expect(told.count == 1 && told[0].contains("tombstone"))
    newborn.clock += 20_000
    told = warnings(newborn.take(good: 1, skipped: 4))
    #expect(told.isEmpty)
  }

  @Test func `of equal counts the reason that came first is named first`() {
    var tally = ReasonTally()
    for reason in ["b", "a", "c", "c"] { tally.add(reason, example: reason) }
    #expect(tally.text == "c 2, b 1, a 1" && tally.total == 4 && tally["a"] == 1 && tally["d"] == 0)
  }
}

@Suite struct LastingTests {
  private func later(_ start: borrowing Start, _ milliseconds: Int64) -> Instant {
    Instant(
      wallMilliseconds: start.now.wallMilliseconds + milliseconds, monotonicMilliseconds: start.now.monotonicMilliseconds + milliseconds)
  }

  @Test func `a bounded wait ends with 1 and says for what`() {
    var start = Start(untilEnd: true, waitAtMost: 30_000)
    _ = start.open([whole(start)])
    for answer in [
      .source(0, .witnessRead("millrace:\(Start.lineage):2")),
      .source(0, .described(SourceLook(clusterID: "c", topicID: "", low: [0], stableEnd: [10]))),
      .source(0, .anchorsChecked([])),
    ] as [Event] { _ = start.core.step(answer, now: start.now) }
    _ = start.core.step(.sink(0, exchange: 1, .unanswered(reason: "connection refused")), now: start.now)
    #expect(start.core.wakeAt.map { $0 <= start.now.monotonicMilliseconds + 30_000 } == true)
    #expect(stop(start.core.step(.wake, now: later(start, 29_000))) == nil)
    let found = stop(start.core.step(.wake, now: later(start, 30_000)))
    #expect(
      found?.kind == .failed && found?.message.contains("waited 30 s for ClickHouse (--wait-at-most): connection refused") == true,
      "\(found?.message ?? "")")
  }
}
