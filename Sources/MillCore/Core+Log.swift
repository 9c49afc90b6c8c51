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
    require(isAppending && !appendsWaiting.isEmpty, "a record was appended at \(position) that nobody has ordered")
    isAppending = false
    foundSpace(.append)
    logReaches(end)
    switch appendsWaiting.removeFirst() {
    case .ack(let ack): acked(ack, at: position)
    case .deadline(let deadline): withSink(sink(of: deadline.destination)) { $0.deadlineWritten(deadline, at: position) }
    default: break
    }
    issueAppend()
  }

  mutating func takeSynced(_ durable: LogPosition) {
    isSyncing = false
    require(durable >= durableEnd, "the log was durable up to \(durableEnd), and now up to \(durable)")
    durableEnd = durable
  }

  /// The end of the log, as what was done inline just now has found it. A seal or a retire tells it later, when the log may have gone on.
  mutating func logReaches(_ end: LogPosition) {
    require(end >= logEnd, "the log ended at \(logEnd), and now at \(end)")
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
    case .state, .checkpoint: lane.retry(at: at)
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
}
