internal import CRdKafka

/// librdkafka's brokers inside this process; they go with this object. Callable from any thread.
@safe final class MockClusterHandle: @unchecked Sendable {
  private let client: KafkaClient
  private let cluster: OpaquePointer

  init(brokerCount: Int, log: @escaping KafkaLog) throws(KafkaFailure) {
    client = try KafkaClient(.producer, required: [("client.id", "mock")], signals: KafkaSignals(log: log))
    guard let cluster = unsafe rd_kafka_mock_cluster_new(client.handle, Int32(brokerCount)) else {
      throw KafkaFailure(.rejected, "librdkafka can't open sockets for \(brokerCount) mock brokers")
    }
    unsafe self.cluster = cluster
  }

  deinit { unsafe rd_kafka_mock_cluster_destroy(cluster) }

  var address: String { unsafe String(cString: rd_kafka_mock_cluster_bootstraps(cluster)) }

  func createTopic(_ name: String, partitions: Int, replication: Int) throws(KafkaFailure) {
    try client.check(unsafe rd_kafka_mock_topic_create(cluster, name, Int32(partitions), Int32(replication)))
  }

  func setDown(_ down: Bool, broker: Int32) throws(KafkaFailure) {
    try client.check(unsafe down ? rd_kafka_mock_broker_set_down(cluster, broker) : rd_kafka_mock_broker_set_up(cluster, broker))
  }

  /// Makes brokers answer that the topic is unknown.
  func setMissing(_ topic: String) { unsafe rd_kafka_mock_topic_set_error(cluster, topic, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) }
}
