internal import MillFlow

/// A simulated Kafka cluster with one topic, and the job's consumer group. It outlives every crash of the engine.
package final class SimBroker {
  /// What stands at an offset.
  package enum Slot: Sendable {
    case record(LogicalRecord, payload: [UInt8]?)
    /// An aborted record or a transaction's marker: takes an offset, is never delivered.
    case gap
  }

  package struct Partition: Sendable {
    /// Offset of `slots[0]`; a topic that lived before has no longer all its records.
    package let base: Int64
    package fileprivate(set) var low: Int64
    package fileprivate(set) var slots: [Slot] = []
    /// First offset of a transaction that is still open; nothing from here on can be read.
    package fileprivate(set) var openTransaction: Int64?

    /// Records from here on are gone, and none comes any more.
    package fileprivate(set) var cutAt: Int64?

    package var end: Int64 { cutAt ?? written }
    package var stableEnd: Int64 { openTransaction ?? end }
    /// The end of what was ever written.
    fileprivate var written: Int64 { base + Int64(slots.count) }

    package func slot(_ offset: Int64) -> Slot? {
      offset >= base && offset < end ? slots[Int(offset - base)] : nil
    }
  }

  package struct Rates: Sendable {
    package var outage = 0.0
    package var slow = 0.0
    package var gap = 0.0
    package var stall = 0.0
    /// The longest that a transaction stays open, ms.
    package var stallMilliseconds: Int64 = 3000
    package var commitFails = 0.0
    package var commitTakesEffect = 0.0
    package init() {}

    /// Half of them, as much as they may be.
    init(_ draws: Draws) {
      func rate(_ most: Double) -> Double { draws.chance(0.5) ? most * Double(draws.within(1...10)) / 10 : 0 }
      (outage, slow, gap, stall) = (rate(0.2), rate(0.5), rate(0.1), rate(0.02))
      (commitFails, commitTakesEffect) = (rate(0.3), rate(0.3))
    }
  }

  package let clusterID: String
  package let topic: String
  package private(set) var partitions: [Partition] = []
  /// The group's committed metadata and offsets; nil: none, or expired.
  package var committed: (witness: String, offsets: [Int64])?
  package var rates = Rates()
  package private(set) var isDown = false
  /// Away until somebody ends it, beside all other troubles.
  package var isOut = false
  /// The partition that all records go to for now; nil: to each.
  package private(set) var onlyPartition: Int?
  package let draws: Draws
  package let trace: Trace
  private let scheduler: Scheduler
  /// Event times stand in the payload as whole seconds.
  private let usesSeconds: Bool

  package init(
    clusterID: String = "sim-cluster", topic: String = "events", partitionCount: Int, usesSeconds: Bool, draws: Draws,
    scheduler: Scheduler, trace: Trace
  ) {
    self.clusterID = clusterID
    self.topic = topic
    self.draws = draws
    self.scheduler = scheduler
    self.trace = trace
    self.usesSeconds = usesSeconds
    for _ in 0..<partitionCount { addPartition() }
  }

  /// Makes one more partition, empty.
  /// - Parameter isNew: it has never had a record.
  package func addPartition(isNew: Bool = false) {
    let base = draws.chance(0.3) && !isNew ? draws.within(Int64(1)...5000) : 0
    partitions.append(Partition(base: partitions.isEmpty ? base : draws.chance(0.5) ? 0 : base, low: base))
    let last = partitions.count - 1
    partitions[last].low = partitions[last].base
  }

  /// Appends a record, and perhaps what aborted transactions leave behind. Returns its offset.
  @discardableResult
  package func append(_ record: LogicalRecord, partition: Int) -> Int64 {
    guard partitions[partition].cutAt == nil else { return partitions[partition].end }
    if draws.chance(rates.gap) { appendGap(partition, count: draws.within(1...3)) }
    if partitions[partition].openTransaction == nil, draws.chance(rates.stall) {
      trace.hit(.kafkaStall, "partition \(partition)")
      partitions[partition].openTransaction = partitions[partition].end
      scheduler.after(draws.within(5...rates.stallMilliseconds)) { [self] in partitions[partition].openTransaction = nil }
    }
    let offset = partitions[partition].end
    partitions[partition].slots.append(.record(record, payload: record.payload(seconds: usesSeconds)))
    if draws.chance(rates.gap) {
      trace.hit(.kafkaGapAtEnd, "partition \(partition)")
      appendGap(partition, count: 1)
    }
    return offset
  }

  private func appendGap(_ partition: Int, count: Int) {
    trace.hit(.kafkaGap, "partition \(partition)")
    for _ in 0..<count { partitions[partition].slots.append(.gap) }
  }

  /// Retention takes away everything below `low`.
  package func retain(partition: Int, from low: Int64) {
    trace.hit(.kafkaRetention, "partition \(partition) from \(low)")
    partitions[partition].low = min(max(partitions[partition].low, low), partitions[partition].end)
  }

  /// Puts other bytes where a record was, as an unclean election may; what the generator meant stays what it was.
  package func rewrite(_ origin: Origin) {
    let index = Int(origin.offset - partitions[Int(origin.partition)].base)
    guard case .record(let record, _)? = partitions[Int(origin.partition)].slot(origin.offset) else { return }
    partitions[Int(origin.partition)].slots[index] = .record(record, payload: Self.rewritten)
  }

  private static let rewritten = Array("{\"changed\":true}".utf8)

  /// No record that is there is one that the generator wrote.
  package var isAllRewritten: Bool {
    partitions.allSatisfy { $0.slots.allSatisfy { if case .record(_, let payload) = $0 { payload == Self.rewritten } else { true } } }
  }

  /// The newest records of a partition are lost from `offset` on, as by an unclean election, and no others come.
  package func cut(partition: Int, at offset: Int64) {
    trace.hit(.kafkaCut, "partition \(partition) at \(offset)")
    partitions[partition].openTransaction = nil
    partitions[partition].cutAt = offset
  }

  /// The topic is deleted and made anew with other records, as many as there were before. For `quietMilliseconds` new ones come into one
  /// partition only.
  package func recreateTopic(quietMilliseconds: Int64) {
    trace.hit(.kafkaTopicAnew)
    if quietMilliseconds > 0 {
      onlyPartition = draws.below(partitions.count)
      scheduler.after(quietMilliseconds) { [self] in onlyPartition = nil }
    }
    for partition in partitions.indices {
      for offset in partitions[partition].base..<partitions[partition].end { rewrite(Origin(partition: Int32(partition), offset: offset)) }
      partitions[partition].openTransaction = nil
    }
  }

  /// All brokers go away for `milliseconds`.
  package func fail(for milliseconds: Int64) {
    guard !isDown else { return }
    trace.hit(.kafkaOutage, "for \(milliseconds) ms")
    isDown = true
    scheduler.after(milliseconds) { [self] in isDown = false }
  }

  /// Ends what still hinders reading: faults are over.
  package func heal() {
    isDown = false
    rates = Rates()
    for index in partitions.indices { partitions[index].openTransaction = nil }
  }

  /// What the generator put at `origin`, whether or not it is still there.
  package func record(_ origin: Origin) -> LogicalRecord? {
    guard partitions.indices.contains(Int(origin.partition)) else { return nil }
    let partition = partitions[Int(origin.partition)]
    guard origin.offset >= partition.base, origin.offset < partition.written else { return nil }
    if case .record(let record, _) = partition.slots[Int(origin.offset - partition.base)] { return record }
    return nil
  }
}
