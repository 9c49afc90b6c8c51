internal import MillBase
internal import MillLog

/// Between the core and its sources.
extension Core {
  /// Lets every source do something, in the file's order, until one ends the process.
  mutating func withSources(_ body: (inout SourceMachine) -> Void) {
    for index in sources.indices where phase != .stopped { withSource(index, body) }
  }

  /// Lets a source do something, then does what it orders, one after the other.
  mutating func withSource<Result>(_ index: Int, _ body: (inout SourceMachine) -> Result) -> Result {
    sources[index].surroundings = SourceSurroundings(
      now: now, isReplaying: phase == .replaying, isLive: phase == .live, stopRequested: stopRequested,
      isAllAcked: phase == .replaying && isAllAcked, othersMiss: phase == .replaying && othersMiss(index),
      isAtLeastOnce: sinks.allSatisfy { $0.table?.mode == .atLeastOnce },
      recorded: sources[index].recorded.dropFirst(replayNext))
    let result = body(&sources[index])
    var orders: [SourceOrder] = []
    swap(&orders, &sources[index].orders)
    for order in orders { perform(order, of: index) }
    orders.removeAll(keepingCapacity: true)
    swap(&orders, &sources[index].orders)
    return result
  }

  private func othersMiss(_ index: Int) -> Bool {
    guard sources.count > 1, replayNext < replay.count else { return false }
    return sources.indices.contains { $0 != index && !sources[$0].hasAll(of: sources[$0].recorded[replayNext].part) }
  }

  private mutating func perform(_ order: SourceOrder, of index: Int) {
    switch order {
    case .ask(let request): commands.append(.ask(source: index, request))
    case .assign(let offsets):
      commands.append(.assign(source: index, offsets))
      // Its partitions begin with empty buffers.
      if !sources.indices.contains(where: { $0 != index && sources[$0].hasMoved }) { bufferedSince = nil }
    case .fetch(let offsets): commands.append(.fetch(source: index, offsets))
    case .say(let level, let text): say(level, named(text, source: index))
    case .windUp(let stop):
      windUp = windUp ?? named(stop, source: index)
      for other in sources.indices { sources[other].isWindingUp = true }
    case .stop(let stop): end(named(stop, source: index))
    }
  }

  // MARK: - Answers

  mutating func take(_ answer: SourceAnswer, of index: Int) {
    switch answer {
    case .witnessRead(let text): takeWitness(text, of: index)
    case .described(let look): withSource(index) { $0.takeLook(look) }
    case .startsResolved(let offsets): withSource(index) { $0.takeStarts(offsets) }
    case .anchorsChecked(let problems): takeAnchors(problems, of: index)
    case .examined(let batches): withSource(index) { $0.takeExamined(batches) }
    case .unavailable(let question, let reason): takeUnavailable(question, reason, of: index)
    case .topicMissing(let text): takeTopicMissing(text, of: index)
    case .refused(let text): end(named(Stop(.failed, text), source: index))
    case .witnessCommitted: takeWitnessCommitted(of: index)
    case .witnessNotCommitted(let reason): takeWitnessFailure(reason, of: index)
    case .witnessTaken(let text): takeWitnessTaken(text, of: index)
    }
  }

  private mutating func takeAnchors(_ problems: [String], of index: Int) {
    let stop = withSource(index) { $0.takeAnchors(problems) }
    if phase == .live, sources[index].topicCheck == .asked { return takeTopicCheck(stop, of: index) }
    withSource(index) { $0.judgeAnchors(stop) }
  }

  private mutating func takeUnavailable(_ question: SourceQuestion, _ reason: String, of index: Int) {
    guard question == .anchors, sources[index].topicCheck == .asked else {
      return withSource(index) { $0.takeUnavailable(question, reason) }
    }
    sources[index].asking.remove(question)
    // The checkpoint isn't held up; the next one asks again.
    keepKnownAnchors(of: index)
  }

  private mutating func takeTopicMissing(_ text: String, of index: Int) {
    if sources[index].topicCheck == .asked { keepKnownAnchors(of: index) }
    withSource(index) { $0.takeTopicMissing(text) }
  }

  // MARK: - What is said

  /// A source's name, where there are several.
  func nameToTell(source index: Int) -> String? { sources.count == 1 ? nil : sources[index].its.name }

  /// Two topics may have the same name, on two clusters.
  func named(_ text: String, source index: Int) -> String { nameToTell(source: index).map { "source \($0): \(text)" } ?? text }

  func named(_ stop: Stop, source index: Int) -> Stop {
    var stop = stop
    stop.message = named(stop.message, source: index)
    return stop
  }

  /// Of several: its brokers don't answer. The others' checkpoints and the process's end don't wait for them.
  func isAway(_ index: Int) -> Bool { sources.count > 1 && sources[index].lastPolled?.trouble != nil }

  // MARK: - All of them

  /// `--until-end`: every source has been read so far.
  var hasReachedEnd: Bool { sources.allSatisfy(\.hasReachedEnd) }

  // MARK: - The end that a source has brought about

  /// All that was read is sealed and kept by a last checkpoint, so that the next start has nothing to replay from records that are gone;
  /// then the stop.
  mutating func advanceWindUp() {
    withSources { $0.advanceLost() }
    guard windUp != nil, bufferedSince == nil, !stopRequested else { return }
    say(.info, "stopping: sealing and taking a checkpoint")
    stopRequested = true
    stopProgressAt = monotonic
  }
}
