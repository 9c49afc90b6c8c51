internal import MillBase
internal import MillLog

/// From "all that must be looked at has been seen" to the first epoch: R5's copy, the state's clone, birth, the first witness.
extension Core {
  mutating func prepare() {
    phase = .preparing
    tableIdentity = table?.identity ?? ""
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
    nextTableLook = monotonic + options.describeIntervalMilliseconds
    checkpoint.dueAt = monotonic + options.checkpointIntervalMilliseconds
    // One line at every start; `make kills` reads it to know that a kill found work under way.
    let unacked = deliveries.count + deadLetters.waiting.count
    say(.info, "recovered unacked_batches=\(unacked) intents_replayed=\(replay.count) batches_resent=\(deliveries.count) epoch=\(epoch)")
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

  // MARK: - The table

  mutating func describeTable() {
    guard !isDescribing, (describeRetryAt ?? 0) <= monotonic else { return }
    describeRetryAt = nil
    isDescribing = true
    exchange(.describe(pending: deliveries.filter { !$0.isAcked }.map(\.batch)), .describe)
  }

  mutating func takeDescribed(_ answer: SinkAnswer) {
    precondition(isDescribing, "the table was described, which nobody has asked for")
    isDescribing = false
    judgeTable(answer)
  }

  /// - Parameter isLook: nothing has asked for it. A table that is known by its CREATE statement alone may have been altered, which the
  ///   next start tells (C8).
  mutating func judgeTable(_ answer: SinkAnswer, isLook: Bool = false) {
    switch answer {
    case .described(let facts):
      if !tableIdentity.isEmpty, !facts.identity.isEmpty, facts.identity != tableIdentity, phase == .live || phase == .replaying,
        !(isLook && facts.identity.hasPrefix("create-"))
      {
        return end(
          Stop(
            .promise, rule: "C8",
            "the table was dropped and made anew while the pipeline ran (identity \(facts.identity), was \(tableIdentity))"))
      }
      tellOfTable(facts.warnings)
      if table == nil, let warning = facts.othersWarning(start.lineages + [lineage], table: options.tableName) { say(.info, warning) }
      if let table, table.mode != facts.mode, phase == .live || phase == .replaying {
        if isBetter(facts.mode, than: table.mode) { return sinkIsBack() }
        return end(
          Stop(
            .failed, rule: "R9",
            "the table's settings have changed while the pipeline ran: delivery would be \(facts.mode.rawValue), it was \(table.mode.rawValue). Start again"
          ))
      }
      table = facts
      sinkIsBack()
    case .unfit(let problems):
      let text = problems.joined(separator: "; ")
      end(Stop(phase == .looking ? .invalidPipeline : .promise, rule: "R6", "the table can't be used as the pipeline asks: \(text)"))
    case .denied(let reason): end(Stop(.failed, rule: "R7", reason))
    case .unanswered(let reason), .unknown(let reason), .notSent(let reason):
      sinkTrouble(reason)
      describeRetryAt = monotonic + options.retryMilliseconds
    default:
      sinkTrouble("an answer that does not fit the question")
      describeRetryAt = monotonic + options.retryMilliseconds
    }
  }
}
