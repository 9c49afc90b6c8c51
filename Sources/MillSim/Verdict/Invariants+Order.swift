internal import MillBase
internal import MillCore
internal import MillLog

/// What must be done before what: R8's deadlines, R9's and R16's open attempts, R16's acks, R18's state changes. Each is checked where the
/// order is broken, not where a crash would show it.
extension Invariants {
  /// Orders of the core, after what the event says has been noted.
  func checkOrder(_ event: Event, _ commands: [Command]) {
    if case .started = event {
      freezes = [:]
      stateEpoch = 0
    }
    for command in commands {
      switch command {
      case .freeze(let id, let epoch): freezes[id] = epoch
      case .stateWork(let work): checkState(work)
      case .truncate(let keep): checkTruncation(keep)
      default: break
      }
    }
  }

  // R18: a bucket that goes for a later epoch is in no checkpoint of an earlier one.
  private func checkState(_ work: StateWork) {
    let epoch: EpochNumber
    switch work {
    case .flush(let id):
      guard let frozen = freezes[id] else { return violate("R18: table \(id) is flushed, it was never frozen") }
      epoch = frozen
    case .drop(let dropped): epoch = dropped
    case .checkpoint(let frozen, _): epoch = frozen
    }
    if epoch < stateEpoch { violate("R18: \(work) of epoch \(epoch) is ordered behind a change of epoch \(stateEpoch)") }
    stateEpoch = max(stateEpoch, epoch)
  }

  private func checkTruncation(_ keep: LogPosition) {
    if let oldest = manifests.values.min(by: { $0.epoch < $1.epoch }) {
      for batch in oldest.unacked where batch.firstChunk < keep && !isOver(batch) {
        violate(
          "R16: the log goes up to \(keep), batch \(batch.number) of \(batch.destination) from \(batch.firstChunk) on is listed by the checkpoint of epoch \(oldest.epoch), and no durable record acks it"
        )
      }
    }
    guard scenario.isExactlyOnce else { return }
    for attempt in server.openAttempts {
      if let seal = watch.sealPositions[attempt.token], seal < keep {
        violate("R16: the log goes up to \(keep), \(attempt.queryID) may still take effect, its batch was sealed at \(seal)")
      }
    }
  }

  /// R8: the deadline is in the log before any request carries it.
  func checkDeadline(_ insert: InsertSeen, _ number: BatchNumber) {
    guard let deadline = insert.deadline, watch.durableDeadlines[number].map({ $0 < deadline }) ?? true else { return }
    violate("R8: \(insert.queryID) sent with deadline \(deadline), durable is \(watch.durableDeadlines[number].map(String.init) ?? "none")")
  }

  /// R9: what was sent after an open attempt fits half of the window, or its token may be forgotten when it comes. The batch itself goes
  /// again only where others leave of the window what was reserved.
  func checkOpenAttempts(_ insert: InsertSeen, _ number: BatchNumber) {
    guard insert.deduplicationToken != nil, scenario.isExactlyOnce, !watch.pieces.contains(insert.token) else { return }
    let whole = scenario.window - scenario.entriesPerBatch - (scenario.reserveEntries ?? 0)
    for attempt in server.openAttempts {
      if attempt.token == insert.token, scenario.reserveEntries == nil {
        violate("R9: \(insert.queryID) sent while \(attempt.queryID) may take effect, and others may use any part of the window")
      }
      guard let open = batchNumber(attempt.token), open < number else { continue }
      let span = Int(number - open) * scenario.entriesPerBatch
      if span > whole / 2 {
        violate("R9: \(insert.queryID) sent while \(attempt.queryID) may take effect: \(span) window entries of at most \(whole / 2)")
      }
    }
  }

  func batchNumber(_ token: String) -> BatchNumber? { token.split(separator: "-").dropLast().last.flatMap { BatchNumber($0) } }
}
