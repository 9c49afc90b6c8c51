internal import MillBase
internal import MillLog

/// Between the core and its source.
extension Core {
  /// Lets the source do something, then does what it orders, one after the other.
  mutating func withSource<Result>(_ body: (inout SourceMachine) -> Result) -> Result {
    source.surroundings = SourceSurroundings(
      now: now, isReplaying: phase == .replaying, isLive: phase == .live, stopRequested: stopRequested, hasState: start.manifest != nil,
      isAllAcked: phase == .replaying && isAllAcked, isAtLeastOnce: sinks.allSatisfy { $0.table?.mode == .atLeastOnce },
      recorded: replay[replayNext...])
    let result = body(&source)
    var orders: [SourceOrder] = []
    swap(&orders, &source.orders)
    for order in orders { perform(order) }
    orders.removeAll(keepingCapacity: true)
    swap(&orders, &source.orders)
    return result
  }

  private mutating func perform(_ order: SourceOrder) {
    switch order {
    case .command(let command):
      commands.append(command)
      // Partitions that have joined begin with empty buffers.
      if case .assign = command { bufferedSince = nil }
    case .windUp(let stop): windUp = windUp ?? stop
    case .stop(let stop): end(stop)
    }
  }

  // MARK: - Answers that are a checkpoint's too

  mutating func takeAnchors(_ problems: [String]) {
    let stop = withSource { $0.takeAnchors(problems) }
    if phase == .live, checkpoint.topicCheck == .asked { return takeTopicCheck(stop) }
    withSource { $0.judgeAnchors(stop) }
  }

  mutating func takeUnavailable(_ question: SourceQuestion, _ reason: String) {
    guard question == .anchors, checkpoint.topicCheck == .asked else { return withSource { $0.takeUnavailable(question, reason) } }
    source.asking.remove(question)
    // The checkpoint isn't held up; the next one asks again.
    keepKnownAnchors()
  }

  mutating func takeTopicMissing(_ text: String) {
    if checkpoint.topicCheck == .asked { keepKnownAnchors() }
    withSource { $0.takeTopicMissing(text) }
  }

  // MARK: - The end that a source has brought about

  /// All that was read is sealed and kept by a last checkpoint, so that the next start has nothing to replay from records that are gone;
  /// then the stop.
  mutating func advanceWindUp() {
    withSource { $0.advanceLost() }
    guard windUp != nil, bufferedSince == nil, !stopRequested else { return }
    say(.info, "stopping: sealing and taking a checkpoint")
    stopRequested = true
    stopProgressAt = monotonic
  }
}
