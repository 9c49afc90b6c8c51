internal import MillFlow

/// One assignment: what comes out of its queue, checked and moved into record buffers. Polling thread only.
final class FetchSession: @unchecked Sendable {
  private let queue: FetchQueue
  var client: KafkaClient { queue.client }
  private var progress: FetchProgress
  /// How long the next question to brokers that were down waits for its answer: longer each time, as they may be far or busy.
  private var patienceMilliseconds = 1

  /// The polling thread does nothing else meanwhile.
  private let patienceMaxMilliseconds: Int
  private static let patienceMinMilliseconds = 10

  init(_ queue: FetchQueue, offsets: [Int64?], patienceMaxMilliseconds: Int) {
    self.queue = queue
    self.patienceMaxMilliseconds = patienceMaxMilliseconds
    progress = FetchProgress(offsets)
  }

  /// Messages that wait for the next poll.
  var waitingCount: Int { queue.count }
  /// Why nothing, or not all, can be fetched now.
  var trouble: String? { progress.trouble }
  /// A broker has answered this session.
  var hasHeard: Bool { progress.hasHeard }

  /// See ``Source/poll(into:limit:)``; tells neither of the notices about availability.
  ///
  /// `afterOutage`: the brokers were down when last heard of, maybe by an older session.
  func poll(into buffers: [RecordBuffer], limit: Int, afterOutage: Bool) -> [SourceNotice] {
    precondition(buffers.count >= progress.partitionCount, "\(buffers.count) buffers for \(progress.partitionCount) partitions")
    var notices: [SourceNotice] = []
    // Locals, as a field of a class would be guarded against overlapping accesses at each record, and a buffer in an array retained.
    let targets = unsafe buffers.map { unsafe Unmanaged.passUnretained($0) }
    var progress = progress
    defer { self.progress = progress }
    var isInDoubt: Bool { progress.outage != nil || afterOutage && !progress.hasHeard }
    let taken = queue.take(limit: limit, timeoutMilliseconds: 0) { record in
      let partition = Int(record.partition)
      switch progress.admit(partition, record.offset) {
      case .take:
        unsafe targets[partition]._withUnsafeGuaranteedRef {
          unsafe $0.append(
            offset: record.offset, timestamp: record.timestamp, key: record.key, payload: record.payload, headers: record.headers)
        }
      case .discard: break
      case .stop(let notice): notices.append(notice)
      }
    } onEvent: { event in
      switch progress.take(event) {
      case .nothing: break
      case .advance(let partition, let offset): buffers[partition].end(at: offset)
      case .tell(let notice):
        if case .unreadable(let partition, let offset, _) = notice { buffers[Int(partition)].advance(to: offset) }
        notices.append(notice)
      }
    }
    if let reason = queue.client.signals.takeAllDown() { progress.outage = reason }
    if isInDoubt, taken == 0 {
      // The only wait of a poll: a question to brokers that were down.
      patienceMilliseconds = min(max(Self.patienceMinMilliseconds, 2 * patienceMilliseconds), patienceMaxMilliseconds)
      if queue.client.answers(timeoutMilliseconds: patienceMilliseconds) {
        progress.outage = nil
        progress.hasHeard = true
      }
    }
    if !isInDoubt { patienceMilliseconds = 1 }
    return notices
  }
}
