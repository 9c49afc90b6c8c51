internal import MillBase
internal import MillLog

/// What a destination waits for, and what is said of it.
extension SinkMachine {
  /// One line per change of state, not per try: when waiting begins, and for each cause that wasn't told since.
  mutating func sinkTrouble(_ reason: String) {
    // What stands behind the colon differs from try to try: times, sizes, ids.
    let cause = reason.prefix { $0 != ":" }
    if !toldCauses.contains(cause) {
      toldCauses.append(cause)
      say(.warning, wait == nil ? "waiting for ClickHouse: \(reason)" : "still waiting for ClickHouse, now: \(reason)")
    }
    wait = Wait(subject: .clickhouse, since: wait?.since ?? now, reason: reason)
  }

  /// An answer that was waited for is there; others may still be waited for.
  mutating func sinkIsBack() {
    guard wait != nil, !deliveries.contains(where: { $0.tries > 0 && !$0.isCommitted }) else { return }
    say(.info, "ClickHouse answers again")
    wait = nil
    toldCauses = []
  }

  // MARK: - Waits that are no errors (``LongWait``)

  /// Which one is waited for now; nil: none. It changes with each step forward.
  func whichIsAwaited(_ wait: LongWait) -> UInt64? {
    switch wait {
    case .answer: awaitedExchanges == 0 ? nil : exchangesAnswered
    case .dead: begun.first { $0.step == .settled }?.batch.number
    case .deadline: begun.first { $0.step == .timeForDeath }?.batch.number
    case .queries: begun.first { $0.runningQuery != nil }?.batch.number
    case .window: heldByWindow
    default: preconditionFailure("\(wait) is no wait of a destination's")
    }
  }

  /// Those that may be waited for; of an outage tens of thousands more may stand behind them, which nobody has begun with.
  private var begun: some Sequence<Delivery> { deliveries.lazy.prefix { $0.isBegun || $0.isPiece } }

  private var awaitedExchanges: Int { exchanges.values.count(where: \.isAwaited) }

  func words(_ wait: LongWait) -> String {
    switch wait {
    case .answer: return "\(awaitedExchanges) requests are out, and none is answered"
    case .dead:
      let seen = "\(openAttempts.seenMilliseconds / 1000) of \(tableOptions.settleMilliseconds / 1000) s so far"
      let runs = openAttempts.runningQuery.map { "; query \($0) still runs and is being killed" } ?? ""
      return
        "an INSERT of batch \(token { $0.step == .settled }) has no answer and may still write: the server must be seen at work for `settle` (\(seen)), and then list no such query\(runs)"
    case .deadline:
      let delivery = deliveries.first { $0.step == .timeForDeath }
      let clock = delivery?.serverSeconds.map { "; it shows \($0)" } ?? ""
      return
        "an INSERT of batch \(token { $0.step == .timeForDeath }) has no answer and may write until the server's clock (seconds since 1970) has passed \(delivery?.deadline ?? 0)\(clock)"
    case .queries: return "query \(deliveries.compactMap(\.runningQuery).first ?? "") still runs at the server"
    case .window:
      return
        "batch \(token { $0.batch.number == heldByWindow }) is unsettled; newer ones wait, since they could push its token out of the table's deduplication window of \(table?.window ?? 0)"
    default: preconditionFailure("\(wait) is no wait of a destination's")
    }
  }

  private func token(_ isMeant: (Delivery) -> Bool) -> String { deliveries.first(where: isMeant)?.batch.token ?? "" }
}
