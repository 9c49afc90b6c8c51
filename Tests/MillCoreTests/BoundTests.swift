import MillBase
import MillCore
import MillLog
import Testing

/// A running core whose clock goes on.
private struct Running: ~Copyable {
  var start = Start()
  var clock: Int64 = 2_000

  init() {
    _ = start.open([whole(start)])
    _ = start.look(witness: "millrace:\(Start.lineage):2")
    _ = start.core.step(.logBegun(end: 4, durableEnd: 4), now: start.now)
    _ = start.core.step(.stateOpened, now: start.now)
  }

  mutating func step(_ event: Event, after milliseconds: Int64 = 1) -> [Command] {
    clock += milliseconds
    return start.core.step(event, now: Instant(wallMilliseconds: clock, monotonicMilliseconds: clock))
  }
}

private func lines(_ commands: [Command]) -> [String] {
  commands.compactMap { if case .say(_, let text) = $0 { text } else { nil } }
}

private func cuts(_ commands: [Command]) -> [Intent] {
  commands.compactMap { if case .cut(let intent) = $0 { intent } else { nil } }
}

private func measures(_ commands: [Command]) -> Int {
  commands.count { if case .measureDeadLetters = $0 { true } else { false } }
}

/// What holds the source back so that memory and disk stay bounded.
@Suite struct BoundTests {
  @Test func `an epoch ends where its rows surely fit, and at once`() {
    var running = Running()
    let polled = Polled(next: [100], epochEnds: [40], rows: [100], byteCount: 100, stop: nil)
    let intents = cuts(running.step(.polled([polled]), after: 0))
    #expect(intents.count == 1 && intents[0].parts[0].ranges[0].next == 40)
  }

  @Test func `a batch's age counts from when its first record was seen, and no other event puts a poll off`() {
    var running = Running()
    func polled(_ next: Int64) -> Event {
      .polled([Polled(next: [next], rows: [Int(next)], byteCount: Int(next), isAtEnd: [true], stop: nil)])
    }
    #expect(cuts(running.step(polled(1))).isEmpty)
    let seen = running.clock
    #expect(running.start.core.pollOrder?.dueAt == seen + 20, "then the epoch is due")
    _ = running.step(.wake, after: 15)
    #expect(running.start.core.pollOrder?.dueAt == seen + 20)
    let intents = cuts(running.step(polled(1), after: 5))
    #expect(intents.count == 1)
    var counters = Counters()
    (counters.records, counters.emitted) = (1, 1)
    _ = running.step(
      .processed(
        EpochResult(
          epoch: intents[0].epoch, intent: intents[0], counters: counters, pendingRows: [1, 0], pendingBytes: [10, 0],
          sources: [EpochResult.Source(maxEventTimes: [.min], watermark: .min)], watermark: .min, needsFreeze: false, dropsBuckets: false,
          logEnd: 5, logByteCount: 100, stop: nil)),
      after: 0)
    let order = running.start.core.pollOrder
    func ages(_ commands: [Command]) -> [Int64] {
      commands.flatMap { if case .seal(let order) = $0 { order.parts.map(\.ageMilliseconds) } else { [Int64]() } }
    }
    #expect(ages(running.step(.wake, after: 979)).isEmpty)
    #expect(order != nil && running.start.core.pollOrder == order, "quiet partitions and lost brokers are seen by polls alone")
    #expect(ages(running.step(.wake, after: 1)) == [1000])
  }

  @Test func `while buffers are worked off nothing is known of quiet partitions`() {
    var options = Start(idleAfter: 60_000)
    _ = options.open([whole(options)])
    _ = options.look(witness: "millrace:\(Start.lineage):2")
    _ = options.core.step(.logBegun(end: 4, durableEnd: 4), now: options.now)
    _ = options.core.step(.stateOpened, now: options.now)
    for second in 0..<200 {
      let polled = Polled(next: [0], isAsked: second == 0, rows: [0], byteCount: 0, isAtEnd: [true], stop: nil)
      let now = Instant(wallMilliseconds: Int64(second) * 1000 + 5000, monotonicMilliseconds: Int64(second) * 1000 + 5000)
      _ = options.core.step(.polled([polled]), now: now)
    }
    let isIdle = options.core.progress.partitions[0].isIdle
    #expect(!isIdle)
  }

  @Test func `past the bound of dead letters the source waits, says so once, and goes on when there is room`() {
    var running = Running()
    #expect(running.start.core.pollOrder != nil)
    var commands = running.step(.deadLettersMeasured(byteCount: 10 << 30, directory: "/letters"))
    #expect(lines(commands).count == 1 && lines(commands)[0].contains("/letters") && lines(commands)[0].contains("dead_letters.max_bytes"))
    #expect(running.start.core.pollOrder == nil)
    var progress = running.start.core.progress
    #expect(progress.hold == .deadLetters && progress.waits.map(\.subject) == [.deadLetters] && progress.deadLetterBytes == 10 << 30)
    // It looks again, as often as for other things that are waited for, and says nothing more.
    #expect(running.start.core.wakeAt != nil)
    for _ in 0..<3 {
      commands = running.step(.wake, after: 1000)
      #expect(measures(commands) == 1)
      commands = running.step(.deadLettersMeasured(byteCount: 11 << 30, directory: "/letters"))
      #expect(lines(commands).isEmpty)
    }
    _ = running.step(.wake, after: 1000)
    commands = running.step(.deadLettersMeasured(byteCount: 1, directory: "/letters"))
    #expect(lines(commands).count == 1 && lines(commands)[0].contains("room again"))
    progress = running.start.core.progress
    #expect(progress.hold == nil && progress.waits.isEmpty && running.start.core.pollOrder != nil)
    // Not again for minutes, unless what is written passes the bound.
    commands = running.step(.wake, after: 1000)
    #expect(measures(commands) == 0)
  }

  @Test func `what is written counts at once`() {
    var running = Running()
    _ = running.step(.deadLettersMeasured(byteCount: (10 << 30) - 5, directory: "/letters"))
    #expect(running.start.core.progress.hold == nil)
    let letters = batch(1, rows: 1, .deadLetters)
    _ = running.step(.sealed(Seal(epoch: 1, covered: [], batches: [letters]), position: 5, durableEnd: 6, logByteCount: 10))
    let commands = running.step(.deadLettersWritten(letters.key, byteCount: 5))
    #expect(measures(commands) == 1 && running.start.core.progress.deadLetterBytes == 10 << 30)
  }
}
