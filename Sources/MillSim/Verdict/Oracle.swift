/// What an epoch took, as the log decided it; without the log's own types, so that the oracle shares no code with what it judges.
package struct EpochFact: Hashable, Sendable {
  package struct Range: Hashable, Sendable {
    /// The slot: 20 bits of the partition, and the source's number before them.
    package var partition: Int32
    package var start: Int64
    package var next: Int64
    package var isIdle: Bool

    package init(partition: Int32, start: Int64, next: Int64, isIdle: Bool) {
      self.partition = partition
      self.start = start
      self.next = next
      self.isIdle = isIdle
    }
  }

  package var number: UInt64
  /// ms since 1970.
  package var clock: Int64
  package var ranges: [Range]
  /// Recorded by an older release, which measured event times against Kafka's timestamp only.
  package var isOlder: Bool
  /// What the file calls its sources, by number; empty: there is one.
  package var names: [Int32: String]

  package init(number: UInt64, clock: Int64, ranges: [Range], isOlder: Bool = false, names: [Int32: String] = [:]) {
    self.names = names
    self.number = number
    self.clock = clock
    self.ranges = ranges
    self.isOlder = isOlder
  }
}

/// What the pipeline defines for the recorded epochs, worked out record by record in the plainest way there is.
///
/// From the promise only: the pipeline format's §1.2. No key table, no expiry, no batches: of each key all that was ever kept is searched.
package struct Oracle {
  /// What becomes of a record.
  package enum Fate: Hashable, Sendable {
    case emitted(LogicalRecord.Event)
    case duplicate
    case late
    case undecodable
    /// A filter's condition isn't true.
    case filtered
    /// An expression fails: a dead letter, or counted only.
    case failed(Shaping.Errors)

    /// No row came of it, and that isn't right.
    package var isError: Bool {
      switch self {
      case .undecodable, .failed: true
      case .emitted, .duplicate, .late, .filtered: false
      }
    }
  }

  package struct Rules: Sendable {
    package var hasEventTime: Bool
    package var within: Int64
    package var allowedLateness: Int64
    package var outOfOrderness: Int64
    /// Of sources whose own is another, by name.
    package var outOfOrdernessBySource: [String: Int64] = [:]
    /// How far an event time may lie ahead of Kafka's timestamp and of the epoch's clock, ms.
    package var maxAhead: Int64
    /// What that was in the older release.
    package var olderMaxAhead: Int64
    package var shaping: Shaping

    package init(
      hasEventTime: Bool, within: Int64, allowedLateness: Int64, outOfOrderness: Int64, outOfOrdernessBySource: [String: Int64] = [:],
      maxAhead: Int64, olderMaxAhead: Int64 = 86_400_000, shaping: Shaping = Shaping()
    ) {
      self.hasEventTime = hasEventTime
      self.within = within
      self.allowedLateness = allowedLateness
      self.outOfOrderness = outOfOrderness
      self.outOfOrdernessBySource = outOfOrdernessBySource
      self.maxAhead = maxAhead
      self.olderMaxAhead = olderMaxAhead
      self.shaping = shaping
    }
  }

  /// A record's fate, in processing order.
  package struct Judged: Sendable {
    package var origin: Origin
    package var epoch: UInt64
    package var fate: Fate
  }

  package let rules: Rules

  /// Of a key: the time that decides.
  private typealias Kept = (id: UInt32, shape: UInt8, text: String?, time: Int64)

  package init(_ rules: Rules) { self.rules = rules }

  /// Judges every record of the epochs, which stand in order. `record`: what the generator put at a place, nil for gaps.
  package func judge(_ epochs: [EpochFact], record: (Origin) -> LogicalRecord?) -> [Judged] {
    var judged: [Judged] = []
    // Of each key: the time that decides, and nothing else.
    var kept: [Kept] = []
    var highest: [(partition: Int32, time: Int64)] = []
    var watermarks = SourceWatermarks(rules)
    for epoch in epochs {
      let watermark = watermarks.next(epoch, highest)
      // By the sources' names, then by partition.
      let ranges = epoch.ranges.sorted {
        (epoch.names[$0.source] ?? "", $0.partition) < (epoch.names[$1.source] ?? "", $1.partition)
      }
      for range in ranges {
        for offset in range.start..<max(range.start, range.next) {
          let origin = Origin(partition: range.partition, offset: offset)
          guard let record = record(origin) else { continue }
          judged.append(Judged(origin: origin, epoch: epoch.number, fate: fate(record, epoch, watermark, &kept, &highest, range.partition)))
        }
      }
    }
    return judged
  }

  private func fate(
    _ record: LogicalRecord, _ epoch: EpochFact, _ watermark: Int64, _ kept: inout [Kept],
    _ highest: inout [(partition: Int32, time: Int64)], _ partition: Int32
  ) -> Fate {
    guard case .event(let event) = record.content else { return .undecodable }
    let time = rules.hasEventTime ? event.at : epoch.clock
    if rules.hasEventTime {
      let bound = epoch.isOlder ? record.timestamp + rules.olderMaxAhead : min(record.timestamp, epoch.clock) + rules.maxAhead
      if event.at > bound { return .undecodable }
      if let index = highest.firstIndex(where: { $0.partition == partition }) {
        highest[index].time = max(highest[index].time, event.at)
      } else {
        highest.append((partition, event.at))
      }
    }
    // A record that has left in front of the deduplicate is neither late nor remembered.
    switch Shaping.judge(rules.shaping.before, event) {
    case .filtered: return .filtered
    case .failed(let errors): return .failed(errors)
    case .passes(let shaped):
      if rules.hasEventTime, watermark != Int64.min, time < watermark - rules.allowedLateness { return .late }
      if isDuplicate(shaped, time, &kept) { return .duplicate }
      switch Shaping.judge(rules.shaping.behind, shaped) {
      case .filtered: return .filtered
      case .failed(let errors): return .failed(errors)
      case .passes(let last): return .emitted(last)
      }
    }
  }

  private func isDuplicate(_ event: LogicalRecord.Event, _ time: Int64, _ kept: inout [Kept]) -> Bool {
    guard let index = kept.firstIndex(where: { $0.id == event.id && $0.shape == event.shape && $0.text == event.text }) else {
      kept.append((event.id, event.shape, event.text, time))
      return false
    }
    if abs(time - kept[index].time) < rules.within { return true }
    kept[index].time = max(kept[index].time, time)
    return false
  }
}
