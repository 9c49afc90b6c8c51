package import MillBase
package import MillLog

/// What the executor is to do. It decides nothing: a command is done as it stands, and answered by the event its documentation names.
package enum Command: Sendable {
  /// Take the lock, read manifests and log: ``Event/opened(_:)``.
  case open
  /// ``Event/source(_:_:)``
  case ask(source: Int, SourceRequest)
  /// ``Event/sink(exchange:_:)``
  case exchange(sink: Int, UInt64, SinkRequest)
  /// R5: copy the tail, then append these, `restart` first, and sync: ``Event/logBegun(end:durableEnd:)``.
  case beginLog([LogRecord])
  /// Clone the checkpoint (nil: an empty state), open it, set up flow and watermarks: ``Event/stateOpened``.
  case openState(checkpoint: String?, FlowStart)
  /// Empty the buffers of the source's partitions and fetch from these offsets (index: partition).
  case assign(source: Int, [Int64])
  /// Fetch only from these offsets (index: partition; nil: not this one) and keep what the buffers hold.
  case fetch(source: Int, [Int64?])
  /// Inline: complete the intent (input digest, anchors), append it, process it: ``Event/processed(_:)`` or outOfSpace(.cut), with
  /// nothing processed.
  case cut(Intent)
  /// Inline: process a recorded intent: ``Event/processed(_:)``. `isWhole`: all of its records must be there, the input's digest is
  /// compared; false: some are lost and were given up.
  case replay(Intent, isWhole: Bool)
  /// Inline: encode what is pending as the seal says, compare digests, drop it: ``Event/sealCompared(mismatch:)``. `isWhole`: false
  /// where records are lost that the rows came from: nothing is compared, what is pending is dropped.
  case compareSeal(Seal, isWhole: Bool)
  /// Take what the destinations have pending; on the log lane encode, append chunks and seal, sync:
  /// ``Event/sealed(_:position:durableEnd:)``.
  case seal(SealOrder)
  /// R11: cut a batch's bytes as ordered; on the log lane append the replacements' chunks and the retire, sync:
  /// ``Event/retired(_:position:durableEnd:)``.
  case retire(RetireOrder)
  /// Go on with the seal or retire that had no room.
  case resumeSeal
  /// Inline: ``Event/appended(_:end:)`` or outOfSpace(.append).
  case append(LogRecord)
  /// On the log lane: ``Event/synced(durableEnd:)``.
  case sync
  /// Inline at an epoch boundary: swap in a fresh table: ``Event/frozen(id:position:)`` with the end of the log.
  case freeze(id: UInt64, epoch: EpochNumber)
  case stateWork(StateWork)
  /// Add the state files' list and publish: ``Event/published(_:name:)``.
  case publish(Manifest, name: String)
  case removeCheckpoint(name: String)
  /// Log segments wholly before this position go: ``Event/truncated(count:)``.
  case truncate(before: LogPosition)
  /// R12: ``Event/deadLettersWritten(_:)``.
  case writeDeadLetters(SealedBatch)
  /// How many bytes this pipeline's files of dead letters have: ``Event/deadLettersMeasured(byteCount:directory:)``.
  case measureDeadLetters
  case say(Level, String)
  /// The process ends.
  case stop(Stop)

  package enum Level: Int, Sendable { case debug, info, warning, error }
}

/// What a source's brokers are asked, or told.
package enum SourceRequest: Sendable {
  case readWitness
  case describe
  /// ``SourceAnswer/startsResolved(_:)`` for partitions `0 ..< partitionCount`.
  case resolveStarts(partitionCount: Int)
  case checkAnchors([AnchorOf])
  /// Whether a batch that can't be unpacked stands at each of these offsets, and where it ends: ``SourceAnswer/examined(_:)``.
  case examine([BatchPlace])
  /// Read the group's metadata; where there is one and it is none of `known` (nil: don't look): ``SourceAnswer/witnessTaken(_:)``; else
  /// commit.
  case commitWitness(String, offsets: [Int64], known: [String]?)
}

/// What the flow thread may take from the sources while no event waits; the answer is ``Event/polled(_:)``.
package struct PollOrder: Hashable, Sendable {
  /// Records of all sources together.
  package var limit: Int
  /// Monotonic; when it is to be taken although no source has told of anything: records that came before may be due, and how long none
  /// has come counts.
  package var dueAt: Int64
  /// For recorded intents, which need all of their records.
  package var isReplay = false
  /// Nil: all; else only of these sources (index).
  package var sources: Set<Int>?
  /// Also records beyond the plan's limits: the next of these intents was recorded under another plan.
  package var takesWhole = false
}

package struct BatchPlace: Hashable, Sendable {
  package var partition: Int32
  package var offset: Int64
}

package struct AnchorOf: Hashable, Sendable {
  package var partition: Int32
  package var offset: Int64
  package var timestamp: Int64
  package var checksum: UInt32
}

/// What the flow starts from.
package struct FlowStart: Hashable, Sendable {
  package var lineage: Lineage
  package var hashSeed: Digest128
  /// Index: source.
  package var sources: [Source]
  /// Every source that ever had a number.
  package var named: [NamedSource]
  /// As ``EpochResult/watermark``.
  package var watermark: Int64
  /// Index: sink.
  package var destinations: [Destination]

  package struct Source: Hashable, Sendable {
    package var number: SourceNumber
    /// Index: partition.
    package var maxEventTimes: [Int64]
    package var watermark: Int64
  }
}

/// Batches to be cut from what is pending, all ending at one epoch boundary.
package struct SealOrder: Hashable, Sendable {
  package var epoch: EpochNumber
  package var lineage: Lineage
  package var parts: [Part]
  /// Of the epochs since the seal before.
  package var counters: Counters

  package struct Part: Hashable, Sendable {
    package var destination: Destination
    package var firstEpoch: EpochNumber
    package var firstNumber: BatchNumber
    /// Since the oldest of its rows came.
    package var ageMilliseconds: Int64
    /// At most this many rows a batch.
    package var rowsPerBatch: UInt64
  }
}

/// What a batch that the server refuses is to be replaced by (R11).
package struct RetireOrder: Hashable, Sendable {
  package var batch: SealedBatch
  package var lineage: Lineage
  package var wallMilliseconds: Int64
  package var replacement: Replacement

  package enum Replacement: Hashable, Sendable {
    /// Pieces, numbered from here on; which rows of the batch each takes, as runs. Every row is in one of them.
    case pieces(firstNumber: BatchNumber, rows: [[Range<Int>]])
    /// The batch's one row, with what the server said to it.
    case deadLetter(number: BatchNumber, code: Int, message: String)
  }
}
