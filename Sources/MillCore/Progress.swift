package import MillBase
package import MillLog

/// Where a pipeline is now, for people and their tools: a copy, taken on the flow thread. All that they are shown of the core is here.
package struct Progress: Sendable {
  package enum Phase: Sendable { case starting, replaying, running, stopping, stopped }

  /// What keeps the source from being read.
  package enum Hold: String, CaseIterable, Sendable {
    /// A full disk.
    case disk
    /// `log.unacked_max` is reached.
    case unacked
    /// A full table of keys, and the one before isn't written yet.
    case state
    /// Rows that wait for their seal.
    case pending
    /// `dead_letters.max_bytes` is reached.
    case deadLetters = "dead_letters"
  }

  package struct Partition: Sendable {
    /// The source's name.
    package var source: String
    /// Kafka's number.
    package var number: Int
    /// The next offset to be processed.
    package var next: Int64
    /// The last stable offset last heard of.
    package var end: Int64
    package var isIdle: Bool

    package var lag: Int64 { max(0, end - next) }
  }

  /// Of one destination.
  package struct Batches: Sendable {
    /// The sink's name; empty: the dead letters'.
    package var sink = ""
    package var isDeadLetters: Bool { sink.isEmpty }
    /// By this process.
    package var sealed = Tally()
    /// Found unacked in the log at the start.
    package var recovered = Tally()
    package var acked = Tally()
    /// What the server refused (R11): these rows are dead letters.
    package var refused = Tally()
    package var unacked = Tally()
    /// Output that no seal covers yet.
    package var pendingRows: UInt64 = 0
    package var pendingBytes: UInt64 = 0
  }

  package var phase: Phase
  package var epoch: EpochNumber
  /// Of the epochs that this process was the first to cut.
  package var counters: Counters
  /// Of all epochs that this process has cut, replays aside: what went on from here.
  package var outcomes: Counters
  /// Of the same, by reason: late records, and those that couldn't be decoded; ClickHouse's refusals are in ``batches``.
  package var deadLetters: ReasonTally
  /// Of the same: `on_error: skip`.
  package var skipped: ReasonTally
  /// Records that an earlier process had cut already: they are processed again, and not counted again.
  package var replayedRecords: UInt64
  /// Of the sources in the file's order.
  package var partitions: [Partition]
  /// Epoch clock less watermark; nil without one.
  package var watermarkDelayMilliseconds: Int64?
  /// Of the sinks in the file's order, then of the dead letters.
  package var batches: [Batches]
  package var doubts: Doubts
  package var checkpoints: UInt64
  /// Monotonic; nil before the first.
  package var checkpointedAt: Int64?
  package var waits: [Wait]
  package var hold: Hold?
  /// Of this pipeline's files of dead letters.
  package var deadLetterBytes: UInt64
  package var deadLetterMaxBytes: UInt64

  /// Records between what was read and the last stable offsets last heard of.
  package var lag: Int64 {
    partitions.reduce(0) {
      let (sum, isTooMuch) = $0.addingReportingOverflow($1.lag)
      return isTooMuch ? .max : sum
    }
  }
  package var unackedBatches: UInt64 { batches.reduce(0) { $0 + $1.unacked.batches } }
  /// Rows that this process has proven to be in the tables.
  package var ackedRows: UInt64 { batches.reduce(0) { $1.isDeadLetters ? $0 : $0 + $1.acked.rows } }
  package var unackedBytes: UInt64 { batches.reduce(0) { $0 + $1.unacked.bytes } }
  package var isLive: Bool { phase == .running }

  /// What became dead letters, those among them that ClickHouse refused.
  package var allDeadLetters: ReasonTally {
    var all = deadLetters
    let refused = batches.reduce(0) { $0 + $1.refused.rows }
    if refused > 0 { all.add("refused", count: refused, example: "") }
    return all
  }
}

/// How much went through a place since the process began.
package struct Tally: Hashable, Sendable {
  package var batches: UInt64 = 0
  package var rows: UInt64 = 0
  /// Of frozen bytes, as they are sent.
  package var bytes: UInt64 = 0

  package init() {}

  mutating func add(_ batch: SealedBatch) {
    batches += 1
    rows += batch.rowCount
    bytes += batch.byteCount
  }
}

/// INSERTs of which nobody could say at first whether they had written their rows, and how that ended. One a batch.
package struct Doubts: Hashable, Sendable {
  package var begun: UInt64 = 0
  /// A count found all rows.
  package var counted: UInt64 = 0
  /// Rows were missing and were filled in by a guarded insert.
  package var filled: UInt64 = 0
  /// The same token was taken again, where only the token counts.
  package var repeated: UInt64 = 0

  package init() {}

  mutating func add(_ other: Doubts) {
    begun += other.begun
    counted += other.counted
    filled += other.filled
    repeated += other.repeated
  }
}

extension SourceMachine {
  fileprivate var shownPartitions: [Progress.Partition] {
    partitions.enumerated().map { index, partition in
      Progress.Partition(
        source: its.name, number: index, next: partition.next,
        end: index < topic.stableEnd.count ? topic.stableEnd[index] : partition.next, isIdle: partition.isIdle)
    }
  }
}

extension Core {
  package var progress: Progress {
    Progress(
      phase: shownPhase, epoch: epoch, counters: counters, outcomes: outcomes.counters, deadLetters: outcomes.deadLetters,
      skipped: outcomes.skipped,
      replayedRecords: replayedRecords,
      partitions: sources.flatMap(\.shownPartitions),
      watermarkDelayMilliseconds: watermark == Int64.min ? nil : max(0, clockMilliseconds - watermark), batches: shownBatches,
      doubts: sinks.reduce(into: Doubts()) { $0.add($1.doubts) }, checkpoints: checkpoint.publishedCount,
      checkpointedAt: checkpoint.lastPublishedAt, waits: waits, hold: hold,
      deadLetterBytes: deadLetters.byteCount, deadLetterMaxBytes: options.deadLetterMaxBytes)
  }

  private var shownPhase: Progress.Phase {
    switch phase {
    case .stopped: .stopped
    case _ where stopRequested || windUp != nil: .stopping
    case .starting, .looking, .preparing: .starting
    case .replaying: .replaying
    case .live: .running
    }
  }

  private var shownBatches: [Progress.Batches] {
    var shown = sinks.map { sink in
      var batches = sink.batches
      batches.sink = sink.tableOptions.name
      for delivery in sink.deliveries where !delivery.isAcked { batches.unacked.add(delivery.batch) }
      return batches
    }
    shown.append(deadLetters.batches)
    for waiting in deadLetters.waiting { shown[sinks.count].unacked.add(waiting.batch) }
    for (index, destination) in (numbers.ofSinks + [.deadLetters]).enumerated() {
      (shown[index].pendingRows, shown[index].pendingBytes) = (pendingRows[destination.index], pendingBytes[destination.index])
    }
    return shown
  }
}
