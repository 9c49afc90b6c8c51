extension EpochFact.Range {
  /// The number of its source.
  var source: Int32 { partition >> 20 }
}

/// How far event time has come where all sources' rows meet: the least of what the sources have come to. Worked out from the recorded
/// epochs alone, in the plainest way.
struct SourceWatermarks {
  private let rules: Oracle.Rules
  /// By source's number; none: it has shown nothing.
  private var own: [Int32: Int64] = [:]
  private var met = Int64.min

  init(_ rules: Oracle.Rules) { self.rules = rules }

  /// As of an epoch's start; nothing goes back. `highest`: of each partition that has shown a time.
  mutating func next(_ epoch: EpochFact, _ highest: [(partition: Int32, time: Int64)]) -> Int64 {
    guard rules.hasEventTime else { return epoch.clock }
    let sources = Set(epoch.ranges.map(\.source))
    var awake: [Int64] = []
    for source in sources {
      let counting = epoch.ranges.filter { $0.source == source && !$0.isIdle }
      own[source] = max(own[source] ?? Int64.min, least(counting, highest, epoch.names[source] ?? ""))
      if !counting.isEmpty { awake.append(own[source]!) }
    }
    // A source that sleeps goes with the slowest of those that don't.
    if let slowest = awake.min() {
      for source in sources where !epoch.ranges.contains(where: { $0.source == source && !$0.isIdle }) {
        own[source] = max(own[source]!, slowest)
      }
    }
    met = max(met, sources.map { own[$0]! }.min() ?? Int64.min)
    return met
  }

  // Of the partitions that count, of the highest time seen; a partition that has shown none holds it back.
  private func least(_ ranges: [EpochFact.Range], _ highest: [(partition: Int32, time: Int64)], _ name: String) -> Int64 {
    let outOfOrderness = rules.outOfOrdernessBySource[name] ?? rules.outOfOrderness
    var least: Int64?
    for range in ranges {
      guard let seen = highest.first(where: { $0.partition == range.partition }) else { return Int64.min }
      least = min(least ?? Int64.max, seen.time - outOfOrderness)
    }
    return least ?? Int64.min
  }
}
