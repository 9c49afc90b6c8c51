import Glibc
import MillFlow
import MillKafka
import Synchronization
import Testing

@Suite struct KafkaSourceTests {
  let broker: MockBroker

  init() throws { broker = try MockBroker() }

  /// A topic `t` of `partitions` with `count` records each: p0-0, p0-1, …
  private func fill(partitions: Int, count: Int) throws {
    try broker.createTopic("t", partitions: partitions)
    let writer = try TopicWriter(broker.address, "t")
    for partition in 0..<Int32(partitions) { try writer.write(count, to: partition, prefix: "p\(partition)-") }
    try writer.flush()
  }

  @Test func `all records of all partitions come once, in order, and the end advances the next offset`() throws {
    try fill(partitions: 3, count: 5000)
    let reading = Reading(try KafkaSource(broker.address, "t"), from: [0, 0, 0])
    #expect(reading.poll(untilRecords: 15_000))
    for partition in 0..<3 {
      #expect(reading.payloads(partition) == (0..<5000).map { "p\(partition)-\($0)" })
      #expect(reading.offsets(partition) == Array(0..<5000))
      #expect(reading.buffers[partition].nextOffset == 5000)
    }
    #expect(reading.notices.isEmpty)
    #expect(!reading.poll(seconds: 1) { reading.recordCount > 15_000 })
  }

  @Test func `whoever polls is told when records have come, and again for those behind them`() throws {
    try fill(partitions: 1, count: 10)
    let source = try KafkaSource(broker.address, "t")
    let told = Atomic(0)
    source.whenFetched { told.wrappingAdd(1, ordering: .relaxed) }
    let reading = Reading(source, from: [0])
    func waitsForNews(beyond count: Int) -> Bool {
      for _ in 0..<6000 where told.load(ordering: .relaxed) <= count { usleep(5000) }
      return told.load(ordering: .relaxed) > count
    }
    #expect(waitsForNews(beyond: 0))
    #expect(reading.poll(untilRecords: 10))
    _ = reading.poll(seconds: 1) { false }
    let before = told.load(ordering: .relaxed)
    let writer = try TopicWriter(broker.address, "t")
    try writer.write(10, to: 0, prefix: "more-")
    try writer.flush()
    #expect(waitsForNews(beyond: before))
    #expect(reading.poll(untilRecords: 20))
  }

  @Test func `a partition is at its end when the brokers say so, an empty one too, and no longer with the next record`() throws {
    try broker.createTopic("t", partitions: 2)
    let writer = try TopicWriter(broker.address, "t")
    try writer.write(100, to: 0, prefix: "a")
    try writer.flush()
    let reading = Reading(try KafkaSource(broker.address, "t"), from: [0, 0])
    #expect(!reading.buffers[0].isAtEnd && !reading.buffers[1].isAtEnd)
    #expect(reading.poll(limit: 7) { reading.buffers[0].count > 0 })
    #expect(!reading.buffers[0].isAtEnd, "\(reading.buffers[0].count) of 100 records are there")
    #expect(reading.poll { reading.buffers[0].isAtEnd && reading.buffers[1].isAtEnd })
    #expect(reading.buffers[0].count == 100)
    try writer.write(50, to: 1, prefix: "b")
    try writer.flush()
    #expect(reading.poll(limit: 1) { reading.buffers[1].count > 0 })
    #expect(reading.buffers[0].isAtEnd && !reading.buffers[1].isAtEnd)
    #expect(reading.poll { reading.buffers[1].isAtEnd })
    #expect(reading.buffers[1].count == 50)
  }

  @Test func `an assignment to the middle begins there, and one back again leaks nothing of the one before`() throws {
    try fill(partitions: 2, count: 3000)
    let reading = Reading(try KafkaSource(broker.address, "t"), from: [2000, 2999])
    #expect(reading.poll(untilRecords: 1001))
    #expect(reading.offsets(0) == Array(2000..<3000))
    #expect(reading.offsets(1) == [2999])
    // Some of it still waits in the library when each of these comes.
    for start in [Int64(1500), 10, 2500, 0, 700] {
      reading.assign([start, start])
      #expect(reading.poll(limit: 7) { reading.recordCount > 0 })
    }
    #expect(reading.poll(untilRecords: 2 * 2300))
    for partition in 0..<2 { #expect(reading.offsets(partition) == Array(700..<3000)) }
    #expect(reading.notices.isEmpty)
  }

  @Test func `a partition that isn't assigned gives nothing until it is, and misses nothing then`() throws {
    try fill(partitions: 2, count: 3000)
    let reading = Reading(try KafkaSource(broker.address, "t"), from: [0, 0])
    #expect(reading.poll(limit: 100) { reading.buffers[1].count > 0 })
    let before = reading.buffers[0].nextOffset
    reading.source.assign([nil, reading.buffers[1].nextOffset])
    #expect(reading.poll { reading.buffers[1].count == 3000 })
    #expect(reading.buffers[0].nextOffset == before)
    reading.source.assign([before, 3000])
    #expect(reading.poll { reading.buffers[0].count == 3000 })
    for partition in 0..<2 { #expect(reading.offsets(partition) == Array(0..<3000)) }
    #expect(reading.notices.isEmpty)
  }

  @Test func `a poll takes no more records than its limit`() throws {
    try fill(partitions: 1, count: 1000)
    let reading = Reading(try KafkaSource(broker.address, "t"), from: [0])
    #expect(reading.poll(limit: 1) { reading.recordCount == 1 })
    while reading.recordCount < 1000 {
      let before = reading.recordCount
      _ = reading.source.poll(into: reading.buffers, limit: 13)
      #expect(reading.recordCount - before <= 13)
    }
  }

  @Test func `null and empty keys and payloads, headers and timestamps come as they were written`() throws {
    try broker.createTopic("t", partitions: 1)
    let writer = try TopicWriter(broker.address, "t")
    try writer.produce(partition: 0, key: nil as [UInt8]?, payload: nil, timestamp: 1_700_000_000_000)
    try writer.produce(partition: 0, key: [], payload: [], timestamp: 1_700_000_000_001)
    try writer.produce(
      partition: 0, key: [1], payload: [2, 3], timestamp: 1_700_000_000_002, headers: [("ab", [9, 8]), ("c", nil), ("d", [])])
    try writer.flush()
    let reading = Reading(try KafkaSource(broker.address, "t"), from: [0])
    #expect(reading.poll(untilRecords: 3))
    let entries = reading.buffers[0].entries
    #expect(entries.map(\.keyByteCount) == [-1, 0, 1])
    #expect(entries.map(\.payloadByteCount) == [-1, 0, 2])
    #expect(entries.map(\.timestamp) == [1_700_000_000_000, 1_700_000_000_001, 1_700_000_000_002])
    #expect(entries.map(\.headersByteCount) == [0, 0, 24])
    let bytes = unsafe Array(UnsafeRawBufferPointer(start: reading.buffers[0].bytes + entries[2].start, count: 27))
    let ab: [UInt8] = [2, 0, 97, 98, 2, 0, 0, 0, 9, 8]
    let cAndD: [UInt8] = [1, 0, 99, 255, 255, 255, 255, 1, 0, 100, 0, 0, 0, 0]
    #expect(bytes == [1, 2, 3] + ab + cAndD)
  }

  @Test func `a position beyond the end is told as lost, and the other partition goes on`() throws {
    try fill(partitions: 2, count: 100)
    let reading = Reading(try KafkaSource(broker.address, "t"), from: [500, 0])
    #expect(reading.poll { reading.recordCount == 100 && !reading.notices.isEmpty })
    #expect(reading.buffers[0].count == 0)
    #expect(reading.buffers[0].nextOffset == 500)
    guard case .positionLost(0, 500, let reason) = reading.notices.first else {
      Issue.record("\(reading.notices)")
      return
    }
    #expect(!reason.isEmpty)
    #expect(reading.notices.count == 1)
  }

  @Test func `brokers that go and come back are told once each, and no record is lost`() throws {
    try fill(partitions: 1, count: 100)
    let reading = Reading(try KafkaSource(broker.address, "t"), from: [0])
    #expect(reading.poll(untilRecords: 100))
    try broker.stopBroker()
    #expect(reading.poll { !reading.notices.isEmpty })
    #expect(!reading.poll(seconds: 1) { reading.notices.contains(.available) })
    try broker.startBroker()
    #expect(reading.poll { reading.notices.count == 2 })
    guard case .unavailable(let reason) = reading.notices[0] else {
      Issue.record("\(reading.notices)")
      return
    }
    #expect(reason.contains("topic t"))
    #expect(reading.notices.last == .available)
    let writer = try TopicWriter(broker.address, "t")
    try writer.write(50, to: 0, prefix: "later")
    try writer.flush()
    #expect(reading.poll(untilRecords: 150))
    #expect(reading.offsets(0) == Array(0..<150))
    #expect(reading.notices.count { $0 == .available } == 1)
  }

  @Test func `an assignment during an outage doesn't end it, the brokers' return does`() throws {
    try fill(partitions: 1, count: 10)
    let reading = Reading(try KafkaSource(broker.address, "t"), from: [0])
    #expect(reading.poll(untilRecords: 10))
    try broker.stopBroker()
    #expect(reading.poll { !reading.notices.isEmpty })
    reading.assign([4])
    #expect(!reading.poll(seconds: 1) { reading.notices.contains(.available) })
    try broker.startBroker()
    #expect(reading.poll { reading.recordCount == 6 && reading.notices.last == .available })
    #expect(reading.offsets(0) == Array(4..<10))
    // The reason may change while it lasts.
    #expect(reading.notices.count { $0 == .available } == 1)
  }

  @Test func `a topic is described with its cluster and the bounds of each partition`() throws {
    try fill(partitions: 2, count: 10)
    let described = try KafkaSource(broker.address, "t").describe()
    #expect(!described.clusterID.isEmpty)
    #expect(described.partitions == Array(repeating: PartitionBounds(low: 0, stableEnd: 10), count: 2))
  }

  @Test func `a topic that brokers don't know is told as missing`() throws {
    try fill(partitions: 1, count: 1)
    broker.hideTopic("t")
    let source = try KafkaSource(broker.address, "t")
    #expect(throws: SourceError.topicMissing(topic: "t", nearest: nil)) { try source.describe() }
    #expect(throws: SourceError.topicMissing(topic: "t", nearest: nil)) { try source.anchor(partition: 0, offset: 0) }
  }

  @Test func `control calls end in unavailable while no broker answers`() throws {
    let source = try KafkaSource(broker.address, "t")
    try broker.stopBroker()
    let error = #expect(throws: SourceError.self) { try source.describe() }
    guard case .unavailable(let reason)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(reason.contains("topic t"))
  }

  @Test func `earliest, latest and offsets resolve, and an offset that isn't kept is refused by name`() throws {
    try fill(partitions: 2, count: 10)
    let source = try KafkaSource(broker.address, "t")
    #expect(try source.resolve(.earliest, partitionCount: 2) == [0, 0])
    #expect(try source.resolve(.latest, partitionCount: 2) == [10, 10])
    #expect(try source.resolve(.offsets([1: 4]), partitionCount: 2) == [0, 4])
    #expect(try source.resolve(.offsets([1: 10]), partitionCount: 2) == [0, 10])
    let beyond = SourceError.refused("topic t: start offset 11 of partition 1: must be from 0 to 10")
    #expect(throws: beyond) { try source.resolve(.offsets([1: 11]), partitionCount: 2) }
    let unknown = SourceError.refused("topic t: start offset for partition 2: there are partitions 0 to 1")
    #expect(throws: unknown) { try source.resolve(.offsets([2: 0]), partitionCount: 2) }
  }

  @Test func `an anchor is the record at its offset, read without disturbing the poll`() throws {
    try fill(partitions: 2, count: 10)
    let source = try KafkaSource(broker.address, "t")
    let reading = Reading(source, from: [0, 0])
    #expect(reading.poll(limit: 3) { reading.recordCount > 2 })
    let anchor = try #require(try source.anchor(partition: 1, offset: 7))
    let key = Array("k7".utf8)
    let payload = Array("p1-7".utf8)
    let expected = unsafe key.withUnsafeBytes { key in
      unsafe payload.withUnsafeBytes { unsafe Anchor.checksum(key: key, payload: $0) }
    }
    #expect(anchor.offset == 7)
    #expect(anchor.checksum == expected)
    #expect(try source.anchor(partition: 1, offset: 8)?.checksum != expected)
    #expect(try source.anchor(partition: 0, offset: 7)?.checksum != expected)
    #expect(try source.anchor(partition: 1, offset: 10) == nil)
    #expect(try source.anchor(partition: 2, offset: 0) == nil)
    #expect(reading.poll(untilRecords: 20))
    for partition in 0..<2 { #expect(reading.offsets(partition) == Array(0..<10)) }
  }

  @Test func `an anchor's checksum tells null from empty and key from payload`() {
    let empty = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    let one: [UInt8] = [1]
    let checksums = unsafe one.withUnsafeBytes { one in
      unsafe [
        Anchor.checksum(key: nil, payload: nil), Anchor.checksum(key: empty, payload: nil), Anchor.checksum(key: nil, payload: empty),
        Anchor.checksum(key: one, payload: empty), Anchor.checksum(key: empty, payload: one),
      ]
    }
    #expect(Set(checksums).count == checksums.count)
  }

  @Test func `a witness is read back as committed, by another source of the same group only`() throws {
    try fill(partitions: 3, count: 10)
    let source = try KafkaSource(broker.address, "t", group: "millrace-a")
    #expect(try source.readWitness() == nil)
    try source.commitWitness("0123456789abcdef:42", offsets: [3, 0, 10])
    #expect(try source.readWitness() == "0123456789abcdef:42")
    try source.commitWitness("0123456789abcdef:43", offsets: [4, 1, 10])
    #expect(try KafkaSource(broker.address, "t", group: "millrace-a").readWitness() == "0123456789abcdef:43")
    #expect(try KafkaSource(broker.address, "t", group: "millrace-b").readWitness() == nil)
  }

  @Test func `a property that isn't the user's to set or that the library doesn't take is refused by name, without secrets`() {
    func refusal(_ properties: [String: String]) -> String? {
      do throws(SourceError) {
        _ = try KafkaSource(KafkaOptions(brokers: "127.0.0.1:1", topic: "t", group: "g", properties: properties)) { _, _ in }
        return nil
      } catch {
        guard case .refused(let reason) = error else { return nil }
        return reason
      }
    }
    #expect(refusal(["isolation.level": "read_uncommitted"]) == "topic t: property isolation.level: millrace sets it itself; remove it")
    #expect(refusal(["no.such.thing": "1"])?.contains("no.such.thing") == true)
    let pem = refusal(["ssl.key.pem": "hunter2", "security.protocol": "ssl"])
    #expect(pem != nil)
    #expect(pem?.contains("hunter2") == false)
  }

  @Test func `log lines of the library reach the closure with their level`() throws {
    let lines = Mutex<[(Int, String)]>([])
    let source = try KafkaSource(KafkaOptions(brokers: "127.0.0.1:1", topic: "t", group: "g")) { level, line in
      lines.withLock { $0.append((level, line)) }
    }
    #expect(throws: SourceError.self) { try source.describe() }
    #expect(lines.withLock { $0.contains { (0...4).contains($0.0) && $0.1.contains("127.0.0.1:1") } })
  }
}
