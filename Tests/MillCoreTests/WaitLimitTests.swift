import MillCore
import Testing

@Suite struct WaitLimitTests {
  private func again(_ commands: [Command]) -> [String] {
    commands.compactMap {
      if case .say(.warning, let text) = $0, text.hasPrefix("has waited") { text } else { nil }
    }
  }

  @Test(arguments: ["HTTP 404: nothing here (waiting doesn't mend this)", "HTTP 502: bad gateway", "connection refused"])
  func `a wait is told again after a minute, once, and what has lasted ends with a commit`(reason: String) throws {
    var sealing = Sealing()
    _ = sealing.live()
    var sent = try #require(insert(sealing.seal(batch(1, rows: 5)), 1))
    var told: [String] = []
    for _ in 0..<200 {
      told += again(sealing.step(.sink(0, exchange: sent, .notSent(reason: reason))))
      var commands = sealing.step(.wake)
      while insert(commands, 1) == nil {
        sealing.clock += 500
        commands = sealing.step(.wake)
        commands += sealing.answerKafka(commands)
        told += again(commands)
      }
      sent = try #require(insert(commands, 1))
      if sealing.clock > 300_000 { break }
    }
    #expect(told.count == 1 && told[0].hasPrefix("has waited 60 s for ClickHouse") && told[0].hasSuffix(reason), "\(told)")
    // So long after its first try its rows are counted, whatever the answer was.
    let commands = sealing.step(.sink(0, exchange: sent, .committed))
    let count = try #require(commands.compactMap { if case .exchange(_, let id, .count) = $0 { id } else { nil } }.first)
    _ = sealing.step(.sink(0, exchange: count, .counted(5)))
    let waits = sealing.start.core.progress.waits
    #expect(!waits.contains { $0.reason == reason }, "\(waits)")
  }
}
