package import MillBase
package import MillClickHouse
package import MillCore
package import MillFlow
package import MillState

/// What a deduplicate operator needs: key fields by index into the fields of the rows that enter it, and its window.
package struct DeduplicatePlan: Sendable {
  package var keyFields: [Int]
  package var options: DeduplicateOptions
  /// Records all of whose key fields are NULL are duplicates of one another; else they have no key, and all are kept.
  package var nullKeysAreEqual: Bool

  package init(keyFields: [Int], options: DeduplicateOptions, nullKeysAreEqual: Bool = false) {
    self.keyFields = keyFields
    self.options = options
    self.nullKeysAreEqual = nullKeysAreEqual
  }
}

/// By which rules an epoch's records become rows.
package struct RowRules: Sendable {
  /// Index: source.
  package var sourcePlans: [SourcePlan]
  package var deduplicate: DeduplicatePlan?

  package init(sourcePlans: [SourcePlan], deduplicate: DeduplicatePlan?) {
    self.sourcePlans = sourcePlans
    self.deduplicate = deduplicate
  }
}

/// A source: the end behind its seam, and what its records are.
package struct SourceParts: Sendable {
  package var end: any Source
  package var plan: SourcePlan
  /// Where it begins to be read where the state knows nothing of it.
  package var start: StartPosition

  package init(end: any Source, plan: SourcePlan, start: StartPosition = .earliest) {
    self.end = end
    self.plan = plan
    self.start = start
  }
}

/// Everything an engine is built from: the ends behind the seams, and what decides rows. The same in production and simulation.
package struct EngineParts: Sendable {
  package var core: CoreOptions
  package var disk: any Disk
  package var clock: any Clock
  /// One for each of ``CoreOptions/sources``, in their order.
  package var sources: [SourceParts]
  package var stores: any RunStoreOpener
  /// One for each of ``CoreOptions/tables``, in their order.
  package var sinks: [ClickHouseSink]
  package var deduplicate: DeduplicatePlan?
  package var graph: GraphPlan
  /// Of epochs that are to be replayed as an older release read them, by the hash of the plan that it recorded: one for each of
  /// ``CoreOptions/earlierPlans``. Fields, key and window are those of today.
  package var earlierRules: [UInt64: RowRules] = [:]
  /// Directory of log, lock and live state.
  package var stateDirectory: String
  package var checkpointDirectory: String
  package var deadLetterDirectory: String
  /// Random values for a new lineage, its hash seed and this instance.
  package var entropy: [UInt64]
  package var logSegmentByteCount: Int
  /// A seal of more has several records; nil: what a segment takes.
  package var sealByteCountMax: Int?
  /// What the lock's holder calls itself.
  package var holder: String
  /// What happens is counted here.
  package var metrics: EngineMetrics
  /// What of the state recorded under one plan's text means nothing under another's; nil: nothing. Any thread.
  package var stateChange: @Sendable (_ recorded: String, _ current: String) -> String?
  /// Simulator: the bytes behind fetched records are random, by this seed; nil: what happens to stand there.
  package var slackSeed: UInt64?

  package init(
    core: CoreOptions, disk: any Disk, clock: any Clock, sources: [SourceParts], stores: any RunStoreOpener,
    sinks: [ClickHouseSink], deduplicate: DeduplicatePlan?, graph: GraphPlan? = nil,
    stateDirectory: String,
    checkpointDirectory: String, deadLetterDirectory: String,
    entropy: [UInt64], logSegmentByteCount: Int = 64 << 20, holder: String,
    metrics: EngineMetrics = EngineMetrics(),
    stateChange: @escaping @Sendable (_ recorded: String, _ current: String) -> String? = { _, _ in nil }
  ) {
    precondition(entropy.count == 4, "lineage, hash seed (2), instance")
    precondition(sinks.count == core.tables.count, "\(sinks.count) sinks for \(core.tables.count) tables")
    self.core = core
    self.disk = disk
    self.clock = clock
    precondition(sources.count == core.sources.count, "\(sources.count) sources for \(core.sources.count)")
    self.sources = sources
    self.stores = stores
    self.sinks = sinks
    self.deduplicate = deduplicate
    self.graph = graph ?? .chain(sources[0].plan, deduplicates: deduplicate != nil, sinkCount: sinks.count)
    self.stateDirectory = stateDirectory
    self.checkpointDirectory = checkpointDirectory
    self.deadLetterDirectory = deadLetterDirectory
    self.entropy = entropy
    self.logSegmentByteCount = logSegmentByteCount
    self.holder = holder
    self.metrics = metrics
    self.stateChange = stateChange
  }
}
