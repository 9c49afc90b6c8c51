internal import MillBase
internal import MillLog

/// A source of which nothing has been sealed yet, until one of its records has been decoded.
struct Birth {
  /// Monotonic time of the first epoch that had records, none of which could be decoded; nil: no record has come.
  var since: Int64?
  var records: UInt64 = 0
  var reasons = ReasonTally()
}

/// A new source that decodes nothing stops before it seals anything. A file that is wrong for its topic would else walk over all of it,
/// and the mended one go on behind. As it is, intents without a seal are void (R4), so that the mended file begins with the first record.
extension Core {
  /// Nothing may be sealed: all records so far are undecodable, and it isn't decided yet whether the file is to blame.
  var isUnproven: Bool { births.contains { $0?.since != nil } }

  /// Sources that nothing was decoded of so far.
  var unproven: Set<Int> { Set(births.indices.filter { births[$0]?.since != nil }) }

  /// Others' rows wait for their seal, and fill what may wait: the source that holds them up is read on until it is judged.
  var mayProve: Bool { sources.count > 1 && isUnproven && !stopRequested && !isFull(.deadLetters) }

  mutating func noteBirth(_ result: EpochResult) {
    for (index, its) in result.sources.enumerated() where its.records > 0 {
      guard var all = births[index] else { continue }
      guard its.refused.total == its.records else {
        births[index] = nil
        continue
      }
      if all.since == nil { all.since = monotonic }
      all.records += its.records
      all.reasons.add(its.refused)
      births[index] = all
    }
  }

  /// When the source's end is taken for all that there is.
  func decidedAt(_ birth: Birth) -> Int64? {
    birth.since.map { $0 + min(options.birthPatienceMilliseconds, options.deadLetterMaxDelayMilliseconds) }
  }

  /// Orders the stop where it is due.
  mutating func judgeBirth() {
    // What Kafka has lost meanwhile can't be read again: it is kept as dead letters.
    guard windUp == nil else { return births = births.map { _ in nil } }
    for index in sources.indices where phase != .stopped { judgeBirth(of: index) }
  }

  private mutating func judgeBirth(of index: Int) {
    guard let birth = births[index], birth.since != nil else { return }
    let source = sources[index]
    if stopRequested {
      Reach.mark(.r17StoppedUnproven)
      let text =
        "stopped before anything was sealed: none of \(birth.records) records could be decoded yet (\(birth.reasons.text)). The next start reads them again"
      return end(named(Stop(.done, text), source: index))
    }
    // Others' rows don't wait for brokers that are away.
    let givesNothing = source.isAtEnd || sources.count > 1 && source.lastPolled?.trouble != nil
    let isEnd = options.untilEnd && source.hasReachedEnd || (decidedAt(birth) ?? 0) <= monotonic && !source.hasMoved && givesNothing
    // No room for more: as many as there can be before a seal.
    guard isEnd || birth.records >= options.birthRecords || hold == .pending && !mayProve else { return }
    Reach.mark(.r17NothingDecoded)
    let text =
      "not one of the first \(birth.records) records of \(source.its.topic) can be decoded (\(birth.reasons.text)), so that nothing was sealed, sent or skipped\(sources.count > 1 ? " since this start" : ""). The first: \(birth.reasons.entries.first?.example ?? ""). Mend the file and start again: it begins with these records. Where they are what is wrong, start once with --accept-dead-letters"
    end(named(Stop(.invalidPipeline, text), source: index))
  }
}
