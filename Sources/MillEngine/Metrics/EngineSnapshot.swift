package import MillBase
package import MillCore
internal import MillFlow
internal import MillLog
internal import MillState
internal import Synchronization

/// Where an engine is at one moment: the core's progress, and what the executor holds in memory and on the disk. The progress line, the
/// log's progress, `/metrics` and `/health` all show this and nothing else. Taken on the flow thread.
package struct EngineSnapshot: Sendable {
  /// Parts of the memory that grows with the work.
  package enum Part: String, CaseIterable, Sendable {
    /// What librdkafka has fetched ahead: so many records of the mean size seen so far.
    case prefetch
    /// Records taken from there that no epoch has taken yet.
    case records
    /// Rows and dead letters that no seal covers yet.
    case pendingRows = "pending_rows"
    /// Keys that no file of the state has yet.
    case epochTables = "epoch_tables"
    case filters
    /// RocksDB's block cache and memtables.
    case rocksdb
    /// Batches on their way to the table.
    case sending
  }

  package var at: Instant
  package var progress: Progress
  package var stop: Stop?
  package var memory: [Part: Int]
  /// Keys in epoch tables; those in files are in ``EngineMetrics``.
  package var tableKeyCount: Int
  package var unfilteredBucketCount: Int
  /// Keys that a filter let pass and the state's files were asked for, and those of them that were there.
  package var storeLookupCount: Int
  package var storeHitCount: Int
  /// Bytes of the epoch log's files.
  package var logByteCount: Int
}

extension Engine {
  /// Flow thread.
  package func snapshot() -> EngineSnapshot {
    let state = executor.flow?.state
    let metrics = executor.parts.metrics
    let counters = core.progress.counters
    let prefetchedCount = executor.parts.sources.reduce(0) { $0 + $1.end.prefetchedCount }
    let recordByteCount = executor.buffers.joined().reduce(0) { $0 + $1.byteCount }
    let prefetched = prefetchedCount * Int(counters.bytes / max(1, counters.records))
    return EngineSnapshot(
      at: now, progress: core.progress, stop: stop,
      memory: [
        .prefetch: prefetched, .records: recordByteCount,
        .pendingRows: executor.flow?.pendingBytes.reduce(0) { $0 + Int($1) } ?? 0, .epochTables: state?.tableByteCount ?? 0,
        .filters: state?.filterByteCount ?? 0, .rocksdb: Int(metrics.storeMemoryByteCount.value),
        .sending: Int(metrics.sendingByteCount.value),
      ], tableKeyCount: state?.tableKeyCount ?? 0, unfilteredBucketCount: state?.unfilteredBucketCount ?? 0,
      storeLookupCount: state?.storeLookupCount ?? 0, storeHitCount: state?.storeHitCount ?? 0,
      logByteCount: executor.log?.byteCount ?? 0)
  }
}

/// The newest snapshot, from the flow thread to whoever shows it. Any thread.
package final class SnapshotBoard: Sendable {
  private let newest: Mutex<EngineSnapshot?> = Mutex(nil)

  package init() {}

  package func put(_ snapshot: EngineSnapshot) { newest.withLock { $0 = snapshot } }

  /// Nil before the first.
  package var snapshot: EngineSnapshot? { newest.withLock { $0 } }
}
