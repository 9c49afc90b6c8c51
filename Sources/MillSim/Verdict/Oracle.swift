/// What an epoch took, as the log decided it; without the log's own types, so that the oracle shares no code with what it judges.
package struct EpochFact: Hashable, Sendable {
  package struct Range: Hashable, Sendable {
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

  package init(number: UInt64, clock: Int64, ranges: [Range], isOlder: Bool = false) {
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
  }

  package struct Rules: Sendable {
    package var hasEventTime: Bool
    package var within: Int64
    package var allowedLateness: Int64
    package var outOfOrderness: Int64
    /// How far an event time may lie ahead of Kafka's timestamp and of the epoch's clock, ms.
    package var maxAhead: Int64
    /// What that was in the older release.
    package var olderMaxAhead: Int64

    package init(
      hasEventTime: Bool, within: Int64, allowedLateness: Int64, outOfOrderness: Int64, maxAhead: Int64, olderMaxAhead: Int64 = 86_400_000
    ) {
      self.hasEventTime = hasEventTime
      self.within = within
      self.allowedLateness = allowedLateness
      self.outOfOrderness = outOfOrderness
      self.maxAhead = maxAhead
      self.olderMaxAhead = olderMaxAhead
    }
  }

  /// A record's fate, in processing order.
  package struct Judged: Sendable {
    package var origin: Origin
    package var epoch: UInt64
    package var fate: Fate
  }

  package let rules: Rules

  package init(_ rules: Rules) { self.rules = rules }

  /// Judges every record of the epochs, which stand in order. `record`: what the generator put at a place, nil for gaps.
  package func judge(_ epochs: [EpochFact], record: (Origin) -> LogicalRecord?) -> [Judged] {
    var judged: [Judged] = []
    // Of each key: the time that decides, and nothing else.
    var kept: [(id: UInt32, shape: UInt8, time: Int64)] = []
    var highest: [(partition: Int32, time: Int64)] = []
    var watermark = Int64.min
    for epoch in epochs {
      watermark = max(watermark, watermarkNow(epoch, highest))
      for range in epoch.ranges.sorted(by: { $0.partition < $1.partition }) {
        for offset in range.start..<max(range.start, range.next) {
          let origin = Origin(partition: range.partition, offset: offset)
          guard let record = record(origin) else { continue }
          judged.append(Judged(origin: origin, epoch: epoch.number, fate: fate(record, epoch, watermark, &kept, &highest, range.partition)))
        }
      }
    }
    return judged
  }

  // The least, over the partitions that count, of the highest time seen; a partition that has shown none holds it back.
  private func watermarkNow(_ epoch: EpochFact, _ highest: [(partition: Int32, time: Int64)]) -> Int64 {
    guard rules.hasEventTime else { return epoch.clock }
    var least: Int64?
    for range in epoch.ranges where !range.isIdle {
      guard let seen = highest.first(where: { $0.partition == range.partition }) else { return Int64.min }
      least = min(least ?? Int64.max, seen.time - rules.outOfOrderness)
    }
    return least ?? Int64.min
  }

  private func fate(
    _ record: LogicalRecord, _ epoch: EpochFact, _ watermark: Int64, _ kept: inout [(id: UInt32, shape: UInt8, time: Int64)],
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
      if watermark != Int64.min, time < watermark - rules.allowedLateness { return .late }
    }
    guard let index = kept.firstIndex(where: { $0.id == event.id && $0.shape == event.shape }) else {
      kept.append((event.id, event.shape, time))
      return .emitted(event)
    }
    if abs(time - kept[index].time) < rules.within { return .duplicate }
    kept[index].time = max(kept[index].time, time)
    return .emitted(event)
  }
}
