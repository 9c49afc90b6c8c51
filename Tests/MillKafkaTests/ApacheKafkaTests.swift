import Glibc
import MillFlow
import MillKafka
import Testing

/// The bootstrap address of an Apache Kafka without automatic topics, or nil.
private let address = unsafe getenv("MILLRACE_TEST_KAFKA").map { unsafe String(cString: $0) }

/// What a mock cluster can't show: transactions, times, retention, deletion, the admin API. Each test has a topic of its own.
@Suite(.enabled(if: address != nil, "MILLRACE_TEST_KAFKA isn't set: it names the bootstrap address of an Apache Kafka to test against"))
struct ApacheKafkaTests {
  private let topic = "room-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"

  private func writer(_ transactionalID: String? = nil) throws -> TopicWriter {
    try TopicWriter(try #require(address), topic, transactionalID: transactionalID)
  }

  /// Asks again while a broker isn't ready: leaders and coordinators take office a moment after their topic is made.
  private func patiently<R>(_ ask: () throws -> R) throws -> R {
    for _ in 0..<50 {
      do { return try ask() } catch SourceError.unavailable { usleep(100_000) }
    }
    return try ask()
  }

  private func source() throws -> KafkaSource { try KafkaSource(try #require(address), topic) }

  @Test func `aborted records are passed over, and the end stands past them and the markers`() throws {
    let writer = try writer("\(topic)-writer")
    #expect(try writer.createTopic(partitions: 1) == .created)
    try writer.beginTransaction()
    try writer.write(5, to: 0, prefix: "kept")
    try writer.commitTransaction()
    try writer.beginTransaction()
    try writer.write(5, to: 0, prefix: "aborted")
    try writer.abortTransaction()

    let source = try source()
    let reading = Reading(source, from: [0])
    // 5 records, a marker, 5 aborted, a marker.
    #expect(reading.poll { reading.buffers[0].nextOffset == 12 })
    #expect(reading.payloads(0) == (0..<5).map { "kept\($0)" })
    #expect(try source.describe().partitions == [PartitionBounds(low: 0, stableEnd: 12)])
    #expect(try source.anchor(partition: 0, offset: 4) != nil)
    for offset in [Int64(5), 6, 10, 11, 12] { #expect(try source.anchor(partition: 0, offset: offset) == nil) }

    try writer.beginTransaction()
    try writer.write(3, to: 0, prefix: "late")
    try writer.flush()
    // One that has fetched nothing asks for the end behind the open transaction, one that fetches is told it.
    #expect(try self.source().describe().partitions == [PartitionBounds(low: 0, stableEnd: 12, high: 15)])
    #expect(reading.poll { source.fetchedEnd(partition: 0) == 15 })
    #expect(try source.describe().partitions == [PartitionBounds(low: 0, stableEnd: 12, high: 15)])
    #expect(try source.resolve(.latest, partitionCount: 1) == [12])
    #expect(!reading.poll(seconds: 1) { reading.recordCount > 5 })
    try writer.commitTransaction()
    #expect(reading.poll { reading.buffers[0].nextOffset == 16 })
    #expect(reading.offsets(0) == [0, 1, 2, 3, 4, 12, 13, 14])
    #expect(reading.notices.isEmpty)
  }

  @Test func `times resolve to the first record at or after them, later ones to the end`() throws {
    let writer = try writer()
    _ = try writer.createTopic(partitions: 2)
    let start: Int64 = 1_700_000_000_000
    try writer.write(100, to: 0, prefix: "a", timestamp: start)
    try writer.write(10, to: 1, prefix: "b", timestamp: start)
    try writer.flush()
    let source = try source()
    #expect(try source.resolve(.timestamp(milliseconds: start - 5), partitionCount: 2) == [0, 0])
    #expect(try source.resolve(.timestamp(milliseconds: start + 7), partitionCount: 2) == [7, 7])
    #expect(try source.resolve(.timestamp(milliseconds: start + 50), partitionCount: 2) == [50, 10])
    #expect(try source.resolve(.timestamp(milliseconds: start + 1000), partitionCount: 2) == [100, 10])
  }

  @Test func `records that retention removed are told as a lost position`() throws {
    let writer = try writer()
    _ = try writer.createTopic(partitions: 2)
    for partition in 0..<2 { try writer.write(100, to: Int32(partition), prefix: "x") }
    try writer.flush()
    try writer.deleteRecords(partition: 0, before: 60)
    let source = try source()
    #expect(try source.describe().partitions == [PartitionBounds(low: 60, stableEnd: 100), PartitionBounds(low: 0, stableEnd: 100)])
    #expect(try source.anchor(partition: 0, offset: 59) == nil)
    #expect(try source.anchor(partition: 0, offset: 60) != nil)
    #expect(try source.resolve(.earliest, partitionCount: 2) == [60, 0])
    let reading = Reading(source, from: [10, 10])
    #expect(reading.poll { reading.recordCount == 90 && !reading.notices.isEmpty })
    guard case .positionLost(0, 10, _) = reading.notices.first else {
      Issue.record("\(reading.notices)")
      return
    }
    #expect(reading.offsets(0).isEmpty)
    reading.assign([60, 100])
    #expect(reading.poll(untilRecords: 40))
    #expect(reading.offsets(0) == Array(60..<100))
  }

  @Test func `a topic that was made anew is known by its anchor, and a reader beyond its end loses its position`() throws {
    let first = try writer()
    _ = try first.createTopic(partitions: 1)
    try first.write(100, to: 0, prefix: "old")
    try first.flush()
    let source = try source()
    let anchor = try #require(try source.anchor(partition: 0, offset: 9))
    #expect(try source.anchor(partition: 0, offset: 9) == anchor)
    let reading = Reading(source, from: [0])
    #expect(reading.poll(untilRecords: 100))

    try first.deleteTopic()
    let second = try writer()
    var made = false
    // Deletion goes on for a moment after its answer.
    for _ in 0..<50 where !made {
      made = try second.createTopic(partitions: 1) == .created
      usleep(100_000)
    }
    try second.write(20, to: 0, prefix: "new")
    try second.flush()
    let now = try #require(try source.anchor(partition: 0, offset: 9))
    #expect(now.checksum != anchor.checksum)
    #expect(reading.poll { !reading.notices.isEmpty })
    guard case .positionLost(0, 100, _) = reading.notices.first else {
      Issue.record("\(reading.notices)")
      return
    }
    #expect(reading.recordCount == 100)
  }

  @Test func `a topic is made once, found the second time, and grows`() throws {
    let writer = try writer()
    #expect(try writer.createTopic(partitions: 3) == .created)
    #expect(try writer.createTopic(partitions: 5) == .existed(partitions: 3))
    let source = try source()
    #expect(try patiently { try source.describe() }.partitions.count == 3)
    try writer.growTopic(toPartitions: 4)
    var count = 3
    for _ in 0..<50 where count == 3 { count = try patiently { try source.describe() }.partitions.count }
    #expect(count == 4)
  }

  @Test func `a missing topic is told as missing and not made by asking`() throws {
    let source = try source()
    for _ in 0..<2 { #expect(throws: SourceError.topicMissing(topic: topic, nearest: nil)) { try source.describe() } }
    #expect(throws: SourceError.topicMissing(topic: topic, nearest: nil)) { try source.resolve(.earliest, partitionCount: 1) }
  }

  @Test func `a witness outlives the source that wrote it`() throws {
    let writer = try writer()
    _ = try writer.createTopic(partitions: 2)
    let group = "millrace-\(topic)"
    let source = try KafkaSource(try #require(address), topic, group: group)
    #expect(try patiently { try source.readWitness() } == nil)
    try patiently { try source.commitWitness("0123456789abcdef:7", offsets: [0, 0]) }
    let reading = Reading(source, from: [0, 0])
    #expect(!reading.poll(seconds: 1) { reading.recordCount > 0 })
    try source.commitWitness("0123456789abcdef:8", offsets: [5, 9])
    #expect(try KafkaSource(try #require(address), topic, group: group).readWitness() == "0123456789abcdef:8")
  }
}
