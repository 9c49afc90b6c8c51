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
    for index in sources.indices { sources[index].endOffsets = sources[index].topic.high }
    let lastKept = max(seals.keys.max() ?? 0, start.manifest?.epoch ?? 0)
    let restart = Restart(lineage: lineage, instance: start.instance, lastKeptEpoch: lastKept, wallMilliseconds: now.wallMilliseconds)
    let flow = FlowStart(
      lineage: lineage, hashSeed: hashSeed,
      sources: sources.map {
        FlowStart.Source(number: $0.number, maxEventTimes: $0.partitions.map(\.maxEventTime), watermark: $0.watermark)
      }, named: sourceNumbers.all, watermark: watermark, destinations: numbers.ofSinks)
    let records = [.restart(restart), .plan(plan)] + sources.flatMap(\.startRecords)
    // Kept: where there is no room they are ordered again.
    start.beginLog = .beginLog(records)
    start.openState = .openState(checkpoint: start.checkpointName, flow)
    commands.append(.beginLog(records))
    commands.append(.openState(checkpoint: start.checkpointName, flow))
  }

  mutating func advancePreparing() {
    guard start.isLogBegun, start.isStateOpen else { return }
    if start.manifest == nil {
      guard start.checkpointedBirth else {
        if checkpoint.lastEpoch == nil {
          if checkpoint.stage == .idle { beginCheckpoint() }
        } else {
          for index in sources.indices where !sources[index].witness.hasCommitted { retryWitness(of: index) }
        }
        return
      }
    } else {
      // Nothing is sent before the witness is there.
      let lacking = sources.indices.filter {
        (options.newLineage || sources[$0].witness.found == .some(.none)) && !sources[$0].witness.hasCommitted
      }
      guard lacking.isEmpty else {
        for index in lacking { retryWitness(of: index) }
        return
      }
    }
    beginReplayOrLive()
  }

  private mutating func retryWitness(of index: Int) {
    let witness = sources[index].witness
    guard !witness.isCommitting, (witness.retryAt ?? 0) <= monotonic else { return }
    sources[index].witness.retryAt = nil
    commitWitness(of: index)
  }

  private mutating func beginReplayOrLive() {
    mayDeliver = true
    for index in sources.indices {
      commands.append(.assign(source: index, sources[index].partitions.map(\.next)))
      sources[index].nextDescribe = monotonic + sources[index].lookInterval
    }
    for index in sinks.indices { sinks[index].nextTableLook = monotonic + options.describeIntervalMilliseconds }
    checkpoint.dueAt = monotonic + options.checkpointIntervalMilliseconds
    // One line at every start; `make kills` reads it to know that a kill found work under way.
    let (unacked, resent) = (unackedBatchCount, sinks.reduce(0) { $0 + $1.deliveries.count })
    say(.info, "recovered unacked_batches=\(unacked) intents_replayed=\(replay.count) batches_resent=\(resent) epoch=\(epoch)")
    retention.broken = (opened?.checkpoints ?? []).filter { $0.problem != nil }.map(\.name)
    opened = nil
    phase = replay.isEmpty ? .live : .replaying
    if phase == .live { beginLive() } else { withSources { $0.judgeEnd($0.topic) } }
  }

  mutating func beginLive() {
    for index in sources.indices {
      sources[index].forgetQuiet()
      sources[index].witness.nextLook = monotonic + options.witnessIntervalMilliseconds
    }
    phase = .live
    let modes = sinks.enumerated().map { index, sink in (nameToTell(index).map { "\($0) " } ?? "") + (sink.table?.mode.rawValue ?? "") }
    say(.info, "live from epoch \(epoch + 1), delivery mode \(modes.joined(separator: ", "))")
  }
}
