internal import MillBase
internal import MillLog

/// What the brokers are asked of the topic, and what is made of their answers.
extension SourceMachine {
  /// Asks the source's control lane once; again after a pause when it does not answer.
  mutating func ask(_ question: SourceQuestion) {
    guard !asking.contains(question), (retryAt[question] ?? 0) <= monotonic else { return }
    retryAt[question] = nil
    asking.insert(question)
    switch question {
    case .describe: order(.ask(.describe))
    case .witness: order(.ask(.readWitness))
    case .starts: order(.ask(.resolveStarts(partitionCount: found?.low.count ?? 0)))
    case .batch: order(.ask(.examine(examined)))
    case .anchors:
      // A compacted topic drops records that were read, and is another with them (K11).
      guard let look = surroundings.isLive ? topic : found, look.isCompacted != true else {
        answered(.anchors)
        return judgeAnchors(nil)
      }
      let low = look.low
      let known = partitions.indices.filter {
        partitions[$0].anchorOffset >= 0 && $0 < low.count && partitions[$0].anchorOffset >= low[$0]
      }.map(anchor(of:))
      order(.ask(.checkAnchors(known)))
    }
  }

  mutating func takeStarts(_ offsets: [Int64]) {
    answered(.starts)
    starts = offsets
    partitions = offsets.map { PartitionProgress(next: $0) }
  }

  /// An answer to ``SourceQuestion/anchors`` is there.
  /// - Returns: the stop that follows from it, if any does.
  mutating func takeAnchors(_ problems: [String]) -> Stop? {
    answered(.anchors)
    guard !problems.isEmpty else { return nil }
    return Stop(
      .promise, rule: "K6",
      "topic \(its.topic) is not the one that was read: \(problems.joined(separator: "; ")). It was deleted and made anew, or its records changed. Start anew with an empty state directory and --new-lineage"
    )
  }

  mutating func takeUnavailable(_ question: SourceQuestion, _ reason: String) {
    asking.remove(question)
    sourceTrouble(question, reason)
    retryAt[question] = monotonic + options.retryMilliseconds
  }

  /// Whether the topic is the one that the state was made from (R4, K6, K16). A source of which nothing was read yet may become another
  /// topic: it is new then.
  /// - Returns: false after ordering a stop.
  mutating func checkIdentity(_ look: SourceLook) -> Bool {
    guard let known else { return true }
    let isOther =
      known.topic != its.topic || !known.clusterID.isEmpty && known.clusterID != look.clusterID
      || !known.topicID.isEmpty && !look.topicID.isEmpty && known.topicID != look.topicID
    guard isOther else { return true }
    guard wasRead else {
      say(.info, "source \(its.name) is another topic than it was, and nothing was read of that: it begins where the file says")
      (self.known, partitions, lossEnds, givenUp) = (nil, [], [:], [])
      (isNew, anchorsChecked) = (true, true)
      return true
    }
    if known.topic != its.topic {
      end(
        Stop(
          .promise, rule: "R4",
          "the state was made from topic \(known.topic), the file names \(its.topic): put that back; or give the source another name, by which it is a new one that begins at its start; or use another pipeline name and state directory"
        ))
    } else if known.clusterID != look.clusterID, !known.clusterID.isEmpty {
      end(Stop(.promise, rule: "K16", "the brokers are cluster \(look.clusterID), the state was made from cluster \(known.clusterID)"))
    } else {
      end(
        Stop(
          .promise, rule: "K6",
          "topic \(its.topic) has id \(look.topicID), the state was made from id \(known.topicID): it was deleted and made anew"))
    }
    return false
  }

  /// Whether the topic has what is still to be read of it (K3, K4, K8), and keeps it (K11).
  /// - Returns: false after ordering a stop, or a question.
  mutating func checkTopic(_ look: SourceLook) -> Bool {
    guard !isCompacted(look) else { return false }
    guard !isNew else { return checkLoss(look) }
    if look.low.count < partitions.count {
      end(Stop(.promise, rule: "K8", "topic \(its.topic) has \(look.low.count) partitions, the state knows \(partitions.count)"))
      return false
    }
    if look.low.count > partitions.count { joinPartitions(look.low.count) }
    return checkBounds(look)
  }

  /// K3, K4: what is to be read must still be there.
  private mutating func checkBounds(_ look: SourceLook) -> Bool {
    guard checkLoss(look) else { return false }
    for (index, partition) in partitions.enumerated() where partition.next > look.stableEnd[index] {
      Reach.mark(.k4EndsBeforeAtStart)
      end(
        Stop(
          .promise, rule: "K4",
          "partition \(index) of \(its.topic) ends at offset \(look.stableEnd[index]), but was read up to \(partition.next): it was truncated or made anew"
        ))
      return false
    }
    return true
  }

  /// K7: new partitions are read from offset 0: what has been deleted of one by now is as lost as an old one's records (K3).
  private mutating func joinPartitions(_ count: Int) {
    say(
      .info, "topic \(its.topic) has \(count) partitions now, \(partitions.count) before: the new ones are read from their beginning")
    while partitions.count < count { partitions.append(PartitionProgress(next: 0)) }
  }

  /// At an epoch's boundary.
  private mutating func joinPartitionsLive(_ look: SourceLook) {
    joinPartitions(look.low.count)
    if endOffsets.count < partitions.count { endOffsets += look.stableEnd[endOffsets.count...].map { _ in 0 } }
    order(.assign(partitions.map(\.next)))
    // The buffers are empty now: where they ended says nothing any more.
    lastPolled = nil
  }

  mutating func takeLook(_ look: SourceLook) {
    answered(.describe)
    guard surroundings.isRunning else { return found = look }
    nextDescribe = monotonic + options.describeIntervalMilliseconds
    topicMissingSince = nil
    if look.clusterID != topic.clusterID {
      return end(Stop(.promise, rule: "K16", "the brokers are cluster \(look.clusterID) now, before they were \(topic.clusterID)"))
    }
    if look.low.count < partitions.count {
      return end(Stop(.promise, rule: "K8", "topic \(its.topic) has \(look.low.count) partitions, before it had \(partitions.count)"))
    }
    if surroundings.isLive {
      topic.low = look.low
      topic.stableEnd = look.stableEnd
      topic.high = look.high
      topic.isCompacted = look.isCompacted
      if look.low.count > partitions.count { joinPartitionsLive(look) }
      if isCompacted(look) { return }
      judgeLost(look)
      watchStalls(look)
      nextDescribe = min(nextDescribe, monotonic + lookInterval)
    }
    judgeEnd(look)
  }
}
