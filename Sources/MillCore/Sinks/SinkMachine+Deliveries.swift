internal import MillBase
internal import MillLog

/// Which batches are sent when, and each one's steps (R6–R10).
extension SinkMachine {
  // MARK: - Which batch may go

  mutating func advanceDeliveries() {
    guard let table else { return }
    removeSettled()
    heldByWindow = nil
    // R6: asked again before the first send after a schema error.
    if describeRetryAt != nil { describeTable() }
    guard !isDescribing, describeRetryAt == nil else { return advanceOpenAttempts() }
    advanceBisection(table)
    var underWay = deliveries.count { $0.isBegun && !$0.isCommitted && $0.step != .refused }
    for index in deliveries.indices where !deliveries[index].isCommitted {
      if !deliveries[index].isBegun {
        guard underWay < tableOptions.inFlightMax, bisectionAllows(index, table) else { break }
        guard deliveries[index].isPiece || windowAllows(deliveries[index].batch.number, table) else {
          Reach.mark(.r9WindowHeld)
          heldByWindow = oldestUnsettled(below: deliveries[index].batch.number)
          openAttempts.isNeeded = true
          if deliveries.contains(where: { $0.isAcked && ($0.ackPosition ?? 0) >= durableEnd }) {
            Reach.mark(.r9AckSynced)
            order(.sync)
          }
          break
        }
        begin(index, table)
        underWay += 1
      }
      proceed(index, table)
      if isEnded { return }
    }
    advanceOpenAttempts()
  }

  /// R9's bound: from the oldest unsettled batch (exclusive) to this one (inclusive).
  private func windowAllows(_ number: BatchNumber, _ table: TableFacts) -> Bool {
    guard table.mode == .tokenAndProvenance || table.mode == .tokenOnly else { return true }
    return (number - oldestUnsettled(below: number)) * UInt64(table.partitionsMax) <= allowedEntries(table)
  }

  /// The oldest batch that may still be on its way to the table; `number` where there is none.
  private func oldestUnsettled(below number: BatchNumber) -> BatchNumber {
    var oldest = number
    if let old = openAttempts.oldestInLog { oldest = min(oldest, old) }
    // A refused one that waits to be retired has nothing in the table, nor on its way there.
    for delivery in deliveries where !delivery.isSettled(durableEnd: durableEnd) && delivery.step != .refused {
      oldest = min(oldest, delivery.batch.number)
    }
    return oldest
  }

  /// Window entries that may be used from the oldest unsettled batch on.
  private func allowedEntries(_ table: TableFacts) -> UInt64 {
    UInt64(max(0, (table.window - table.partitionsMax - (table.reserve ?? 0)) / 2))
  }

  private mutating func removeSettled() {
    let durable = durableEnd
    deliveries.removeAll { $0.isSettled(durableEnd: durable) }
  }

  private mutating func begin(_ index: Int, _ table: TableFacts) {
    require(deliveries[index].seal < durableEnd, "R2: batch \(deliveries[index].batch.token) would be sent before it is durable")
    deliveries[index].isBegun = true
    deliveries[index].readyAt = monotonic
    deliveries[index].attempts = attemptBase
    guard deliveries[index].wasRecovered else {
      deliveries[index].guardLooks = table.mode != .readBack
      deliveries[index].step = table.mode == .readBack ? .timeBeforeGuard : .sendPlain
      return
    }
    deliveries[index].openedAt = openAttempts.startedAt
    deliveries[index].hasOpenAttempt = table.mode == .tokenAndProvenance || table.mode == .tokenOnly
    doubt(index)
    let counts = table.mode == .readBack || table.mode == .tokenAndProvenance
    deliveries[index].step = counts ? .countInDoubt : .sendPlain
  }

  /// What a batch goes on with that has to be sent again: where an attempt of it may have written, it is counted first (R9).
  func stepToSendAgain(_ index: Int) -> Delivery.Step {
    let delivery = deliveries[index]
    // What a view has refused is in the table and must come to the view all the same (R7).
    let counts = table?.mode == .tokenAndProvenance && delivery.hasOpenAttempt && delivery.viewFailures == 0
    return counts ? .countInDoubt : .sendPlain
  }

  /// A count found none of the rows of a batch in doubt: may it be sent again under its token, although an attempt of it may still be
  /// under way? Only while the window surely holds a token that it writes meanwhile. That is so while others use no more than the reserve,
  /// which nobody can promise for longer than `settle`.
  mutating func mayRepeat(_ index: Int, _ table: TableFacts) -> Bool {
    guard table.mode == .tokenAndProvenance, deliveries[index].recordedDeadline == nil else { return false }
    let foundNoneAt = deliveries[index].foundNoneAt ?? deliveries[index].askedAt
    deliveries[index].foundNoneAt = foundNoneAt
    guard table.reserve != nil, monotonic - foundNoneAt <= tableOptions.settleMilliseconds else { return false }
    return !mayBeForgotten(deliveries[index], table)
  }

  /// What makes sure that no attempt of a batch in doubt writes any more, before it is counted again.
  func stepToDeath(_ index: Int) -> Delivery.Step {
    deliveries[index].hasOpenAttempt || deliveries[index].recordedDeadline == nil ? .settled : .timeForDeath
  }

  /// Whether the table may no longer remember the token of a batch that may have been sent: half its time is over, or nobody knows.
  func mayBeForgotten(_ delivery: Delivery, _ table: TableFacts) -> Bool {
    // More has been sent after it than R9 allows for: this state was rolled back, or the window made smaller.
    if delivery.wasRecovered, table.mode == .tokenAndProvenance, let greatest = greatestSent, greatest > delivery.batch.number,
      (greatest - delivery.batch.number) * UInt64(table.partitionsMax) > allowedEntries(table)
    {
      return true
    }
    guard table.windowSeconds > 0, table.mode == .tokenAndProvenance || table.mode == .tokenOnly else { return false }
    guard let sealed = delivery.sealedWall else { return true }
    return now.wallMilliseconds - sealed > Int64(table.windowSeconds) * 500
  }

  /// R10: where only the token counts, an outage longer than the window can't be settled.
  private mutating func stopAsForgotten(_ index: Int, _ table: TableFacts) {
    Reach.mark(.r10WindowOutlived)
    let token = deliveries[index].batch.token
    end(
      Stop(
        .promise, rule: "R10",
        "batch \(token) may have been sent longer ago than the table surely remembers tokens (\(table.windowSeconds) s), and the table has no provenance column to count its rows by: look whether its rows are there; delivery: at_least_once sends it again"
      ))
  }

  /// Does the step that is due.
  private mutating func proceed(_ index: Int, _ table: TableFacts) {
    guard !deliveries[index].isAwaiting, let at = deliveries[index].readyAt, at <= monotonic else {
      if case .deadlineDurable(let position) = deliveries[index].step, position < durableEnd {
        deliveries[index].step = .sendGuarded
        deliveries[index].readyAt = monotonic
        proceed(index, table)
      }
      return
    }
    let batch = deliveries[index].batch
    let step = deliveries[index].step
    let request: SinkRequest
    switch step {
    case .sendPlain where table.mode == .tokenOnly && deliveries[index].hasOpenAttempt && mayBeForgotten(deliveries[index], table):
      return stopAsForgotten(index, table)
    case .sendPlain:
      deliveries[index].attempts += 1
      deliveries[index].isSent = true
      request = .insert(batch, attempt: deliveries[index].attempts, token: table.mode != .atLeastOnce, partitionsMax: table.partitionsMax)
    case .countInDoubt, .count, .countFirst, .countBeforeGuard, .countAfterGuard, .countAfterDeath, .countRefused:
      request = .count(target: batch.target, token: batch.token)
    case .listBeforeGuard, .listForDeath: request = .running(prefix: batch.token)
    case .timeBeforeGuard, .timeAfterGuard, .timeForDeath: request = .serverTime
    case .sendGuarded:
      deliveries[index].attempts += 1
      deliveries[index].isSent = true
      request = .guardedInsert(
        batch, attempt: deliveries[index].attempts, deadline: deliveries[index].deadline, looks: deliveries[index].guardLooks,
        partitionsMax: table.partitionsMax)
    case .settled:
      guard deliveries[index].openedAt <= openAttempts.allDeadBefore else {
        openAttempts.isNeeded = true
        deliveries[index].readyAt = monotonic + options.retryMilliseconds
        return
      }
      deliveries[index].hasOpenAttempt = false
      deliveries[index].foundNoneAt = nil
      if deliveries[index].refusal != nil {
        deliveries[index].step = .countRefused
      } else {
        // A guarded insert of an earlier life has its deadline (R8).
        deliveries[index].step = deliveries[index].recordedDeadline == nil ? .countAfterDeath : .timeForDeath
      }
      return proceed(index, table)
    case .deadlineDurable(let position):
      guard position < durableEnd else {
        deliveries[index].readyAt = nil
        order(.sync)
        return
      }
      deliveries[index].step = .sendGuarded
      return proceed(index, table)
    case .refused, .done: return
    }
    deliveries[index].isAwaiting = true
    deliveries[index].askedAt = monotonic
    deliveries[index].readyAt = nil
    exchange(request, .delivery(batch.key, step))
  }

  // MARK: - Moving on

  mutating func next(_ index: Int, _ step: Delivery.Step, afterMilliseconds delay: Int64 = 0) {
    require(!deliveries[index].isCommitted, "batch \(deliveries[index].batch.token) is committed, and would go on to \(step)")
    if step != deliveries[index].step { deliveries[index].runningQuery = nil }
    deliveries[index].step = step
    deliveries[index].readyAt = monotonic + delay
  }

  /// The same step again, later each time, without end.
  mutating func again(_ index: Int, _ step: Delivery.Step, _ reason: String) {
    deliveries[index].tries += 1
    sinkTrouble(reason)
    next(index, step, afterMilliseconds: backoff(tries: deliveries[index].tries, of: deliveries[index].batch.number))
  }

  /// Doubled with each try up to the most, of which between a half and all is waited: spread by instance, batch and try, so that many
  /// don't come back at once. No randomness in the core.
  private func backoff(tries: Int, of batch: BatchNumber) -> Int64 {
    let most = min(options.retryMilliseconds << min(16, tries - 1), options.backoffMaxMilliseconds)
    var random = SeededRandom(instance ^ batch &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(tries))
    return most - Int64(random.next(below: Int(most / 2) + 1))
  }

  /// R13: all of the batch is committed.
  mutating func commit(_ index: Int) {
    require(!deliveries[index].isCommitted, "batch \(deliveries[index].batch.token) would be committed twice")
    deliveries[index].isCommitted = true
    lastCommitAt = monotonic
    settleDoubt(deliveries[index])
    // What was opened before R7's look was made is dead already.
    if deliveries[index].openedAt <= openAttempts.allDeadBefore { deliveries[index].hasOpenAttempt = false }
    if deliveries[index].hasOpenAttempt { openAttempts.isNeeded = true }
    deliveries[index].step = .done
    deliveries[index].readyAt = nil
    sinkIsBack()
    tellRecovered(deliveries[index])
    append(.ack(Ack(destination: destination, batch: deliveries[index].batch.number)))
  }

  /// What became of the batches that an earlier life left, once the last of them is in the table.
  private mutating func tellRecovered(_ delivery: Delivery) {
    guard delivery.wasRecovered else { return }
    if delivery.isSent { recoveredSent += 1 } else { recoveredFound += 1 }
    guard !deliveries.contains(where: { $0.wasRecovered && !$0.isCommitted }) else { return }
    say(.info, "recovered batches are settled: \(recoveredFound) were found in the table, \(recoveredSent) were sent")
  }

  mutating func doubt(_ index: Int) {
    if !deliveries[index].isInDoubt { doubts.begun += 1 }
    deliveries[index].isInDoubt = true
  }

  mutating func settleDoubt(_ delivery: Delivery) {
    guard delivery.isInDoubt else { return }
    if delivery.isFilled {
      doubts.filled += 1
    } else if table?.mode == .tokenAndProvenance || table?.mode == .readBack {
      doubts.counted += 1
    } else {
      doubts.repeated += 1
    }
  }

  mutating func deadlineWritten(_ deadline: Deadline, at position: LogPosition) {
    let index = delivery(deadline.key)
    deliveries[index].recordedDeadline = max(deliveries[index].recordedDeadline ?? 0, deadline.seconds)
    order(.sync)
    next(index, .deadlineDurable(at: position))
  }
}
