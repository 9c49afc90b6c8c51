import MillSim
import Testing

/// Several sources, worked out by hand from the pipeline format's §1.2: one order, one watermark where their rows meet.
struct SourcesOracleTests {
  private static let base: Int64 = 1_000_000
  private static let names: [Int32: String] = [0: "events", 1: "another"]
  private let rules = Oracle.Rules(hasEventTime: true, within: 100, allowedLateness: 50, outOfOrderness: 10, maxAhead: 600_000)

  private func event(_ id: UInt32, at: Int64) -> LogicalRecord {
    LogicalRecord(timestamp: Self.base + at, key: nil, content: .event(.init(id: id, group: 0, amount: 0, at: Self.base + at)))
  }

  /// What an epoch takes of each source's only partition; nil: the file hasn't the source. Idle: the sources that are.
  private struct Epoch {
    var events: Int?
    var another: Int?
    var idle: Set<Int32> = []
  }

  private func fates(_ rules: Oracle.Rules, events: [LogicalRecord], another: [LogicalRecord], _ epochs: [Epoch]) -> [String] {
    var next: [Int32: Int64] = [:]
    let facts = epochs.enumerated().map { number, epoch in
      let counts = [(Int32(0), epoch.events), (Int32(1), epoch.another)]
      let ranges = counts.compactMap { source, count -> EpochFact.Range? in
        guard let count else { return nil }
        let start = next[source] ?? 0
        next[source] = start + Int64(count)
        return EpochFact.Range(partition: source << 20, start: start, next: start + Int64(count), isIdle: epoch.idle.contains(source))
      }
      return EpochFact(number: UInt64(number + 1), clock: Self.base + 1_000_000_000, ranges: ranges, names: Self.names)
    }
    return Oracle(rules).judge(facts) { ($0.partition == 0 ? events : another)[Int($0.offset)] }.map { judged in
      let fate =
        switch judged.fate {
        case .emitted: "emitted"
        case .duplicate: "duplicate"
        case .late: "late"
        default: "other"
        }
      return "\(judged.origin.partition == 0 ? "events" : "another") \(fate)"
    }
  }

  @Test func `an epoch takes its sources by their names, and a key of both is emitted once`() {
    let found = fates(rules, events: [event(1, at: 0)], another: [event(1, at: 50)], [Epoch(events: 1, another: 1)])
    #expect(found == ["another emitted", "events duplicate"])
  }

  @Test func `what is late is told by the source that is furthest behind`() {
    let events = [event(1, at: 1000), event(2, at: 440), event(3, at: 439)]
    let found = fates(rules, events: events, another: [event(4, at: 500)], [Epoch(events: 1, another: 1), Epoch(events: 2, another: 0)])
    #expect(found == ["another emitted", "events emitted", "events emitted", "events late"])
  }

  @Test func `a source that sleeps goes with the others, and what it brings later is late`() {
    let events = [event(1, at: 1000), event(2, at: 940), event(3, at: 939)]
    let found = fates(
      rules, events: events, another: [event(4, at: 500), event(5, at: 939)],
      [Epoch(events: 1, another: 1), Epoch(events: 2, another: 0, idle: [1]), Epoch(events: 0, another: 1)])
    #expect(found == ["another emitted", "events emitted", "events emitted", "events late", "another late"])
  }

  @Test func `where all sleep nothing moves`() {
    let found = fates(
      rules, events: [event(1, at: 1000), event(2, at: 441)], another: [event(4, at: 500)],
      [Epoch(events: 1, another: 1), Epoch(events: 1, another: 0, idle: [0, 1])])
    #expect(found == ["another emitted", "events emitted", "events emitted"])
  }

  @Test func `a source that joins holds the watermark, and doesn't turn it back`() {
    let events = [event(1, at: 1000), event(2, at: 2000), event(3, at: 939), event(4, at: 940)]
    let found = fates(
      rules, events: events, another: [], [Epoch(events: 1), Epoch(events: 1), Epoch(events: 2, another: 0)])
    #expect(found == ["events emitted", "events emitted", "events late", "events emitted"])
  }

  @Test func `each source has its own disorder`() {
    var rules = rules
    rules.outOfOrdernessBySource = ["another": 300]
    let events = [event(1, at: 1000), event(2, at: 650), event(3, at: 649)]
    let found = fates(rules, events: events, another: [event(4, at: 1000)], [Epoch(events: 1, another: 1), Epoch(events: 2, another: 0)])
    #expect(found == ["another emitted", "events emitted", "events emitted", "events late"])
  }
}
