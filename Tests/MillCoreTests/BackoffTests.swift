import MillCore
import Testing

@Suite struct BackoffTests {
  /// How long the core waits before each of its next tries when none reaches the server: it is woken when it wants to be.
  private func waits(_ tries: Int, instance: UInt64) throws -> [Int64] {
    var sealing = Sealing(instance: instance)
    _ = sealing.live()
    var sent = try #require(insert(sealing.seal(batch(1, rows: 5)), 1))
    var waits: [Int64] = []
    for _ in 0..<tries {
      var commands = sealing.step(.sink(0, exchange: sent, .notSent(reason: "connection refused")))
      let failedAt = sealing.clock
      while insert(commands, 1) == nil, sealing.clock < failedAt + 100_000 {
        sealing.clock = max(sealing.clock + 1, min(sealing.start.core.wakeAt ?? .max, failedAt + 100_000))
        commands = sealing.step(.wake)
      }
      sent = try #require(insert(commands, 1))
      waits.append(sealing.clock - failedAt)
    }
    return waits
  }

  @Test func `tries go on without end, each after a wait that doubles up to 30 s, of which a half to all is waited`() throws {
    for instance: UInt64 in 1...8 {
      let waits = try waits(40, instance: instance)
      for (number, wait) in waits.enumerated() {
        let most: Int64 = number < 5 ? 1000 << Int64(number) : 30_000
        #expect(wait >= most / 2 && wait <= most + 10, "try \(number) of instance \(instance) waited \(wait) ms of \(most)")
      }
      #expect(Set(waits.suffix(30)).count > 15, "the waits of instance \(instance) are hardly spread: \(waits)")
    }
  }

  @Test func `instances don't come back at once`() throws {
    let fourth = try (1...32).map { try waits(4, instance: $0)[3] }
    #expect(Set(fourth).count > 20, "\(fourth)")
  }
}
