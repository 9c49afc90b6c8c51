internal import MillBase
internal import MillCore
internal import MillLog
internal import MillState
internal import Synchronization

/// Tables that the state lane has written, on their way to the flow thread's view, in the order of their freezes.
final class Flushed: Sendable {
  private let tables = Mutex<[FlushedTable]>([])

  func add(_ table: FlushedTable) { tables.withLock { $0.append(table) } }

  func takeAll() -> [FlushedTable] {
    tables.withLock { waiting in
      defer { waiting.removeAll() }
      return waiting
    }
  }
}

/// Digests of files that checkpoints of this process have published. State lane only.
///
/// Not those of earlier processes: an inode's number may be another file's by now.
final class PublishedDigests: @unchecked Sendable {
  var known = KnownDigests()
}

/// State and checkpoints (R14, R18).
extension Executor {
  func freeze(_ id: UInt64, _ epoch: EpochNumber) -> Event {
    let start = parts.clock.nanoseconds()
    attachState()
    if let state = flow?.state, state.fill.keyCount > 0 { frozen[id] = state.freeze(epoch: epoch) }
    let end = parts.clock.nanoseconds()
    parts.metrics.freezeSeconds.observe(nanoseconds: end - start)
    freezes[epoch] = start
    return .frozen(id: id, position: log?.end ?? 0)
  }

  func stateWork(_ work: StateWork) {
    switch work {
    case .flush(let id): flush(work, id)
    case .drop(let epoch): drop(work, epoch)
    case .checkpoint(_, let name): makeCheckpoint(work, name)
    }
  }

  private func flush(_ work: StateWork, _ id: UInt64) {
    let opening = opening
    let flushed = flushed
    // A flush that had no room is ordered again: the table stays until the next freeze.
    let table = frozen[id]
    frozen = frozen.filter { $0.key >= id }
    let metrics = parts.metrics
    lanes.run(.state) {
      guard let table, let state = opening.state, let lane = state.lane else { return .stateWorkDone(work) }
      do throws(RunStoreError) {
        flushed.add(try lane.flush(table))
        FaultPoint.hit(.flushed)
        metrics.look(at: state.store)
        return .stateWorkDone(work)
      } catch {
        return Executor.event(of: error, .state)
      }
    }
  }

  private func drop(_ work: StateWork, _ epoch: EpochNumber) {
    let opening = opening
    let buckets = expired[epoch] ?? []
    expired = expired.filter { $0.key >= epoch }
    let metrics = parts.metrics
    lanes.run(.state) {
      do throws(RunStoreError) {
        FaultPoint.hit(.beforeDrop)
        try opening.state?.lane?.drop(buckets)
        FaultPoint.hit(.dropped)
        metrics.droppedBuckets.add(UInt64(Set(buckets.map(\.whole)).count))
        if let state = opening.state { metrics.look(at: state.store) }
        return .stateWorkDone(work)
      } catch {
        return Executor.event(of: error, .state)
      }
    }
  }

  private func makeCheckpoint(_ work: StateWork, _ name: String) {
    let opening = opening
    let disk = parts.disk
    let checkpoints = checkpoints
    let isDamaged = opening.damaged.contains(name)
    let metrics = parts.metrics
    lanes.run(.state) {
      guard let state = opening.state else { return .failed(Stop(.failed, "a checkpoint was ordered before the state was open")) }
      do {
        guard let id = CheckpointID(name) else { return .failed(Stop(.failed, "checkpoint name \(name)")) }
        // Recovery fell back behind it and has come to its epoch again.
        if isDamaged { try checkpoints.remove(id) }
        let directory = try checkpoints.begin(id)
        try disk.createDirectory(directory + "/shard-0/filters")
        FaultPoint.hit(.checkpointBegun)
        try state.store.checkpoint(to: directory + "/shard-0/store")
        FaultPoint.hit(.amidCheckpointFiles)
        _ = try state.lane?.writeFilters(into: directory + "/shard-0/filters")
        FaultPoint.hit(.checkpointFilesMade)
        metrics.look(at: state.store)
        return .stateWorkDone(work)
      } catch let error as RunStoreError {
        return Executor.event(of: error, .checkpoint)
      } catch let error as DiskError {
        return Executor.event(of: error, .checkpoint)
      } catch let error as CheckpointError {
        return Executor.event(of: error, .checkpoint)
      } catch {
        return .failed(Stop(.failed, "the checkpoint \(name): \(error)"))
      }
    }
  }

  /// On the state lane, so that the next checkpoint's files can't be mixed in.
  func publish(_ manifest: Manifest, _ name: String) {
    let checkpoints = checkpoints
    let digests = knownDigests
    opening.damaged.remove(name)
    let (clock, metrics) = (parts.clock, parts.metrics)
    let start = freezes[manifest.epoch] ?? clock.nanoseconds()
    freezes = freezes.filter { $0.key > manifest.epoch }
    lanes.run(.state) {
      do throws(CheckpointError) {
        _ = try checkpoints.publish(manifest, known: &digests.known)
        digests.known.forgetUnused()
        FaultPoint.hit(.published)
        metrics.checkpointSeconds.observe(nanoseconds: clock.nanoseconds() - start)
        return .published(manifest.epoch, name: name)
      } catch {
        return Executor.event(of: error, .publish)
      }
    }
  }

  func removeCheckpoint(_ name: String) {
    let checkpoints = checkpoints
    lanes.run(.state) {
      guard let id = CheckpointID(name) else { return nil }
      do throws(CheckpointError) {
        try checkpoints.remove(id)
        return .checkpointRemoved(name: name)
      } catch CheckpointError.outOfSpace {
        // A later start removes it.
        return .checkpointRemoved(name: name)
      } catch {
        return Executor.event(of: error, .state)
      }
    }
  }

  static func event(of error: RunStoreError, _ work: SpaceWork) -> Event {
    if case .outOfSpace(let place) = error { return .outOfSpace(work, place: place) }
    return .failed(stop(of: error))
  }

  /// What ends the process where the store can't be read or changed. A start reads every file of each checkpoint: one whose files are
  /// damaged isn't taken then (R17).
  static func stop(of error: RunStoreError) -> Stop {
    guard case .corrupt(let reason) = error else { return Stop(.failed, "the state: \(error)") }
    return Stop(
      .promise, rule: "R17",
      "the state is damaged: \(reason). Look after the disk, then start again: it reads every checkpoint and takes the newest whole one")
  }
}
