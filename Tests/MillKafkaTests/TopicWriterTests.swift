import MillFlow
import MillKafka
import Testing

@Suite struct TopicWriterTests {
  @Test func `brokers without an admin API make the topic when asked for it, and the count of partitions is told`() throws {
    let broker = try MockBroker()
    let writer = try TopicWriter(broker.address, "auto")
    #expect(try writer.createTopic(partitions: 2, timeoutMilliseconds: 1500) == .automatic(partitions: 4))
    try writer.write(10, to: 3, prefix: "x")
    try writer.flush()
    #expect(try KafkaSource(broker.address, "auto").describe().partitions.map(\.stableEnd) == [0, 0, 0, 10])
  }

  @Test func `more records than the queue holds wait for room, and all arrive in order`() throws {
    let broker = try MockBroker(brokerCount: 3)
    try broker.createTopic("t", partitions: 2, replication: 3)
    var options = TopicWriter.Options(brokers: broker.address, topic: "t")
    options.properties = ["queue.buffering.max.messages": "500"]
    let writer = try TopicWriter(options)
    for partition in 0..<2 { try writer.write(8000, to: Int32(partition), prefix: "w") }
    try writer.flush()
    #expect(writer.producedCount == 16_000)
    #expect(writer.failures.count == 0)
    let reading = Reading(try KafkaSource(broker.address, "t"), from: [0, 0])
    #expect(reading.poll(untilRecords: 16_000))
    for partition in 0..<2 { #expect(reading.payloads(partition) == (0..<8000).map { "w\($0)" }) }
  }

  @Test func `records that can't be delivered are counted and named by the flush`() throws {
    let broker = try MockBroker()
    try broker.createTopic("t", partitions: 1)
    var options = TopicWriter.Options(brokers: broker.address, topic: "t")
    options.properties = ["message.timeout.ms": "600", "enable.idempotence": "false"]
    let writer = try TopicWriter(options)
    try broker.stopBroker()
    try writer.write(7, to: 0, prefix: "lost")
    let error = #expect(throws: KafkaFailure.self) { try writer.flush() }
    #expect(error?.text.hasPrefix("7 of 7 records not delivered to t; the first: ") == true)
    #expect(writer.failures.count == 7)
  }

  @Test func `equal keys go to one partition when the library chooses`() throws {
    let broker = try MockBroker()
    try broker.createTopic("t", partitions: 4)
    let writer = try TopicWriter(broker.address, "t")
    for number in 0..<400 { try writer.produce(key: Array("user\(number % 20)".utf8), payload: Array("user\(number % 20)".utf8)) }
    try writer.flush()
    let reading = Reading(try KafkaSource(broker.address, "t"), from: [0, 0, 0, 0])
    #expect(reading.poll(untilRecords: 400))
    let homes = (0..<4).map { Set(reading.payloads($0)) }
    #expect(homes.reduce(0) { $0 + $1.count } == 20)
    #expect(homes.filter { !$0.isEmpty }.count > 1)
  }

  @Test func `a topic is made once on a mock broker`() throws {
    let broker = try MockBroker()
    try broker.createTopic("t", partitions: 2)
    let error = #expect(throws: KafkaFailure.self) { try broker.createTopic("t", partitions: 2) }
    #expect(error?.kind == .exists)
    #expect(throws: KafkaFailure.self) { try MockBroker(brokerCount: 0) }
  }
}
