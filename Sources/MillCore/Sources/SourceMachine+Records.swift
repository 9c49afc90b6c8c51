internal import MillBase
internal import MillLog

/// What lies in the partitions' buffers, how far each partition is read, and which are idle.
extension SourceMachine {
  var hasReachedEnd: Bool { partitions.indices.allSatisfy(hasReachedEnd) }

  func hasReachedEnd(_ partition: Int) -> Bool { partition >= endOffsets.count || partitions[partition].next >= endOffsets[partition] }

  mutating func takePolled(_ polled: Polled) {
    recordsTrouble(polled.trouble)
    guard surroundings.isRunning else { return }
    require(polled.next.count == partitions.count, "\(polled.next.count) partitions were polled, of \(partitions.count)")
    lastPolled = polled
    if surroundings.isReplaying {
      if let lost = polled.lost { return end(Self.lostInReplay(lost, its.topic)) }
      if let found = polled.unreadable { takeUnreadable(found) }
      boundBuffers(polled)
    } else {
      countQuiet(polled)
      if let lost = polled.lost { takeLost(lost) }
      if let found = polled.unreadable { takeUnreadable(found) }
    }
  }

  private static func lostInReplay(_ lost: PositionLost, _ topic: String) -> Stop {
    Stop(
      .promise, rule: "K3",
      "partition \(lost.partition) of \(topic): offset \(lost.offset) is not there any more (\(lost.reason)), while epochs were replayed: it was deleted, or the topic was made anew. Start again to learn what is lost"
    )
  }

  /// Adds up for how long each partition has had nothing to take, while it was asked. Records may have come during a wait for ClickHouse or
  /// for room, during an outage, or while the process was stopped, and those of another partition are often fetched first: a partition
  /// called idle then would let the watermark run ahead, and its own records would be late.
  private mutating func countQuiet(_ polled: Polled) {
    guard let idle = its.idleAfterMilliseconds else { return }
    let elapsed = monotonic - (lastPolledAt ?? monotonic)
    let isLongAgo = elapsed > max(idle / 8, 1000)
    guard polled.isAsked else {
      // What is in the buffers is worked off first: the next time that it is asked tells for how long it has been quiet. One that was idle
      // before a wait may have records by now.
      if isLongAgo { forgetQuiet() }
      return
    }
    lastPolledAt = monotonic
    let isAsked = polled.trouble == nil && !isLongAgo
    for index in partitions.indices {
      let isQuiet = isAsked && polled.isAtEnd[index] && polled.rows[index] == 0
      partitions[index].quietMilliseconds = isQuiet ? partitions[index].quietMilliseconds + elapsed : 0
      partitions[index].isIdle = partitions[index].quietMilliseconds >= idle
    }
  }

  /// Those who were idle in the epochs that were replayed need not be now.
  mutating func forgetQuiet() {
    for index in partitions.indices { (partitions[index].isIdle, partitions[index].quietMilliseconds) = (false, 0) }
  }

  // MARK: - Epochs

  /// What an epoch takes that ends here; index: partition. Nil: with all that the buffers hold.
  func part(upTo ends: [Int64]?) -> IntentPart {
    IntentPart(source: number, ranges: ranges(upTo: ends ?? lastPolled?.next ?? []), partitionCount: partitions.count, idle: idle)
  }

  private func ranges(upTo ends: [Int64]) -> [PartitionRange] {
    partitions.indices.prefix(ends.count).filter { ends[$0] > partitions[$0].next }.map { index in
      let partition = partitions[index]
      return PartitionRange(
        partition: Int32(index), start: partition.next, next: ends[index], anchorOffset: partition.anchorOffset,
        anchorTimestamp: partition.anchorTimestamp, anchorChecksum: partition.anchorChecksum)
    }
  }

  /// Partitions that have no say in the watermark.
  private var idle: Set<Int32> { Set(partitions.indices.filter { partitions[$0].isIdle }.map(Int32.init)) }

  /// The buffers hold records, or a position that has moved.
  var hasMoved: Bool { lastPolled.map { zip($0.next, partitions).contains { $0 > $1.next } } ?? false }

  /// An epoch was processed.
  mutating func take(_ part: IntentPart, _ result: EpochResult.Source) {
    watermark = result.watermark
    for range in part.ranges {
      let index = Int(range.partition)
      // Not back into what was given up.
      partitions[index].next = max(partitions[index].next, range.next)
      partitions[index].anchorOffset = range.anchorOffset
      partitions[index].anchorTimestamp = range.anchorTimestamp
      partitions[index].anchorChecksum = range.anchorChecksum
      partitions[index].maxEventTime = result.maxEventTimes[index]
    }
    for index in partitions.indices.prefix(part.partitionCount) { partitions[index].isIdle = part.idle.contains(Int32(index)) }
  }

  /// Whether all records of a recorded epoch are in the buffers.
  func hasAll(of part: IntentPart) -> Bool {
    guard let lastPolled else { return false }
    return part.ranges.allSatisfy { Int($0.partition) < lastPolled.next.count && lastPolled.next[Int($0.partition)] >= $0.next }
  }

  /// The source had nothing more when it was last asked.
  var isAtEnd: Bool {
    guard let lastPolled, lost == nil, lastPolled.trouble == nil else { return false }
    return lastPolled.isAtEnd.allSatisfy(\.self) && lastPolled.rows.allSatisfy { $0 == 0 }
  }

  // MARK: - Buffers during a replay

  /// One partition without a leader, or another source's brokers that are away, must not let records pile up behind the intent that waits
  /// for it.
  private mutating func boundBuffers(_ polled: Polled) {
    guard let next = surroundings.recorded.first?.part else { return }
    let missing = Set(
      next.ranges.lazy.map { (Int($0.partition), $0.next) }.filter { $0 < polled.next.count && polled.next[$0] < $1 }
        .map(\.0))
    guard !missing.isEmpty || surroundings.othersMiss else { return }
    let rows = polled.rows.reduce(0, +)
    if rows > 4 * options.epochMaxRows || polled.byteCount > 2 * options.epochMaxBytes {
      fetch(only: missing, polled)
    } else if let fetchedOnly, rows < options.epochMaxRows || !missing.isSubset(of: fetchedOnly) {
      fetch(only: nil, polled)
    }
  }

  private mutating func fetch(only wanted: Set<Int>?, _ polled: Polled) {
    guard wanted != fetchedOnly else { return }
    if wanted != nil { Reach.mark(.r4FetchesMissingOnly) }
    fetchedOnly = wanted
    order(.fetch(polled.next.indices.map { wanted?.contains($0) == false ? nil : polled.next[$0] }))
  }

  /// Nothing recorded is left to be read.
  mutating func endReplay() {
    if let lastPolled { fetch(only: nil, lastPolled) }
  }

  // MARK: - What a start finds

  /// What a checkpoint keeps.
  var state: Manifest.SourceState {
    Manifest.SourceState(
      number: number, name: its.name, clusterID: topic.clusterID, topic: its.topic, topicID: topic.topicID,
      partitions: partitions.map {
        Manifest.PartitionState(
          nextOffset: $0.next, maxEventTime: $0.maxEventTime, anchorOffset: $0.anchorOffset, anchorTimestamp: $0.anchorTimestamp,
          anchorChecksum: $0.anchorChecksum)
      }, watermark: watermark)
  }

  /// What the log has to know of it before anything is read.
  var startRecords: [LogRecord] {
    let start = SourceStart(
      source: number, topic: its.topic, clusterID: topic.clusterID, topicID: topic.topicID, offsets: partitions.map(\.next))
    let begin = isNew ? [LogRecord.sourceStart(start)] : []
    return begin + gaps.map { .gap(Gap(slot: Slot(number, $0.partition), start: $0.start, next: $0.next)) }
  }

  /// - Parameter state: nil: the checkpoint doesn't know the source.
  mutating func recover(_ state: Manifest.SourceState?, _ log: LogFold) {
    known = state.map { TopicIdentity(topic: $0.topic, clusterID: $0.clusterID, topicID: $0.topicID) }
    partitions = (state?.partitions ?? []).map {
      PartitionProgress(
        next: $0.nextOffset, maxEventTime: $0.maxEventTime, anchorOffset: $0.anchorOffset, anchorTimestamp: $0.anchorTimestamp,
        anchorChecksum: $0.anchorChecksum)
    }
    watermark = state?.watermark ?? Int64.min
    if state == nil, let start = log.starts[number] {
      Reach.mark(.sourceStartRecovered)
      partitions = start.offsets.map { PartitionProgress(next: $0) }
      known = TopicIdentity(topic: start.topic, clusterID: start.clusterID, topicID: start.topicID)
    }
    isNew = known == nil
    anchorsChecked = isNew
    recorded = log.replay.map { $0.part(of: number) }
    // An only source's checkpoint speaks for itself.
    let isOnly = state != nil && options.sources.count == 1
    wasRead = isOnly || partitions.contains { $0.anchorOffset >= 0 } || recorded.contains { !$0.part.ranges.isEmpty }
    join(recorded.map(\.part))
    let gaps = log.gaps.filter { $0.gap.slot.source == number }
    comparableFrom = gaps.last?.position ?? 0
    skip(gaps.map { LostRange(partition: $0.gap.slot.partition, start: $0.gap.start, next: $0.gap.next) })
  }

  /// Partitions that only epochs after the checkpoint know.
  private mutating func join(_ parts: [IntentPart]) {
    for part in parts {
      for range in part.ranges where Int(range.partition) >= partitions.count {
        while partitions.count < Int(range.partition) { partitions.append(PartitionProgress(next: 0)) }
        partitions.append(PartitionProgress(next: range.start))
      }
      while partitions.count < part.partitionCount { partitions.append(PartitionProgress(next: 0)) }
    }
  }

  /// What earlier starts have given up is not read, nor missed.
  private mutating func skip(_ gaps: [LostRange]) {
    givenUp += gaps
    for gap in gaps {
      // One that was added, and that no epoch has read yet.
      while partitions.count <= Int(gap.partition) { partitions.append(PartitionProgress(next: 0)) }
      lossEnds[gap.partition] = max(lossEnds[gap.partition] ?? 0, gap.next)
      let next = partitions[Int(gap.partition)].next
      if gap.start <= next { partitions[Int(gap.partition)].next = max(next, gap.next) }
    }
  }
}
