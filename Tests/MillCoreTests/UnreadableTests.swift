import MillBase
import MillCore
import MillLog
import Testing

private func examined(_ commands: [Command]) -> [Int64]? {
  for case .ask(source: 0, .examine(let places)) in commands { return places.map(\.offset) }
  return nil
}

private func fetched(_ commands: [Command]) -> [Int64?]? {
  for case .fetch(_, let offsets) in commands { return offsets }
  return nil
}

private func seal(_ epoch: EpochNumber) -> LogRecord {
  .seal(Seal(epoch: epoch, covered: [Seal.Coverage(destination: .table, firstEpoch: epoch)], batches: []))
}

private func intent(_ epoch: EpochNumber, _ start: Int64, _ next: Int64) -> Intent {
  Intent(
    epoch: epoch, clockMilliseconds: 1, planHash: 7, ranges: [PartitionRange(partition: 0, start: start, next: next)],
    inputDigest: Digest128(low: 0, high: 0))
}

private func poison(at offset: Int64) -> Polled {
  let found = PositionLost(partition: 0, offset: offset, reason: "Decompression failed")
  return Polled(next: [offset], rows: [0], byteCount: 0, unreadable: found, stop: nil)
}

/// A core that reads on from 0, with so many records of the log before it.
private func running(records: [LogRecord] = [], end: LogPosition = 2) -> Start {
  var start = Start()
  _ = run(&start, records: records, end: end)
  return start
}

/// Everything that it asks for until records flow.
private func run(_ start: inout Start, records: [LogRecord] = [], end: LogPosition = 2) -> [Command] {
  var commands = start.open([whole(start)], records: records, end: end)
  commands += start.look(witness: nil, end: [100])
  for answer in [.logBegun(end: end + 2, durableEnd: end + 2), .stateOpened, .source(0, .witnessCommitted)] as [Event] {
    commands += start.core.step(answer, now: start.now)
  }
  return commands
}

@Suite struct UnreadableTests {
  @Test(arguments: [(Int64(0), Int64(1)), (0, 7)])
  func `a batch that can't be unpacked is looked at, and the stop names exactly it`(first: Int64, next: Int64) {
    var start = running()
    var commands = start.core.step(.polled([poison(at: first)]), now: start.now)
    #expect(stop(commands) == nil && examined(commands) == [first] && fetched(commands) == [nil])
    // A second notice, of a fetch that was begun before, changes nothing.
    #expect(examined(start.core.step(.polled([poison(at: first)]), now: start.now)) == nil)
    commands = start.core.step(.source(0, .examined([UnreadableBatch(next: next, reason: "it is too large")])), now: start.now)
    var all = commands
    for milliseconds in stride(from: Int64(1_000), through: 60_000, by: 500) where stop(all) == nil {
      let now = Instant(wallMilliseconds: 1_000_000, monotonicMilliseconds: milliseconds)
      commands = start.core.step(.wake, now: now)
      for command in commands {
        switch command {
        case .freeze(let id, _): all += start.core.step(.frozen(id: id, position: 4), now: now)
        case .stateWork(let work): all += start.core.step(.stateWorkDone(work), now: now)
        case .publish(let manifest, let name): all += start.core.step(.published(manifest.epoch, name: name), now: now)
        case .ask(_, .commitWitness): all += start.core.step(.source(0, .witnessCommitted), now: now)
        case .sync: all += start.core.step(.synced(durableEnd: 4), now: now)
        default: break
        }
      }
      all += commands
    }
    let found = stop(all)
    #expect(found?.kind == .promise && found?.rule == "K12", "\(found?.message ?? "no stop")")
    let message = found?.message ?? ""
    #expect(message.contains("offsets \(first) to \(next - 1) can't be unpacked: it is too large"), "\(message)")
    #expect(message.contains("--accept-loss 't/0:\(first)-\(next - 1)'"), "\(message)")
  }

  @Test func `one that can be read after all is fetched again, once`() {
    var start = running()
    _ = start.core.step(.polled([poison(at: 0)]), now: start.now)
    #expect(fetched(start.core.step(.source(0, .examined([nil])), now: start.now)) == nil)
    let later = Instant(wallMilliseconds: 1_000_000, monotonicMilliseconds: 3_000)
    #expect(fetched(start.core.step(.wake, now: later)) == [0])
    let commands = start.core.step(.polled([poison(at: 0)]), now: later)
    #expect(
      examined(commands) == nil && commands.contains { if case .say(.info, let text) = $0 { text.hasPrefix("stopping") } else { false } })
  }

  @Test func `exactly what is unreadable is given up at a start, before anything is read`() {
    var start = Start(losses: [gap(0, 7)])
    _ = start.open([whole(start)])
    let asked = start.look(witness: nil)
    #expect(examined(asked) == [0] && gaps(asked) == nil)
    var commands = start.core.step(.source(0, .examined([UnreadableBatch(next: 7, reason: "why")])), now: start.now)
    commands += start.answerGreatest(commands, nil)
    #expect(gaps(commands) == [gap(0, 7)])
    commands = start.core.step(.logBegun(end: 5, durableEnd: 5), now: start.now)
    commands += start.core.step(.source(0, .witnessCommitted), now: start.now)
    commands += start.core.step(.stateOpened, now: start.now)
    #expect(commands.contains { if case .assign(0, [7]) = $0 { true } else { false } })
    // And the next start finds it in the log.
    var next = Start()
    _ = next.open([whole(next)], records: [.gap(logGap(0, 7))], end: 3)
    #expect(gaps(next.look(witness: nil)) == [])
  }

  @Test(arguments: [gap(0, 6), gap(0, 8), gap(1, 7), gap(0, 11), gap(0, 7, partition: 1)])
  func `any other range is given up by nothing`(other: LostRange) {
    var start = Start(losses: [other])
    _ = start.open([whole(start)])
    var commands = start.look(witness: nil)
    if examined(commands) != nil {
      commands = start.core.step(.source(0, .examined([UnreadableBatch(next: 7, reason: "why")])), now: start.now)
      commands += start.answerGreatest(commands, nil)
    }
    #expect(gaps(commands) == [])
    #expect(commands.contains { if case .say(.warning, let text) = $0 { text.contains("does nothing") } else { false } })
  }

  @Test func `with epochs to be replayed a start does not guess where reading will go on`() {
    var start = Start(losses: [gap(0, 7)])
    _ = start.open([whole(start)], records: [.intent(intent(1, 0, 4)), seal(1)], end: 4)
    let commands = start.look(witness: nil)
    #expect(examined(commands) == nil && gaps(commands) == [])
  }

  @Test func `read again from an older checkpoint, what was given up stays so, and only that`() {
    let records: [LogRecord] = [.intent(intent(1, 0, 4)), seal(1), .gap(logGap(4, 7)), .intent(intent(2, 7, 9)), seal(2)]
    var start = running(records: records, end: 7)
    #expect(fetched(start.core.step(.polled([poison(at: 4)]), now: start.now)) == [7])
    var other = running(records: records, end: 7)
    let found = stop(other.core.step(.polled([poison(at: 3)]), now: other.now))
    #expect(found?.rule == "K12" && found?.message.contains("Epoch 1") == true, "\(found?.message ?? "")")
  }

  @Test func `behind all that is to be replayed it waits until that is done`() {
    var start = running(records: [.intent(intent(1, 0, 4)), seal(1)], end: 4)
    let commands = start.core.step(.polled([poison(at: 4)]), now: start.now)
    #expect(stop(commands) == nil && commands.contains { if case .replay = $0 { true } else { false } })
  }
}

@Suite struct ForeignWitnessTests {
  @Test func `metadata of another program stops a start, and the message says who may have written it and what is safe (R15)`() {
    var start = Start()
    _ = start.open([whole(start)])
    let found = stop(start.look(witness: String(repeating: "x", count: 5_000)))
    #expect(found?.kind == .promise && found?.rule == "R15")
    let message = found?.message ?? ""
    for words in ["metadata that is not ours", "right Read", "--delete-offsets --group millrace-p --topic t"] {
      #expect(message.contains(words), "\(message)")
    }
    #expect(message.utf8.count < 2_000)
  }

  @Test(arguments: ["x", "millrace:0000000000000123:1", "millrace:0000000000000abc:999"])
  func `a witness that changes while nothing comes is noticed (R15)`(text: String) throws {
    var start = Start()
    let own = try #require(
      run(&start).compactMap { if case .ask(source: 0, .commitWitness(let text, _, _)) = $0 { text } else { nil } }.last)
    var now = Instant(wallMilliseconds: 1_000_000, monotonicMilliseconds: 5_000)
    #expect(!start.core.step(.wake, now: now).contains { if case .ask(source: 0, .readWitness) = $0 { true } else { false } })
    now.monotonicMilliseconds = 12_000
    #expect((start.core.wakeAt ?? .max) <= 12_000)
    #expect(start.core.step(.wake, now: now).contains { if case .ask(source: 0, .readWitness) = $0 { true } else { false } })
    // Its own, and none at all, are fine.
    #expect(stop(start.core.step(.source(0, .witnessRead(nil)), now: now)) == nil)
    #expect(stop(start.core.step(.source(0, .witnessRead(own)), now: now)) == nil)
    let found = stop(start.core.step(.source(0, .witnessRead(text)), now: now))
    #expect(
      found?.kind == .promise && found?.rule == "R15" && found?.message.contains("\"\(text)\"") == true, "\(found?.message ?? "none")")
  }
}
