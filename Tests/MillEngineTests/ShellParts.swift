import Glibc
import MillBase
import MillClickHouse
import MillCore
import MillEngine
import MillFlow
import MillLog
import MillSim
import MillState
import Synchronization

/// The simulated RunStore behind a lock: look-ups come from the flow thread beside the state lane's changes, and RocksDB allows that.
private final class LockedStore: RunStore {
  private let store: Mutex<SimRunStore>

  init(_ store: sending SimRunStore) { self.store = Mutex(store) }

  func buckets() -> [BucketID] { store.withLock { $0.buckets() } }
  func ingest(_ nextPiece: () -> SortedRun?, into bucket: BucketID) throws(RunStoreError) {
    try store.withLock { (store) throws(RunStoreError) in try store.ingest(nextPiece, into: bucket) }
  }
  func drop(_ bucket: BucketID) throws(RunStoreError) {
    try store.withLock { (store) throws(RunStoreError) in try store.drop(bucket) }
  }
  func lookup(_ bucket: BucketID, keys: [UInt8], ends: [UInt32], into values: inout [[UInt8]?]) throws(RunStoreError) {
    values = try store.withLock { (store) throws(RunStoreError) in
      var found: [[UInt8]?] = []
      try store.lookup(bucket, keys: keys, ends: ends, into: &found)
      return found
    }
  }
  func checkpoint(to directory: String) throws(RunStoreError) {
    try store.withLock { (store) throws(RunStoreError) in try store.checkpoint(to: directory) }
  }
  func close() {}
}

private final class LockedOpener: RunStoreOpener {
  private let opener: SimRunStoreOpener

  init(_ disk: any Disk) { opener = SimRunStoreOpener(disk: disk, draws: .stream(seed: 1, "state"), trace: Trace(kept: 0) { 0 }) }

  func open(_ directory: String) throws(RunStoreError) -> any RunStore {
    guard let store = try opener.open(directory) as? SimRunStore else { throw .failed("\(directory): no simulated store") }
    return LockedStore(store)
  }
}

/// The engine as production builds it, over real files and simulated ends that stand threads.
struct Shell {
  static let settleMilliseconds: Int64 = 200

  let topic: ShellTopic
  /// Some batches' bytes: reached early in a standstill.
  var unackedMaxBytes: UInt64 { UInt64(topic.recordCount / 2) }
  let root: String
  let disk = RealDisk()
  let clock = SystemClock()
  let source: ShellSource
  let server: ShellServer

  /// What an engine did in one life, counted on the flow thread.
  struct Life {
    var stop: Stop
    var publishedCount = 0
    var flushCount = 0
    var dropCount = 0
    /// Moments of the server's standstill in which nothing was taken because too many bytes weren't acked.
    var heldBackCount = 0
  }

  init(recordCount: Int, seed: UInt64) throws {
    topic = ShellTopic(recordCount: recordCount)
    let parent = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    root = "\(parent)/millrace-shell-\(getpid())"
    try disk.removeTree(root)
    source = ShellSource(topic, sectionCount: 8, seed: seed)
    server = ShellServer(seed: seed, clock: clock, outageAt: 5, standstillAt: 10)
  }

  private var plan: SourcePlan {
    get throws {
      try SourcePlan(
        name: "events", topic: "events",
        fields: [
          FieldPlan(name: "event_id", type: .string), FieldPlan(name: "k", type: .uint32), FieldPlan(name: "amount", type: .int64),
          FieldPlan(name: "at", type: .dateTime64(precision: 3, zone: nil), format: .unixMilliseconds),
        ], eventTime: EventTimePlan(fieldIndex: 3, outOfOrderness: 0, idleAfter: 60_000))
    }
  }

  private func options(untilEnd: Bool) -> CoreOptions {
    var table = TableOptions(name: "events", target: "sim.events")
    table.batchMaxRows = UInt64(topic.recordCount / 60)
    table.batchMaxDelayMilliseconds = 50
    table.settleMilliseconds = Self.settleMilliseconds
    var options = CoreOptions(
      pipeline: "shell", sources: [SourceOptions(name: "events", topic: "events")],
      plan: PlanRecord(hash: 1, replayVersion: 1, text: "shell"),
      tables: [table])
    options.untilEnd = untilEnd
    options.epochMaxRows = 2000
    options.epochMaxDelayMilliseconds = 5
    options.deadLetterMaxDelayMilliseconds = 50
    options.checkpointIntervalMilliseconds = 30
    options.unackedMaxBytes = unackedMaxBytes
    options.describeIntervalMilliseconds = 20
    options.retryMilliseconds = 10
    options.backoffMaxMilliseconds = 100
    return options
  }

  private func parts(untilEnd: Bool) throws -> EngineParts {
    let plan = try plan
    let sink = ClickHouseSink(
      options: SinkOptions(
        urls: ["http://shell:8123"], table: TableName(database: "sim", table: "events"),
        settleMilliseconds: Int(Self.settleMilliseconds)),
      fields: plan.fields.map { SinkField(field: $0.name, type: $0.type) }, transport: server, clock: clock)
    let reach = Int64(topic.reach)
    return EngineParts(
      core: options(untilEnd: untilEnd), disk: disk, clock: clock, sources: [SourceParts(end: source, plan: plan)],
      stores: LockedOpener(disk), sinks: [sink],
      deduplicate: DeduplicatePlan(
        keyFields: [0],
        options: DeduplicateOptions(
          stateNumber: 0, withinMilliseconds: 2 * reach, allowedLatenessMilliseconds: 2 * reach, memoryByteCount: 256 << 10,
          bucketMillisecondsMin: 1)),
      stateDirectory: root + "/state", checkpointDirectory: root + "/checkpoints", deadLetterDirectory: root + "/dead-letters",
      entropy: untilEnd ? [5, 6, 7, 8] : [1, 2, 3, 4], logSegmentByteCount: 512 << 10, holder: "shell")
  }

  /// Runs an engine on this thread until it stops, as the program does. `stopsAtHalf`: a thread of the test asks it to, once half of the
  /// topic has been read and the standstill is over. A stop in a standstill would read no more, and so never be held back.
  func live(stopsAtHalf: Bool) throws -> Life {
    let lanes = ThreadLanes(sourceCount: 1)
    let engine = Engine(parts: try parts(untilEnd: !stopsAtHalf), lanes: lanes) { _, _ in }
    let signal = BlockingQueue<Void>()
    let signals = NamedThread("shell-signals") {
      if !signal.takeAll(waitingMilliseconds: nil).isEmpty { lanes.post(.stopRequested) }
    }
    var hasAsked = !stopsAtHalf
    var life = Life(stop: Stop(.failed, "never stopped"))
    engine.trace = { [unowned engine] event, commands in
      if case .published = event {
        life.publishedCount += 1
        source.nextSection()
      }
      for case .stateWork(let work) in commands {
        if case .flush = work { life.flushCount += 1 }
        if case .drop = work { life.dropCount += 1 }
      }
      if engine.progress.isLive, engine.progress.hold == .unacked, server.isStandingStill {
        if life.heldBackCount == 0 { server.goOn() }
        life.heldBackCount += 1
      }
      if !hasAsked, source.isHalfRead, life.heldBackCount > 0 {
        hasAsked = true
        signal.put(())
      }
    }
    life.stop = EngineLoop(lanes: lanes, clock: clock).run(engine)
    engine.trace = nil
    server.clientGone()
    signal.close()
    signals.join()
    lanes.close()
    engine.executor.close()
    return life
  }

  /// Lines in the files of dead letters.
  func deadLetterCount() throws -> Int {
    var count = 0
    for name in try disk.list(root + "/dead-letters") where name.hasSuffix(".jsonl") {
      count += try disk.read(root + "/dead-letters/" + name).count { $0 == UInt8(ascii: "\n") }
    }
    return count
  }

  /// What is wrong with the table's rows; empty: each that is expected is there once, and nothing else.
  func problems(_ rows: [ServerRow]) -> [String] {
    var counts = [UInt8](repeating: 0, count: topic.recordCount)
    var problems: [String] = []
    for row in rows {
      guard let id = Int(row.eventID.dropFirst()), topic.hasRow(id), row.group == topic.group(id), row.amount == topic.amount(id),
        row.at == topic.time(id), counts[id] == 0
      else {
        problems.append("extra, double or wrong: \(row)")
        continue
      }
      counts[id] = 1
    }
    for id in counts.indices where topic.hasRow(id) && counts[id] == 0 { problems.append("missing: e\(id)") }
    return Array(problems.prefix(10))
  }
}
