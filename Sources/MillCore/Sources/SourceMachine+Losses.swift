internal import MillBase
internal import MillLog

/// A partition that gives nothing more, until it is known why.
struct LostPosition {
  var found: PositionLost
  /// The next look may be older than this.
  var skipsLook: Bool
  /// The offset is one that the partition has: its records must show whether it is the same partition.
  var isWithinBounds = false
  /// It is the same, and is fetched again then: a pause, so that an error that stays doesn't spin.
  var refetchAt: Int64?
}

/// Records that are gone before they were read: found at a start or while running, given up by `--accept-loss` (K3, K4, K6, K8).
extension SourceMachine {
  // MARK: - At a start

  /// Offsets that are to be read and are not there any more, by partition. An earlier start's gaps are behind us: see ``skip(_:)``.
  func lostRanges(_ look: SourceLook) -> [LostRange] {
    zip(partitions, look.low).enumerated().compactMap { index, pair in
      pair.0.next < pair.1 ? LostRange(partition: Int32(index), start: pair.0.next, next: pair.1) : nil
    }
  }

  /// K3: what is to be read must still be there, or its loss have been accepted, range by range. Returns false after ordering a stop.
  mutating func checkLoss(_ look: SourceLook) -> Bool {
    guard !lossChecked else { return true }
    let lost = lostRanges(look)
    guard lost.allSatisfy({ its.acceptedLosses.contains($0) }) else {
      end(lossStop(lost))
      return false
    }
    guard let unreadable = findUnreadable(look) else {
      ask(.batch)
      return false
    }
    lossChecked = true
    let given = lost + unreadable
    for gap in its.acceptedLosses where !given.contains(gap) {
      say(.warning, "--accept-loss \(text(of: gap)): nothing is lost there, or it was accepted before; the option does nothing")
    }
    guard !given.isEmpty else { return true }
    Reach.mark(.k3LossAccepted)
    gaps = given
    givenUp += given
    for gap in given {
      partitions[Int(gap.partition)].next = gap.next
      lossEnds[gap.partition] = gap.next
      say(.warning, "--accept-loss: \(text(of: gap)) is given up, reading goes on at offset \(gap.next)")
    }
    // All that is replayed was made before this loss.
    comparableFrom = LogPosition.max
    if let first = surroundings.recorded.first(where: { !isWhole($0) }) {
      Reach.mark(.k3ReplayedWithLoss)
      say(
        .warning,
        "records of epochs \(first.epoch) to \(surroundings.recorded.last?.epoch ?? first.epoch) are among them: their sealed rows are sent as they are, but keys that only these records had are forgotten, and of those that were late or undecodable dead letters may be missing"
      )
    }
    return true
  }

  private func lossStop(_ lost: [LostRange]) -> Stop {
    let ranges = lost.map { "partition \($0.partition): offsets \($0.start) to \($0.next - 1)" }.joined(separator: "; ")
    let way = lost.map { "--accept-loss '\(text(of: $0))'" }.joined(separator: " ")
    return Stop(
      .promise, rule: "K3",
      "topic \(its.topic): records have been deleted before they were read (retention, delete-records): \(ranges). They can't be had any more, their rows will be missing. To go on behind them, start once with \(way)"
    )
  }

  /// As `--accept-loss` takes it: `topic/partition:first-last`, with the source in front where two clusters have a topic of that name.
  func text(of gap: LostRange) -> String {
    let isAlone = options.sources.count { $0.topic == its.topic } == 1
    return "\(isAlone ? "" : its.name + ":")\(its.topic)/\(gap.partition):\(gap.start)-\(gap.next - 1)"
  }

  // MARK: - Replay beside a loss (R4)

  /// Whether all records of a recorded epoch can be there: none of its ranges reaches into what was given up after it was recorded.
  func isWhole(_ recorded: RecordedPart) -> Bool {
    guard recorded.position < comparableFrom else { return true }
    return recorded.part.ranges.allSatisfy { $0.next <= $0.start || $0.start >= lossEnds[$0.partition] ?? 0 }
  }

  // MARK: - While running

  /// A position is gone: the brokers are asked what is there before anything is said of it.
  mutating func takeLost(_ found: PositionLost) {
    guard lost == nil, !isWindingUp else { return }
    say(
      .warning,
      "partition \(found.partition) of \(its.topic): nothing can be read at offset \(found.offset) (\(found.reason)); asking the brokers"
    )
    // A look that is under way may have been answered before it was gone.
    lost = LostPosition(found: found, skipsLook: asking.contains(.describe))
    nextDescribe = monotonic
  }

  /// What the topic looks like after a position was lost.
  mutating func judgeLost(_ look: SourceLook) {
    guard let found = lost?.found, !isWindingUp else { return }
    if lost?.skipsLook == true {
      lost?.skipsLook = false
      nextDescribe = monotonic
      return
    }
    let (low, end) = (look.low[Int(found.partition)], look.stableEnd[Int(found.partition)])
    if found.offset < low {
      Reach.mark(.k3LostWhileRunning)
      windUp(lossStop([LostRange(partition: found.partition, start: found.offset, next: low)]))
    } else if found.offset > end {
      Reach.mark(.k4EndsBeforeWhileRunning)
      windUp(
        Stop(
          .promise, rule: "K4",
          "partition \(found.partition) of \(its.topic) ends at offset \(end), but was read up to \(found.offset): it was truncated, or the topic was deleted and made anew"
        ))
    } else {
      lost?.isWithinBounds = true
    }
  }

  /// K4: what is still to be read lies behind a partition's end. Two looks must say so: a new leader may have to catch up first.
  mutating func judgeEnd(_ look: SourceLook) {
    guard let text = earlyEnd(look), !isWindingUp else { return endsEarly = false }
    guard endsEarly else {
      endsEarly = true
      return say(.warning, "\(text); looking again before that is believed")
    }
    let stop = Stop(
      .promise, rule: "K4",
      "\(text): it was truncated, or the topic was made anew. Run again, brokers may have to catch up; if that stops too, start anew")
    if surroundings.isLive {
      windUp(stop)
    } else if surroundings.isAllAcked {
      // What was sealed went out first: Kafka has no longer all that it was made of.
      Reach.mark(.k4EndsBeforeInReplay)
      end(stop)
    }
  }

  private func earlyEnd(_ look: SourceLook) -> String? {
    if surroundings.isReplaying {
      for recorded in surroundings.recorded {
        for range in recorded.part.ranges where range.next > look.stableEnd[Int(range.partition)] {
          return
            "partition \(range.partition) of \(its.topic) ends at offset \(look.stableEnd[Int(range.partition)]), but epoch \(recorded.epoch), which has to be replayed, was read up to \(range.next)"
        }
      }
    } else if options.untilEnd {
      for (index, end) in endOffsets.enumerated() where look.high[index] <= partitions[index].next && partitions[index].next < end {
        return "partition \(index) of \(its.topic) ends at offset \(look.high[index]), but ended at \(end) when this start began"
      }
    }
    return nil
  }

  /// The position is within bounds: whether what was read stands there still tells a topic made anew from a passing error.
  private mutating func judgeAnchorsLive(_ stop: Stop?) {
    guard let found = lost, found.isWithinBounds, found.refetchAt == nil, !isWindingUp else { return }
    if let stop { return windUp(stop) }
    say(.info, "the records that were read are there still: fetching again")
    let at = monotonic + options.retryMilliseconds
    lost?.refetchAt = at
  }

  /// What the brokers say of the records that were read before, where it isn't a checkpoint that has asked.
  mutating func judgeAnchors(_ stop: Stop?) {
    if surroundings.isLive { return judgeAnchorsLive(stop) }
    if let stop { return end(stop) }
    anchorsChecked = true
  }

  func anchor(of index: Int) -> AnchorOf {
    let partition = partitions[index]
    return AnchorOf(
      partition: Int32(index), offset: partition.anchorOffset, timestamp: partition.anchorTimestamp, checksum: partition.anchorChecksum)
  }

  /// The topic is gone. Brokers that have just come up may not know it yet, so that one answer proves nothing while running.
  mutating func takeTopicMissing(_ text: String) {
    asking.subtract([.describe, .anchors])
    let stop =
      surroundings.isLive || !isNew
      ? Stop(
        .promise, rule: "K8",
        "topic \(its.topic) is not there any more: it was deleted, or is being made anew. Bring it back, or start anew with another pipeline name"
      ) : Stop(.failed, text)
    guard surroundings.isRunning else { return end(stop) }
    let since = topicMissingSince ?? monotonic
    topicMissingSince = since
    if monotonic - since >= options.topicMissingPatienceMilliseconds {
      if surroundings.isReplaying { return end(stop) }
      windUp(stop)
    }
    nextDescribe = monotonic + options.retryMilliseconds
  }

  /// Fetches again where a position was lost for a passing reason.
  mutating func advanceLost() {
    guard let found = lost, found.isWithinBounds, !isWindingUp else { return }
    guard let at = found.refetchAt else { return ask(.anchors) }
    guard at <= monotonic, let lastPolled else { return }
    lost = nil
    order(.fetch(lastPolled.next))
  }
}
