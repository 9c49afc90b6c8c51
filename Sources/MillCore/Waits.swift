package import MillBase
internal import MillLog

/// What the pipeline waits for: it goes on by itself when that is there again.
package struct Wait: Hashable, Sendable {
  package enum Subject: String, CaseIterable, Sendable {
    case kafka, clickhouse, disk
    /// Their files have reached their bound.
    case deadLetters = "dead_letters"

    var order: Int { Self.allCases.firstIndex(of: self) ?? 0 }
  }

  package var subject: Subject
  /// Whose it is, where there are several sources.
  package var source: String?
  /// Whose it is, where there are several sinks.
  package var sink: String?
  /// When it began.
  package var since: Instant
  /// What was heard last, in words; it may name addresses and paths.
  package var reason: String

  struct Key: Hashable {
    var subject: Subject
    var source: String?
    var sink: String?
  }

  var key: Key { Key(subject: subject, source: source, sink: sink) }

  /// `clickhouse`, or `clickhouse (sink audit)`: for lines of people's and their tools'.
  package var label: String {
    source.map { "\(subject.rawValue) (source \($0))" } ?? sink.map { "\(subject.rawValue) (sink \($0))" } ?? subject.rawValue
  }
  var noun: String { subject.noun(source: source, sink: sink) }
}

extension Core {
  /// At most one of each subject, of each source's brokers and each sink's server one, in the subjects' order.
  var waits: [Wait] {
    var waits: [Wait] = []
    for (index, source) in sources.enumerated() {
      let trouble = source.watch.trouble(isLive: phase == .live).map { Wait(subject: .kafka, since: $0.since, reason: $0.reason) }
      guard var wait = trouble ?? (phase == .live ? source.transactionWait : nil) else { continue }
      wait.source = nameToTell(source: index)
      waits.append(wait)
    }
    for (index, sink) in sinks.enumerated() {
      guard var wait = sink.wait else { continue }
      wait.sink = nameToTell(index)
      waits.append(wait)
    }
    if let since = spaceWaits.values.min(by: { $0.monotonicMilliseconds < $1.monotonicMilliseconds }) {
      waits.append(Wait(subject: .disk, since: since, reason: "no space left on a disk"))
    }
    if let full = deadLetters.full { waits.append(full) }
    for subject in Wait.Subject.allCases where !waits.contains(where: { $0.subject == subject }) {
      if let long = longWait(subject) { waits.append(long) }
    }
    return waits.enumerated().sorted { ($0.element.subject.order, $0.offset) < ($1.element.subject.order, $1.offset) }.map(\.element)
  }

  /// A sink's name, where there are several.
  func nameToTell(_ sink: Int) -> String? { sinks.count == 1 ? nil : sinks[sink].tableOptions.name }

  /// One line for the log, the state, a checkpoint or the dead letters, not for each work and try that waits.
  mutating func noSpace(_ work: SpaceWork, _ place: String) {
    if !waitsForSpace(work.noun) { say(.warning, "no space left for \(work.noun) (\(place)): waiting for room") }
    if spaceWaits[work] == nil { spaceWaits[work] = now }
  }

  /// This work found room.
  mutating func foundSpace(_ work: SpaceWork) {
    guard spaceWaits.removeValue(forKey: work) != nil, !waitsForSpace(work.noun) else { return }
    say(.info, "there is room again for \(work.noun)")
  }

  /// What the dead letters' files take: past their bound the source waits until somebody has made room.
  mutating func takeDeadLetterBytes(_ byteCount: UInt64, _ directory: String) {
    require(deadLetters.isMeasuring, "dead letters were measured, which nobody has ordered")
    deadLetters.isMeasuring = false
    deadLetters.byteCount = byteCount
    let waiting = deadLetters.waiting.reduce(0) { $0 &+ $1.batch.byteCount }
    let isFull = byteCount &+ waiting >= options.deadLetterMaxBytes
    deadLetters.measureAt = monotonic + (isFull ? options.retryMilliseconds : 10 * options.describeIntervalMilliseconds)
    if isFull {
      let more = waiting == 0 ? "" : " and \(waiting) more are to be written there"
      let reason = "dead letters take \(byteCount) bytes in \(directory)\(more), dead_letters.max_bytes is \(options.deadLetterMaxBytes)"
      if deadLetters.full == nil {
        say(.warning, "waiting for dead letters: \(reason): nothing more is read before some are removed; or raise it")
      }
      deadLetters.full = Wait(subject: .deadLetters, since: deadLetters.full?.since ?? now, reason: reason)
    } else if deadLetters.full != nil {
      say(.info, "there is room again for dead letters: \(byteCount) bytes in \(directory)")
      deadLetters.full = nil
    }
  }

  private func waitsForSpace(_ noun: String) -> Bool { spaceWaits.keys.contains { $0.noun == noun } }
}
