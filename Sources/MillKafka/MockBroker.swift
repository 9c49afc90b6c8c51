/// Brokers of librdkafka's mock cluster in this process: for `millrace broker` and tests. Callable from any thread.
///
/// They keep about 5 MB a partition and nothing after this object has gone, show aborted records also under read_committed, make
/// unknown topics by themselves with 4 partitions, and know neither admin calls nor look-ups by time.
package final class MockBroker: Sendable {
  private let cluster: MockClusterHandle

  /// Starts `brokerCount` brokers (ids from 1) on free loopback ports.
  package init(brokerCount: Int = 1, log: @escaping KafkaLog = { _, _ in }) throws(KafkaFailure) {
    guard 1...32 ~= brokerCount else { throw KafkaFailure(.rejected, "\(brokerCount) mock brokers: must be 1 to 32") }
    cluster = try MockClusterHandle(brokerCount: brokerCount, log: log)
  }

  /// For `bootstrap.servers`: host:port, comma separated.
  package var address: String { cluster.address }

  /// Makes a topic; `.exists` where there is one.
  package func createTopic(_ name: String, partitions: Int, replication: Int = 1) throws(KafkaFailure) {
    guard 1...10_000 ~= partitions else { throw KafkaFailure(.rejected, "topic \(name): \(partitions) partitions: must be 1 to 10000") }
    try cluster.createTopic(name, partitions: partitions, replication: replication)
  }

  /// Closes a broker's connections and refuses new ones.
  package func stopBroker(_ id: Int = 1) throws(KafkaFailure) { try cluster.setDown(true, broker: Int32(id)) }

  /// Lets a stopped broker answer again.
  package func startBroker(_ id: Int = 1) throws(KafkaFailure) { try cluster.setDown(false, broker: Int32(id)) }

  /// From now on brokers say that there is no such topic.
  package func hideTopic(_ name: String) { cluster.setMissing(name) }
}
