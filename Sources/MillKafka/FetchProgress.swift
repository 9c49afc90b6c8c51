package import MillFlow

/// How far each partition of one assignment has been read, and whether it may be read on. A pure value.
///
/// Invariants: of each partition, offsets strictly rise; after anything that could hide records nothing more is taken from it,
/// because librdkafka itself goes on behind a damaged batch.
package struct FetchProgress {
  private struct Partition {
    /// The next record's offset is at least this.
    var next: Int64
    var isStopped = false
    /// The last error that may mend itself; a record or an end takes it away.
    var trouble: String?
  }

  /// What to do with a record.
  package enum Admission: Hashable {
    case take, discard
    /// Discard it and tell this.
    case stop(SourceNotice)
  }

  /// What follows from an event.
  package enum Outcome: Hashable {
    case nothing
    /// No record stands before this offset.
    case advance(partition: Int, to: Int64)
    case tell(SourceNotice)
  }

  private var partitions: [Partition]
  /// All brokers are down; only an answer of a broker ends that, as records may have waited in the queue.
  package var outage: String?
  /// A broker has answered since this assignment.
  package var hasHeard = false

  /// `offsets`: where each partition begins, nil: nothing is taken from it; index: partition.
  package init(_ offsets: [Int64?]) { partitions = offsets.map { Partition(next: $0 ?? 0, isStopped: $0 == nil) } }

  package var partitionCount: Int { partitions.count }

  /// Why nothing, or not all, can be fetched now.
  package var trouble: String? { outage ?? partitions.lazy.compactMap(\.trouble).first }

  /// Moves the partition on to a record at `offset`, if it may stand there.
  @inline(__always)
  package mutating func admit(_ partition: Int, _ offset: Int64) -> Admission {
    hasHeard = true
    if partitions[partition].isStopped { return .discard }
    guard offset >= partitions[partition].next, offset < offsetMax else { return outOfOrder(partition, offset) }
    partitions[partition].next = offset + 1
    if partitions[partition].trouble != nil { partitions[partition].trouble = nil }
    return .take
  }

  @inline(never)
  private mutating func outOfOrder(_ partition: Int, _ offset: Int64) -> Admission {
    partitions[partition].isStopped = true
    let next = partitions[partition].next
    let reason =
      offset < next
      ? "a record at offset \(offset) came where at least \(next) must follow"
      : "a record came with offset \(offset), which no partition has: the broker, or what stands between, is broken"
    return .stop(.damaged(partition: Int32(partition), offset: next, reason: reason))
  }

  package mutating func take(_ event: FetchEvent) -> Outcome {
    switch event {
    case .end(let partition, let offset): return end(Int(partition), offset)
    case .failed(let partition, let failure):
      guard partitions.indices.contains(Int(partition)) else {
        // Of the client, not of a partition.
        outage = failure.text
        return .nothing
      }
      return fail(Int(partition), failure)
    }
  }

  private mutating func end(_ partition: Int, _ offset: Int64) -> Outcome {
    hasHeard = true
    guard !partitions[partition].isStopped else { return .nothing }
    let next = partitions[partition].next
    guard offset <= offsetMax else {
      partitions[partition].isStopped = true
      let reason = "the broker says that the partition ends at \(offset), which is no offset: it, or what stands between, is broken"
      return .tell(.damaged(partition: Int32(partition), offset: next, reason: reason))
    }
    guard offset >= next else {
      partitions[partition].isStopped = true
      let reason = "the partition ends at \(offset), before the position"
      return .tell(.positionLost(partition: Int32(partition), offset: next, reason: reason))
    }
    partitions[partition].trouble = nil
    partitions[partition].next = offset
    return .advance(partition: partition, to: offset)
  }

  private mutating func fail(_ partition: Int, _ failure: KafkaFailure) -> Outcome {
    guard !partitions[partition].isStopped else { return .nothing }
    let next = partitions[partition].next
    switch failure.kind {
    case .positionLost, .unknownTopic:
      partitions[partition].isStopped = true
      return .tell(.positionLost(partition: Int32(partition), offset: next, reason: failure.text))
    case .damaged:
      partitions[partition].isStopped = true
      return .tell(.damaged(partition: Int32(partition), offset: next, reason: failure.text))
    case .unreadable:
      partitions[partition].isStopped = true
      // Nothing that could be read stands between the last record and that batch.
      let offset = max(next, min(failure.offset ?? next, offsetMax))
      partitions[partition].next = offset
      return .tell(.unreadable(partition: Int32(partition), offset: offset, reason: failure.text))
    case .unreachable, .denied, .exists, .unsupported, .rejected, .queueFull:
      partitions[partition].trouble = failure.text
      return .nothing
    }
  }
}
