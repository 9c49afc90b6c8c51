internal import MillBase
internal import MillLog

/// From "all that must be looked at has been seen" to the first epoch: R5's copy, the state's clone, birth, the first witness.
extension Core {
  mutating func prepare() {
    phase = .preparing
    sink.tableIdentity = table?.identity ?? ""
    // R14: what stands behind an open transaction may be committed already.
    endOffsets = source.high
    let lastKept = max(seals.keys.max() ?? 0, start.manifest?.epoch ?? 0)
    let restart = Restart(lineage: lineage, instance: instance, lastKeptEpoch: lastKept, wallMilliseconds: now.wallMilliseconds)
    let flow = FlowStart(lineage: lineage, hashSeed: hashSeed, maxEventTimes: partitions.map(\.maxEventTime), watermark: watermark)
    // Kept: where there is no room they are ordered again.
    start.beginLog = .beginLog(restart, options.plan, start.gaps)
    start.openState = .openState(checkpoint: start.checkpointName, flow)
    commands.append(.beginLog(restart, options.plan, start.gaps))
    commands.append(.openState(checkpoint: start.checkpointName, flow))
  }

  mutating func advancePreparing() {
    guard start.isLogBegun, start.isStateOpen else { return }
    if start.manifest == nil {
      guard start.checkpointedBirth else {
        if checkpoint.lastEpoch == nil {
          if checkpoint.stage == .idle { beginCheckpoint() }
        } else {
          retryWitness()
        }
        return
      }
    } else if options.newLineage || start.witness == .some(.none), !checkpoint.hasCommittedWitness {
      retryWitness()
      return
    }
    beginReplayOrLive()
  }

  /// Nothing is sent before the witness is there.
  private mutating func retryWitness() {
    guard !checkpoint.isCommittingWitness, (checkpoint.witnessRetryAt ?? 0) <= monotonic else { return }
    checkpoint.witnessRetryAt = nil
    commitWitness()
  }

  private mutating func beginReplayOrLive() {
    mayDeliver = true
    commands.append(.assign(partitions.map(\.next)))
    nextDescribe = monotonic + lookInterval
    sink.nextTableLook = monotonic + options.describeIntervalMilliseconds
    checkpoint.dueAt = monotonic + options.checkpointIntervalMilliseconds
    // One line at every start; `make kills` reads it to know that a kill found work under way.
    let unacked = sink.deliveries.count + deadLetters.waiting.count
    say(
      .info, "recovered unacked_batches=\(unacked) intents_replayed=\(replay.count) batches_resent=\(sink.deliveries.count) epoch=\(epoch)")
    // They go when the one recovered from has proved itself by a successor.
    checkpoint.broken = (opened?.checkpoints ?? []).filter { $0.problem != nil }.map(\.name)
    opened = nil
    phase = replay.isEmpty ? .live : .replaying
    if phase == .live { beginLive() } else { judgeEnd(source) }
  }

  mutating func beginLive() {
    // Who was idle in the epochs that were replayed need not be now.
    for index in partitions.indices { (partitions[index].isIdle, partitions[index].quietMilliseconds) = (false, 0) }
    nextWitnessLook = monotonic + options.witnessIntervalMilliseconds
    phase = .live
    say(.info, "live from epoch \(epoch + 1), delivery mode \(table?.mode.rawValue ?? "")")
  }

  /// K7: new partitions are read from offset 0: what has been deleted of one by now is as lost as an old one's records (K3).
  mutating func joinPartitions(_ count: Int) {
    say(
      .info, "topic \(options.topic) has \(count) partitions now, \(partitions.count) before: the new ones are read from their beginning")
    while partitions.count < count { partitions.append(PartitionProgress(next: 0)) }
  }

  /// At an epoch's boundary.
  private mutating func joinPartitionsLive(_ look: SourceLook) {
    joinPartitions(look.low.count)
    if endOffsets.count < partitions.count { endOffsets += look.stableEnd[endOffsets.count...].map { _ in 0 } }
    commands.append(.assign(partitions.map(\.next)))
    bufferedSince = nil
  }

  mutating func takeLook(_ look: SourceLook) {
    answered(.describe)
    guard phase == .live || phase == .replaying else { return start.look = look }
    nextDescribe = monotonic + options.describeIntervalMilliseconds
    topicMissingSince = nil
    if look.clusterID != source.clusterID {
      return end(Stop(.promise, rule: "K16", "the brokers are cluster \(look.clusterID) now, before they were \(source.clusterID)"))
    }
    if look.low.count < partitions.count {
      return end(Stop(.promise, rule: "K8", "topic \(options.topic) has \(look.low.count) partitions, before it had \(partitions.count)"))
    }
    if phase == .live {
      source.low = look.low
      source.stableEnd = look.stableEnd
      source.high = look.high
      source.isCompacted = look.isCompacted
      if look.low.count > partitions.count { joinPartitionsLive(look) }
      if isCompacted(look) { return }
      judgeLost(look)
      watchStalls(look)
      nextDescribe = min(nextDescribe, monotonic + lookInterval)
    }
    judgeEnd(look)
  }
}
