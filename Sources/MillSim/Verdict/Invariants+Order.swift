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
    for table in tables { table.checkTruncation(keep) }
  }
}
