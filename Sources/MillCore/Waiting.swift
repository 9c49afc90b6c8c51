/// A server that doesn't answer as hoped, and what was said about it: one line a change of state, none a try.
struct Waiting {
  let whom: String
  /// The newest cause; nil: nothing is waited for.
  private(set) var reason: String?
  private var told: [Substring] = []

  init(for whom: String) { self.whom = whom }

  /// The line to be said, where this cause wasn't told since the waiting began.
  mutating func goesOn(_ reason: String) -> String? {
    // What stands behind the colon differs from try to try: times, sizes, ids.
    let cause = reason.prefix { $0 != ":" }
    defer { self.reason = reason }
    guard !told.contains(cause) else { return nil }
    told.append(cause)
    return self.reason == nil ? "waiting for \(whom): \(reason)" : "still waiting for \(whom), now: \(reason)"
  }

  /// The line to be said, where something was waited for.
  mutating func ends() -> String? {
    guard reason != nil else { return nil }
    reason = nil
    told = []
    return "\(whom) answers again"
  }
}

extension Core {
  mutating func sinkTrouble(_ reason: String) {
    if let line = sinkWaiting.goesOn(reason) { say(.warning, line) }
  }

  /// An answer of the table's server that was waited for is there; others may still be waited for.
  mutating func sinkIsBack() {
    guard !deliveries.contains(where: { $0.tries > 0 && !$0.isCommitted }), let line = sinkWaiting.ends() else { return }
    say(.info, line)
  }
}
