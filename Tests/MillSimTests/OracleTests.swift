import MillSim
import Testing

/// Cases worked out by hand from the pipeline format's §1.2.
struct OracleTests {
  private static let base: Int64 = 1_000_000

  private func event(_ id: UInt32, at: Int64) -> LogicalRecord {
    LogicalRecord(
      timestamp: Self.base + at, key: nil, content: .event(.init(id: id, group: 0, amount: 0, at: Self.base + at)))
  }

  /// Records by partition; each inner array is an epoch: how many records of each partition it takes.
  private func fates(
    _ rules: Oracle.Rules, _ partitions: [[LogicalRecord]], epochs: [[Int]], idle: [[Bool]] = [], clocks: [Int64] = []
  ) -> [String] {
    var next = [Int64](repeating: 0, count: partitions.count)
    var facts: [EpochFact] = []
    for (number, counts) in epochs.enumerated() {
      var ranges: [EpochFact.Range] = []
      for (partition, count) in counts.enumerated() {
        let isIdle = idle.isEmpty ? false : idle[number][partition]
        ranges.append(.init(partition: Int32(partition), start: next[partition], next: next[partition] + Int64(count), isIdle: isIdle))
        next[partition] += Int64(count)
      }
      facts.append(
        EpochFact(number: UInt64(number + 1), clock: clocks.isEmpty ? Self.base + 1_000_000_000 : clocks[number], ranges: ranges))
    }
    return Oracle(rules).judge(facts) { partitions[Int($0.partition)][Int($0.offset)] }.map { judged in
      switch judged.fate {
      case .emitted: "emitted"
      case .duplicate: "duplicate"
      case .late: "late"
      case .undecodable: "undecodable"
      case .filtered: "filtered"
      case .failed(let errors): "failed, \(errors.rawValue)"
      }
    }
  }

  private let rules = Oracle.Rules(hasEventTime: true, within: 100, allowedLateness: 50, outOfOrderness: 10, maxAhead: 600_000)

  @Test func `the first record of a key is kept, one within the window is a duplicate, one at its end is not`() {
    let records = [event(1, at: 0), event(1, at: 99), event(1, at: 100), event(2, at: 50)]
    #expect(fates(rules, [records], epochs: [[4]]) == ["emitted", "duplicate", "emitted", "emitted"])
  }

  @Test func `an earlier time within the window is a duplicate too, and the later of two times counts`() {
    let records = [event(1, at: 200), event(1, at: 101), event(1, at: 100), event(1, at: 150)]
    #expect(fates(rules, [records], epochs: [[4]]) == ["emitted", "duplicate", "emitted", "duplicate"])
  }

  @Test func `lateness is judged by the watermark at the start of the epoch`() {
    let records = [event(1, at: 1000), event(2, at: 0), event(3, at: 939), event(4, at: 940)]
    #expect(fates(rules, [records], epochs: [[2], [2]]) == ["emitted", "emitted", "late", "emitted"])
  }

  @Test func `late is decided before duplicate`() {
    let records = [event(1, at: 1000), event(1, at: 930)]
    #expect(fates(rules, [records], epochs: [[1], [1]]) == ["emitted", "late"])
  }

  @Test func `a partition that has shown no record holds the watermark back until it is idle`() {
    let records = [event(1, at: 1000), event(2, at: 0), event(3, at: 0)]
    #expect(
      fates(rules, [records, []], epochs: [[1, 0], [1, 0], [1, 0]], idle: [[false, false], [false, false], [false, true]])
        == ["emitted", "emitted", "late"])
  }

  @Test func `the watermark never goes back when a slow partition wakes`() {
    let fast = [event(1, at: 1000), event(2, at: 1001)]
    let slow = [event(3, at: 100), event(4, at: 100)]
    #expect(
      fates(rules, [fast, slow], epochs: [[1, 0], [1, 1], [0, 1]], idle: [[false, true], [false, true], [false, false]])
        == ["emitted", "emitted", "late", "late"])
  }

  @Test func `without event time the epoch's clock counts and nothing is late`() {
    let rules = Oracle.Rules(hasEventTime: false, within: 100, allowedLateness: 0, outOfOrderness: 0, maxAhead: 0)
    let records = [event(1, at: 0), event(1, at: 5000), event(1, at: 0)]
    #expect(fates(rules, [records], epochs: [[1], [1], [1]], clocks: [0, 99, 100]) == ["emitted", "duplicate", "emitted"])
  }

  @Test func `an event time too far ahead of the record or of the clock is an error of the record`() {
    var record = event(1, at: 0)
    record.timestamp -= 600_001
    #expect(fates(rules, [[record]], epochs: [[1]]) == ["undecodable"])
    record.timestamp += 1
    #expect(fates(rules, [[record]], epochs: [[1]]) == ["emitted"])
    #expect(fates(rules, [[event(1, at: 0)]], epochs: [[1]], clocks: [Self.base - 600_000]) == ["emitted"])
    #expect(fates(rules, [[event(1, at: 0)]], epochs: [[1]], clocks: [Self.base - 600_001]) == ["undecodable"])
  }

  @Test func `an older release measured against the record alone, by another bound`() {
    let range = EpochFact.Range(partition: 0, start: 0, next: 1, isIdle: false)
    func fate(_ timestamp: Int64, _ clock: Int64) -> Oracle.Fate? {
      let fact = EpochFact(number: 1, clock: clock, ranges: [range], isOlder: true)
      var record = event(1, at: 0)
      record.timestamp = timestamp
      return Oracle(rules).judge([fact]) { _ in record }.first?.fate
    }
    #expect(fate(Self.base - 86_400_000, 0) != .undecodable)
    #expect(fate(Self.base - 86_400_001, Self.base) == .undecodable)
  }

  private func shaped(before: [Shaping.Work], behind: [Shaping.Work] = [], errors: Shaping.Errors = .deadLetter) -> Oracle.Rules {
    var rules = self.rules
    rules.shaping.before = before.map { Shaping.Step(work: $0, errors: errors) }
    rules.shaping.behind = behind.map { Shaping.Step(work: $0, errors: errors) }
    return rules
  }

  private func event(_ id: UInt32, at: Int64, group: UInt32, amount: Int64) -> LogicalRecord {
    LogicalRecord(
      timestamp: Self.base + at, key: nil, content: .event(.init(id: id, group: group, amount: amount, at: Self.base + at)))
  }

  @Test func `what a filter leaves out in front is neither late nor remembered, and moves the watermark all the same`() {
    let records = [
      event(1, at: 1000, group: 1, amount: -1), event(1, at: 1000, group: 1, amount: 1), event(2, at: 0, group: 1, amount: -1),
      event(2, at: 0, group: 1, amount: 1),
    ]
    #expect(
      fates(shaped(before: [.filter(.amountAbove(0))]), [records], epochs: [[2], [2]]) == ["filtered", "emitted", "filtered", "late"])
  }

  @Test func `behind the deduplicate the key is taken by what is filtered then, or fails`() {
    let records = [
      event(1, at: 0, group: 0, amount: 9), event(1, at: 1, group: 1, amount: 9), event(2, at: 0, group: 1, amount: -9),
      event(2, at: 1, group: 1, amount: 9),
    ]
    let rules = shaped(before: [], behind: [.filter(.quotientAbove(9)), .filter(.amountAbove(0))], errors: .skip)
    #expect(fates(rules, [records], epochs: [[4]]) == ["failed, skip", "duplicate", "filtered", "duplicate"])
  }

  @Test func `NULL isn't true, and a select makes keys one`() {
    let records = [event(11, at: 0, group: 0, amount: 1), event(11, at: 0, group: 2, amount: 1), event(12, at: 1, group: 3, amount: 1)]
    let rules = shaped(before: [.filter(.groupIsNot0), .select(.shortID)])
    #expect(fates(rules, [records], epochs: [[3]]) == ["filtered", "emitted", "duplicate"])
  }
}
