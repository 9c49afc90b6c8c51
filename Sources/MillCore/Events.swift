package import MillBase
package import MillLog

/// What happened outside. Each event is handed to ``Core/step(_:now:)`` once, in the order in which the executor learnt of it.
package enum Event: Sendable {
  /// The first event of a process.
  case started
  case opened(Opened)
  case source(Int, SourceAnswer)
  case sink(Int, exchange: UInt64, SinkAnswer)
  case logBegun(end: LogPosition, durableEnd: LogPosition)
  case stateOpened
  /// Index: source.
  case polled([Polled])
  case processed(EpochResult)
  /// Digest of a replayed batch; nil when all of the seal's batches came out the same.
  case sealCompared(mismatch: String?)
  /// `logByteCount`: of all records so far, as in ``EpochResult/logByteCount``.
  case sealed(Seal, position: LogPosition, durableEnd: LogPosition, logByteCount: UInt64)
  case retired(Retire, position: LogPosition, durableEnd: LogPosition, logByteCount: UInt64)
  case appended(LogPosition, end: LogPosition)
  case synced(durableEnd: LogPosition)
  case frozen(id: UInt64, position: LogPosition)
  case stateWorkDone(StateWork)
  case published(EpochNumber, name: String)
  case checkpointRemoved(name: String)
  case truncated(count: Int)
  /// With the bytes that were added to the directory; none where the file was there already.
  case deadLettersWritten(BatchKey, byteCount: Int)
  case deadLettersMeasured(byteCount: UInt64, directory: String)
  /// No room on the disk for this, at `place` (a path, or the store's words); the core orders it again.
  case outOfSpace(SpaceWork, place: String)
  /// Something that ends the process, found by the executor.
  case failed(Stop)
  case stopRequested
  /// A moment given by ``Core/wakeAt`` has come, or nothing else happened.
  case wake
}

/// What comes of a ``SourceRequest``.
package enum SourceAnswer: Sendable {
  case witnessRead(String?)
  case described(SourceLook)
  case startsResolved([Int64])
  /// Texts of anchors that no longer match, with partition and offset.
  case anchorsChecked([String])
  /// In the order of ``SourceRequest/examine(_:)``; nil: what stands there can be read, or nothing stands there.
  case examined([UnreadableBatch?])
  /// The question was not answered; ask again later.
  case unavailable(SourceQuestion, reason: String)
  /// The brokers know no such topic; with what would be right.
  case topicMissing(String)
  /// Wrong configuration or credentials, which no waiting mends.
  case refused(String)
  case witnessCommitted
  case witnessNotCommitted(reason: String)
  /// What the group holds is neither what this instance committed nor what it read at start.
  case witnessTaken(String?)
}

package enum SourceQuestion: String, Sendable {
  case describe = "the topic"
  case starts = "start offsets"
  case witness = "the group's offsets"
  case anchors = "records read before"
  case batch = "a batch that can't be unpacked"
}

/// What the state directory holds.
package struct Opened: Sendable {
  /// Newest first.
  package var checkpoints: [FoundCheckpoint]
  package var log: FoundLog
  /// Fresh random values, drawn outside.
  package var lineage: Lineage
  package var hashSeed: Digest128
  package var instance: UInt64

  package init(checkpoints: [FoundCheckpoint], log: FoundLog, lineage: Lineage, hashSeed: Digest128, instance: UInt64) {
    self.checkpoints = checkpoints
    self.log = log
    self.lineage = lineage
    self.hashSeed = hashSeed
    self.instance = instance
  }
}

package struct FoundCheckpoint: Sendable {
  package var name: String
  /// Nil when the manifest itself can't be read.
  package var manifest: Manifest?
  /// Nil when every file is there and whole.
  package var problem: String?

  package init(name: String, manifest: Manifest?, problem: String?) {
    self.name = name
    self.manifest = manifest
    self.problem = problem
  }
}

package struct FoundLog: Sendable {
  /// First position kept; equals `end` where there is no record.
  package var first: LogPosition
  package var end: LogPosition
  /// All records but chunks that recovery needs (``LogKeep``), with their positions, ascending.
  package var records: [(position: LogPosition, record: LogRecord)]
  /// By position, of seals and retires.
  package var sealed: [LogPosition: LogContents.Sealed]
  /// Of all records of the log.
  package var byteCount: UInt64
  /// Where the intents end, those that aren't in ``records`` too.
  package var cutEnds: [Slot: Int64]

  package init(
    first: LogPosition, end: LogPosition, records: [(position: LogPosition, record: LogRecord)],
    sealed: [LogPosition: LogContents.Sealed] = [:], byteCount: UInt64 = 0, cutEnds: [Slot: Int64] = [:]
  ) {
    self.first = first
    self.end = end
    self.records = records
    self.sealed = sealed
    self.byteCount = byteCount
    self.cutEnds = cutEnds
  }
}

package struct SourceLook: Hashable, Sendable {
  package var clusterID: String
  package var topicID: String
  /// Index: partition; first kept offset and last stable offset.
  package var low: [Int64]
  package var stableEnd: [Int64]
  /// Where each partition ends, open transactions included.
  package var high: [Int64]
  /// Nil where the brokers don't tell.
  package var isCompacted: Bool?

  package init(
    clusterID: String, topicID: String, low: [Int64], stableEnd: [Int64], high: [Int64]? = nil, isCompacted: Bool? = false
  ) {
    self.clusterID = clusterID
    self.topicID = topicID
    self.low = low
    self.stableEnd = stableEnd
    self.high = high ?? stableEnd
    self.isCompacted = isCompacted
  }
}

/// A partition whose position is not there any more (K3); nothing more comes from it.
package struct PositionLost: Hashable, Sendable {
  package var partition: Int32
  /// Where reading had come to.
  package var offset: Int64
  package var reason: String

  package init(partition: Int32, offset: Int64, reason: String) {
    self.partition = partition
    self.offset = offset
    self.reason = reason
  }
}

/// A batch of a partition whose checksum is right and that can't be unpacked (K12).
package struct UnreadableBatch: Hashable, Sendable {
  /// The first offset behind it.
  package var next: Int64
  /// Why, and what would make it readable.
  package var reason: String

  package init(next: Int64, reason: String) {
    self.next = next
    self.reason = reason
  }
}

/// What lies in the buffers of one source's partitions after a poll.
package struct Polled: Sendable {
  /// Index: partition; the next position of each.
  package var next: [Int64]
  /// Where an epoch of these records and the other sources' may end in each partition, so that its rows fit in memory; nil: with all of
  /// them.
  package var epochEnds: [Int64]?
  /// Whether the source was asked; not where the buffers hold more than an epoch.
  package var isAsked: Bool
  package var rows: [Int]
  package var byteCount: Int
  /// Index: partition; whether the source had come to its end when it last heard of it.
  package var isAtEnd: [Bool]
  package var lost: PositionLost?
  /// What stands at this position can't be unpacked (K12); nothing more comes from the partition.
  package var unreadable: PositionLost?
  /// Why nothing, or not all, can be fetched now.
  package var trouble: String?
  package var stop: Stop?

  /// `isAtEnd`: nil: none is.
  package init(
    next: [Int64], epochEnds: [Int64]? = nil, isAsked: Bool = true, rows: [Int], byteCount: Int, isAtEnd: [Bool]? = nil,
    lost: PositionLost? = nil, unreadable: PositionLost? = nil, trouble: String? = nil, stop: Stop?
  ) {
    self.next = next
    self.epochEnds = epochEnds
    self.isAsked = isAsked
    self.rows = rows
    self.byteCount = byteCount
    self.isAtEnd = isAtEnd ?? rows.map { _ in false }
    self.lost = lost
    self.unreadable = unreadable
    self.trouble = trouble
    self.stop = stop
  }
}

package struct EpochResult: Sendable {
  package var epoch: EpochNumber
  /// As written to the log (or replayed): with input digest and anchors.
  package var intent: Intent
  package var counters: Counters
  /// What became dead letters, late records among them, and what was skipped.
  package var deadLetters = ReasonTally()
  package var skipped = ReasonTally()
  /// Rows and bytes that each destination now has pending, this epoch included; index: raw value.
  package var pendingRows: [UInt64]
  package var pendingBytes: [UInt64]
  /// Index: source.
  package var sources: [Source]
  /// That rows which enter the deduplicate are judged by in the next epoch; without one, the sources' least.
  package var watermark: Int64
  package var needsFreeze: Bool
  /// Buckets of this epoch wait to be dropped (``StateWork/drop(epoch:)``).
  package var dropsBuckets: Bool
  package var logEnd: LogPosition
  /// ``EpochLog/writtenByteCount``, this epoch's intent included.
  package var logByteCount: UInt64
  package var stop: Stop?

  package struct Source: Hashable, Sendable {
    /// Index: partition; Int64.min before the first.
    package var maxEventTimes: [Int64]
    package var watermark: Int64
    /// Of this epoch.
    package var records: UInt64
    /// Of them those that gave no row because they, or an expression over them, are wrong.
    package var refused = ReasonTally()

    package init(maxEventTimes: [Int64], watermark: Int64, records: UInt64 = 0) {
      self.maxEventTimes = maxEventTimes
      self.watermark = watermark
      self.records = records
    }
  }

  package init(
    epoch: EpochNumber, intent: Intent, counters: Counters, pendingRows: [UInt64], pendingBytes: [UInt64], sources: [Source],
    watermark: Int64, needsFreeze: Bool, dropsBuckets: Bool, logEnd: LogPosition, logByteCount: UInt64 = 0, stop: Stop?
  ) {
    self.epoch = epoch
    self.intent = intent
    self.counters = counters
    self.pendingRows = pendingRows
    self.pendingBytes = pendingBytes
    self.sources = sources
    self.watermark = watermark
    self.needsFreeze = needsFreeze
    self.dropsBuckets = dropsBuckets
    self.logEnd = logEnd
    self.logByteCount = logByteCount
    self.stop = stop
  }
}

/// Work of the state lane, done one at a time and in the order given (R18).
package enum StateWork: Hashable, Sendable {
  /// Sort and ingest what ``Command/freeze(id:epoch:)`` froze under this number.
  case flush(id: UInt64)
  case drop(epoch: EpochNumber)
  /// Make the checkpoint's directory: state files and filters, everything durable but the manifest.
  case checkpoint(epoch: EpochNumber, name: String)
}

/// What can wait for room on the disk.
package enum SpaceWork: Hashable, Sendable {
  case open, beginLog, openState, cut, seal, append, state, checkpoint, publish, deadLetters

  /// What has no room, in words.
  var noun: String {
    switch self {
    case .open: "the state directory"
    case .beginLog, .cut, .seal, .append: "the epoch log"
    case .openState, .state: "the running state"
    case .checkpoint, .publish: "a checkpoint"
    case .deadLetters: "dead letters"
    }
  }
}
