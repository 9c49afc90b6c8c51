internal import MillBase

/// No partition has an offset beyond this: Kafka counts from 0 on. What says otherwise is no offset, and to any that is one may be added.
package let offsetMax: Int64 = 1 << 62

/// Where a source's first reading begins; resolved to offsets once, then recorded.
package enum StartPosition: Hashable, Sendable {
  case earliest, latest
  /// The first record whose timestamp is at least this many milliseconds since 1970.
  case timestamp(milliseconds: Int64)
  /// By partition; a partition not listed starts at its earliest record.
  case offsets([Int32: Int64])
}

/// What a topic looks like now.
package struct TopicDescription: Hashable, Sendable {
  package var clusterID: String
  /// Where the library knows topic ids; else nil.
  package var topicID: String?
  /// Index: partition.
  package var partitions: [PartitionBounds]
  /// Whether Kafka may remove records by key (`cleanup.policy`); nil where the brokers don't tell.
  package var isCompacted: Bool?

  package init(clusterID: String, topicID: String?, partitions: [PartitionBounds], isCompacted: Bool? = false) {
    self.clusterID = clusterID
    self.topicID = topicID
    self.partitions = partitions
    self.isCompacted = isCompacted
  }
}

package struct PartitionBounds: Hashable, Sendable {
  /// The first offset that is still kept.
  package var low: Int64
  /// The last stable offset: what read_committed can read is below it.
  package var stableEnd: Int64
  /// Where the partition ends, records of open transactions included.
  package var high: Int64

  /// `high`: nil: no transaction is open.
  package init(low: Int64, stableEnd: Int64, high: Int64? = nil) {
    self.low = low
    self.stableEnd = stableEnd
    self.high = high ?? stableEnd
  }
}

/// What is remembered of one record, to recognise a topic that was deleted and made anew (toolchain.md).
package struct Anchor: Hashable, Sendable {
  package var offset: Int64
  package var timestamp: Int64
  /// CRC32C over key and payload, each preceded by its count as i32 little endian (-1: null).
  package var checksum: UInt32

  package init(offset: Int64, timestamp: Int64, checksum: UInt32) {
    self.offset = offset
    self.timestamp = timestamp
    self.checksum = checksum
  }
}

/// Why a call to the source did not do what it should.
package enum SourceError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Brokers down, leader moving, time-out, rights taken away: wait and ask again.
  case unavailable(String)
  /// With the nearest name that there is.
  case topicMissing(topic: String, nearest: String?)
  /// Wrong configuration or credentials that no waiting mends.
  case refused(String)

  package var description: String {
    switch self {
    case .unavailable(let reason): reason
    case .topicMissing(let topic, let nearest):
      "topic \(topic) does not exist on these brokers: create it, or mend sources.*.topic"
        + (nearest.map { "; did you mean \($0)?" } ?? "")
    case .refused(let reason): "Kafka refuses: \(reason)"
    }
  }
}

/// What ``Source/poll(into:limit:)`` tells beside records.
package enum SourceNotice: Hashable, Sendable {
  /// The position the source wants to read is not there (deleted, or the topic was recreated); nothing more comes from this partition.
  case positionLost(partition: Int32, offset: Int64, reason: String)
  /// Checksum or decompression error at or after `offset`; nothing more comes from this partition.
  case damaged(partition: Int32, offset: Int64, reason: String)
  /// The checksum of what stands at `offset` is right, and it can't be unpacked; nothing more comes from this partition, and all that
  /// stands before it has come.
  case unreadable(partition: Int32, offset: Int64, reason: String)
  /// All brokers down, rights or credentials refused or the like, and again when the reason changes; the source goes on trying by itself.
  case unavailable(String)
  case available
}

/// The seam to one topic of Kafka, read under `assign` with read_committed and offsets of our own.
///
/// ``poll(into:limit:)`` belongs to the flow thread; the others block and are called from the control lane, and
/// may run beside a poll. The real end is in MillKafka, the simulated one in MillSim.
package protocol Source: AnyObject, Sendable {
  /// Cluster, partitions and their bounds.
  func describe() throws(SourceError) -> TopicDescription
  /// Offsets of `start` for partitions `0 ..< count`.
  func resolve(_ start: StartPosition, partitionCount: Int) throws(SourceError) -> [Int64]
  /// The record at `offset`, or nil when retention has removed it or nothing stands there any more (then the bounds tell which).
  func anchor(partition: Int32, offset: Int64) throws(SourceError) -> Anchor?
  /// The batch at `offset`, where that is one that can't be unpacked: the first offset behind it, and why.
  func unreadable(partition: Int32, offset: Int64) throws(SourceError) -> (next: Int64, reason: String)?
  /// The metadata string that this pipeline's group has committed for partition 0, nil when there is none.
  func readWitness() throws(SourceError) -> String?
  /// Commits `offsets` (index: partition) for the group, with `witness` as the metadata of each.
  func commitWitness(_ witness: String, offsets: [Int64]) throws(SourceError)

  /// Starts (or starts anew) to fetch each partition at its offset, nil: not at all; index: partition. Local, does not wait for brokers.
  func assign(_ offsets: [Int64?])
  /// Moves records that were fetched into the buffers (index: partition), at most `limit` of them; doesn't wait for any. Also advances
  /// ``RecordBuffer/nextOffset`` past aborted records and markers when the end of a partition is reached.
  func poll(into buffers: [RecordBuffer], limit: Int) -> [SourceNotice]
  /// From now on `tell` is called, from any thread, when something has come for a poll where nothing was. Once, before ``assign(_:)``.
  /// A call may be missing where the end can't tell, so whoever waits for it also polls by time.
  func whenFetched(_ tell: @escaping @Sendable () -> Void)
  /// Where a partition ends by the newest fetch, records of open transactions included; nil where that isn't known. Flow thread.
  func fetchedEnd(partition: Int32) -> Int64?
  /// Records that were fetched and wait for the next poll, for people and their tools. Flow thread.
  var prefetchedCount: Int { get }
}

extension Source {
  /// Of a source whose batches can all be unpacked.
  package func unreadable(partition: Int32, offset: Int64) throws(SourceError) -> (next: Int64, reason: String)? { nil }

  /// Of a source that is polled by time.
  package func whenFetched(_ tell: @escaping @Sendable () -> Void) {}
  /// Of a source that fetches nothing ahead.
  package var prefetchedCount: Int { 0 }
  /// Of one without transactions.
  package func fetchedEnd(partition: Int32) -> Int64? { nil }
}
