internal import MillBase
package import MillCore
internal import MillFlow
internal import MillLog

/// Between the engine and its sources: records, and what their brokers are asked. Each source has a lane of its own, so that brokers that
/// don't answer hold up their own source alone.
extension Executor {
  // MARK: - Records

  func assign(_ source: Int, _ offsets: [Int64]) {
    recordMemories[source] = RecordMemory(limits: parts.sources[source].plan.limits)
    buffers[source] = offsets.map { RecordBuffer(nextOffset: $0, memory: recordMemories[source]) }
    parts.sources[source].end.assign(offsets)
  }

  /// Index: source.
  package func poll(_ order: PollOrder) -> [Polled] {
    for memory in recordMemories { memory.takesWhole = order.takesWhole }
    // What fills an epoch already is worked off first; a replay needs all that its epochs had.
    let isAsked = order.isReplay || !epochCut.isPassed(by: buffers)
    var notices: [[SourceNotice]] = parts.sources.map { _ in [] }
    let asked = parts.sources.indices.filter { isAsked && order.sources?.contains($0) != false }
    fetch(order.limit, of: asked, &notices)
    let ends = order.isReplay ? nil : epochCut.ends(buffers)
    return parts.sources.indices.map { polled($0, notices[$0], ends: ends?[$0], isAsked: asked.contains($0)) }
  }

  /// Each source gives its share; what is left of the limit goes to those that may have more, each first in its turn.
  private func fetch(_ limit: Int, of asked: [Int], _ notices: inout [[SourceNotice]]) {
    var room = limit
    var mayHaveMore: [Int] = []
    for source in asked {
      let share = max(1, limit / asked.count)
      let taken = fetch(share, of: source, &notices[source])
      room -= taken
      if taken >= share { mayHaveMore.append(source) }
    }
    guard asked.count > 1, !mayHaveMore.isEmpty else { return }
    pollTurn += 1
    for index in mayHaveMore.indices where room > 0 {
      let source = mayHaveMore[(pollTurn + index) % mayHaveMore.count]
      room -= fetch(room, of: source, &notices[source])
    }
  }

  private func fetch(_ limit: Int, of source: Int, _ notices: inout [SourceNotice]) -> Int {
    let buffers = buffers[source]
    let before = buffers.reduce(0) { $0 + $1.count }
    notices += parts.sources[source].end.poll(into: buffers, limit: limit)
    return buffers.reduce(0) { $0 + $1.count } - before
  }

  private func polled(_ source: Int, _ notices: [SourceNotice], ends: [Int64]?, isAsked: Bool) -> Polled {
    let buffers = buffers[source]
    var polled = Polled(
      next: buffers.map(\.nextOffset), epochEnds: ends, isAsked: isAsked, rows: buffers.map(\.count),
      byteCount: buffers.reduce(0) { $0 + $1.byteCount }, isAtEnd: buffers.indices.map { isAtEnd(source, $0) }, stop: nil)
    for notice in notices {
      switch notice {
      case .positionLost(let partition, let offset, let reason):
        polled.lost = polled.lost ?? PositionLost(partition: partition, offset: offset, reason: reason)
      case .unreadable(let partition, let offset, let reason):
        polled.unreadable = polled.unreadable ?? PositionLost(partition: partition, offset: offset, reason: reason)
      case .damaged(let partition, let offset, let reason):
        let topic = parts.core.sources[source].topic
        polled.stop = Stop(.promise, rule: "K12", "partition \(partition) of \(topic), at or after offset \(offset): \(reason)")
      case .unavailable(let reason): sourceTroubles[source] = reason
      case .available: sourceTroubles[source] = nil
      }
    }
    polled.trouble = sourceTroubles[source]
    return polled
  }

  /// Records that wait behind an open transaction are records all the same.
  private func isAtEnd(_ source: Int, _ partition: Int) -> Bool {
    let buffer = buffers[source][partition]
    guard buffer.isAtEnd, parts.core.sources[source].idleAfterMilliseconds != nil else { return buffer.isAtEnd }
    return (parts.sources[source].end.fetchedEnd(partition: Int32(partition)) ?? 0) <= buffer.nextOffset
  }

  // MARK: - Questions

  func ask(_ index: Int, _ request: SourceRequest) {
    let source = parts.sources[index]
    lanes.run(.source(index)) { .source(index, Self.answer(request, source.end, source.start)) }
  }

  private static func answer(_ request: SourceRequest, _ source: any Source, _ start: StartPosition) -> SourceAnswer {
    switch request {
    case .readWitness: return ask(.witness) { () throws(SourceError) in .witnessRead(try source.readWitness()) }
    case .describe:
      return ask(.describe) { () throws(SourceError) in
        let found = try source.describe()
        return .described(
          SourceLook(
            clusterID: found.clusterID, topicID: found.topicID ?? "", low: found.partitions.map(\.low),
            stableEnd: found.partitions.map(\.stableEnd), high: found.partitions.map(\.high),
            isCompacted: found.isCompacted))
      }
    case .resolveStarts(let count):
      return ask(.starts) { () throws(SourceError) in .startsResolved(try source.resolve(start, partitionCount: count)) }
    case .checkAnchors(let anchors):
      return ask(.anchors) { () throws(SourceError) in .anchorsChecked(try problems(of: anchors, source)) }
    case .examine(let places):
      return ask(.batch) { () throws(SourceError) in
        var found: [UnreadableBatch?] = []
        for place in places {
          let batch = try source.unreadable(partition: place.partition, offset: place.offset)
          found.append(batch.map { UnreadableBatch(next: $0.next, reason: $0.reason) })
        }
        return .examined(found)
      }
    case .commitWitness(let text, let offsets, let known): return commitWitness(text, offsets, known, source)
    }
  }

  private static func problems(of anchors: [AnchorOf], _ source: any Source) throws(SourceError) -> [String] {
    var problems: [String] = []
    for anchor in anchors {
      let found = try source.anchor(partition: anchor.partition, offset: anchor.offset)
      guard let found else {
        // Retention may have come between the look and this.
        let kept = try source.describe().partitions
        if kept.indices.contains(Int(anchor.partition)), kept[Int(anchor.partition)].low > anchor.offset { continue }
        problems.append("partition \(anchor.partition) has no record at offset \(anchor.offset) any more")
        continue
      }
      if found != Anchor(offset: anchor.offset, timestamp: anchor.timestamp, checksum: anchor.checksum) {
        problems.append("partition \(anchor.partition) has another record at offset \(anchor.offset)")
      }
    }
    return problems
  }

  private static func ask(_ question: SourceQuestion, _ body: () throws(SourceError) -> SourceAnswer) -> SourceAnswer {
    do throws(SourceError) {
      return try body()
    } catch {
      switch error {
      case .unavailable(let reason): return .unavailable(question, reason: reason)
      case .topicMissing: return .topicMissing("\(error)")
      case .refused: return .refused("\(error)")
      }
    }
  }

  private static func commitWitness(_ text: String, _ offsets: [Int64], _ known: [String]?, _ source: any Source) -> SourceAnswer {
    do throws(SourceError) {
      let found = try source.readWitness()
      if let found, let known, !known.contains(found) { return .witnessTaken(found) }
      try source.commitWitness(text, offsets: offsets)
      FaultPoint.hit(.witnessCommitted)
      return .witnessCommitted
    } catch {
      return .witnessNotCommitted(reason: "\(error)")
    }
  }
}
