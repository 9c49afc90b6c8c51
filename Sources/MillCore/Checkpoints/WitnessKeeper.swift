internal import MillBase
internal import MillLog

/// R15: the witness that the consumer group bears on a source's topic, read at the start and committed after each checkpoint.
struct WitnessKeeper {
  /// What the group held at the start: nothing, or a text; nil until that is known.
  var found: String??
  /// It was judged, and what is missing was said.
  var isJudged = false
  private(set) var isCommitting = false
  /// Another checkpoint was published meanwhile.
  private var commitsAgain = false
  private(set) var hasCommitted = false
  /// The newest one was tried and failed.
  private(set) var isLacking = false
  var retryAt: Int64?
  /// What the group may hold without anybody else having written it.
  private var known: [String] = []
  /// When the group is looked at without a commit, which looks by itself.
  var nextLook: Int64 = 0

  /// Whether somebody else has written this into the group.
  func isForeign(_ text: String) -> Bool {
    var known = known
    if known.isEmpty, case .some(.some(let read)) = found { known = [read] }
    return !known.isEmpty && !known.contains(text)
  }

  /// A commit is wanted.
  /// - Returns: what the group may hold before it; nil: one is under way, and another follows it.
  mutating func begin(_ text: String) -> [String]? {
    guard !isCommitting else {
      commitsAgain = true
      return nil
    }
    isCommitting = true
    if case .some(.some(let read)) = found, known.isEmpty { known.append(read) }
    let before = known
    if known.last != text { known.append(text) }
    return before
  }

  mutating func takeCommitted() {
    isCommitting = false
    hasCommitted = true
    isLacking = false
    // What was sent and not answered may still take effect: it stays known.
    known.removeFirst(max(0, known.count - 64))
  }

  /// - Parameter isStart: nothing is sent before the witness is there; else the next checkpoint tries again.
  mutating func takeFailure(isStart: Bool) {
    isCommitting = false
    if !isStart { isLacking = true }
  }

  /// Whether another commit is due at once.
  mutating func takesAgain() -> Bool {
    defer { commitsAgain = false }
    return commitsAgain
  }
}

extension Core {
  // MARK: - At the start

  mutating func takeWitness(_ text: String?, of index: Int) {
    withSource(index) { $0.answered(.witness) }
    guard phase == .live else { return sources[index].witness.found = .some(text) }
    sources[index].witness.nextLook = monotonic + options.witnessIntervalMilliseconds
    if let text, sources[index].witness.isForeign(text) { takeWitnessTaken(text, of: index) }
  }

  /// R15. Returns false after ordering a stop.
  mutating func checkWitness(_ text: String?, of index: Int) -> Bool {
    let isJudged = sources[index].witness.isJudged
    sources[index].witness.isJudged = true
    guard let text, !text.isEmpty else {
      if text == nil, !isJudged, sources[index].wasRead {
        Reach.mark(.r15Absent)
        let text =
          "the consumer group has no witness any more (brokers forget an idle group's offsets, or they were deleted): it can't tell whether this state directory was rolled back; going on"
        say(.warning, named(text, source: index))
      }
      return true
    }
    guard let its = Witness(text) else {
      endByWitness(Witness.foreign(text, pipeline: options.pipeline, topic: sources[index].its.topic), of: index)
      return false
    }
    if options.newLineage {
      Reach.mark(.r15NewLineage)
      return true
    }
    guard start.lineages.contains(its.lineage) else {
      Reach.mark(.r15OtherLineage)
      endByWitness(
        "the consumer group bears witness of lineage \(its.lineage) at log position \(its.position), which this state directory has never been: its state was deleted, or another directory runs this pipeline. Rows it has sent would be doubled. Put that directory back, or accept it with --new-lineage",
        of: index)
      return false
    }
    guard its.position <= (opened?.log.end ?? 0) else {
      Reach.mark(.r15RolledBack)
      endByWitness(
        "the consumer group bears witness of log position \(its.position), but this log ends at \(opened?.log.end ?? 0): the state directory was rolled back. Rows sent after that would be doubled. Put the newer state back, or accept it with --new-lineage",
        of: index)
      return false
    }
    return true
  }

  // MARK: - Commits

  mutating func commitWitness(of index: Int) {
    let text = Witness(lineage: lineage, position: min(durableEnd, logEnd)).description
    guard let known = sources[index].witness.begin(text) else { return }
    let offsets = sources[index].partitions.map(\.next)
    commands.append(.ask(source: index, .commitWitness(text, offsets: offsets, known: known)))
  }

  /// Of the sources whose newest commit failed.
  mutating func commitLackingWitnesses() {
    for index in sources.indices where sources[index].witness.isLacking && !sources[index].witness.isCommitting {
      commitWitness(of: index)
    }
  }

  /// Brokers that are away aren't waited for.
  var isCommittingWitness: Bool { sources.indices.contains { sources[$0].witness.isCommitting && !isAway($0) } }

  mutating func takeWitnessCommitted(of index: Int) {
    sources[index].witness.takeCommitted()
    Reach.mark(.r15Committed)
    withSource(index) { $0.answered(.witness) }
    sources[index].witness.nextLook = monotonic + options.witnessIntervalMilliseconds
    if phase == .preparing, start.manifest == nil, sources.allSatisfy(\.witness.hasCommitted) { start.checkpointedBirth = true }
    goOnAfterWitness(of: index)
  }

  mutating func takeWitnessFailure(_ reason: String, of index: Int) {
    Reach.mark(.r15CommitFailed)
    sources[index].witness.takeFailure(isStart: phase == .preparing)
    if phase == .preparing {
      // At birth, and with a new lineage, nothing is sent before the witness is there.
      withSource(index) { $0.sourceTrouble(.witness, reason) }
      sources[index].witness.retryAt = monotonic + options.retryMilliseconds
      return
    }
    withSource(index) { $0.sourceTrouble(.witness, "\(reason); the next checkpoint tries again") }
    goOnAfterWitness(of: index)
  }

  private mutating func goOnAfterWitness(of index: Int) {
    if sources[index].witness.takesAgain() { return commitWitness(of: index) }
    guard checkpoint.isLast, checkpoint.stage == .idle, !isCommittingWitness else { return }
    finishLast()
  }

  mutating func takeWitnessTaken(_ text: String?, of index: Int) {
    Reach.mark(.r15OtherCommitted)
    endByWitness(
      text.map { Witness($0) == nil } == true
        ? Witness.foreign(text ?? "", pipeline: options.pipeline, topic: sources[index].its.topic)
        : "the consumer group's witness was changed by somebody else while this instance ran (now \"\(ForeignText.cut(text ?? "none"))\"): another copy of this state directory is running. Stop one of them",
      of: index)
  }

  private mutating func endByWitness(_ text: String, of index: Int) { end(named(Stop(.promise, rule: "R15", text), source: index)) }
}
