internal import MillBase
internal import MillLog

/// Cutting, replaying and sealing.
extension Core {
  // MARK: - Taking records

  /// What the flow thread is to take from the source when no event waits; nil: nothing, wait for events.
  package var pollOrder: PollOrder? {
    switch phase {
    // What waits for the state's flush waits in Kafka, not in memory.
    case .replaying where lane.isFull: nil
    case .replaying:
      PollOrder(
        limit: options.epochMaxRows, dueAt: polledAt + 5, isReplay: true,
        takesWhole: replayNext < replay.count && replay[replayNext].intent.planHash != options.plan.hash)
    // What may not be cut yet waits in Kafka.
    case .live where mayTake && !checkpoint.settlesReplay:
      PollOrder(limit: options.epochMaxRows, dueAt: min(cutDueAt ?? .max, polledAt + Self.pollMilliseconds))
    case .live where hold == .pending && mayProve && !checkpoint.settlesReplay:
      PollOrder(limit: options.epochMaxRows, dueAt: min(cutDueAt ?? .max, polledAt + Self.pollMilliseconds), sources: unproven)
    default: nil
    }
  }

  /// How often a source is polled that tells of nothing.
  private static let pollMilliseconds: Int64 = 100

  /// When what lies in the buffers is to be cut.
  private var cutDueAt: Int64? {
    guard let bufferedSince else { return nil }
    return sources.allSatisfy { $0.lastPolled?.epochEnds == nil } ? bufferedSince + epochMaxDelay : polledAt
  }

  /// Whether records may be taken: memory and disk stay bounded because the source waits.
  var mayTake: Bool {
    !stopRequested && !(options.untilEnd && hasReachedEnd) && hold == nil
  }

  /// Why records may not be taken although there may be some.
  var hold: Progress.Hold? {
    if cutNotBefore > monotonic { return .disk }
    if isHeldByUnacked { return .unacked }
    if lane.isFull { return .state }
    if deadLetters.full != nil { return .deadLetters }
    return destinations.contains(where: isFull) ? .pending : nil
  }

  /// As many rows as two batches take.
  func isFull(_ destination: Destination) -> Bool {
    let bounds = batchBounds(destination)
    // Dead letters are bounded by their bytes: a row of theirs may be of any size.
    return destination.isTable && pendingRows[destination.index] >= 2 * bounds.rows || pendingBytes[destination.index] >= 2 * bounds.bytes
  }

  /// - Parameter polled: index: source.
  mutating func takePolled(_ polled: [Polled]) {
    polledAt = monotonic
    require(polled.count == sources.count, "\(polled.count) sources were polled, of \(sources.count)")
    if let (index, stop) = polled.enumerated().lazy.compactMap({ index, polled in polled.stop.map { (index, $0) } }).first {
      return end(named(stop, source: index))
    }
    for (index, polled) in polled.enumerated() where phase != .stopped { withSource(index) { $0.takePolled(polled) } }
    if phase == .live { cutWhenDue(polled) }
  }

  /// One epoch takes from every source what its buffers hold.
  private mutating func cutWhenDue(_ polled: [Polled]) {
    let rows = polled.reduce(0) { $0 + $1.rows.reduce(0, +) }
    let isMore = polled.contains { $0.epochEnds != nil }
    guard sources.contains(where: \.hasMoved), !stopRequested, !isCutting, cutNotBefore <= monotonic, !checkpoint.settlesReplay else {
      return
    }
    let since = bufferedSince ?? monotonic
    bufferedSince = since
    guard
      isMore || rows >= options.epochMaxRows || polled.reduce(0, { $0 + $1.byteCount }) >= options.epochMaxBytes
        || monotonic - since >= epochMaxDelay
    else {
      return
    }
    // What is left lies there since now at the latest; else the age of batches would grow for as long as the buffers aren't empty.
    bufferedSince = isMore ? monotonic : nil
    clockMilliseconds = max(clockMilliseconds, now.wallMilliseconds)
    require(replayNext == replay.count, "R4: an epoch would be cut before all that is recorded was replayed")
    isCutting = true
    cutSince = since
    commands.append(
      .cut(
        Intent(
          epoch: epoch + 1, clockMilliseconds: clockMilliseconds, planHash: options.plan.hash,
          parts: zip(sources, polled).map { $0.part(upTo: $1.epochEnds) }.sorted { $0.source < $1.source },
          inputDigest: Digest128(low: 0, high: 0))))
  }

  mutating func takeProcessed(_ result: EpochResult) {
    require(isCutting, "epoch \(result.epoch) was processed that nobody has ordered")
    isCutting = false
    foundSpace(.cut)
    if let stop = result.stop { return end(stop) }
    guard result.epoch == epoch + 1 else {
      return end(Stop(.failed, rule: "R1", "epoch \(result.epoch) was processed after epoch \(epoch)"))
    }
    guard result.counters.isWhole else {
      return end(Stop(.failed, rule: "P2", "epoch \(result.epoch): its records do not add up: \(result.counters)"))
    }
    epoch = result.epoch
    logReaches(result.logEnd)
    held.logByteCount = max(held.logByteCount, result.logByteCount)
    clockMilliseconds = max(clockMilliseconds, result.intent.clockMilliseconds)
    // Each record counts in one process only: what had been cut before a crash, replayed or cut anew, was counted then.
    if result.intent.slots.allSatisfy({ $0.range.next <= max($0.range.start, cutBefore[$0.slot] ?? 0) }) {
      replayedRecords += result.counters.records
    } else {
      counters.add(result.counters)
    }
    if phase == .live {
      noteOutcomes(result)
      noteBirth(result)
    }
    unsealedCounters.add(result.counters)
    unsealedCounters.bytes = 0
    require(result.sources.count == sources.count, "\(result.sources.count) sources were processed, of \(sources.count)")
    for index in sources.indices {
      if let part = result.intent.part(of: sources[index].number) { sources[index].take(part, result.sources[index]) }
    }
    watermark = result.watermark
    for index in pendingRows.indices {
      if result.pendingRows[index] > 0, pendingSince[index] == nil { pendingSince[index] = cutSince ?? monotonic }
      pendingRows[index] = result.pendingRows[index]
      pendingBytes[index] = result.pendingBytes[index]
    }
    cutSince = nil
    lane.needsFreeze = result.needsFreeze
    if result.dropsBuckets { lane.add(.drop(epoch: epoch)) }
    if lane.needsFreeze, lane.frozenUnflushed == 0, checkpoint.stage == .idle || checkpoint.stage.isPastFreeze {
      Reach.mark(.r14FlushBetween)
      orderFreeze()
    }
    stopProgressAt = monotonic
    if phase == .replaying { compareSeals() }
  }

  // MARK: - Replay (R4)

  /// More than one intent may lie whole in the buffers.
  mutating func advanceReplay() {
    withSources { if $0.nextDescribe <= $0.monotonic { $0.ask(.describe) } }
    replayWhenComplete()
  }

  private mutating func replayWhenComplete() {
    guard phase != .stopped, sources.allSatisfy({ $0.lastPolled != nil }), replayNext < replay.count, seals[epoch]?.isEmpty ?? true else {
      return
    }
    if lane.isFull { return }
    let intent = replay[replayNext].intent
    guard intent.epoch == epoch + 1 else {
      return end(Stop(.promise, rule: "R4", "the log has no intent of epoch \(epoch + 1), but one of epoch \(intent.epoch): it is damaged"))
    }
    guard sources.allSatisfy({ $0.hasAll(of: $0.recorded[replayNext].part) }) else { return }
    Reach.mark(.r4ReplayedIntent)
    let isWhole = sources.allSatisfy { $0.isWhole($0.recorded[replayNext]) }
    replayNext += 1
    isCutting = true
    commands.append(.replay(intent, isWhole: isWhole))
    if !isWhole { hasReplayedLoss = true }
  }

  /// As ``SourceMachine/comparableFrom``, of all sources: a seal's rows come of any of them.
  private var comparableFrom: LogPosition { sources.reduce(0) { max($0, $1.comparableFrom) } }

  private mutating func compareSeals() {
    if let first = seals[epoch]?.first {
      return commands.append(.compareSeal(first.seal, isWhole: !hasReplayedLoss || first.position > comparableFrom))
    }
    finishReplayWhenDone()
  }

  mutating func takeCompared(_ mismatch: String?) {
    if let mismatch {
      Reach.mark(.r4OutputDiffers)
      return end(
        Stop(
          .promise, rule: "R4",
          "epoch \(epoch): replay gave other rows than were sealed (\(mismatch)): \(replayCause)"
        ))
    }
    require(seals[epoch]?.isEmpty == false, "a seal of epoch \(epoch) was compared, and there is none")
    let (seal, position) = seals[epoch]!.removeFirst()
    let isWhole = !hasReplayedLoss || position > comparableFrom
    if isWhole, let counters = seal.counters, counters != unsealedCounters {
      return end(
        Stop(
          .promise, rule: "R4",
          "epoch \(epoch): replay counted \(unsealedCounters) since the seal before, sealed was \(counters): \(replayCause)"
        ))
    }
    unsealedCounters = Counters()
    Reach.mark(.r4SealCompared)
    for part in seal.covered {
      let index = part.destination.index
      pendingRows[index] = 0
      pendingBytes[index] = 0
      pendingSince[index] = nil
      firstUncovered[index] = epoch + 1
    }
    compareSeals()
  }

  private mutating func finishReplayWhenDone() {
    guard phase == .replaying, replayNext == replay.count else { return }
    if pendingRows.contains(where: { $0 > 0 }) { Reach.mark(.r4PendingAfterReplay) }
    withSources { $0.endReplay() }
    // A source that has decoded nothing yet may stop the process for its file, and a mended one takes over only where nothing is replayed.
    if options.checkpointsReplay || births.contains(where: { $0 != nil }) {
      checkpoint.settlesReplay = true
      checkpoint.dueAt = monotonic
    }
    beginLive()
  }

  // MARK: - Sealing

  mutating func advanceLive() {
    withSources {
      if $0.nextDescribe <= $0.monotonic { $0.ask(.describe) }
      if $0.witness.nextLook <= $0.monotonic, !$0.surroundings.stopRequested, !$0.witness.isCommitting { $0.ask(.witness) }
      $0.advanceUnreadable()
    }
    guard phase != .stopped else { return }
    advanceWindUp()
    judgeBirth()
    guard phase != .stopped, !isUnproven else { return }
    sealWhenDue()
    if options.untilEnd, hasReachedEnd, !stopRequested { advanceUntilEnd() }
  }

  private mutating func sealWhenDue() {
    guard !isSealing, checkpoint.stage == .idle || checkpoint.stage.isPastFreeze else { return }
    // A checkpoint that is due waits for the log lane: no other seal begins before it.
    if checkpoint.isDue(monotonic) || stopRequested { return }
    let atEnd = options.untilEnd && hasReachedEnd
    let due = destinations.filter { destination in
      let (index, bounds) = (destination.index, batchBounds(destination))
      guard pendingRows[index] > 0 else { return false }
      if atEnd || pendingRows[index] >= bounds.rows || pendingBytes[index] >= bounds.bytes { return true }
      return monotonic - (pendingSince[index] ?? monotonic) >= maxDelay(destination)
    }
    if !due.isEmpty { orderSeal(due) }
  }

  /// Everything that these destinations have pending, up to the end of the last epoch.
  mutating func orderSeal(_ destinations: [Destination]) {
    let parts = destinations.map { destination in
      let (index, bounds) = (destination.index, batchBounds(destination))
      let pieces = max(
        1, (pendingRows[index] + bounds.rows - 1) / bounds.rows, (pendingBytes[index] + bounds.bytes - 1) / bounds.bytes)
      let rowsPerBatch = min(1_000_000, max(1, (pendingRows[index] + pieces - 1) / pieces))
      let part = SealOrder.Part(
        destination: destination, firstEpoch: firstUncovered[index], firstNumber: nextBatch[index],
        ageMilliseconds: monotonic - (pendingSince[index] ?? monotonic), rowsPerBatch: rowsPerBatch)
      nextBatch[index] += (pendingRows[index] + rowsPerBatch - 1) / rowsPerBatch
      firstUncovered[index] = epoch + 1
      pendingRows[index] = 0
      pendingBytes[index] = 0
      pendingSince[index] = nil
      return part
    }
    require(!isSealing && !isCutting, "a seal of epoch \(epoch) would begin beside another, or amid an epoch")
    isSealing = true
    held.orderedAt = held.logByteCount
    commands.append(.seal(SealOrder(epoch: epoch, lineage: lineage, parts: parts, counters: unsealedCounters)))
    unsealedCounters = Counters()
  }

  mutating func takeSealed(_ seal: Seal, _ position: LogPosition, _ durable: LogPosition, _ logByteCount: UInt64) {
    require(position < durable, "R2: the seal at \(position) is told as done, and the log is durable up to \(durable)")
    isSealing = false
    sealRetryAt = nil
    foundSpace(.seal)
    logEnd = max(logEnd, position + 1, durable)
    durableEnd = max(durableEnd, durable)
    held.sealed(logByteCount)
    for batch in seal.batches {
      let logBegin = held.orderedAt
      if batch.destination.isTable {
        withSink(sink(of: batch.destination)) { $0.takeSealed(batch, at: position, logBegin: logBegin) }
      } else {
        deadLetters.take(batch, at: position, logBegin: logBegin)
      }
    }
    if checkpoint.waitsForSeal == seal.epoch { checkpoint.waitsForSeal = nil }
  }
}
