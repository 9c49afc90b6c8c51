internal import MillBase
internal import MillLog

/// From "all that must be looked at has been seen" to the first epoch: R5's copy, the state's clone, birth, the first witness.
extension Core {
  mutating func prepare() {
    phase = .preparing
    for (index, sink) in sinks.enumerated() {
      sinks[index].tableIdentity = sink.table?.identity ?? ""
      tableIdentities[sink.destination.index] = sinks[index].tableIdentity
    }
    // R14: what stands behind an open transaction may be committed already.
    source.endOffsets = source.topic.high
    let lastKept = max(seals.keys.max() ?? 0, start.manifest?.epoch ?? 0)
    let restart = Restart(lineage: lineage, instance: start.instance, lastKeptEpoch: lastKept, wallMilliseconds: now.wallMilliseconds)
    let flow = FlowStart(
      lineage: lineage, hashSeed: hashSeed, maxEventTimes: source.partitions.map(\.maxEventTime), watermark: watermark,
      destinations: numbers.ofSinks)
    // Kept: where there is no room they are ordered again.
    start.beginLog = .beginLog(restart, plan, source.gaps)
    start.openState = .openState(checkpoint: start.checkpointName, flow)
    commands.append(.beginLog(restart, plan, source.gaps))
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
    } else if options.newLineage || witness.found == .some(.none), !witness.hasCommitted {
      retryWitness()
      return
    }
    beginReplayOrLive()
  }

  /// Nothing is sent before the witness is there.
  private mutating func retryWitness() {
    guard !witness.isCommitting, (witness.retryAt ?? 0) <= monotonic else { return }
    witness.retryAt = nil
    commitWitness()
  }

  private mutating func beginReplayOrLive() {
    mayDeliver = true
    commands.append(.assign(source.partitions.map(\.next)))
    source.nextDescribe = monotonic + source.lookInterval
    for index in sinks.indices { sinks[index].nextTableLook = monotonic + options.describeIntervalMilliseconds }
    checkpoint.dueAt = monotonic + options.checkpointIntervalMilliseconds
    // One line at every start; `make kills` reads it to know that a kill found work under way.
    let (unacked, resent) = (unackedBatchCount, sinks.reduce(0) { $0 + $1.deliveries.count })
    say(.info, "recovered unacked_batches=\(unacked) intents_replayed=\(replay.count) batches_resent=\(resent) epoch=\(epoch)")
    retention.broken = (opened?.checkpoints ?? []).filter { $0.problem != nil }.map(\.name)
    opened = nil
    phase = replay.isEmpty ? .live : .replaying
    if phase == .live { beginLive() } else { withSource { $0.judgeEnd($0.topic) } }
  }

  mutating func beginLive() {
    source.forgetQuiet()
    witness.nextLook = monotonic + options.witnessIntervalMilliseconds
    phase = .live
    let modes = sinks.enumerated().map { index, sink in (nameToTell(index).map { "\($0) " } ?? "") + (sink.table?.mode.rawValue ?? "") }
    say(.info, "live from epoch \(epoch + 1), delivery mode \(modes.joined(separator: ", "))")
  }
}
