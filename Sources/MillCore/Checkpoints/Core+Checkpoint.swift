internal import MillBase
internal import MillLog

/// How far the checkpoint under way is (R14). What is kept is ``Retention``'s matter, the group's metadata ``WitnessKeeper``'s.
struct CheckpointProgress {
  enum Stage: Hashable {
    case idle
    /// The state of epoch c is being frozen under this number.
    case freezing(id: UInt64)
    /// Frozen: what is pending is being sealed, the state's files are being made.
    case frozen
    case publishing

    var isPastFreeze: Bool { self == .frozen || self == .publishing }
  }

  var stage = Stage.idle
  /// Monotonic; nil: none is due by time.
  var dueAt: Int64?
  var manifest: Manifest?
  var name = ""
  /// The seal of this epoch must be durable before the manifest is published.
  var waitsForSeal: EpochNumber?
  var stateIsDone = false
  var publishRetryAt: Int64?
  var lastEpoch: EpochNumber?
  var lastPublishedAt: Int64?
  /// By this process.
  var publishedCount: UInt64 = 0

  /// The process ends when the checkpoint under way is published and its witness was tried.
  var isLast = false
  /// The one under way, or due now, is of what was replayed; no new epoch is cut before it is published.
  var settlesReplay = false

  func isDue(_ monotonic: Int64) -> Bool { stage == .idle && dueAt.map { $0 <= monotonic } == true }
}

extension Core {
  mutating func advanceCheckpoint() {
    guard !isUnproven || checkpoint.stage != .idle else { return }
    guard phase == .live || (phase == .preparing && checkpoint.stage != .idle) || phase == .replaying else { return }
    if phase == .live, stopRequested, checkpoint.stage == .idle, !checkpoint.isLast, !isSealing {
      checkpoint.isLast = true
      if checkpoint.lastEpoch == epoch, pendingRows.allSatisfy({ $0 == 0 }) {
        guard sources.indices.contains(where: { sources[$0].witness.isLacking && !isAway($0) }) else { return finishLast() }
        return commitLackingWitnesses()
      }
      Reach.mark(.r14Terminated)
      return beginCheckpoint()
    }
    // No seal may be under way: the manifest's batches and numbers are those as of its position.
    if phase == .live, !stopRequested, checkpoint.isDue(monotonic), !isSealing {
      if checkpoint.lastEpoch == epoch {
        checkpoint.dueAt = monotonic + options.checkpointIntervalMilliseconds
        // Nothing has come since; what the checkpoint before left to the next one is still due.
        commitLackingWitnesses()
      } else {
        beginCheckpoint()
      }
    }
    if checkpoint.stage == .frozen {
      advanceTopicCheck()
      publishWhenReady()
    }
    if checkpoint.stage == .publishing, let at = checkpoint.publishRetryAt, at <= monotonic, let manifest = checkpoint.manifest {
      checkpoint.publishRetryAt = nil
      commands.append(.publish(manifest, name: checkpoint.name))
    }
  }

  mutating func beginCheckpoint() {
    require(checkpoint.stage == .idle && !isSealing, "R14: a checkpoint would begin beside another, or beside a seal")
    checkpoint.stage = .freezing(id: lane.nextFreezeID)
    checkpoint.dueAt = nil
    checkpoint.stateIsDone = false
    orderFreeze()
  }

  /// The state of epoch c stands still; nothing of a later epoch lies before `position`.
  mutating func frozenForCheckpoint(_ position: LogPosition) {
    Reach.mark(.r14Frozen)
    let unacked =
      sinks.flatMap(\.deliveries).filter { !$0.isAcked }.map { listed($0.batch, $0.seal) }
      + deadLetters.waiting.map { listed($0.batch, $0.seal) }
    if !unacked.isEmpty { Reach.mark(.r14UnackedInManifest) }
    checkpoint.name = CheckpointID(lineage: lineage, epoch: epoch).description
    checkpoint.manifest = Manifest(
      pipeline: options.pipeline, lineage: lineage, hashSeed: hashSeed, epoch: epoch, clockMilliseconds: clockMilliseconds,
      watermark: watermark,
      sources: sources.map(\.state).sorted { $0.number < $1.number }, plan: plan, position: position, unacked: unacked,
      nextBatchNumbers: nextBatch, files: [], tableIdentities: tableIdentities)
    checkpoint.stage = .frozen
    for index in sources.indices { sources[index].topicCheck = .due }
    lane.add(.checkpoint(epoch: epoch, name: checkpoint.name))
    // Also where only counters are pending: what recovery doesn't replay is nowhere but in seals.
    if pendingRows.contains(where: { $0 > 0 }) || unsealedCounters.records > 0 {
      checkpoint.waitsForSeal = epoch
      orderSeal(destinations.filter { pendingRows[$0.index] > 0 })
    } else {
      Reach.mark(.r14NothingPending)
      wantsSync = true
    }
    require(pendingRows.allSatisfy { $0 == 0 }, "R14: rows of epoch \(epoch) and before are pending behind its checkpoint")
    // No seal's range crosses c, also over epochs without output.
    firstUncovered = firstUncovered.map { _ in epoch + 1 }
  }

  private func listed(_ batch: SealedBatch, _ seal: LogPosition) -> Manifest.UnackedBatch {
    Manifest.UnackedBatch(
      destination: batch.destination, number: batch.number, seal: seal, firstChunk: min(batch.chunks.min() ?? seal, seal))
  }

  private mutating func publishWhenReady() {
    guard var manifest = checkpoint.manifest, checkpoint.stateIsDone, checkpoint.waitsForSeal == nil,
      sources.allSatisfy({ $0.topicCheck == .done })
    else { return }
    guard durableEnd >= manifest.position else {
      wantsSync = true
      return
    }
    checkpoint.stage = .publishing
    manifest.durableEnd = max(durableEnd, manifest.position)
    checkpoint.manifest = manifest
    commands.append(.publish(manifest, name: checkpoint.name))
  }

  mutating func takePublished(_ published: EpochNumber, _ name: String) {
    guard checkpoint.stage == .publishing, let manifest = checkpoint.manifest, manifest.epoch == published, checkpoint.name == name else {
      preconditionFailure("checkpoint \(name) was published, which nobody has ordered")
    }
    Reach.mark(.r14Published)
    foundSpace(.publish)
    checkpoint.stage = .idle
    checkpoint.settlesReplay = false
    checkpoint.lastEpoch = published
    checkpoint.lastPublishedAt = monotonic
    checkpoint.publishedCount += 1
    checkpoint.dueAt = monotonic + options.checkpointIntervalMilliseconds
    for gone in retention.take(manifest, name, count: options.checkpointsRetained) { commands.append(.removeCheckpoint(name: gone)) }
    deadLetters.forgetAcked(before: durableEnd)
    if let keep = retention.firstNeeded(sinks, deadLetters, durableEnd: durableEnd) { commands.append(.truncate(before: keep)) }
    for index in sources.indices where !checkpoint.isLast || !isAway(index) { commitWitness(of: index) }
    if checkpoint.isLast, !isCommittingWitness { finishLast() }
  }

  mutating func finishLast() {
    if let windUp { return end(windUp) }
    if let stop = sinks.lazy.compactMap(\.stopAmidViewFailure).first { return end(stop) }
    // A stop that was asked for doesn't wait for the table.
    let isEnd = options.untilEnd && hasReachedEnd && isAllAcked
    end(isEnd ? stopAtEnd() : Stop(.done, "stopped after a checkpoint"))
  }

  /// `--until-end`: all rows acked, the acks durable, then a last checkpoint unless the newest stands there.
  mutating func advanceUntilEnd() {
    guard !checkpoint.isLast, pendingRows.allSatisfy({ $0 == 0 }), !isSealing, bufferedSince == nil else { return }
    guard isAllAcked, appendsWaiting.isEmpty else { return }
    guard durableEnd >= logEnd else {
      wantsSync = true
      return
    }
    guard checkpoint.stage == .idle, !isCommittingWitness else { return }
    Reach.mark(.r14UntilEnd)
    checkpoint.isLast = true
    if checkpoint.lastEpoch == epoch { return finishLast() }
    beginCheckpoint()
  }
}
