internal import MillFlow

/// What the same file, state and bytes in Kafka give is the program's doing too. Where that changes, the version rises, and epochs that an
/// older release has recorded are replayed as it read them.
package enum ReplayVersion: UInt32, CaseIterable, Hashable, Sendable {
  /// Releases 0.1 up to commit 9090ffc. Event times are measured against the record's timestamp only, 1d by default; NULL keys are equal;
  /// records, rows and dead letters have no bounds.
  case two = 2
  /// Event times are measured against the epoch's clock too, 10m by default; records whose key is NULL pass; records and dead
  /// letters are bounded, and so are the pieces of an epoch. A record cut amid an escape or a letter is told so whatever stands behind it.
  case three = 3

  package static let current = Self.three
}

extension Pipeline {
  /// What a release of `version` makes of the same file. Each setting that came later, or whose default changed, has its line here.
  package func asRead(by version: ReplayVersion) -> Pipeline {
    var old = self
    old.replayVersion = version
    guard version < .three else { return old }
    old.sources = sources.map { source in
      var source = source
      source.plan.limits = nil
      guard let time = source.plan.eventTime else { return source }
      source.plan = source.plan.replacing(
        eventTime: EventTimePlan(
          fieldIndex: time.fieldIndex, outOfOrderness: time.outOfOrderness, idleAfter: time.idleAfter,
          maxAhead: source.isMaxAheadWritten ? time.maxAhead : 24 * 3_600_000, measuresClock: false))
      return source
    }
    old.deduplicate?.nullKeys = .equal
    return old
  }
}

extension ReplayVersion: Comparable {
  package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}
