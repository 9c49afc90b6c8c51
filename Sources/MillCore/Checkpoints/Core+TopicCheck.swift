internal import MillBase
internal import MillLog

/// Whether the topic is still the one that the checkpoint before was made of (K6), asked before a checkpoint is published.
extension Core {
  /// K6 while running. Brokers give a topic made anew for the old one without a word, and a checkpoint that remembers the new one's records
  /// would hide it from every later start: so a record that the checkpoint before remembers must still stand there, of one partition after
  /// the other.
  mutating func advanceTopicCheck() {
    guard checkpoint.topicCheck == .due, !source.asking.contains(.anchors) else { return }
    let known = retention.newest?.sources.first?.partitions ?? []
    let order = known.indices.map { (Int(checkpoint.publishedCount % UInt64(known.count)) + $0) % known.count }
    let standing = order.filter { known[$0].anchorOffset >= max(0, source.topic.low[$0]) }
    guard phase == .live, source.topic.isCompacted != true, !standing.isEmpty else {
      checkpoint.topicCheck = .done
      checkpoint.mayRememberTwoTopics = true
      return
    }
    guard source.lost == nil, windUp == nil else { return keepKnownAnchors() }
    checkpoint.topicCheck = .asked
    source.asking.insert(.anchors)
    let asked = checkpoint.mayRememberTwoTopics ? standing : [standing[0]]
    commands.append(
      .checkAnchors(
        asked.map { index in
          AnchorOf(
            partition: Int32(index), offset: known[index].anchorOffset, timestamp: known[index].anchorTimestamp,
            checksum: known[index].anchorChecksum)
        }))
  }

  /// Nobody has said whose records have been read since the checkpoint before: this one remembers that one's.
  mutating func keepKnownAnchors() {
    Reach.mark(.k6AnchorsKept)
    checkpoint.topicCheck = .done
    let known = retention.newest?.sources.first?.partitions ?? []
    guard var manifest = checkpoint.manifest else { return }
    for index in manifest.sources[0].partitions.indices {
      let anchor = known.indices.contains(index) ? known[index] : nil
      manifest.sources[0].partitions[index].anchorOffset = anchor?.anchorOffset ?? -1
      manifest.sources[0].partitions[index].anchorTimestamp = anchor?.anchorTimestamp ?? -1
      manifest.sources[0].partitions[index].anchorChecksum = anchor?.anchorChecksum ?? 0
    }
    checkpoint.manifest = manifest
  }

  mutating func takeTopicCheck(_ stop: Stop?) {
    checkpoint.topicCheck = .done
    // At once: what has been read since may be the other topic's.
    if var stop {
      Reach.mark(.k6CheckpointRefused)
      stop.message += ". Records that came since the topic was made anew may be in the table"
      end(stop)
    } else {
      checkpoint.mayRememberTwoTopics = false
    }
  }
}
