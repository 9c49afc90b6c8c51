package import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillState

/// What the engine counts and measures as it happens, beside what the core knows (``EngineSnapshot``). Any thread; once an epoch, batch,
/// request or checkpoint, never for a record. Nothing of it is ever read by the engine itself.
package final class EngineMetrics: Sendable {
  /// What can come of an INSERT.
  enum InsertResult: String, CaseIterable {
    case committed, refused, unknown, viewFailed = "view_failed", notSent = "not_sent"

    init?(_ answer: SinkAnswer) {
      switch answer {
      case .committed: self = .committed
      case .refused: self = .refused
      case .unknown: self = .unknown
      case .viewFailed: self = .viewFailed
      case .notSent: self = .notSent
      default: return nil
      }
    }
  }

  /// Seconds of what goes over the network.
  private static let requestBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
  /// Seconds of what the disk or the processor does.
  private static let workBounds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
  private static let rowBounds = [1, 10, 100, 1000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000].map(Double.init)

  /// An epoch's way from records to pending rows, on the flow thread.
  let epochSeconds = Histogram(workBounds)
  /// Rows of a sealed batch, and age of its oldest row then; of both destinations.
  let batchRows = Histogram(rowBounds)
  let batchAgeSeconds = Histogram([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600])
  /// Encoding, compressing, writing and syncing what one seal covers.
  let sealSeconds = Histogram(workBounds)
  /// From handing an INSERT to the transport to its answer; only those that were answered by the server.
  let insertSeconds = Histogram(requestBounds)
  let guardedInsertSeconds = Histogram(requestBounds)
  private let insertResults = InsertResult.allCases.map { _ in Counter() }
  /// Bytes read back from the log that are on their way to the table.
  let sendingByteCount = Gauge()
  /// From the state's freeze to the published manifest.
  let checkpointSeconds = Histogram(workBounds + [30, 60])
  /// How long the flow thread stood still to freeze the state.
  let freezeSeconds = Histogram(workBounds)
  let droppedBuckets = Counter()
  /// What the store held after the state lane's last work.
  let storeKeyCount = Gauge()
  let storeFileCount = Gauge()
  let storeFileByteCount = Gauge()
  let storeFlushedByteCount = Gauge()
  let storeMergedByteCount = Gauge()
  let storeMemoryByteCount = Gauge()
  let storeBucketCount = Gauge()
  /// Each fsync and fdatasync of the process; made before ``RealDisk``, which fills it.
  package let syncSeconds = Histogram(workBounds)

  package init() {}

  /// An INSERT was answered, or isn't going to be.
  func answered(_ request: SinkRequest, _ answer: SinkAnswer, nanoseconds: Int64) {
    let times: Histogram
    switch request {
    case .insert: times = insertSeconds
    case .guardedInsert: times = guardedInsertSeconds
    default: return
    }
    guard let result = InsertResult(answer) else { return }
    count(result).add()
    if result != .unknown, result != .notSent { times.observe(nanoseconds: nanoseconds) }
  }

  func count(_ result: InsertResult) -> Counter { insertResults[InsertResult.allCases.firstIndex(of: result)!] }

  /// State lane, after its work.
  func look(at store: any RunStore) {
    let facts = store.facts()
    storeKeyCount.set(Int64(clamping: facts.keyCount))
    storeFileCount.set(Int64(facts.fileCount))
    storeFileByteCount.set(Int64(clamping: facts.fileByteCount))
    storeFlushedByteCount.set(Int64(clamping: facts.flushedByteCount))
    storeMergedByteCount.set(Int64(clamping: facts.mergedByteCount))
    storeMemoryByteCount.set(Int64(clamping: facts.memoryByteCount))
    storeBucketCount.set(Int64(facts.bucketCount))
  }
}
