internal import MillBase

/// A wait for something that fails is told once more after a minute, and ends the process where it was told how long to wait: what stands
/// in the way may be something that no retry heals, such as a wrong address.
extension Core {
  private static let tellAgainMilliseconds: Int64 = 60_000

  /// Whether something fails, or lasts, that may have to be told or given up.
  private var isWaiting: Bool {
    sinks.contains { $0.wait != nil } || !spaceWaits.isEmpty || sources.contains { $0.watch.isTroubled }
      || options.waitAtMostMilliseconds != nil && !waits.isEmpty
  }

  /// The next moment at which one of them may have lasted too long.
  var waitsDueAt: Int64? { isWaiting ? waitsJudgedAt : nil }

  mutating func judgeWaits() {
    guard waitsJudgedAt <= monotonic else { return }
    waitsJudgedAt = monotonic + 1000
    guard isWaiting else { return }
    // The disk's work may take its time; only room is waited for.
    for wait in waits where wait.subject != .disk || !spaceWaits.isEmpty {
      let lasted = monotonic - max(wait.since.monotonicMilliseconds, lastCommitAt(wait))
      if let most = options.waitAtMostMilliseconds, lasted >= most {
        return end(Stop(.failed, "waited \(lasted / 1000) s for \(wait.noun) (--wait-at-most): \(wait.reason)"))
      }
      guard lasted >= Self.tellAgainMilliseconds, toldAgain[wait.key] != wait.since else { continue }
      toldAgain[wait.key] = wait.since
      say(.warning, "has waited \(lasted / 1000) s for \(wait.noun), and waits on: \(wait.reason)")
    }
  }

  /// A table that takes a batch now and then isn't one that is waited for in vain.
  private func lastCommitAt(_ wait: Wait) -> Int64 {
    guard wait.subject == .clickhouse else { return 0 }
    return sinks.filter { wait.sink == nil || wait.sink == $0.tableOptions.name }.map(\.lastCommitAt).max() ?? 0
  }
}
