import MillBase
import MillCore
import MillLog
import Testing

/// A core that recorded one epoch over two partitions, has recovered, and is to replay it.
private struct Replaying: ~Copyable {
  var start = Start()
  var clock: Int64 = 2_000
  /// What the replay began with.
  private(set) var begun: [Command] = []

  init(ends: [Int64] = [1_000_000, 1_000_000]) {
    let intent = Intent(
      epoch: 1, clockMilliseconds: 1, planHash: 7,
      ranges: [PartitionRange(partition: 0, start: 0, next: 10), PartitionRange(partition: 1, start: 0, next: 10)],
      inputDigest: Digest128(low: 0, high: 0))
    let seal = Seal(epoch: 1, covered: [Seal.Coverage(destination: .table, firstEpoch: 1)], batches: [])
    _ = start.open([whole(start)], records: [.intent(intent), .seal(seal)], end: 4)
    _ = start.look(witness: "millrace:\(Start.lineage):2", low: [0, 0], end: ends)
    _ = step(.logBegun(end: 6, durableEnd: 6))
    begun = step(.stateOpened)
  }

  mutating func step(_ event: Event) -> [Command] {
    start.core.step(event, now: Instant(wallMilliseconds: clock, monotonicMilliseconds: clock))
  }

  /// So many records of each partition lie in the buffers, from offset 0 on.
  mutating func poll(_ rows: [Int]) -> [Command] {
    step(.polled([Polled(next: rows.map(Int64.init), rows: rows, byteCount: rows.reduce(0, +) * 100, stop: nil)]))
  }
}

private func fetches(_ commands: [Command]) -> [[Int64?]] {
  commands.compactMap { if case .fetch(_, let offsets) = $0 { offsets } else { nil } }
}

@Suite struct ReplayTests {
  @Test func `records of other partitions do not pile up while an intent waits for one without a leader`() {
    var replaying = Replaying()
    #expect(fetches(replaying.poll([1000, 0])).isEmpty)
    #expect(fetches(replaying.poll([400_000, 0])) == [[nil, 0]])
    #expect(fetches(replaying.poll([400_000, 4])).isEmpty)
    let commands = replaying.poll([400_000, 12])
    #expect(commands.contains { if case .replay = $0 { true } else { false } })
  }

  @Test func `a partition that ends before what is replayed of it stops with a name once two looks say so (K4)`() {
    var replaying = Replaying(ends: [1_000_000, 7])
    func look(_ ends: [Int64]) -> [Command] {
      replaying.clock += 30_000
      #expect(replaying.poll([20, 7]).contains { if case .ask(source: 0, .describe) = $0 { true } else { false } })
      return replaying.step(.source(0, .described(SourceLook(clusterID: "c", topicID: "", low: [0, 0], stableEnd: ends))))
    }
    let told = "partition 1 of t ends at offset 7, but epoch 1, which has to be replayed, was read up to 10"
    #expect(replaying.begun.contains { if case .say(.warning, let text) = $0 { text.hasPrefix(told) } else { false } })
    #expect(stop(look([1_000_000, 12])) == nil, "a leader that had to catch up")
    #expect(stop(look([1_000_000, 7])) == nil)
    let found = stop(look([1_000_000, 7]))
    #expect(found?.rule == "K4" && found?.kind == .promise && found?.message.hasPrefix(told) == true, "\(found?.message ?? "")")
  }

  @Test func `a topic of fewer partitions, or another cluster, is told amid a replay too (K8, K16)`() {
    var fewer = Replaying()
    #expect(stop(fewer.step(.source(0, .described(SourceLook(clusterID: "c", topicID: "", low: [0], stableEnd: [99])))))?.rule == "K8")
    var other = Replaying()
    let look = SourceLook(clusterID: "d", topicID: "", low: [0, 0], stableEnd: [99, 99])
    #expect(stop(other.step(.source(0, .described(look))))?.rule == "K16")
  }

  @Test func `a topic that brokers don't know amid a replay has to be missing for a while (K8)`() {
    var replaying = Replaying()
    replaying.clock += 30_000
    _ = replaying.poll([0, 0])
    #expect(stop(replaying.step(.source(0, .topicMissing("gone")))) == nil)
    replaying.clock += 10_000
    _ = replaying.poll([0, 0])
    #expect(stop(replaying.step(.source(0, .topicMissing("gone"))))?.rule == "K8")
  }

  @Test func `all partitions are fetched again, each from where its buffer ends, when the replay is over`() {
    var replaying = Replaying()
    _ = replaying.poll([400_000, 0])
    _ = replaying.poll([400_000, 12])
    let intent = Intent(
      epoch: 1, clockMilliseconds: 1, planHash: 7,
      ranges: [PartitionRange(partition: 0, start: 0, next: 10), PartitionRange(partition: 1, start: 0, next: 10)],
      inputDigest: Digest128(low: 0, high: 0))
    var commands = replaying.step(
      .processed(
        EpochResult(
          epoch: 1, intent: intent, counters: Counters(), pendingRows: [0, 0], pendingBytes: [0, 0],
          sources: [EpochResult.Source(maxEventTimes: [Int64.min, Int64.min], watermark: Int64.min)], watermark: Int64.min,
          needsFreeze: false, dropsBuckets: false, logEnd: 6, stop: nil)))
    commands += replaying.step(.sealCompared(mismatch: nil))
    #expect(fetches(commands) == [[400_000, 12]])
    let isLive = replaying.start.core.isLive
    #expect(isLive)
  }

  @Test func `a stop that is asked for while brokers are silent in a replay ends after a while, and not as done`() {
    var replaying = Replaying()
    _ = replaying.poll([1000, 0])
    #expect(stop(replaying.step(.stopRequested)) == nil)
    let clock = replaying.clock
    // That the records are waited for is told on the way.
    #expect(replaying.start.core.wakeAt == clock + 10_000)
    replaying.clock += 10_000
    #expect(stop(replaying.step(.wake)) == nil)
    let wakeAt = replaying.start.core.wakeAt
    #expect(wakeAt == clock + 30_000)
    replaying.clock += 19_999
    #expect(stop(replaying.step(.wake)) == nil)
    replaying.clock += 1
    #expect(stop(replaying.step(.wake))?.kind == .failed)
  }
}
