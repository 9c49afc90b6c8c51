package import MillBase
package import MillLog
package import MillState

/// Why a state can't be looked into.
package enum StateLookError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Nothing to look at yet; says where.
  case nothing(String)
  /// Damage, or another pipeline's.
  case unusable(String)
  case failed(String)

  package var description: String {
    switch self {
    case .nothing(let reason), .unusable(let reason), .failed(let reason): reason
    }
  }
}

/// The deduplication state of the newest checkpoint that verifies, from a clone of its own: nothing of the pipeline is locked or changed,
/// so that it may run meanwhile. One thread; ``close()`` removes the clone.
package final class StateLook {
  /// Of the checkpoint that is looked at.
  package let manifest: Manifest
  package let store: RocksDBStore
  private let state: DeduplicateState
  private let plan: DeduplicatePlan
  private let disk: any Disk
  private let directory: String

  /// - Parameter name: of the clone's directory beside the checkpoints (``CheckpointStore/lookName(process:)``); the next start of the
  ///   pipeline removes what a crash leaves of it.
  package static func open(
    _ disk: any Disk, checkpoints directory: String, pipeline: String, plan: DeduplicatePlan, stores: RocksDBStoreOpener, name: String
  ) throws(StateLookError) -> StateLook {
    let checkpoints = CheckpointStore(disk, directory: directory)
    let clone = directory + "/" + name
    // A running pipeline removes old checkpoints, and publishes new ones, while they are read.
    for _ in 0..<5 {
      var problems: [String] = []
      var isGone = false
      for checkpoint in try listed(checkpoints) where !isGone {
        guard case .valid(let manifest) = checkpoint.state else {
          problems.append(problem(checkpoint))
          continue
        }
        guard manifest.pipeline == pipeline else {
          throw .unusable("\(checkpoint.path) is the state of pipeline \"\(manifest.pipeline)\", the file's is \"\(pipeline)\"")
        }
        do {
          // Links first: what is verified after them stays, however long that takes.
          try disk.removeTree(clone)
          try Executor.clone(disk, checkpoint.path + "/" + part, to: clone)
          guard let why = try checkpoints.problem(of: manifest, part: part, linkedTo: clone) else {
            return StateLook(disk, clone, manifest, plan, try stores.openStore(clone))
          }
          isGone = !checkpoints.isThere(checkpoint.id)
          problems.append("\(checkpoint.path): \(why)")
        } catch DiskError.notFound where !checkpoints.isThere(checkpoint.id) {
          isGone = true
        } catch DiskError.notFound(let path) {
          problems.append("\(path) is missing")
        } catch {
          throw .failed("\(checkpoint.path) can't be opened: \(error)")
        }
      }
      // What stays of it the next try, or the pipeline's next start, removes.
      try? disk.removeTree(clone)
      if isGone { continue }
      guard problems.isEmpty else { throw .unusable("no checkpoint verifies: \(problems.joined(separator: "; "))") }
      throw .nothing("there is no checkpoint in \(directory): has the pipeline run?")
    }
    throw .failed("the checkpoints in \(directory) change faster than they can be read: try again")
  }

  private static let part = "shard-0/store"

  /// Newest first.
  private static func listed(_ checkpoints: CheckpointStore) throws(StateLookError) -> [CheckpointStore.Checkpoint] {
    do throws(CheckpointError) {
      var known = KnownDigests()
      return try checkpoints.list(.manifestOnly, known: &known)
    } catch {
      throw .failed("\(error)")
    }
  }

  private static func problem(_ checkpoint: CheckpointStore.Checkpoint) -> String {
    switch checkpoint.state {
    case .valid: ""
    case .invalid(let why): why
    case .newerVersion(let found, let supported): "\(checkpoint.path) has format \(found), this program reads up to \(supported)"
    }
  }

  private init(_ disk: any Disk, _ directory: String, _ manifest: Manifest, _ plan: DeduplicatePlan, _ store: RocksDBStore) {
    self.disk = disk
    self.directory = directory
    self.manifest = manifest
    self.plan = plan
    self.store = store
    // Without filters: each bucket is asked, which for one key costs less than reading them.
    state = DeduplicateState(
      options: plan.options, store: store, filters: DeduplicateLane(options: plan.options, store: store, disk: disk).filters)
    _ = state.expire(watermark: clock)
  }

  /// What expiry goes by, ms: the watermark, or the epochs' clock.
  package var clock: Int64 { plan.options.usesEventTime ? manifest.watermark : manifest.clockMilliseconds }

  /// The record that newer ones of this key are compared with; nil where the key isn't known (any more).
  package func origin(hash: Digest128, key: [UInt8]) throws(StateLookError) -> RecordOrigin? {
    do throws(RunStoreError) {
      return try state.lookupOrigin(hash: hash, key: key)
    } catch {
      throw .failed("the state can't be read: \(error)")
    }
  }

  /// Bytes that all filters together may take.
  package var filterByteLimit: Int { plan.options.filterByteLimit }

  /// First time of a bucket, ms.
  package func start(of bucket: BucketID) -> Int64 { plan.options.window.start(of: bucket) }

  package func close() {
    store.close()
    // What stays of it the pipeline's next start removes.
    try? disk.removeTree(directory)
  }
}
