internal import MillBase

/// What is said of Kafka's troubles: one line when one begins or shows another reason, one when it ends. A pure value.
struct SourceWatch {
  private struct Trouble {
    var reason: String
    var since: Instant
    /// Brokers take turns in their reasons; each is said once.
    var said: Set<String>
  }

  /// Of fetching.
  private var records: Trouble?
  private var questions: [SourceQuestion: Trouble] = [:]
  /// Partitions whose last stable offset stands still while records wait behind it.
  var stalls: [Int: Stall] = [:]
  /// Whether it has been said that the brokers don't tell of compaction.
  var saidUnknownPolicy = false

  struct Stall {
    var stableEnd: Int64
    var since: Instant
    var isSaid = false
  }

  var isTroubled: Bool { records != nil || !questions.isEmpty }

  /// Why nothing comes from Kafka, or why it isn't asked with success, and since when something has been wrong; nil: all is well.
  /// `isLive`: records flow without the witness, and the next checkpoint commits it again; nobody waits for it.
  func trouble(isLive: Bool) -> (reason: String, since: Instant)? {
    let asked = [SourceQuestion.describe, .witness, .starts, .anchors, .batch].filter { !isLive || $0 != .witness }
    let all = ([records] + asked.map { questions[$0] }).compactMap { $0 }
    guard let first = all.first, let since = all.map(\.since).min(by: { $0.monotonicMilliseconds < $1.monotonicMilliseconds }) else {
      return nil
    }
    return (first.reason, since)
  }

  /// Whether this is news.
  mutating func begin(_ question: SourceQuestion?, _ reason: String, at now: Instant) -> Bool {
    func isNews(_ trouble: inout Trouble?) -> Bool {
      var said = trouble?.said ?? []
      let isNew = said.insert(reason).inserted
      trouble = Trouble(reason: reason, since: trouble?.since ?? now, said: said)
      return isNew
    }
    guard let question else { return isNews(&records) }
    // What keeps records from coming has been said, and so has what another question met.
    let isSaid = records != nil || questions.contains { $0.key != question && $0.value.said.contains(reason) }
    return isNews(&questions[question]) && !isSaid
  }

  /// Whether a trouble has ended with this.
  mutating func end(_ question: SourceQuestion?) -> Bool {
    if let question { return questions.removeValue(forKey: question) != nil && records == nil }
    defer { records = nil }
    return records != nil
  }
}

extension SourceMachine {
  mutating func answered(_ question: SourceQuestion) {
    asking.remove(question)
    questionsAnswered += 1
    if watch.end(question) { say(.info, "Kafka answers again (\(question.rawValue))") }
  }

  mutating func sourceTrouble(_ question: SourceQuestion, _ reason: String) {
    if watch.begin(question, reason, at: now) { say(.warning, "waiting for Kafka (\(question.rawValue)): \(reason)") }
  }

  /// How fetching goes; nil: well.
  mutating func recordsTrouble(_ reason: String?) {
    if let reason {
      if watch.begin(nil, reason, at: now) { say(.warning, "waiting for Kafka: \(reason)") }
    } else if watch.end(nil) {
      say(.info, "Kafka answers again")
    }
  }

  /// K11: a compacted topic doesn't give the same records twice. True after ordering a stop.
  mutating func isCompacted(_ look: SourceLook) -> Bool {
    guard !surroundings.isAtLeastOnce else { return false }
    guard let isCompacted = look.isCompacted else {
      if !watch.saidUnknownPolicy {
        say(.warning, "the brokers don't tell whether topic \(its.topic) is compacted; exactly once needs cleanup.policy=delete")
      }
      watch.saidUnknownPolicy = true
      return false
    }
    guard isCompacted else { return false }
    let text =
      "topic \(its.topic) is compacted (cleanup.policy): Kafka removes records of it that may have to be read again, so that exactly once can't be kept. Set cleanup.policy=delete, read a topic that has it, or write delivery: at_least_once"
    end(Stop(surroundings.isLive ? .promise : .invalidPipeline, rule: "K11", text))
    return true
  }

  /// K10: a transaction that nobody ends holds back all records behind its first. With `--until-end` it is waited for and told at once
  /// (R14), else it is told when it lasts.
  mutating func watchStalls(_ look: SourceLook) {
    for (index, high) in look.high.enumerated() where index < partitions.count {
      let end = look.stableEnd[index]
      guard high > end, partitions[index].next >= end else {
        if watch.stalls.removeValue(forKey: index)?.isSaid == true {
          say(.info, "partition \(index) of \(its.topic) goes on: its last stable offset is \(end)")
        }
        continue
      }
      if watch.stalls[index]?.stableEnd != end {
        if watch.stalls[index]?.isSaid == true { say(.info, "partition \(index) of \(its.topic) goes on") }
        watch.stalls[index] = SourceWatch.Stall(stableEnd: end, since: now)
      }
      let isAwaited = options.untilEnd && !hasReachedEnd(index)
      guard let stall = watch.stalls[index], !stall.isSaid else { continue }
      let milliseconds = monotonic - stall.since.monotonicMilliseconds
      guard isAwaited || milliseconds >= options.stallPatienceMilliseconds else { continue }
      watch.stalls[index]?.isSaid = true
      let state =
        isAwaited
        ? "a transaction is open at offset \(end) (the last stable offset), and --until-end goes on up to offset \(endOffsets[index] - 1)"
        : "the last stable offset stands at \(end) for \(milliseconds / 1000) s, with offsets up to \(high - 1) behind it: a transaction is open there (LSO stuck)"
      say(
        .warning,
        "partition \(index) of \(its.topic): \(state). Waiting for its end; kafka-transactions.sh find-hanging names its producer")
    }
  }

  /// How long until the topic is looked at again: soon while an open transaction is all that is waited for.
  var lookInterval: Int64 {
    let isAwaiting =
      options.untilEnd
      && partitions.indices.contains { !hasReachedEnd($0) && $0 < topic.stableEnd.count && topic.stableEnd[$0] < endOffsets[$0] }
    return isAwaiting ? min(options.retryMilliseconds, options.describeIntervalMilliseconds) : options.describeIntervalMilliseconds
  }

  /// R14: a transaction below the end of this run that isn't ended yet; the one that has been waited for longest.
  var transactionWait: Wait? {
    guard options.untilEnd else { return nil }
    let stalls = watch.stalls.filter { !hasReachedEnd($0.key) }
    guard
      let (index, stall) = stalls.min(by: {
        ($0.value.since.monotonicMilliseconds, $0.key) < ($1.value.since.monotonicMilliseconds, $1.key)
      })
    else { return nil }
    return Wait(
      subject: .kafka, since: stall.since,
      reason:
        "partition \(index) of \(its.topic): a transaction is open at offset \(stall.stableEnd), below the end \(endOffsets[index])")
  }
}
