internal import MillBase
internal import MillLog

/// Everything that the core may wait for without an error that says so. What takes longer than ten seconds is told: in the log, and as a
/// ``Wait`` to whoever looks. Errors and full disks have words of their own, at once (``Core/sinkTrouble(_:)``, ``SourceWatch``).
enum LongWait: Int, CaseIterable, Sendable {
  /// Lock, checkpoints and log are read.
  case opening
  case question, replay, topicCheck
  /// Requests are out, and none is answered.
  case answer
  /// R7: until attempts without an answer are dead.
  case dead
  /// R8: until the server's clock has passed a deadline.
  case deadline
  /// R8, R9: until no query of a batch runs.
  case queries
  /// R9: newer batches may not be sent.
  case window
  /// `log.unacked_max` is reached, and nothing is acked.
  case unacked
  case seal, sync, state, publish, deadLetters
}

/// Since when each of them lasts.
struct LongWaits {
  struct Lasting {
    /// What is waited for, as a number: another one is progress, and begins the wait anew.
    var which: UInt64
    var since: Instant
    /// What was said of it; nil: nothing yet.
    var told: String?
  }

  /// A wait, and which source's or sink's it is; 0 where it is neither's.
  struct Key: Hashable {
    var wait: LongWait
    var index = 0
  }

  private(set) var lasting: [Key: Lasting] = [:]

  /// - Parameter which: nil: it isn't waited for.
  /// - Returns: what was said of a wait that is over.
  mutating func note(_ wait: Key, _ which: UInt64?, at now: Instant) -> String? {
    guard let before = lasting[wait] else {
      if let which { lasting[wait] = Lasting(which: which, since: now) }
      return nil
    }
    if before.which == which { return nil }
    lasting[wait] = which.map { Lasting(which: $0, since: now) }
    return before.told
  }

  mutating func tell(_ wait: Key, _ words: String) { lasting[wait]?.told = words }
}

extension Core {
  static let longMilliseconds: Int64 = 10_000

  /// Called after each event: what has lasted too long is told once, and its end.
  mutating func watchLongWaits() {
    for wait in LongWait.allCases {
      let count = wait.isOfSink ? sinks.count : wait.isOfSource ? sources.count : 1
      for index in 0..<count { watch(LongWaits.Key(wait: wait, index: index)) }
    }
  }

  private mutating func watch(_ key: LongWaits.Key) {
    if let told = longWaits.note(key, whichIsAwaited(key), at: now) {
      say(.info, "no longer waiting for \(noun(key)): \(told)")
    }
    guard let lasting = longWaits.lasting[key], lasting.told == nil, isLong(lasting) else { return }
    Reach.mark(.longWaitTold)
    let words = words(key)
    say(.warning, "waiting for \(noun(key)): \(words)")
    longWaits.tell(key, words)
  }

  private func noun(_ key: LongWaits.Key) -> String {
    let (source, sink) = ends(key)
    return key.wait.subject.noun(source: source, sink: sink)
  }

  /// Names, where there are several.
  private func ends(_ key: LongWaits.Key) -> (source: String?, sink: String?) {
    (key.wait.isOfSource ? nameToTell(source: key.index) : nil, key.wait.isOfSink ? nameToTell(key.index) : nil)
  }

  /// The next moment at which one of them becomes worth telling.
  var longWaitDueAt: Int64? {
    guard !isCutting, phase != .stopped else { return nil }
    let untold = longWaits.lasting.values.lazy.filter { $0.told == nil }
    return untold.map { $0.since.monotonicMilliseconds + Self.longMilliseconds }.min()
  }

  /// The one of this subject that has lasted longest.
  func longWait(_ subject: Wait.Subject) -> Wait? {
    let long = longWaits.lasting.filter { $0.key.wait.subject == subject && isLong($0.value) }
    let oldest = long.min {
      ($0.value.since.monotonicMilliseconds, $0.key.wait.rawValue, $0.key.index)
        < ($1.value.since.monotonicMilliseconds, $1.key.wait.rawValue, $1.key.index)
    }
    return oldest.map {
      let (source, sink) = ends($0.key)
      return Wait(subject: subject, source: source, sink: sink, since: $0.value.since, reason: words($0.key))
    }
  }

  private func isLong(_ lasting: LongWaits.Lasting) -> Bool {
    monotonic - lasting.since.monotonicMilliseconds >= Self.longMilliseconds
  }

  /// Which one is waited for now; nil: none. It changes with each step forward.
  private func whichIsAwaited(_ key: LongWaits.Key) -> UInt64? {
    switch key.wait {
    case .opening: phase == .starting && opened == nil ? 0 : nil
    case .question: sources[key.index].asking.isEmpty ? nil : sources[key.index].questionsAnswered
    case .replay: phase == .replaying && !isCutting ? epoch : nil
    case .topicCheck: checkpoint.stage == .frozen && sources[key.index].topicCheck == .asked ? epoch : nil
    case .answer, .dead, .deadline, .queries, .window: sinks[key.index].whichIsAwaited(key.wait)
    case .unacked: phase == .live && hold == .unacked ? sinks.reduce(0) { $0 + $1.batches.acked.batches } : nil
    case .seal: isSealing && sealRetryAt == nil ? logEnd : nil
    case .sync: isSyncing ? durableEnd : nil
    case .state: phase == .live && hold == .state ? epoch : nil
    case .publish: checkpoint.stage == .publishing && checkpoint.publishRetryAt == nil ? epoch : nil
    case .deadLetters: deadLetters.isWriting ? deadLetters.waiting.first?.batch.number : nil
    }
  }

  private func words(_ key: LongWaits.Key) -> String {
    switch key.wait {
    case .opening: return "checkpoints and epoch log are read and verified"
    case .question: return "an answer about \(sources[key.index].asking.map(\.rawValue).sorted().joined(separator: " and "))"
    case .replay:
      let missing = sources.indices.filter { replayNext < replay.count && !sources[$0].hasAll(of: sources[$0].recorded[replayNext].part) }
      let names = missing.compactMap { nameToTell(source: $0) }.joined(separator: ", ")
      return "records\(names.isEmpty ? "" : " of source \(names)") of epoch \(epoch + 1), which has to be processed again"
    case .topicCheck:
      return "an answer about a record that was read before; the checkpoint of epoch \(checkpoint.manifest?.epoch ?? epoch) waits for it"
    case .answer, .dead, .deadline, .queries, .window: return sinks[key.index].words(key.wait)
    case .unacked:
      let count = unackedBatchCount
      return count >= Self.unackedBatchesMax
        ? "\(count) batches are not acked, as many as may be: the source is not read"
        : "the epoch log has \(options.unackedMaxBytes) bytes since the oldest batch that is not acked (log.unacked_max): the source is not read"
    case .seal: return "rows of epoch \(epoch) are written to the epoch log"
    case .sync: return "the epoch log is synced"
    case .state: return "a full table of keys is written to the state"
    case .publish: return "checkpoint \(checkpoint.name) is written"
    case .deadLetters: return "dead letters are written"
    }
  }
}

extension LongWait {
  /// Each sink has its own.
  var isOfSink: Bool {
    switch self {
    case .answer, .dead, .deadline, .queries, .window: true
    default: false
    }
  }

  var isOfSource: Bool { self == .question || self == .topicCheck }

  var subject: Wait.Subject {
    switch self {
    case .question, .replay, .topicCheck: .kafka
    case .answer, .dead, .deadline, .queries, .window, .unacked: .clickhouse
    case .opening, .seal, .sync, .state, .publish, .deadLetters: .disk
    }
  }
}

extension Wait.Subject {
  /// With the name of the source or sink, where there are several.
  func noun(source: String?, sink: String?) -> String {
    source.map { "\(noun) (source \($0))" } ?? sink.map { "\(noun) (sink \($0))" } ?? noun
  }

  var noun: String {
    switch self {
    case .kafka: "Kafka"
    case .clickhouse: "ClickHouse"
    case .disk: "the disk"
    case .deadLetters: "dead letters"
    }
  }
}
