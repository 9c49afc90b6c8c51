internal import MillBase
internal import MillLog

/// What came of the records that this process was the first to process, replays aside, and what has been told of those that gave no row.
struct Outcomes {
  var counters = Counters()
  /// Decoding failed, or the record was late.
  var deadLetters = ReasonTally()
  /// `on_error: skip`.
  var skipped = ReasonTally()
  /// Of the dead letters, as told last.
  var told: UInt64 = 0
  /// When the counts are told next, where there is anything new to tell.
  var tellAt: Int64 = 0
}

/// A pipeline that loses records to dead letters says so at once, and again while it goes on.
extension Core {
  static let tellIntervalMilliseconds: Int64 = 10_000

  /// Records that can't be decoded, of these epochs.
  static func undecodable(_ counters: Counters) -> UInt64 { counters.deadLettered &+ counters.skipped }

  /// An epoch has been processed that isn't a replay's.
  mutating func noteOutcomes(_ result: EpochResult) {
    outcomes.counters.add(result.counters)
    guard !result.deadLetters.isEmpty || !result.skipped.isEmpty else { return }
    for entry in result.deadLetters.entries where outcomes.deadLetters[entry.reason] == 0 {
      say(.warning, "the first dead letter of reason \(entry.reason): \(entry.example)")
      outcomes.told += 1
      if outcomes.tellAt <= monotonic { outcomes.tellAt = monotonic + Self.tellIntervalMilliseconds }
    }
    // Each is what the file asks for: they are counted in progress and metrics, and only a new reason is news.
    for entry in result.skipped.entries where outcomes.skipped[entry.reason] == 0 {
      say(.warning, "the first record that is skipped for reason \(entry.reason): \(entry.example)")
    }
    outcomes.deadLetters.add(result.deadLetters)
    outcomes.skipped.add(result.skipped)
  }

  /// When ``tellDeadLetters()`` has something to tell; nil: nothing is new.
  var tellDeadLettersAt: Int64? { outcomes.deadLetters.total > outcomes.told ? outcomes.tellAt : nil }

  /// Every 10 s while they come.
  mutating func tellDeadLetters() {
    guard let at = tellDeadLettersAt, at <= monotonic else { return }
    let total = outcomes.deadLetters.total
    let records = outcomes.counters.records
    say(
      .warning, "\(total - outcomes.told) more dead letters, \(total) of \(records) records since the start: \(outcomes.deadLetters.text)")
    outcomes.told = total
    outcomes.tellAt = monotonic + Self.tellIntervalMilliseconds
  }

  /// A condition may be what its author means, and true of no record; it may also be a mistake.
  private mutating func sayNothingPassed(_ counters: Counters) {
    say(
      .warning,
      "no row passed: the conditions of the file's filters were true of none of \(counters.filtered) rows, of \(counters.records) records up to the end. If that isn't what where: means, millrace eval tries it on values"
    )
  }

  /// What `--until-end` ends with once all is in its place: 1 where records came and not one of them is a row or belongs to one. A record
  /// that is a duplicate, late or filtered was read rightly.
  mutating func stopAtEnd() -> Stop {
    let counters = outcomes.counters
    let refused = sinks.reduce(0) { $0 + $1.batches.refused.rows }
    let lost = Self.undecodable(counters) + counters.late + refused
    if counters.filtered > 0, counters.emitted == 0, counters.duplicate == 0, counters.late == 0 { sayNothingPassed(counters) }
    guard lost > 0, counters.records > 0 else { return Stop(.done, "all records up to the end are in the table") }
    var tally = outcomes.deadLetters
    tally.add(outcomes.skipped)
    if refused > 0 { tally.add("refused", count: refused, example: "") }
    let isNothing = counters.duplicate == 0 && counters.late == 0 && counters.filtered == 0 && counters.emitted <= refused
    guard isNothing else {
      return Stop(.done, "all rows up to the end are in the table; of \(counters.records) records \(lost) gave none: \(tally.text)")
    }
    let example = tally.entries[0].example.isEmpty ? "" : ". The first: \(tally.entries[0].example)"
    return Stop(
      .failed,
      "no row came of the \(counters.records) records up to the end: \(tally.text)\(example). `millrace dead-letters list` shows them")
  }
}
