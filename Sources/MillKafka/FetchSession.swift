internal import MillFlow

/// One assignment: what comes out of its queue, checked and moved into record buffers. Polling thread only.
///
/// Of each partition, offsets strictly rise; after anything that could hide records, nothing more is taken from it.
final class FetchSession: @unchecked Sendable {
  private let queue: FetchQueue
  /// Index: partition.
  private var progress: [Progress]
  /// All brokers are down; only an answer of a broker ends that, as records may have waited in the queue.
  private var outage: String?

  private struct Progress {
    /// The next record's offset is at least this.
    var next: Int64
    var isStopped = false
    /// The last error that may mend itself; a record or an end takes it away.
    var trouble: String?
  }

  init(_ queue: FetchQueue, offsets: [Int64]) {
    self.queue = queue
    progress = offsets.map { Progress(next: $0) }
  }

  /// Why nothing, or not all, can be fetched now.
  var trouble: String? { outage ?? progress.lazy.compactMap(\.trouble).first }

  /// See ``Source/poll(into:limit:timeoutMilliseconds:)``; tells neither of the notices about availability.
  func poll(into buffers: [RecordBuffer], limit: Int, timeoutMilliseconds: Int) -> [SourceNotice] {
    precondition(buffers.count >= progress.count, "\(buffers.count) buffers for \(progress.count) partitions")
    var notices: [SourceNotice] = []
    // While brokers are down, the wait is a question to them.
    let wait = outage == nil ? timeoutMilliseconds : 0
    let taken = queue.take(limit: limit, timeoutMilliseconds: wait) { record in
      let partition = Int(record.partition)
      guard let notice = admit(partition, record.offset) else {
        guard !progress[partition].isStopped else { return }
        unsafe buffers[partition].append(
          offset: record.offset, timestamp: record.timestamp, key: record.key, payload: record.payload, headers: record.headers)
        return
      }
      notices.append(notice)
    } onEvent: { event in
      if let notice = take(event, buffers) { notices.append(notice) }
    }
    if let reason = queue.client.signals.takeAllDown() { outage = reason }
    if outage != nil, taken == 0, queue.client.answers(timeoutMilliseconds: max(timeoutMilliseconds, 1)) { outage = nil }
    return notices
  }

  /// Moves the partition on to a record at `offset`; a notice when it can't stand there. Nothing happens to a stopped partition.
  @inline(__always)
  private func admit(_ partition: Int, _ offset: Int64) -> SourceNotice? {
    if progress[partition].isStopped { return nil }
    guard offset >= progress[partition].next else { return outOfOrder(partition, offset) }
    progress[partition].next = offset + 1
    if progress[partition].trouble != nil { progress[partition].trouble = nil }
    return nil
  }

  @inline(never)
  private func outOfOrder(_ partition: Int, _ offset: Int64) -> SourceNotice {
    progress[partition].isStopped = true
    let next = progress[partition].next
    return .damaged(
      partition: Int32(partition), offset: next, reason: "a record at offset \(offset) came where at least \(next) must follow")
  }

  private func take(_ event: FetchEvent, _ buffers: [RecordBuffer]) -> SourceNotice? {
    switch event {
    case .end(let partition, let offset):
      let index = Int(partition)
      guard !progress[index].isStopped else { return nil }
      progress[index].trouble = nil
      guard offset >= progress[index].next else {
        progress[index].isStopped = true
        return .positionLost(
          partition: partition, offset: progress[index].next, reason: "the partition ends at \(offset), before what was to come next")
      }
      progress[index].next = offset
      buffers[index].advance(to: offset)
      return nil
    case .failed(let partition, let failure):
      let index = Int(partition)
      guard progress.indices.contains(index) else {
        // Of the client, not of a partition.
        outage = failure.text
        return nil
      }
      guard !progress[index].isStopped else { return nil }
      let next = progress[index].next
      switch failure.kind {
      case .positionLost, .unknownTopic:
        progress[index].isStopped = true
        return .positionLost(partition: partition, offset: next, reason: failure.text)
      case .damaged:
        progress[index].isStopped = true
        return .damaged(partition: partition, offset: next, reason: failure.text)
      case .unreachable, .exists, .unsupported, .rejected, .queueFull:
        progress[index].trouble = failure.text
        return nil
      }
    }
  }
}
