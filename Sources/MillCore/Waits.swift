package import MillBase

/// What the pipeline waits for: it goes on by itself when that is there again.
package struct Wait: Hashable, Sendable {
  package enum Subject: String, CaseIterable, Sendable {
    case kafka, clickhouse, disk
  }

  package var subject: Subject
  /// When it began.
  package var since: Instant
  /// What was heard last, in words; it may name addresses and paths.
  package var reason: String
}

extension Core {
  /// At most one of each subject, in the subjects' order.
  var waits: [Wait] {
    var waits: [Wait] = []
    if let trouble = sourceWatch.trouble(isLive: phase == .live) {
      waits.append(Wait(subject: .kafka, since: trouble.since, reason: trouble.reason))
    }
    if let sinkWait { waits.append(sinkWait) }
    if let since = spaceWaits.values.min(by: { $0.monotonicMilliseconds < $1.monotonicMilliseconds }) {
      waits.append(Wait(subject: .disk, since: since, reason: "no space left on the disk of the state directory"))
    }
    return waits
  }

  /// One line per change of state, not per try.
  mutating func sinkTrouble(_ reason: String) {
    if sinkWait == nil { say(.warning, "waiting for ClickHouse: \(reason)") }
    sinkWait = Wait(subject: .clickhouse, since: sinkWait?.since ?? now, reason: reason)
  }

  mutating func sinkIsBack() {
    if sinkWait != nil { say(.info, "ClickHouse answers again") }
    sinkWait = nil
  }

  /// One line for the disk, not for each work that waits.
  mutating func noSpace(_ work: SpaceWork) {
    if spaceWaits.isEmpty { say(.warning, "no space left on the disk of the state directory (\(work)); waiting for room") }
    if spaceWaits[work] == nil { spaceWaits[work] = now }
  }

  /// This work found room.
  mutating func foundSpace(_ work: SpaceWork) {
    guard spaceWaits.removeValue(forKey: work) != nil, spaceWaits.isEmpty else { return }
    say(.info, "there is room on the disk again")
  }
}
