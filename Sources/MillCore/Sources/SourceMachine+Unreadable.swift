internal import MillLog

/// A batch that can't be unpacked, until it is known where it ends.
struct UnreadableFound {
  var found: PositionLost
  /// As the source answered it.
  var batch: UnreadableBatch?
  /// It could be read when it was looked at by itself: fetched again then, once.
  var refetchAt: Int64?
  var wasRefetched = false
}

/// Batches whose checksum is right and that can't be unpacked (K12): larger than librdkafka unpacks, or made wrong. Waiting mends none of
/// them, and each start would meet them again. The stop names exactly the batch, and `--accept-loss` gives up exactly that.
extension SourceMachine {
  // MARK: - While running

  /// All that stands before it has come. In a replay what is recorded may not reach so far: then it goes on, as the buffers have it all.
  mutating func takeUnreadable(_ found: PositionLost) {
    if let gap = givenUp.first(where: { $0.partition == found.partition && $0.start <= found.offset && found.offset < $0.next }) {
      // Read again from an older checkpoint: what was given up stays so.
      return fetch(found.partition, from: gap.next)
    }
    if unreadable?.wasRefetched == true, unreadable?.found.partition == found.partition { return giveUpUnreadable(found) }
    guard unreadable == nil, !isWindingUp else { return }
    let needed = surroundings.isReplaying ? surroundings.recorded.first { reaches($0.part, beyond: found) } : nil
    if let needed {
      return end(
        Stop(
          .promise, rule: "K12",
          "partition \(found.partition) of \(its.topic), at offset \(found.offset): \(found.reason). Epoch \(needed.epoch), which has to be replayed, read it before: start with kafka.properties as they were, such as receive.message.max.bytes"
        ))
    }
    unreadable = UnreadableFound(found: found)
    // It would be fetched and unpacked again and again.
    fetch(found.partition, from: nil)
    say(
      .warning,
      "partition \(found.partition) of \(its.topic), at offset \(found.offset): \(found.reason); looking where that batch ends")
  }

  /// All partitions from where the buffers end, this one from elsewhere, or not at all.
  private mutating func fetch(_ partition: Int32, from offset: Int64?) {
    guard let lastPolled else { return }
    fetchedOnly = nil
    order(.fetch(lastPolled.next.enumerated().map { $0.offset == Int(partition) ? offset : $0.element }))
  }

  private func reaches(_ part: IntentPart, beyond found: PositionLost) -> Bool {
    part.ranges.contains { $0.partition == found.partition && $0.next > max($0.start, found.offset) }
  }

  /// It was read when it was looked at, and again not when it was fetched.
  private mutating func giveUpUnreadable(_ found: PositionLost) {
    windUp(Stop(.promise, rule: "K12", "partition \(found.partition) of \(its.topic), at offset \(found.offset): \(found.reason)"))
  }

  mutating func advanceUnreadable() {
    guard let known = unreadable, !isWindingUp, !surroundings.stopRequested else { return }
    if let at = known.refetchAt {
      guard at <= monotonic, let lastPolled else { return }
      unreadable?.refetchAt = nil
      unreadable?.wasRefetched = true
      order(.fetch(lastPolled.next))
    } else if known.batch == nil, !known.wasRefetched {
      ask(.batch)
    }
  }

  /// What ``SourceQuestion/batch`` asks about.
  var examined: [BatchPlace] {
    if let found = unreadable?.found { return [BatchPlace(partition: found.partition, offset: found.offset)] }
    return candidates.map { BatchPlace(partition: $0.partition, offset: $0.start) }
  }

  mutating func takeExamined(_ batches: [UnreadableBatch?]) {
    answered(.batch)
    guard let found = unreadable?.found else {
      acceptedUnreadable = zip(candidates, batches).filter { $0.next == $1?.next }.map(\.0)
      return
    }
    guard !isWindingUp else { return }
    guard let batch = batches.first.flatMap(\.self) else {
      let at = monotonic + options.retryMilliseconds
      unreadable?.refetchAt = at
      return
    }
    unreadable?.batch = batch
    let gap = LostRange(partition: found.partition, start: found.offset, next: batch.next)
    windUp(
      Stop(
        .promise, rule: "K12",
        "partition \(found.partition) of \(its.topic): the batch at offsets \(gap.start) to \(gap.next - 1) can't be unpacked: \(batch.reason). To go on behind it, without its records, start once with --accept-loss '\(text(of: gap))'"
      ))
  }

  // MARK: - At a start

  /// Of the ranges that are given up those that hold exactly a batch that can't be unpacked; nil: the source has to be asked.
  mutating func findUnreadable(_ look: SourceLook) -> [LostRange]? {
    candidates = its.acceptedLosses.filter { isCandidate($0, look) }
    return candidates.isEmpty ? [] : acceptedUnreadable
  }

  /// It begins where this start would read on; with epochs to be replayed it can't be told yet where that is.
  private func isCandidate(_ gap: LostRange, _ look: SourceLook) -> Bool {
    let index = Int(gap.partition)
    guard surroundings.recorded.isEmpty, partitions.indices.contains(index), look.stableEnd.indices.contains(index) else { return false }
    return partitions[index].next == gap.start && look.low[index] <= gap.start && gap.next <= look.stableEnd[index]
  }
}
