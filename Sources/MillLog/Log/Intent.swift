package import MillBase

/// Half-open range of offsets of one partition within an epoch, with what names its last record.
package struct PartitionRange: Hashable, Sendable {
  package var partition: Int32
  package var start: Int64
  /// The next position: past aborted records and markers where the source knows that nothing more stands there.
  package var next: Int64
  /// Offset, timestamp and CRC of the last record ever taken from the partition, this range included; offset -1: none yet.
  package var anchorOffset: Int64
  package var anchorTimestamp: Int64
  package var anchorChecksum: UInt32

  package init(
    partition: Int32, start: Int64, next: Int64, anchorOffset: Int64 = -1, anchorTimestamp: Int64 = -1, anchorChecksum: UInt32 = 0
  ) {
    self.partition = partition
    self.start = start
    self.next = next
    self.anchorOffset = anchorOffset
    self.anchorTimestamp = anchorTimestamp
    self.anchorChecksum = anchorChecksum
  }
}

/// What decides an epoch (protocol R1): with the state before it, the plan and the bytes in Kafka, all of its output follows.
package struct Intent: Hashable, Sendable {
  package var epoch: EpochNumber
  /// The epoch's clock, ms since 1970; never lower than the epoch's before.
  package var clockMilliseconds: Int64
  /// Hash of the plan it runs under.
  package var planHash: UInt64
  /// One for each source that the pipeline had, ascending by number.
  package var parts: [IntentPart]
  /// Over slot, offset, timestamp, key and payload of each record, by source and partition.
  package var inputDigest: Digest128

  package init(epoch: EpochNumber, clockMilliseconds: Int64, planHash: UInt64, parts: [IntentPart], inputDigest: Digest128) {
    self.epoch = epoch
    self.clockMilliseconds = clockMilliseconds
    self.planHash = planHash
    self.parts = parts
    self.inputDigest = inputDigest
  }

  /// Of a pipeline with one source. `partitionCount`: nil: as many as there are ranges.
  package init(
    epoch: EpochNumber, clockMilliseconds: Int64, planHash: UInt64, ranges: [PartitionRange], partitionCount: Int? = nil,
    idle: Set<Int32> = [], inputDigest: Digest128
  ) {
    let part = IntentPart(source: .first, ranges: ranges, partitionCount: partitionCount ?? ranges.count, idle: idle)
    self.init(epoch: epoch, clockMilliseconds: clockMilliseconds, planHash: planHash, parts: [part], inputDigest: inputDigest)
  }

  /// What it takes of this source; nil: the pipeline hadn't it then.
  package func part(of source: SourceNumber) -> IntentPart? { parts.first { $0.source == source } }

  /// Every range with its slot, ascending.
  package var slots: [(slot: Slot, range: PartitionRange)] {
    parts.flatMap { part in part.ranges.map { (Slot(part.source, $0.partition), $0) } }
  }
}

/// What an epoch takes of one source.
package struct IntentPart: Hashable, Sendable {
  package var source: SourceNumber
  /// Of the partitions that the epoch moves on, ascending: the others may be many, and an epoch is cut every few milliseconds.
  package var ranges: [PartitionRange]
  /// Known at the cut. Partitions that are added later have no say in the epoch's watermark.
  package var partitionCount: Int
  /// Partitions with no record for `idle_after`: left out of the watermark from this epoch's start on.
  package var idle: Set<Int32>

  package init(source: SourceNumber, ranges: [PartitionRange], partitionCount: Int, idle: Set<Int32> = []) {
    self.source = source
    self.ranges = ranges
    self.partitionCount = partitionCount
    self.idle = idle
  }
}
