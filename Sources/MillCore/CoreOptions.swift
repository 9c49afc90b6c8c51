package import MillLog

/// What the core is told once, at birth of the process. Sizes and times only; what decides rows is in ``plan``.
package struct CoreOptions: Sendable {
  package var pipeline: String
  package var plan: PlanRecord
  /// The same file as older releases read it. Epochs that they have recorded are replayed under these; no epoch is cut under one.
  package var earlierPlans: [PlanRecord] = []
  /// In the file's order; never empty.
  package var sources: [SourceOptions]
  /// One a sink, in the file's order; never empty.
  package var tables: [TableOptions]
  package var untilEnd = false
  package var newLineage = false
  /// A new lineage goes on although none of its first records can be decoded.
  package var acceptsDeadLetters = false

  package var epochMaxRows = 65_536
  package var epochMaxBytes = 32 << 20
  package var epochMaxDelayMilliseconds: Int64 = 20
  /// Bytes that an epoch's rows may take in memory at most; its dead letters four times as many.
  package var epochMaxRowBytes = 32 << 20

  package var deadLetterMaxDelayMilliseconds: Int64 = 10_000
  package var deadLetterMaxBytes: UInt64 = 10 << 30

  /// A new lineage that has decoded none of so many records stops before it seals anything; at the source's end after this time already.
  package var birthRecords: UInt64 = 1000
  package var birthPatienceMilliseconds: Int64 = 10_000

  package var checkpointIntervalMilliseconds: Int64 = 10_000
  package var checkpointsRetained = 3
  /// Nothing new is read before what was replayed is in a checkpoint. Where a record can end the process, another file that takes it
  /// otherwise could never begin: the old one, with which it is to be replayed (R4), would end at that record again.
  package var checkpointsReplay = false
  package var unackedMaxBytes: UInt64 = 4 << 30

  /// How often the topic is asked for new partitions.
  package var describeIntervalMilliseconds: Int64 = 30_000
  /// How often the group's witness is looked at where no checkpoint commits it.
  package var witnessIntervalMilliseconds: Int64 = 10_000
  package var retryMilliseconds: Int64 = 1_000
  /// A last stable offset that stands still this long before records is told.
  package var stallPatienceMilliseconds: Int64 = 25_000
  /// How long brokers must say so before a topic that was read counts as deleted.
  package var topicMissingPatienceMilliseconds: Int64 = 10_000
  package var backoffMaxMilliseconds: Int64 = 30_000
  /// The process ends where it has waited for one thing this long; nil: it waits without end.
  package var waitAtMostMilliseconds: Int64?
  /// Asked to stop, but held up by brokers or a full disk: leave after this time without progress.
  package var stopPatienceMilliseconds: Int64 = 30_000

  package init(pipeline: String, sources: [SourceOptions], plan: PlanRecord, tables: [TableOptions]) {
    self.pipeline = pipeline
    self.sources = sources
    self.plan = plan
    self.tables = tables
  }
}

/// What the core is told of one source and its topic.
package struct SourceOptions: Sendable {
  /// As the file has it.
  package var name: String
  package var topic: String
  /// K3, K12: what the user gives up, exactly; each must be a range that is lost at this start, or a batch that can't be unpacked.
  package var acceptedLosses: [LostRange] = []
  /// No record of a partition for this long: it no longer holds the watermark back. Nil: never idle.
  package var idleAfterMilliseconds: Int64?

  package init(name: String, topic: String) {
    self.name = name
    self.topic = topic
  }
}

/// Offsets of one partition of a source that can't be had any more (K3), or not be unpacked (K12).
package struct LostRange: Hashable, Sendable {
  package var partition: Int32
  package var start: Int64
  package var next: Int64

  package init(partition: Int32, start: Int64, next: Int64) {
    self.partition = partition
    self.start = start
    self.next = next
  }
}

/// What the core is told of one sink and its table.
package struct TableOptions: Sendable {
  /// The sink's, as the file has it.
  package var name: String
  /// `database.table`.
  package var target: String
  package var batchMaxRows: UInt64 = 500_000
  package var batchMaxBytes: UInt64 = 64 << 20
  package var batchMaxDelayMilliseconds: Int64 = 1_000
  /// How long a lost request may still turn up (R7, R8).
  package var settleMilliseconds: Int64 = 5_000
  /// Batches that may be under way at once.
  package var inFlightMax = 3

  package init(name: String, target: String) {
    self.name = name
    self.target = target
  }
}

/// Why the process ends. The exit codes are the contract's.
package struct Stop: Hashable, Sendable, Error {
  package enum Kind: Int32, Sendable {
    case done = 0
    /// A named error that promises nothing is wrong with state or table.
    case failed = 1
    case invalidPipeline = 3
    /// Stopped to keep the promise.
    case promise = 4
    case inUse = 5
  }

  package var kind: Kind
  /// The protocol's rule, or empty.
  package var rule: String
  /// What happened, where, with which value, what is safe and what to do.
  package var message: String

  package init(_ kind: Kind, rule: String = "", _ message: String) {
    self.kind = kind
    self.rule = rule
    self.message = message
  }
}
