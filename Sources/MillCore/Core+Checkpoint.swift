internal import MillBase
internal import MillLog

/// How far the checkpoint under way is, and which are kept (R14, R16, R17).
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
  /// Whether the topic is still the one that the checkpoint before was made of (K6).
  enum TopicCheck { case due, asked, done }
  var topicCheck = TopicCheck.done
  /// The newest one was made with nothing to ask for: the topic may have been made anew amid what it remembers, so that each partition is
  /// asked for next time.
  var mayRememberTwoTopics = false
  var publishRetryAt: Int64?
  /// Checkpoints that verify, newest first.
  var retained: [(name: String, manifest: Manifest)] = []
  /// Names of those that don't, until the next publication removes them.
  var broken: [String] = []
  var lastEpoch: EpochNumber?
  var lastPublishedAt: Int64?
  /// By this process.
  var publishedCount: UInt64 = 0

  // R15
  var isCommittingWitness = false
  /// Another checkpoint was published meanwhile.
  var commitsAgain = false
  var hasCommittedWitness = false
  /// The newest one was tried and failed.
  var lacksWitness = false
  var witnessRetryAt: Int64?
  /// What the group may hold without anybody else having written it.
  var knownWitnesses: [String] = []
  /// The process ends when the checkpoint under way is published and its witness was tried.
  var isLast = false
  /// The one under way, or due now, is of what was replayed; no new epoch is cut before it is published.
  var settlesReplay = false

  func isDue(_ monotonic: Int64) -> Bool { stage == .idle && dueAt.map { $0 <= monotonic } == true }

  mutating func restore(_ found: [FoundCheckpoint], chosen: String, epoch: EpochNumber) {
    retained = found.compactMap { checkpoint in
      guard checkpoint.problem == nil, let manifest = checkpoint.manifest, manifest.epoch <= epoch else { return nil }
      return (checkpoint.name, manifest)
    }
    lastEpoch = epoch
    name = chosen
  }
}

extension Core {
  // MARK: - State lane

  mutating func orderFreeze() {
    let id = nextFreezeID
    nextFreezeID += 1
    frozenUnflushed += 1
    needsFreeze = false
    commands.append(.freeze(id: id, epoch: epoch))
  }

  mutating func takeFrozen(_ id: UInt64, _ position: LogPosition) {
    precondition(frozenUnflushed > 0 && id < nextFreezeID, "the state was frozen under \(id), which nobody has ordered")
    logReaches(position)
    stateQueue.append(.flush(id: id))
    if checkpoint.stage == .freezing(id: id) { frozenForCheckpoint(position) }
  }

  mutating func advanceState() {
    guard !isStateBusy, let work = stateQueue.first, (stateRetryAt ?? 0) <= monotonic else { return }
    stateRetryAt = nil
    isStateBusy = true
    commands.append(.stateWork(work))
  }

  mutating func takeStateWork(_ work: StateWork) {
    precondition(isStateBusy && stateQueue.first == work, "R18: the state lane has done \(work), which is not what was next")
    isStateBusy = false
    stateQueue.removeFirst()
    switch work {
    case .flush:
      foundSpace(.state)
      frozenUnflushed -= 1
    case .checkpoint:
      foundSpace(.checkpoint)
      checkpoint.stateIsDone = true
    case .drop: foundSpace(.state)
    }
  }

  // MARK: - Checkpoints

  mutating func advanceCheckpoint() {
    guard !isUnproven || checkpoint.stage != .idle else { return }
    guard phase == .live || (phase == .preparing && checkpoint.stage != .idle) || phase == .replaying else { return }
    if phase == .live, stopRequested, checkpoint.stage == .idle, !checkpoint.isLast, !isSealing {
      checkpoint.isLast = true
      if checkpoint.lastEpoch == epoch, pendingRows.allSatisfy({ $0 == 0 }) {
        guard checkpoint.lacksWitness else { return finishLast() }
        if !checkpoint.isCommittingWitness { commitWitness() }
        return
      }
      Reach.mark(.r14Terminated)
      return beginCheckpoint()
    }
    // No seal may be under way: the manifest's batches and numbers are those as of its position.
    if phase == .live, !stopRequested, checkpoint.isDue(monotonic), !isSealing {
      if checkpoint.lastEpoch == epoch {
        checkpoint.dueAt = monotonic + options.checkpointIntervalMilliseconds
        // Nothing has come since; what the checkpoint before left to the next one is still due.
        if checkpoint.lacksWitness, !checkpoint.isCommittingWitness { commitWitness() }
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
    precondition(checkpoint.stage == .idle && !isSealing, "R14: a checkpoint would begin beside another, or beside a seal")
    checkpoint.stage = .freezing(id: nextFreezeID)
    checkpoint.dueAt = nil
    checkpoint.stateIsDone = false
    orderFreeze()
  }

  /// The state of epoch c stands still; nothing of a later epoch lies before `position`.
  private mutating func frozenForCheckpoint(_ position: LogPosition) {
    Reach.mark(.r14Frozen)
    let unacked =
      sink.deliveries.filter { !$0.isAcked }.map { listed($0.batch, $0.seal) } + deadLetters.waiting.map { listed($0.batch, $0.seal) }
    if !unacked.isEmpty { Reach.mark(.r14UnackedInManifest) }
    checkpoint.name = CheckpointID(lineage: lineage, epoch: epoch).description
    checkpoint.manifest = Manifest(
      pipeline: options.pipeline, lineage: lineage, hashSeed: hashSeed, epoch: epoch, clockMilliseconds: clockMilliseconds,
      watermark: watermark,
      sources: [
        Manifest.SourceState(
          name: options.sourceName, clusterID: source.topic.clusterID, topic: options.topic, topicID: source.topic.topicID,
          partitions: source.partitions.map {
            Manifest.PartitionState(
              nextOffset: $0.next, maxEventTime: $0.maxEventTime, anchorOffset: $0.anchorOffset, anchorTimestamp: $0.anchorTimestamp,
              anchorChecksum: $0.anchorChecksum)
          })
      ], plan: options.plan, position: position, unacked: unacked, nextBatchNumbers: nextBatch, files: [], tableIdentity: sink.tableIdentity
    )
    checkpoint.stage = .frozen
    checkpoint.topicCheck = .due
    stateQueue.append(.checkpoint(epoch: epoch, name: checkpoint.name))
    // Also where only counters are pending: what recovery doesn't replay is nowhere but in seals.
    if pendingRows.contains(where: { $0 > 0 }) || unsealedCounters.records > 0 {
      checkpoint.waitsForSeal = epoch
      orderSeal(Destination.allCases.filter { pendingRows[$0.index] > 0 })
    } else {
      Reach.mark(.r14NothingPending)
      wantsSync = true
    }
    precondition(pendingRows.allSatisfy { $0 == 0 }, "R14: rows of epoch \(epoch) and before are pending behind its checkpoint")
    // No seal's range crosses c, also over epochs without output.
    firstUncovered = [epoch + 1, epoch + 1]
  }

  private func listed(_ batch: SealedBatch, _ seal: LogPosition) -> Manifest.UnackedBatch {
    Manifest.UnackedBatch(
      destination: batch.destination, number: batch.number, seal: seal, firstChunk: min(batch.chunks.min() ?? seal, seal))
  }

  private mutating func publishWhenReady() {
    guard var manifest = checkpoint.manifest, checkpoint.stateIsDone, checkpoint.waitsForSeal == nil, checkpoint.topicCheck == .done else {
      return
    }
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
    checkpoint.retained.removeAll { $0.name == name }
    checkpoint.retained.insert((name, manifest), at: 0)
    while checkpoint.retained.count > max(1, options.checkpointsRetained) {
      commands.append(.removeCheckpoint(name: checkpoint.retained.removeLast().name))
    }
    for broken in checkpoint.broken where broken != name { commands.append(.removeCheckpoint(name: broken)) }
    checkpoint.broken = []
    truncateLog()
    commitWitness()
  }

  /// R16: what every retained checkpoint needs stays; so do the bytes of a batch that the oldest of them lists and no durable record acks.
  private mutating func truncateLog() {
    guard let oldest = checkpoint.retained.last?.manifest else { return }
    var keep = oldest.position
    let durable = durableEnd
    deadLetters.acked.removeAll { $0.ack < durable }
    let unacked = Set(
      sink.deliveries.filter { !$0.isAcked || ($0.ackPosition ?? 0) >= durableEnd }.map { Ack(destination: .table, batch: $0.batch.number) }
        + deadLetters.waiting.map { Ack(destination: .deadLetters, batch: $0.batch.number) }
        + deadLetters.acked.map { Ack(destination: .deadLetters, batch: $0.number) })
    for batch in oldest.unacked where unacked.contains(Ack(destination: batch.destination, batch: batch.number)) {
      if batch.firstChunk < keep {
        keep = batch.firstChunk
        Reach.mark(.r16HeldByUnacked)
      }
    }
    // Batches of this process that no manifest lists yet.
    for delivery in sink.deliveries where !delivery.isAcked { keep = min(keep, delivery.batch.chunks.min() ?? keep) }
    // An attempt that is still open is known to the next life by its batch's seal only (R9).
    for delivery in sink.deliveries where delivery.hasOpenAttempt { keep = min(keep, delivery.seal) }
    if let unsettled = sink.settler.oldestSeal { keep = min(keep, unsettled) }
    for waiting in deadLetters.waiting { keep = min(keep, waiting.batch.chunks.min() ?? keep) }
    precondition(keep <= oldest.position, "R16: the oldest checkpoint needs the log from \(oldest.position), not from \(keep)")
    commands.append(.truncate(before: keep))
  }

  // MARK: - Witness (R15)

  mutating func commitWitness() {
    guard !checkpoint.isCommittingWitness else {
      checkpoint.commitsAgain = true
      return
    }
    checkpoint.isCommittingWitness = true
    let text = Witness(lineage: lineage, position: min(durableEnd, logEnd)).description
    if case .some(.some(let read)) = start.witness, checkpoint.knownWitnesses.isEmpty { checkpoint.knownWitnesses.append(read) }
    let known = checkpoint.knownWitnesses
    if known.last != text { checkpoint.knownWitnesses.append(text) }
    commands.append(.commitWitness(text, offsets: source.partitions.map(\.next), known: known))
  }

  mutating func takeWitnessCommitted() {
    precondition(checkpoint.isCommittingWitness, "a witness was committed that nobody has ordered")
    Reach.mark(.r15Committed)
    withSource { $0.answered(.witness) }
    nextWitnessLook = monotonic + options.witnessIntervalMilliseconds
    checkpoint.isCommittingWitness = false
    checkpoint.hasCommittedWitness = true
    checkpoint.lacksWitness = false
    // What was sent and not answered may still take effect: it stays known.
    checkpoint.knownWitnesses.removeFirst(max(0, checkpoint.knownWitnesses.count - 64))
    if phase == .preparing, start.manifest == nil { start.checkpointedBirth = true }
    if commitsWitnessAgain() { return }
    if checkpoint.isLast, checkpoint.stage == .idle { finishLast() }
  }

  private mutating func commitsWitnessAgain() -> Bool {
    guard checkpoint.commitsAgain else { return false }
    checkpoint.commitsAgain = false
    commitWitness()
    return true
  }

  mutating func takeWitnessFailure(_ reason: String) {
    precondition(checkpoint.isCommittingWitness, "a witness was not committed that nobody has ordered")
    Reach.mark(.r15CommitFailed)
    checkpoint.isCommittingWitness = false
    if phase == .preparing {
      // At birth, and with a new lineage, nothing is sent before the witness is there.
      withSource { $0.sourceTrouble(.witness, reason) }
      checkpoint.witnessRetryAt = monotonic + options.retryMilliseconds
      return
    }
    checkpoint.lacksWitness = true
    withSource { $0.sourceTrouble(.witness, "\(reason); the next checkpoint tries again") }
    if commitsWitnessAgain() { return }
    if checkpoint.isLast, checkpoint.stage == .idle { finishLast() }
  }

  mutating func takeWitnessTaken(_ text: String?) {
    Reach.mark(.r15OtherCommitted)
    end(
      Stop(
        .promise, rule: "R15",
        text.map { Witness($0) == nil } == true
          ? Witness.foreign(text ?? "", pipeline: options.pipeline, topic: options.topic)
          : "the consumer group's witness was changed by somebody else while this instance ran (now \"\(ForeignText.cut(text ?? "none"))\"): another copy of this state directory is running. Stop one of them"
      ))
  }

  mutating func finishLast() {
    if let windUp { return end(windUp) }
    if let stop = sink.stopAmidViewFailure { return end(stop) }
    // A stop that was asked for doesn't wait for the table.
    let isAllAcked = sink.isAllAcked && deadLetters.waiting.isEmpty
    let isEnd = options.untilEnd && source.hasReachedEnd && isAllAcked
    end(isEnd ? stopAtEnd() : Stop(.done, "stopped after a checkpoint"))
  }

  /// `--until-end`: all rows acked, the acks durable, then a last checkpoint unless the newest stands there.
  mutating func advanceUntilEnd() {
    guard !checkpoint.isLast, pendingRows.allSatisfy({ $0 == 0 }), !isSealing, bufferedSince == nil else { return }
    guard sink.isAllAcked, deadLetters.waiting.isEmpty, appendsWaiting.isEmpty else { return }
    guard durableEnd >= logEnd else {
      wantsSync = true
      return
    }
    guard checkpoint.stage == .idle, !checkpoint.isCommittingWitness else { return }
    Reach.mark(.r14UntilEnd)
    checkpoint.isLast = true
    if checkpoint.lastEpoch == epoch { return finishLast() }
    beginCheckpoint()
  }
}
