internal import MillBase
internal import MillCore
internal import MillFlow
internal import MillLog
internal import MillState
internal import Synchronization

/// What the control lane opens at start. Written by lane jobs before their event is posted, read by the flow thread after it.
final class Opening: @unchecked Sendable {
  var contents: LogContents?
  var log: EpochLog?
  /// A log that had no room for the records that begin a life.
  var begun: EpochLog?
  var ledger: Ledger?
  var lock: (any DiskLock)?
  var state: OpenState?
  /// Names of checkpoints that did not verify: not retained ones (R16), so that a new one may take their place.
  var damaged: Set<String> = []
  /// Of each whole checkpoint, by its name.
  var files: [String: [Manifest.File]] = [:]
}

/// A state that has been cloned from a checkpoint and opened.
struct OpenState: @unchecked Sendable {
  var store: any RunStore
  var lane: DeduplicateLane?
}

extension Executor {
  /// The lock, the checkpoints, the log.
  func open() {
    let parts = parts
    let opening = opening
    let checkpoints = checkpoints
    let say = say
    lanes.run(.control) {
      do throws(DiskError) {
        if opening.lock == nil, let problem = try StateDirectories(parts).problem() { return .failed(Stop(.failed, problem)) }
        // The lock says whose directory this is, durably with the next name in it.
        try Executor.createDurably(parts.disk, parts.stateDirectory)
        if opening.lock == nil {
          opening.lock = try parts.disk.lock(parts.stateDirectory + "/LOCK", holder: parts.holder)
        }
        for directory in [parts.stateDirectory + "/log", parts.checkpointDirectory, parts.deadLetterDirectory] {
          try Executor.createDurably(parts.disk, directory)
        }
      } catch {
        return Executor.event(of: error, .open)
      }
      return Executor.look(parts, opening, checkpoints, say)
    }
  }

  /// Makes a directory with its missing parents, so that a power cut can't take their names. The last one's is synced even when it was
  /// there: an earlier life may have ended between the two.
  private static func createDurably(_ disk: any Disk, _ directory: String) throws(DiskError) {
    var missing = [directory]
    while let parent = missing.last.map(parentDirectory(of:)), parent != missing.last, !disk.exists(parent) { missing.append(parent) }
    try disk.createDirectory(directory)
    for path in missing.reversed() { try disk.syncDirectory(parentDirectory(of: path)) }
  }

  private static let progressMilliseconds: Int64 = 10_000

  /// Reads checkpoints and log; nothing is written but what an interrupted publication left is removed.
  private static func look(
    _ parts: EngineParts, _ opening: Opening, _ checkpoints: CheckpointStore, _ say: (Command.Level, String) -> Void
  ) -> Event {
    do {
      var known = KnownDigests()
      var found: [FoundCheckpoint] = []
      // Gigabytes may have to be read before anything else happens.
      var saidAt = parts.clock.now().monotonicMilliseconds
      let listed = try checkpoints.list(.full, known: &known) { done, all in
        let now = parts.clock.now().monotonicMilliseconds
        guard now - saidAt >= progressMilliseconds else { return }
        saidAt = now
        say(.info, "checking the checkpoints: \(done >> 20) of \(all >> 20) MiB read")
      }
      for checkpoint in listed {
        switch checkpoint.state {
        case .valid(let manifest):
          opening.files["\(checkpoint.id)"] = manifest.files
          found.append(FoundCheckpoint(name: "\(checkpoint.id)", manifest: manifest, problem: nil))
        case .invalid(let why): found.append(FoundCheckpoint(name: "\(checkpoint.id)", manifest: nil, problem: why))
        case .newerVersion(let version, let supported):
          return .failed(
            Stop(
              .promise, rule: "R17",
              "checkpoint \(checkpoint.path) has format \(version), this program reads up to \(supported): use the newer program"))
        }
      }
      if let stop = foreign(parts, found) { return .failed(stop) }
      opening.damaged = Set(found.filter { $0.manifest == nil }.map(\.name))
      // A new lineage gives up what a damaged log can't tell; the core then looks for a checkpoint that fits what is left.
      let vouched = parts.core.newLineage ? 0 : found.compactMap(\.manifest?.durableEnd).max() ?? 0
      try checkpoints.prepare()
      let contents = try EpochLog.read(
        parts.disk, directory: parts.stateDirectory + "/log", pipeline: parts.core.pipeline, vouched: vouched,
        givesUpDamage: parts.core.newLineage, keep: keep(found, newLineage: parts.core.newLineage))
      opening.contents = contents
      return .opened(
        Opened(
          checkpoints: found, log: Executor.found(contents), lineage: Lineage(parts.entropy[0]),
          hashSeed: Digest128(low: parts.entropy[1], high: parts.entropy[2]), instance: parts.entropy[3]))
    } catch let error as LogError {
      return Executor.event(of: error, .open)
    } catch let error as CheckpointError {
      return Executor.event(of: error, .open)
    } catch {
      return .failed(Stop(.failed, "the state directory can't be read: \(error)"))
    }
  }

  /// The memory of a start doesn't grow with the log. A new lineage may fall back to an older checkpoint, where the newest needs more of
  /// the log than there is.
  private static func keep(_ found: [FoundCheckpoint], newLineage: Bool) -> LogKeep {
    let manifests = found.lazy.filter { $0.problem == nil }.compactMap(\.manifest)
    return (newLineage ? manifests.last : manifests.first).map(LogKeep.init) ?? .nothing
  }

  /// A stop where the checkpoints are another pipeline's, or another deduplication's (R4, R17). Told before the log is read, which knows
  /// pipelines by their names' hashes only.
  private static func foreign(_ parts: EngineParts, _ found: [FoundCheckpoint]) -> Stop? {
    guard let manifest = found.first(where: { $0.manifest != nil })?.manifest else { return nil }
    if manifest.pipeline != parts.core.pipeline {
      return Stop(
        .promise, rule: "R17",
        "\(parts.stateDirectory) has the state of pipeline \"\(manifest.pipeline)\", this file is \"\(parts.core.pipeline)\": give each pipeline a state.path and a checkpoint.location of its own"
      )
    }
    // Where no row was ever sealed no key is remembered either, but for rows that were sealed behind the checkpoint's position.
    let remembersKeys =
      manifest.nextBatchNumbers.indices.contains { $0 != Destination.deadLetters.index && manifest.nextBatchNumbers[$0] > 1 }
      || manifest.files.contains { $0.path.hasSuffix(".sst") }
    if remembersKeys, let change = parts.stateChange(manifest.plan.text, parts.core.plan.text) {
      return Stop(
        .promise, rule: "R4",
        "the keys remembered in \(parts.stateDirectory) were made otherwise: \(change). Put the file back as it was, or begin anew: another pipeline name, state.path, checkpoint.location and table"
      )
    }
    return nil
  }

  /// R5, then who writes from here on.
  func beginLog(_ records: [LogRecord]) {
    let parts = parts
    let say = say
    let opening = opening
    lanes.run(.control) {
      guard let contents = opening.contents else { return .failed(Stop(.failed, "the log was not read")) }
      do throws(LogError) {
        if opening.ledger == nil {
          let ledger = try Ledger.open(
            parts.disk, directory: HistoryReader.ledgerDirectory(parts.stateDirectory), pipeline: parts.core.pipeline, log: contents)
          if let missing = ledger.missing {
            say(
              .warning,
              "the ledger has nothing of log positions \(missing.lowerBound) to \(missing.upperBound - 1), which are gone from the log: millrace verify can't prove what was sealed there"
            )
          }
          opening.ledger = ledger
        }
        if let tail = contents.droppedTail, opening.begun == nil {
          // After a crash nothing was promised of it.
          say(
            parts.core.newLineage ? .warning : .info,
            "the epoch log goes on from position \(contents.end): what stands behind it in \(tail.path) is no whole record (\(tail.why)) and is dropped"
          )
        }
        let log: EpochLog
        if let begun = opening.begun {
          log = begun
        } else {
          log = try EpochLog.begin(
            parts.disk, directory: parts.stateDirectory + "/log", pipeline: parts.core.pipeline, contents: contents,
            options: LogOptions(segmentByteCount: parts.logSegmentByteCount, sealByteCountMax: parts.sealByteCountMax))
          opening.begun = log
        }
        // A try before this one may have come to the disk's end amid them.
        for record in records.dropFirst(Int(log.end - contents.end)) { _ = try log.append(record) }
        FaultPoint.hit(.logBegun)
        let durable = try log.sync()
        opening.log = log
        (opening.contents, opening.begun) = (nil, nil)
        return .logBegun(end: log.end, durableEnd: durable)
      } catch {
        return Executor.event(of: error, .beginLog)
      }
    }
  }

  /// The live state is never trusted after a crash: it is deleted and cloned from the checkpoint (R17).
  func openState(_ checkpoint: String?, _ start: FlowStart) {
    let parts = parts
    let opening = opening
    let digests = knownDigests
    let expected = checkpoint.flatMap { opening.files[$0] } ?? []
    let live = parts.stateDirectory + "/live/shard-0"
    let from = checkpoint.map { parts.checkpointDirectory + "/" + $0 + "/shard-0" }
    (destinations, namedSources) = (start.destinations, start.named)
    flow = Flow(parts: parts, start: start)
    lanes.run(.state) {
      do {
        try parts.disk.removeTree(live)
        try parts.disk.createDirectory(live)
        if let from { try Executor.clone(parts.disk, from + "/store", to: live + "/store") }
        digests.known.expect(expected)
        FaultPoint.hit(.restored)
        let store = try parts.stores.open(live + "/store")
        var state = OpenState(store: store)
        if let plan = parts.deduplicate {
          let lane = DeduplicateLane(options: plan.options, store: store, disk: parts.disk)
          if let from { try lane.restore(from: from + "/filters") }
          state.lane = lane
        }
        opening.state = state
        return .stateOpened
      } catch let error as DiskError {
        return Executor.event(of: error, .openState)
      } catch RunStoreError.outOfSpace(let place) {
        return .outOfSpace(.openState, place: place)
      } catch RunStoreError.failed(let reason) {
        // Too few open files, rights, a disk that fails: nothing is said of what the checkpoint holds.
        return .failed(Stop(.failed, "checkpoint \(checkpoint ?? "") can't be opened: \(reason)"))
      } catch {
        return .failed(Stop(.promise, rule: "R17", "checkpoint \(checkpoint ?? "") can't be opened: \(error)"))
      }
    }
  }

  /// Sorted files are shared by hard links; all else is copied, so that nothing written later reaches the checkpoint.
  static func clone(_ disk: any Disk, _ from: String, to: String) throws(DiskError) {
    try disk.createDirectory(to)
    for name in try disk.list(from) {
      FaultPoint.hit(.amidRestore)
      if name.hasSuffix(".sst"), try isLinked(disk, from + "/" + name, to + "/" + name) { continue }
      do {
        let bytes = try disk.read(from + "/" + name)
        let file = try disk.open(to + "/" + name, create: true)
        defer { file.close() }
        try unsafe bytes.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
      }
    }
  }

  /// False where the two are on different file systems, which then need a copy at each start.
  private static func isLinked(_ disk: any Disk, _ from: String, _ to: String) throws(DiskError) -> Bool {
    do throws(DiskError) {
      try disk.link(from, to: to)
      return true
    } catch .io(_, _, let code) where code == otherFileSystem {
      return false
    }
  }

  /// EXDEV on Linux.
  private static let otherFileSystem: Int32 = 18

  static func found(_ contents: LogContents) -> FoundLog {
    FoundLog(
      first: contents.firstPosition, end: contents.end,
      records: contents.entries.compactMap { entry in
        if case .record(let record) = entry.item { (position: entry.position, record: record) } else { nil }
      }, sealed: contents.sealed, byteCount: contents.byteCount, cutEnds: contents.cutEnds)
  }
}
