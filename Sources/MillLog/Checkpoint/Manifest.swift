package import MillBase

/// Describes one checkpoint (protocol R14): state as of the end of epoch `epoch`, and all that belongs to it.
package struct Manifest: Hashable, Sendable {
  package static let formatVersion: UInt32 = 3

  /// Names the pipeline, so that another one's state is refused.
  package var pipeline: String
  package var lineage: Lineage
  /// Key of the 128-bit hash of deduplication keys; kept for life, also by `--new-lineage`.
  package var hashSeed: Digest128
  package var epoch: EpochNumber
  package var clockMilliseconds: Int64
  /// Ascending by number.
  package var sources: [SourceState]
  package var plan: PlanRecord
  /// End of the log when the epoch's state was frozen.
  package var position: LogPosition
  /// All before it was durable when the manifest was published, the checkpoint's own seal with it: what recovery needs of the log.
  package var durableEnd: LogPosition
  /// As of `position`.
  package var unacked: [UnackedBatch]
  /// As of `position`; index: destination.
  package var nextBatchNumbers: [BatchNumber]
  /// Paths relative to the checkpoint's directory, without `..`.
  package var files: [File]
  /// uuid of each table, or the hash of its create statement; empty before it was first seen, and of the dead letters. Index: destination.
  package var tableIdentities: [String]

  package struct SourceState: Hashable, Sendable {
    package var number: SourceNumber
    package var name: String
    package var clusterID: String
    package var topic: String
    package var topicID: String
    /// Index: partition.
    package var partitions: [PartitionState]
    /// As of the next epoch's start, ms; Int64.min before there is one. It never goes back.
    package var watermark: Int64

    package init(
      number: SourceNumber = .first, name: String, clusterID: String, topic: String, topicID: String, partitions: [PartitionState],
      watermark: Int64
    ) {
      self.number = number
      self.name = name
      self.clusterID = clusterID
      self.topic = topic
      self.topicID = topicID
      self.partitions = partitions
      self.watermark = watermark
    }
  }

  package struct PartitionState: Hashable, Sendable {
    package var nextOffset: Int64
    /// Highest event time seen, ms; Int64.min before the first.
    package var maxEventTime: Int64
    package var anchorOffset: Int64
    package var anchorTimestamp: Int64
    package var anchorChecksum: UInt32

    package init(nextOffset: Int64, maxEventTime: Int64, anchorOffset: Int64, anchorTimestamp: Int64, anchorChecksum: UInt32) {
      self.nextOffset = nextOffset
      self.maxEventTime = maxEventTime
      self.anchorOffset = anchorOffset
      self.anchorTimestamp = anchorTimestamp
      self.anchorChecksum = anchorChecksum
    }
  }

  package struct UnackedBatch: Hashable, Sendable {
    package var destination: Destination
    package var number: BatchNumber
    /// Position of its seal.
    package var seal: LogPosition
    /// Positions of the first of its chunks: the log is kept from there.
    package var firstChunk: LogPosition

    package init(destination: Destination, number: BatchNumber, seal: LogPosition, firstChunk: LogPosition) {
      self.destination = destination
      self.number = number
      self.seal = seal
      self.firstChunk = firstChunk
    }
  }

  package struct File: Hashable, Sendable {
    package var path: String
    package var byteCount: UInt64
    /// 32 bytes.
    package var sha256: [UInt8]

    package init(path: String, byteCount: UInt64, sha256: [UInt8]) {
      self.path = path
      self.byteCount = byteCount
      self.sha256 = sha256
    }
  }

  /// The watermark that lateness is judged by in the next epoch, ms; Int64.min before there is one. It never goes back.
  package var watermark: Int64

  package init(
    pipeline: String, lineage: Lineage, hashSeed: Digest128, epoch: EpochNumber, clockMilliseconds: Int64, watermark: Int64,
    sources: [SourceState], plan: PlanRecord, position: LogPosition, unacked: [UnackedBatch], nextBatchNumbers: [BatchNumber],
    files: [File], tableIdentities: [String], durableEnd: LogPosition? = nil
  ) {
    self.pipeline = pipeline
    self.lineage = lineage
    self.hashSeed = hashSeed
    self.epoch = epoch
    self.clockMilliseconds = clockMilliseconds
    self.watermark = watermark
    self.sources = sources
    self.plan = plan
    self.position = position
    self.durableEnd = durableEnd ?? position
    self.unacked = unacked
    self.nextBatchNumbers = nextBatchNumbers
    self.files = files
    self.tableIdentities = tableIdentities
  }
}
