internal import MillBase
internal import MillLog

/// Acks and deadlines into the log, syncs, full disks, dead letters.
extension Core {
  mutating func append(_ record: LogRecord) {
    appendsWaiting.append(record)
    issueAppend()
  }

  private mutating func issueAppend() {
    guard !isAppending, let record = appendsWaiting.first, (appendRetryAt ?? 0) <= monotonic else { return }
    appendRetryAt = nil
    isAppending = true
    commands.append(.append(record))
  }

  mutating func takeAppended(_ position: LogPosition, _ end: LogPosition) {
    precondition(isAppending && !appendsWaiting.isEmpty, "a record was appended at \(position) that nobody has ordered")
    isAppending = false
    foundSpace(.append)
    logReaches(end)
    switch appendsWaiting.removeFirst() {
    case .ack(let ack): acked(ack, at: position)
    case .deadline(let deadline): deadlineWritten(deadline, at: position)
    default: break
    }
    issueAppend()
  }

  mutating func takeSynced(_ durable: LogPosition) {
    isSyncing = false
    precondition(durable >= durableEnd, "the log was durable up to \(durableEnd), and now up to \(durable)")
    durableEnd = durable
  }

  /// The end of the log, as what was done inline just now has found it. A seal or a retire tells it later, when the log may have gone on.
  mutating func logReaches(_ end: LogPosition) {
    precondition(end >= logEnd, "the log ended at \(logEnd), and now at \(end)")
    logEnd = end
  }

  mutating func advanceLog() {
    issueAppend()
    if let at = sealRetryAt, at <= monotonic {
      sealRetryAt = nil
      commands.append(.resumeSeal)
    }
    if durableEnd >= logEnd { wantsSync = false }
    if wantsSync, !isSyncing, !isSealing || sealRetryAt != nil {
      wantsSync = false
      isSyncing = true
      commands.append(.sync)
    }
    if mayDeliver { deadLetters.advance(monotonic, &commands) }
  }

  mutating func takeOutOfSpace(_ work: SpaceWork, _ place: String) {
    Reach.mark(.r5OutOfSpace)
    let at = monotonic + options.retryMilliseconds
    noSpace(work, place)
    switch work {
    case .open, .beginLog, .openState:
      let step: Command? = work == .open ? Command.open : work == .beginLog ? start.beginLog : start.openState
      if let step { startAgain.append(step) }
      startAgainAt = at
    case .cut:
      isCutting = false
      cutNotBefore = at
    case .seal: sealRetryAt = at
    case .append:
      isAppending = false
      appendRetryAt = at
    case .state, .checkpoint:
      isStateBusy = false
      stateRetryAt = at
    case .publish: checkpoint.publishRetryAt = at
    case .deadLetters:
      deadLetters.isWriting = false
      deadLetters.retryAt = at
    }
  }

  /// The steps of a start that had no room, once their time has come.
  mutating func advanceStart() {
    guard let at = startAgainAt, at <= monotonic else { return }
    commands += startAgain
    startAgain = []
    startAgainAt = nil
  }

  mutating func takeDeadLetters(_ batch: BatchKey, _ byteCount: Int) {
    precondition(
      deadLetters.isWriting && deadLetters.waiting.first?.batch.key == batch, "dead letters \(batch) were written that nobody has ordered")
    deadLetters.isWriting = false
    deadLetters.byteCount += UInt64(byteCount)
    if deadLetters.byteCount >= options.deadLetterMaxBytes { deadLetters.measureAt = nil }
    foundSpace(.deadLetters)
    deadLetters.ackPending = batch.number
    append(.ack(Ack(destination: batch.destination, batch: batch.number)))
  }

  /// The ack of a batch is in the log.
  mutating func acked(_ ack: Ack, at position: LogPosition) {
    held.changed()
    switch ack.destination {
    case .deadLetters:
      precondition(
        deadLetters.ackPending == ack.batch && deadLetters.waiting.first?.batch.number == ack.batch,
        "dead letters \(ack.key) were acked, and are not the ones that were written")
      batches[1].acked.add(deadLetters.waiting.removeFirst().batch)
      deadLetters.ackPending = nil
      deadLetters.acked.append((ack.batch, position))
    case .table:
      let index = delivery(ack.key)
      precondition(deliveries[index].isCommitted && !deliveries[index].isAcked, "batch \(ack.key) was acked without a commit, or twice")
      deliveries[index].ackPosition = position
      batches[0].acked.add(deliveries[index].batch)
    }
  }
}

/// R12: batches for the dead letters, written one at a time in order.
struct DeadLetterQueue {
  var waiting: [(batch: SealedBatch, seal: LogPosition, logBegin: UInt64)] = []
  var isWriting = false
  var ackPending: BatchNumber?
  /// Acked since the last truncation that looked, with the ack's position: until that is durable the batch's bytes stay (R16).
  var acked: [(number: BatchNumber, ack: LogPosition)] = []
  var retryAt: Int64?
  /// Of this pipeline's files, as last looked at and with what was written since.
  var byteCount: UInt64 = 0
  var isMeasuring = false
  /// When they are looked at again; nil: at once.
  var measureAt: Int64?
  /// They have reached their bound.
  var full: Wait?

  mutating func advance(_ monotonic: Int64, _ commands: inout [Command]) {
    if !isMeasuring, (measureAt ?? monotonic) <= monotonic {
      isMeasuring = true
      commands.append(.measureDeadLetters)
    }
    guard !isWriting, ackPending == nil, let first = waiting.first, (retryAt ?? 0) <= monotonic else { return }
    retryAt = nil
    isWriting = true
    commands.append(.writeDeadLetters(first.batch))
  }
}
