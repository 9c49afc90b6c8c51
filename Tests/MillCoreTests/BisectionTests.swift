import MillBase
import MillCore
import MillLog
import Testing

/// A core that is live, and whose table batches come as if they had just been sealed.
struct Sealing: ~Copyable {
  var start = Start()
  var clock: Int64 = 2_000
  var end: LogPosition = 4
  /// Of chunks alone.
  var logByteCount: UInt64 = 0

  init(
    mode: DeliveryMode = .tokenAndProvenance, records: [LogRecord] = [], greatest: BatchNumber? = nil, instance: UInt64 = 9,
    reserve: Int? = 100
  ) {
    _ = start.open([whole(start)], instance: instance, records: records, end: 2 + LogPosition(records.count))
    _ = start.look(witness: "millrace:\(Start.lineage):2", greatest: greatest, mode: mode, reserve: reserve)
    end += LogPosition(records.count)
    _ = step(.logBegun(end: end, durableEnd: end))
  }

  mutating func step(_ event: Event) -> [Command] {
    start.core.step(event, now: Instant(wallMilliseconds: clock, monotonicMilliseconds: clock))
  }

  /// Goes live, and lets two seconds pass in which the server says that it has just begun: what earlier lives sent is dead.
  mutating func live() -> [Command] {
    var commands = step(.stateOpened)
    clock += 2_000
    if let probe = exchange(commands, { $0 == .serverTime }) {
      commands += step(.sink(0, exchange: probe, .serverTime(seconds: 9, fastestSeconds: 9, uptimeSeconds: 0, tookMilliseconds: 1)))
    }
    return commands
  }

  /// The brokers answer what they are asked, as they did at the start.
  mutating func answerKafka(_ commands: [Command]) -> [Command] {
    var more: [Command] = []
    for command in commands {
      switch command {
      case .ask(source: 0, .readWitness): more += step(.source(0, .witnessRead("millrace:\(Start.lineage):2")))
      case .ask(source: 0, .describe):
        more += step(.source(0, .described(SourceLook(clusterID: "c", topicID: "", low: [0], stableEnd: [10]))))
      default: break
      }
    }
    return more
  }

  mutating func seal(_ batch: SealedBatch) -> [Command] {
    end += 1
    logByteCount += batch.byteCount
    return step(.sealed(Seal(epoch: 1, covered: [], batches: [batch]), position: end - 1, durableEnd: end, logByteCount: logByteCount))
  }

  mutating func retired(_ batch: SealedBatch, _ replacements: [SealedBatch]) -> [Command] {
    end += 1
    let retire = Retire(destination: .table, batch: batch.number, wallMilliseconds: 0, replacements: replacements)
    logByteCount += replacements.reduce(0) { $0 + $1.byteCount }
    return step(.retired(retire, position: end - 1, durableEnd: end, logByteCount: logByteCount))
  }

  /// The log has written what was to be appended, and synced it.
  mutating func appended() -> [Command] {
    end += 1
    return step(.appended(end - 1, end: end)) + step(.synced(durableEnd: end))
  }
}

func batch(_ number: BatchNumber, rows: UInt64, _ destination: Destination = .table) -> SealedBatch {
  let digits = String(number)
  return SealedBatch(
    destination: destination, number: number, rowStart: 0, rowCount: rows, digest: Digest128(low: number, high: 0),
    token: "mr-\(Start.lineage)-out-\(String(repeating: "0", count: 20 - digits.count))\(digits)-aa", chunks: [1], originChunkCount: 0,
    byteCount: 10, target: "d.t", columns: [])
}

private func exchange(_ commands: [Command], _ isMeant: (SinkRequest) -> Bool) -> UInt64? {
  for command in commands { if case .exchange(_, let id, let request) = command, isMeant(request) { return id } }
  return nil
}

/// The exchange by which a batch is inserted.
func insert(_ commands: [Command], _ number: BatchNumber) -> UInt64? {
  exchange(commands) { if case .insert(let batch, _, _, _) = $0 { batch.number == number } else { false } }
}

private func retires(_ commands: [Command]) -> [RetireOrder] {
  commands.compactMap { if case .retire(let order) = $0 { order } else { nil } }
}

private let violated = SinkAnswer.refused(.data, code: 469, message: "violated")

/// Batches are sealed from outside here: the core's own count of them stays at 1.
@Suite struct BisectionTests {
  @Test func `halves are sent one after the other, each when all before it is durable (R11, R9)`() throws {
    var sealing = Sealing()
    _ = sealing.live()
    let parent = batch(1, rows: 5)
    let sent = try #require(insert(sealing.seal(parent), 1))
    let ordered = sealing.step(.sink(0, exchange: sent, violated))
    #expect(retires(ordered).map(\.replacement) == [.pieces(firstNumber: 1, rows: [[0..<2], [2..<5]])])
    let asked = exchange(ordered) { _ in true }
    #expect(asked == nil)
    var commands = sealing.retired(parent, [batch(2, rows: 2), batch(3, rows: 3)])
    let first = try #require(insert(commands, 2))
    #expect(insert(commands, 3) == nil && insert(commands, 1) == nil)
    // What is sealed meanwhile waits.
    #expect(insert(sealing.seal(batch(4, rows: 1)), 4) == nil)
    // The first success of a life is counted.
    commands = sealing.step(.sink(0, exchange: first, .committed))
    let count = try #require(exchange(commands) { if case .count = $0 { true } else { false } })
    commands = sealing.step(.sink(0, exchange: count, .counted(2)))
    #expect(insert(commands, 3) == nil)
    commands = sealing.appended()
    let second = try #require(insert(commands, 3))
    #expect(insert(commands, 4) == nil)
    _ = sealing.step(.sink(0, exchange: second, .committed))
    #expect(insert(sealing.appended(), 4) != nil)
  }

  @Test func `a single row that is refused becomes a dead letter with the server's code and words (R11)`() throws {
    var sealing = Sealing()
    _ = sealing.live()
    let parent = batch(1, rows: 1)
    let sent = try #require(insert(sealing.seal(parent), 1))
    let ordered = retires(sealing.step(.sink(0, exchange: sent, violated)))
    #expect(ordered.map(\.replacement) == [.deadLetter(number: 1, code: 469, message: "violated")])
    let commands = sealing.retired(parent, [batch(1, rows: 1, .deadLetters)])
    #expect(commands.contains { if case .writeDeadLetters = $0 { true } else { false } })
    let progress = sealing.start.core.progress
    #expect(progress.batches[0].refused.rows == 1 && progress.unackedBatches == 1)
  }

  /// The answers to the question for pieces, and what a batch of 200 rows is cut into.
  @Test(arguments: [
    (SinkAnswer.pieces([[0..<1, 5..<200], [1..<3], [3..<5]]), [[0..<1, 5..<200], [1..<3], [3..<5]]),
    (.pieces([]), [[0..<100], [100..<200]]), (.unanswered(reason: "gone"), [[0..<100], [100..<200]]),
    (.denied(reason: "no right"), [[0..<100], [100..<200]]),
  ])
  func `too many table partitions cut a batch by them, else in halves, and never make a dead letter (R9)`(
    answer: SinkAnswer, pieces: [[Range<Int>]]
  ) throws {
    var sealing = Sealing()
    _ = sealing.live()
    let refusal = SinkAnswer.refused(.tooManyPartitions, code: 252, message: "Too many partitions")
    let parent = batch(1, rows: 200)
    let sent = try #require(insert(sealing.seal(parent), 1))
    var commands = sealing.step(.sink(0, exchange: sent, refusal))
    #expect(retires(commands).isEmpty)
    let asked = try #require(exchange(commands) { $0 == .pieces(parent, partitionsMax: 1) })
    #expect(exchange(sealing.step(.wake)) { if case .pieces = $0 { true } else { false } } == nil, "asked twice")
    commands = sealing.step(.sink(0, exchange: asked, answer))
    #expect(retires(commands).map(\.replacement) == [.pieces(firstNumber: 1, rows: pieces)])
  }

  @Test func `a row that touches too many table partitions stops it by name (R9)`() throws {
    let answer = SinkAnswer.refused(.tooManyPartitions, code: 252, message: "Too many partitions")
    var single = Sealing()
    _ = single.live()
    let alone = try #require(insert(single.seal(batch(1, rows: 1)), 1))
    #expect(stop(single.step(.sink(0, exchange: alone, answer)))?.rule == "R9")
  }

  @Test(arguments: [DeliveryMode.tokenAndProvenance, .tokenOnly, .atLeastOnce])
  func `a body that is too large for a proxy is halved, and a row that is waits (R11)`(mode: DeliveryMode) throws {
    let refusal = SinkAnswer.refused(.tooLarge, code: 413, message: "HTTP 413: <html>")
    var sealing = Sealing(mode: mode)
    _ = sealing.live()
    let sent = try #require(insert(sealing.seal(batch(1, rows: 5)), 1))
    var commands = sealing.step(.sink(0, exchange: sent, refusal))
    if mode == .tokenAndProvenance {
      #expect(retires(commands).isEmpty)
      let count = try #require(exchange(commands) { if case .count = $0 { true } else { false } })
      commands = sealing.step(.sink(0, exchange: count, .counted(0)))
    }
    #expect(retires(commands).map(\.replacement) == [.pieces(firstNumber: 1, rows: [[0..<2], [2..<5]])])
    #expect(commands.contains { if case .say(.warning, let text) = $0 { text.contains("batch.max_bytes") } else { false } })

    var single = Sealing(mode: mode)
    _ = single.live()
    let alone = try #require(insert(single.seal(batch(1, rows: 1)), 1))
    let ordered = single.step(.sink(0, exchange: alone, refusal))
    #expect(retires(ordered).isEmpty && stop(ordered) == nil)
    #expect(single.start.core.progress.waits.map { $0.reason.contains("client_max_body_size") } == [true])
    single.clock += 60_000
    #expect(insert(single.step(.wake), 1) != nil, "it isn't tried again")
  }

  @Test func `an error raised by a view never bisects (R11, R7)`() throws {
    var sealing = Sealing()
    _ = sealing.live()
    var sent = try #require(insert(sealing.seal(batch(1, rows: 5)), 1))
    for _ in 0..<9 {
      #expect(retires(sealing.step(.sink(0, exchange: sent, .viewFailed(code: 469, message: "violated")))).isEmpty)
      sealing.clock += 60_000
      sent = try #require(insert(sealing.step(.wake), 1))
    }
    #expect(stop(sealing.step(.sink(0, exchange: sent, .viewFailed(code: 469, message: "violated"))))?.rule == "R7")
  }

  @Test func `a count that is refused has the table described before it ends the process (R6, R7)`() throws {
    var sealing = Sealing()
    _ = sealing.live()
    let sent = try #require(insert(sealing.seal(batch(1, rows: 5)), 1))
    var commands = sealing.step(.sink(0, exchange: sent, .committed))
    let count = try #require(exchange(commands) { if case .count = $0 { true } else { false } })
    commands = sealing.step(.sink(0, exchange: count, .denied(reason: "code 60: no such table")))
    #expect(stop(commands) == nil)
    let describe = try #require(exchange(commands) { if case .describe = $0 { true } else { false } })
    let ended = try #require(stop(sealing.step(.sink(0, exchange: describe, .unfit(["there is no table d.t"])))))
    #expect(ended.kind == .promise && ended.rule == "R6" && ended.message.contains("there is no table d.t"))
  }

  @Test func `a guarded insert that is denied a right is tried once more, then ends the process (R7)`() throws {
    var sealing = Sealing(mode: .readBack)
    _ = sealing.live()
    var commands = sealing.seal(batch(1, rows: 5))
    let reason = "code 497: not enough privileges; to mend it: GRANT SYSTEM SYNC REPLICA ON d.t TO `u`"
    for isLast in [false, true] {
      let time = try #require(exchange(commands) { $0 == .serverTime })
      commands = sealing.step(.sink(0, exchange: time, .serverTime(seconds: 9, fastestSeconds: 9, uptimeSeconds: 9, tookMilliseconds: 1)))
      commands += sealing.appended()
      let guarded = try #require(exchange(commands) { if case .guardedInsert = $0 { true } else { false } })
      commands = sealing.step(.sink(0, exchange: guarded, .denied(reason: reason)))
      guard !isLast else { break }
      #expect(stop(commands) == nil)
      // The table may be gone, which has its own words.
      let describe = try #require(exchange(commands) { if case .describe = $0 { true } else { false } })
      let facts = TableFacts(
        mode: .readBack, window: 0, partitionsMax: 1, windowSeconds: 0, identity: "table", hasProvenance: true, warnings: [])
      commands = sealing.step(.sink(0, exchange: describe, .described(facts)))
      sealing.clock += 10_000
      commands += sealing.step(.wake)
    }
    let ended = try #require(stop(commands))
    #expect(ended.kind == .failed && ended.rule == "R7" && ended.message == reason)
  }

  /// After an attempt of unknown outcome and a refusal, up to the count of the batch's rows.
  private func counted(_ rows: UInt64) throws -> [Command] {
    var sealing = Sealing()
    return try counted(rows, &sealing)
  }

  private func counted(_ rows: UInt64, _ sealing: inout Sealing) throws -> [Command] {
    _ = sealing.live()
    var sent = try #require(insert(sealing.seal(batch(1, rows: 5)), 1))
    var commands = sealing.step(.sink(0, exchange: sent, .unknown(reason: "timed out")))
    let probe = try #require(exchange(commands) { $0 == .serverTime })
    sealing.clock += 10_000
    // Counted before it is sent again (R9).
    let doubt = try #require(exchange(sealing.step(.wake)) { if case .count = $0 { true } else { false } })
    sent = try #require(insert(sealing.step(.sink(0, exchange: doubt, .counted(0))), 1))
    commands = sealing.step(.sink(0, exchange: sent, violated))
    #expect(retires(commands).isEmpty)
    let early = exchange(commands) { if case .count = $0 { true } else { false } }
    #expect(early == nil)
    // The server has started since: nothing of before is under way.
    sealing.clock += 5_000
    commands = sealing.step(.sink(0, exchange: probe, .serverTime(seconds: 9, fastestSeconds: 9, uptimeSeconds: 0, tookMilliseconds: 1)))
    let count = try #require(exchange(commands) { if case .count = $0 { true } else { false } })
    #expect(retires(commands).isEmpty)
    return sealing.step(.sink(0, exchange: count, .counted(rows)))
  }

  @Test func `after a doubt a refused batch is bisected only when none of its rows was counted (R11)`() throws {
    let none = try counted(0)
    #expect(retires(none).count == 1)
    let all = try counted(5)
    #expect(retires(all).isEmpty)
    #expect(all.contains { if case .append(.ack) = $0 { true } else { false } })
    let some = try counted(2)
    #expect(stop(some)?.rule == "R11")
  }

  @Test func `a doubt about a batch that is then retired has ended`() throws {
    var sealing = Sealing()
    #expect(retires(try counted(0, &sealing)).count == 1)
    _ = sealing.retired(batch(1, rows: 5), [batch(2, rows: 2), batch(3, rows: 3)])
    let doubts = sealing.start.core.progress.doubts
    #expect(doubts.begun == 1 && doubts.counted == 1)
  }

  @Test func `without a provenance column a refusal after a doubt stops (R11)`() throws {
    var sealing = Sealing(mode: .tokenOnly)
    _ = sealing.live()
    var sent = try #require(insert(sealing.seal(batch(1, rows: 5)), 1))
    _ = sealing.step(.sink(0, exchange: sent, .unknown(reason: "timed out")))
    sealing.clock += 10_000
    sent = try #require(insert(sealing.step(.wake), 1))
    let found = stop(sealing.step(.sink(0, exchange: sent, violated)))
    #expect(found?.rule == "R11" && found?.kind == .promise)
  }

  private var bisected: [LogRecord] {
    let intent = Intent(
      epoch: 1, clockMilliseconds: 1, planHash: 7, ranges: [PartitionRange(partition: 0, start: 0, next: 0)],
      inputDigest: Digest128(low: 0, high: 0))
    return [
      .intent(intent), .seal(Seal(epoch: 0, covered: [], batches: [batch(1, rows: 5), batch(2, rows: 1)])),
      .retire(Retire(destination: .table, batch: 1, wallMilliseconds: 0, replacements: [batch(3, rows: 2), batch(4, rows: 3)])),
      .retire(Retire(destination: .table, batch: 3, wallMilliseconds: 0, replacements: [batch(5, rows: 1), batch(6, rows: 1)])),
      .ack(Ack(destination: .table, batch: 5)),
    ]
  }

  @Test func `a start goes on with the pieces that are not acked, innermost first, and never with what they replace (R11)`() throws {
    var sealing = Sealing(records: bisected)
    let commands = sealing.live()
    // In doubt, as whatever an earlier life may have sent: it is counted first (R9).
    func isCounted(_ number: BatchNumber) -> Bool {
      exchange(commands) { if case .count(_, let token) = $0 { token == batch(number, rows: 1).token } else { false } } != nil
    }
    let count = try #require(exchange(commands) { if case .count(_, let token) = $0 { token == batch(6, rows: 1).token } else { false } })
    for other in [1, 2, 3, 4, 5] as [BatchNumber] { #expect(insert(commands, other) == nil && !isCounted(other), "\(other)") }
    #expect(insert(sealing.step(.sink(0, exchange: count, .counted(0))), 6) != nil)
  }

  @Test func `the numbers of pieces are batch numbers like any: the table may have them, and no later ones (R15)`() {
    func look(_ number: BatchNumber) -> Stop? {
      var start = Start()
      _ = start.open([whole(start)], records: bisected, end: 7)
      return stop(start.look(witness: nil, greatest: number))
    }
    #expect(look(6) == nil)
    #expect(look(7)?.rule == "R15")
  }
}
