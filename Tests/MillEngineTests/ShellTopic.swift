import Glibc
import MillBase
import MillFlow
import Synchronization

/// A topic whose every record follows from its place: what is expected of the table needs no bookkeeping.
///
/// Record i stands in partition i % 4 at offset i / 4. One in five repeats an earlier one, at most ``reach`` records before it; one in a
/// thousand is no JSON.
struct ShellTopic: Sendable {
  static let partitionCount = 4
  /// Event time of id 0, ms since 1970; each id is a millisecond later than the one before.
  static let firstTime: Int64 = 1_780_000_000_000
  static let garbage = Array("{\"event_id\":".utf8)

  let recordCount: Int
  var reach: Int { recordCount / 15 }
  var offsetCount: Int64 { Int64(recordCount / Self.partitionCount) }

  private func isGarbage(_ id: Int) -> Bool { id % 1000 == 7 }

  /// The event that record `index` tells of; nil where it is no JSON.
  private func id(_ index: Int) -> Int? {
    if isGarbage(index) { return nil }
    guard index % 5 == 4 else { return index }
    let earlier = max(0, index - 1 - index.multipliedReportingOverflow(by: 7919).partialValue % reach)
    // The one in five that this rule would send on, and what isn't JSON, are told of by nobody else.
    let first = earlier % 5 == 4 ? earlier - 1 : earlier
    return isGarbage(first) ? first + 1 : first
  }

  /// Whether a row of this id is to be in the table, once.
  func hasRow(_ id: Int) -> Bool { id >= 0 && id < recordCount && id % 5 != 4 && !isGarbage(id) }

  var garbageCount: Int { (0..<recordCount).count { isGarbage($0) } }

  func group(_ id: Int) -> UInt32 { UInt32(id % 7) }
  func amount(_ id: Int) -> Int64 { Int64(id) * 3 - 1000 }
  func time(_ id: Int) -> Int64 { Self.firstTime + Int64(id) }

  func timestamp(_ partition: Int, _ offset: Int64) -> Int64 { time(Int(offset) * Self.partitionCount + partition) }

  func payload(_ partition: Int, _ offset: Int64) -> [UInt8] {
    guard let id = id(Int(offset) * Self.partitionCount + partition) else { return Self.garbage }
    return Array("{\"event_id\":\"e\(id)\",\"k\":\(group(id)),\"amount\":\(amount(id)),\"at\":\(time(id))}".utf8)
  }
}

/// The topic's cluster and client in one. It hands out the topic section by section: the next one comes when ``nextSection()`` is called.
///
/// Callable from any thread, as a source has to be.
final class ShellSource: Source {
  private struct State {
    var random: SeededRandom
    /// Next offset to deliver, by partition.
    var cursors: [Int64] = []
    var sections = 1
    var deliveredCount = 0
    var witness: String?
  }

  private let topic: ShellTopic
  private let sectionCount: Int
  private let state: Mutex<State>

  init(_ topic: ShellTopic, sectionCount: Int, seed: UInt64) {
    self.topic = topic
    self.sectionCount = sectionCount
    state = Mutex(State(random: SeededRandom(seed).split("ShellSource")))
  }

  /// Lets the next section of the topic be read.
  func nextSection() { state.withLock { $0.sections += 1 } }

  /// Whether half of the topic has been handed out.
  var isHalfRead: Bool { state.withLock { $0.deliveredCount >= topic.recordCount / 2 } }

  func describe() -> TopicDescription {
    let bounds = PartitionBounds(low: 0, stableEnd: topic.offsetCount)
    return TopicDescription(
      clusterID: "shell", topicID: nil, partitions: Array(repeating: bounds, count: ShellTopic.partitionCount))
  }

  func resolve(_ start: StartPosition, partitionCount: Int) -> [Int64] { Array(repeating: 0, count: partitionCount) }

  func anchor(partition: Int32, offset: Int64) -> Anchor? {
    guard offset >= 0, offset < topic.offsetCount else { return nil }
    let payload = topic.payload(Int(partition), offset)
    var checked = ByteWriter()
    checked.integer(Int32(-1))
    checked.integer(Int32(payload.count))
    checked.raw(payload)
    return Anchor(offset: offset, timestamp: topic.timestamp(Int(partition), offset), checksum: crc32c(0, checked.bytes))
  }

  func readWitness() -> String? { state.withLock { $0.witness } }

  func commitWitness(_ witness: String, offsets: [Int64]) { state.withLock { $0.witness = witness } }

  func assign(_ offsets: [Int64?]) { state.withLock { $0.cursors = offsets.map { $0 ?? Int64(topic.offsetCount) } } }

  /// Where each partition ends for now.
  private func end(_ state: State) -> Int64 { min(topic.offsetCount, topic.offsetCount * Int64(state.sections) / Int64(sectionCount)) }

  var prefetchedCount: Int {
    state.withLock { state in
      let end = end(state)
      return state.cursors.reduce(0) { $0 + Int(max(0, end - $1)) }
    }
  }

  func poll(into buffers: [RecordBuffer], limit: Int) -> [SourceNotice] {
    let plan = state.withLock { state in
      let end = end(state)
      return state.cursors.indices.map { partition in
        // Partitions get ahead of each other, and now and then one has nothing.
        let most = Int64(state.random.next(below: max(1, limit / ShellTopic.partitionCount)))
        return state.cursors[partition]..<max(state.cursors[partition], min(end, state.cursors[partition] + most))
      }
    }
    for (partition, range) in plan.enumerated() {
      for offset in range {
        unsafe topic.payload(partition, offset).withRawBytes { payload in
          unsafe buffers[partition].append(
            offset: offset, timestamp: topic.timestamp(partition, offset), key: nil, payload: payload, headers: nil)
        }
      }
    }
    let count = plan.reduce(0) { $0 + $1.count }
    state.withLock { state in
      state.cursors = plan.map(\.upperBound)
      state.deliveredCount += count
    }
    return []
  }
}
