/// How far event time has come in one source. A pure value: what it says depends on what it was told alone.
///
/// Per partition the highest event time seen, less `out_of_orderness`; the watermark is the least of these over the partitions that aren't
/// idle, and never goes back. A partition that has had no record yet holds the watermark back as long as it isn't idle: nobody knows what
/// times are still to come from it. Where every partition is idle, the watermark stays. Without event time the epoch's clock is the
/// watermark.
package struct WatermarkTracker: Hashable, Sendable {
  /// Stands for a partition's highest event time before its first record, and for the watermark before there is one.
  package static let none = Int64.min

  /// Milliseconds; nil where records have no time of their own.
  package let outOfOrderness: Int64?
  /// Highest event time of each partition in milliseconds, or ``none``.
  package private(set) var maxEventTimes: [Int64]
  /// What ``advance(idle:clockMilliseconds:)`` said last, or ``none``.
  package private(set) var watermark: Int64

  /// New, or from what a manifest says.
  package init(outOfOrderness: Int64?, maxEventTimes: [Int64], watermark: Int64 = Self.none) {
    self.outOfOrderness = outOfOrderness
    self.maxEventTimes = maxEventTimes
    self.watermark = watermark
  }

  package init(_ plan: SourcePlan, partitionCount: Int) {
    self.init(outOfOrderness: plan.eventTime?.outOfOrderness, maxEventTimes: Array(repeating: Self.none, count: partitionCount))
  }

  /// Partitions that were added to the topic; they have had no record.
  package mutating func grow(partitionCount: Int) {
    while maxEventTimes.count < partitionCount { maxEventTimes.append(Self.none) }
  }

  /// Takes in the event times of a partition's decoded records.
  package mutating func observe(partition: Int, eventTime: Int64) {
    if eventTime > maxEventTimes[partition] { maxEventTimes[partition] = eventTime }
  }

  /// Takes in the event times (`Int64` each) of a block's rows, all of one partition.
  package mutating func observe(partition: Int, eventTimes: UnsafeRawBufferPointer) {
    var highest = maxEventTimes[partition]
    var offset = 0
    while offset + 8 <= eventTimes.count {
      highest = max(highest, unsafe eventTimes.loadUnaligned(fromByteOffset: offset, as: Int64.self))
      offset &+= 8
    }
    maxEventTimes[partition] = highest
  }

  /// The watermark with these partitions idle (index: partition; missing ones aren't) and this clock reading of the epoch. Doesn't change
  /// anything.
  package func watermark(idle: [Bool], clockMilliseconds: Int64) -> Int64 {
    guard let outOfOrderness else { return max(watermark, clockMilliseconds) }
    var least: Int64?
    for (partition, time) in maxEventTimes.enumerated() where partition >= idle.count || !idle[partition] {
      if time == Self.none { return watermark }
      let candidate = time.subtractingReportingOverflow(outOfOrderness)
      least = min(least ?? .max, candidate.overflow ? Self.none : candidate.partialValue)
    }
    return max(watermark, least ?? watermark)
  }

  /// Moves the watermark on to what others have come to.
  package mutating func raise(to other: Int64) { watermark = max(watermark, other) }

  /// Moves the watermark to ``watermark(idle:clockMilliseconds:)`` and returns it.
  @discardableResult
  package mutating func advance(idle: [Bool], clockMilliseconds: Int64) -> Int64 {
    watermark = watermark(idle: idle, clockMilliseconds: clockMilliseconds)
    return watermark
  }
}
