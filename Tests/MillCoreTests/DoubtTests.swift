import MillBase
import MillCore
import MillLog
import Testing

/// What the core asks of the sink, in words short enough to compare.
private func asked(_ commands: [Command]) -> [String] {
  commands.compactMap { command in
    guard case .exchange(_, _, let request) = command else { return nil }
    switch request {
    case .insert(let batch, _, _, _): return "insert \(batch.number)"
    case .guardedInsert(let batch, _, _, _, _): return "guarded \(batch.number)"
    case .pieces(let batch, _): return "pieces \(batch.number)"
    case .count(_, let token): return "count \(token.split(separator: "-")[3].drop { $0 == "0" })"
    case .serverTime: return "time"
    case .running: return "list"
    case .kill: return "kill"
    case .describe: return "describe"
    case .greatestBatch: return "greatest"
    }
  }
}

private func ids(_ commands: [Command]) -> [UInt64] {
  commands.compactMap { if case .exchange(_, let id, _) = $0 { id } else { nil } }
}

/// A batch whose INSERT got no answer, at the moment when the core asks about it again.
private struct Doubtful: ~Copyable {
  var sealing: Sealing
  /// What was asked last, but for R7's probes, which wait here for their answer.
  var asked: [String] = []
  var ids: [UInt64] = []
  private var probes: [(at: Int64, id: UInt64)] = []

  init(reserve: Int? = 100) {
    sealing = Sealing(reserve: reserve)
    _ = sealing.live()
    let insert = MillCoreTests.ids(sealing.seal(batch(1, rows: 5)))
    note(sealing.step(.sink(0, exchange: insert[0], .unknown(reason: "connection lost"))))
    untilAsked()
  }

  private mutating func note(_ commands: [Command]) {
    let all = Array(zip(MillCoreTests.asked(commands), MillCoreTests.ids(commands)))
    probes += all.filter { $0.0 == "time" }.map { (sealing.clock, $0.1) }
    // The table is looked at beside deliveries.
    let questions = all.filter { $0.0 != "time" && $0.0 != "describe" }
    asked = questions.map(\.0)
    ids = questions.map(\.1)
  }

  /// Lets time pass until something but a probe is asked.
  mutating func untilAsked() {
    for _ in 0..<600 where asked.isEmpty {
      sealing.clock += 100
      note(sealing.step(.wake))
    }
  }

  /// What the core does when the question that was noted last gets this answer.
  mutating func answer(_ answer: SinkAnswer) -> [Command] {
    let commands = sealing.step(.sink(0, exchange: ids[0], answer))
    note(commands)
    return commands
  }

  /// No probe that is under way is answered.
  mutating func failProbes() {
    for probe in probes { _ = sealing.step(.sink(0, exchange: probe.id, .unanswered(reason: "too many queries"))) }
    probes = []
  }

  /// Lets time pass, and answers R7's probes `took` ms after they were asked; ends when something else is asked, or after `limit` ms.
  mutating func settle(took: Int64, limit: Int64) {
    let end = sealing.clock + limit
    while asked.isEmpty, sealing.clock < end {
      sealing.clock += 100
      var commands = sealing.step(.wake)
      for probe in probes where probe.at + took <= sealing.clock {
        let answer = SinkAnswer.serverTime(
          seconds: 9, fastestSeconds: 9, uptimeSeconds: 1_000_000, tookMilliseconds: sealing.clock - probe.at)
        commands += sealing.step(.sink(0, exchange: probe.id, answer))
      }
      let clock = sealing.clock
      probes.removeAll { $0.at + took <= clock }
      note(commands)
    }
  }
}

@Suite struct DoubtTests {
  @Test func `a batch in doubt is counted before it is sent again, and is committed where all of it is there (R9)`() {
    var doubtful = Doubtful()
    #expect(doubtful.asked == ["count 1"])
    let commands = doubtful.answer(.counted(5))
    #expect(commands.contains { if case .append(.ack(let ack)) = $0 { ack.batch == 1 } else { false } })
  }

  @Test func `a batch in doubt of which nothing is there is sent again under its token at once (R9)`() {
    var doubtful = Doubtful()
    _ = doubtful.answer(.counted(0))
    #expect(doubtful.asked == ["insert 1"])
  }

  @Test func `a batch of which some is there is made dead, and counted again before anything of it is sent (R9, R8)`() {
    var doubtful = Doubtful()
    _ = doubtful.answer(.counted(3))
    #expect(doubtful.asked.isEmpty)
    doubtful.settle(took: 1, limit: 20_000)
    #expect(doubtful.asked == ["list"])
    _ = doubtful.answer(.running([]))
    doubtful.settle(took: 1, limit: 5_000)
    #expect(doubtful.asked == ["count 1"])
  }

  @Test func `with window_reserve unlimited nothing is sent again before its attempts are dead (R9)`() {
    var doubtful = Doubtful(reserve: nil)
    _ = doubtful.answer(.counted(0))
    #expect(doubtful.asked.isEmpty)
    doubtful.settle(took: 1, limit: 20_000)
    #expect(doubtful.asked == ["list"])
  }

  @Test func `a batch whose repeat isn't answered within settle of its count is not sent a third time before its attempts are dead (R9)`() {
    var doubtful = Doubtful()
    _ = doubtful.answer(.counted(0))
    #expect(doubtful.asked == ["insert 1"])
    doubtful.sealing.clock += 6_000
    _ = doubtful.answer(.unknown(reason: "timed out"))
    doubtful.untilAsked()
    #expect(doubtful.asked == ["count 1"])
    _ = doubtful.answer(.counted(0))
    #expect(doubtful.asked.isEmpty)
  }

  @Test func `a recovered batch is counted before anything of it is sent (R9)`() {
    var sealing = Sealing(records: [.seal(Seal(epoch: 0, covered: [], batches: [batch(1, rows: 5)]))])
    let found = asked(sealing.live())
    #expect(found.contains("count 1"))
    #expect(!found.contains("insert 1"))
  }

  @Test func `a deadline of another destination's batch of the same number is not this one's (R8)`() throws {
    func asksAfterNone(_ destination: Destination) throws -> [String] {
      let sealed = LogRecord.seal(Seal(epoch: 0, covered: [], batches: [batch(1, rows: 5), batch(1, rows: 1, .deadLetters)]))
      let deadline = LogRecord.deadline(Deadline(destination: destination, batch: 1, seconds: 4_000_000_000))
      var sealing = Sealing(records: [sealed, deadline])
      let commands = sealing.live()
      let count = try #require(zip(asked(commands), ids(commands)).first { $0.0 == "count 1" })
      return asked(sealing.step(.sink(0, exchange: count.1, .counted(0))))
    }
    #expect(try asksAfterNone(.deadLetters).contains("insert 1"))
    // Its own: a guarded insert of an earlier life may still write until then.
    #expect(try !asksAfterNone(.table).contains("insert 1"))
  }

  @Test func `more rows than were sealed stop the pipeline, and the message names what may have done it (R8)`() throws {
    var doubtful = Doubtful()
    let told = try #require(stop(doubtful.answer(.counted(10))))
    #expect(told.rule == "R8" && told.kind == .promise)
    #expect(told.message.contains("window_reserve: unlimited") && told.message.contains("settle"))
    var unlimited = Doubtful(reserve: nil)
    let other = try #require(stop(unlimited.answer(.counted(10))))
    #expect(!other.message.contains("window_reserve"))
  }

  @Test(arguments: [1, 900, 1_100, 3_000, 9_000, 25_000] as [Int64])
  func `attempts are found dead by a server that takes this long to answer, however long it takes (R7)`(took: Int64) {
    var doubtful = Doubtful(reserve: nil)
    _ = doubtful.answer(.counted(0))
    let begun = doubtful.sealing.clock
    doubtful.settle(took: took, limit: 60_000 + 10 * took)
    let waited = doubtful.sealing.clock - begun
    #expect(doubtful.asked == ["list"])
    #expect(waited >= 5_000)
  }

  @Test func `a wait for dead attempts is told after ten seconds, with what it waits for`() {
    var doubtful = Doubtful(reserve: nil)
    var lines = said(doubtful.answer(.counted(0)))
    let early = doubtful.sealing.start.core.progress.waits.count { $0.reason.contains("may still write") }
    #expect(early == 0)
    // No probe is answered.
    for _ in 0..<99 {
      doubtful.sealing.clock += 100
      lines += said(doubtful.sealing.step(.wake))
    }
    #expect(!lines.contains { $0.contains("may still write") })
    for _ in 0..<11 {
      doubtful.sealing.clock += 100
      lines += said(doubtful.sealing.step(.wake))
    }
    let late = doubtful.sealing.start.core.progress.waits
    #expect(late.contains { $0.subject == .clickhouse })
    #expect(lines.contains { $0.contains("waiting for ClickHouse") && $0.contains("may still write") })
  }

  @Test func `an INSERT that hangs is told after ten seconds, although probes are answered meanwhile`() {
    var doubtful = Doubtful()
    _ = doubtful.answer(.counted(5))
    var lines: [String] = []
    var probes = 0
    let hanging = asked(doubtful.sealing.seal(batch(2, rows: 5)))
    #expect(hanging.contains("insert 2"))
    doubtful.failProbes()
    func isTold(_ waits: [Wait]) -> Bool { waits.contains { $0.reason.contains("requests are out") } }
    for second in 1...12 {
      doubtful.sealing.clock += 1000
      let commands = doubtful.sealing.step(.wake)
      lines += said(commands)
      for (what, id) in zip(asked(commands), ids(commands)) where what == "time" {
        probes += 1
        lines += said(doubtful.sealing.step(.sink(0, exchange: id, .unanswered(reason: "too many queries"))))
      }
      if second < 10 {
        let early = isTold(doubtful.sealing.start.core.progress.waits)
        #expect(!early)
      }
    }
    let late = isTold(doubtful.sealing.start.core.progress.waits)
    #expect(probes > 5 && late)
    #expect(lines.contains { $0.contains("waiting for ClickHouse: 1 requests are out") })
  }

  @Test func `no two lives use the same query id, however often a batch is tried`() {
    func attempt(_ commands: [Command]) -> Int {
      for case .exchange(_, _, .insert(_, let attempt, _, _)) in commands { return attempt }
      return 0
    }
    var first = Sealing()
    _ = first.live()
    let early = attempt(first.seal(batch(1, rows: 5)))
    var later = Sealing(records: [.restart(Restart(lineage: Start.lineage, instance: 1, lastKeptEpoch: 0, wallMilliseconds: 0))])
    _ = later.live()
    let late = attempt(later.seal(batch(1, rows: 5)))
    #expect(early > 0 && late - early > 1_000_000)
  }
}
