internal import MillBase
internal import MillLog

/// Whether the topic is still the one that the checkpoint before was made of (K6), asked before a checkpoint is published.
extension Core {
  /// K6 while running. Brokers give a topic made anew for the old one without a word, and a checkpoint that remembers the new one's records
  /// would hide it from every later start: so a record that the checkpoint before remembers must still stand there, of one partition after
  /// the other.
  mutating func advanceTopicCheck() {
    for index in sources.indices where sources[index].topicCheck == .due { advanceTopicCheck(of: index) }
  }

  private mutating func advanceTopicCheck(of index: Int) {
    let source = sources[index]
    guard !source.asking.contains(.anchors) else { return }
    let known = knownPartitions(of: index)
    let order = known.indices.map { (Int(checkpoint.publishedCount % UInt64(known.count)) + $0) % known.count }
    let standing = order.filter { known[$0].anchorOffset >= max(0, source.topic.low[$0]) }
    guard phase == .live, source.topic.isCompacted != true, !standing.isEmpty else {
      sources[index].topicCheck = .done
      sources[index].mayRememberTwoTopics = true
      return
    }
    guard source.lost == nil, windUp == nil, !isAway(index) else { return keepKnownAnchors(of: index) }
    sources[index].topicCheck = .asked
    sources[index].asking.insert(.anchors)
    let asked = source.mayRememberTwoTopics ? standing : [standing[0]]
    let anchors = asked.map { partition in
      AnchorOf(
        partition: Int32(partition), offset: known[partition].anchorOffset, timestamp: known[partition].anchorTimestamp,
        checksum: known[partition].anchorChecksum)
    }
    commands.append(.ask(source: index, .checkAnchors(anchors)))
  }

  /// As the checkpoint before has them; index: partition.
  private func knownPartitions(of index: Int) -> [Manifest.PartitionState] {
    retention.newest?.sources.first { $0.number == sources[index].number }?.partitions ?? []
  }

  /// Nobody has said whose records have been read since the checkpoint before: this one remembers that one's.
  mutating func keepKnownAnchors(of index: Int) {
    Reach.mark(.k6AnchorsKept)
    sources[index].topicCheck = .done
    let known = knownPartitions(of: index)
    guard var manifest = checkpoint.manifest, let its = manifest.sources.firstIndex(where: { $0.number == sources[index].number }) else {
      return
    }
    for partition in manifest.sources[its].partitions.indices {
      let anchor = known.indices.contains(partition) ? known[partition] : nil
      manifest.sources[its].partitions[partition].anchorOffset = anchor?.anchorOffset ?? -1
      manifest.sources[its].partitions[partition].anchorTimestamp = anchor?.anchorTimestamp ?? -1
      manifest.sources[its].partitions[partition].anchorChecksum = anchor?.anchorChecksum ?? 0
    }
    checkpoint.manifest = manifest
  }

  mutating func takeTopicCheck(_ stop: Stop?, of index: Int) {
    sources[index].topicCheck = .done
    // At once: what has been read since may be the other topic's.
    if var stop {
      Reach.mark(.k6CheckpointRefused)
      stop.message += ". Records that came since the topic was made anew may be in the table"
      end(named(stop, source: index))
    } else {
      sources[index].mayRememberTwoTopics = false
    }
  }
}
