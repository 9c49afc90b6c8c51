/// How one topic is reached and read.
package struct KafkaOptions: Hashable, Sendable {
  /// host:port, comma separated.
  package var brokers: String
  package var topic: String
  /// The group whose committed offsets are the witness: `millrace-<pipeline>`.
  package var group: String
  /// Further properties of librdkafka (security and the like). Those that reading exactly once depends on can't be among them.
  package var properties: [String: String]
  /// Bytes of keys and values that may wait in librdkafka's queue; a record counts as ``recordByteCountMin`` at least. With what the
  /// library allocates for each record the queue takes about twice that at most.
  package var prefetchByteCount: Int
  package var clientID: String
  /// Whether records' headers are wanted: librdkafka allocates and frees a parser for each record that is asked for them, even where it
  /// has none.
  package var readsHeaders: Bool
  /// How long a poll may wait for an answer of brokers that were down.
  package var outagePatienceMilliseconds: Int

  package init(
    brokers: String, topic: String, group: String, properties: [String: String] = [:], prefetchByteCount: Int = 128 << 20,
    clientID: String = "millrace", readsHeaders: Bool = true, outagePatienceMilliseconds: Int = 1000
  ) {
    self.brokers = brokers
    self.topic = topic
    self.group = group
    self.properties = properties
    self.prefetchByteCount = prefetchByteCount
    self.clientID = clientID
    self.readsHeaders = readsHeaders
    self.outagePatienceMilliseconds = outagePatienceMilliseconds
  }

  /// About what librdkafka allocates for a record beside its bytes.
  private static let recordByteCountMin = 256

  /// A setting as librdkafka takes it.
  typealias Setting = (name: String, value: String)

  /// What reading depends on; a property of the same name is refused.
  private var own: [Setting] {
    let kilobytes = min(max(prefetchByteCount / 1024, 1), 2_097_151)
    return [
      ("bootstrap.servers", brokers), ("group.id", group),
      ("isolation.level", "read_committed"), ("check.crcs", "true"),
      ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"), ("auto.offset.reset", "error"),
      ("enable.partition.eof", "true"), ("allow.auto.create.topics", "false"),
      ("queued.max.messages.kbytes", String(kilobytes)),
      // Both bound the queue over all partitions: no more is fetched while either is reached.
      ("queued.min.messages", String(min(max(prefetchByteCount / Self.recordByteCountMin, 1000), 10_000_000))),
    ]
  }

  /// Settings for a consumer of all partitions. Sorted, so that the first one refused is always the same.
  /// - Throws: `.rejected` for a property that is ours to set.
  func consumerSettings() throws(KafkaFailure) -> [Setting] {
    let taken = Set(own.map(\.name)).union(["metadata.broker.list"])
    for name in properties.keys.sorted() where taken.contains(name) {
      throw KafkaFailure(.rejected, "property \(name): millrace sets it itself; remove it")
    }
    // An outage ends soon after the brokers are back; the default waits up to 10 s.
    // librdkafka unpacks an answer whole before the queue's bounds count, so that an answer is to be small beside the queue.
    let mild: [Setting] = [
      ("client.id", clientID), ("reconnect.backoff.max.ms", "2000"), ("socket.keepalive.enable", "true"),
      ("fetch.max.bytes", String(min(max(prefetchByteCount / 8, 1 << 20), 50 << 20))),
      ("fetch.message.max.bytes", String(min(max(prefetchByteCount / 64, 64 << 10), 1 << 20))),
    ]
    let given = Set(properties.keys.map { $0 == "max.partition.fetch.bytes" ? "fetch.message.max.bytes" : $0 })
    return mild.filter { !given.contains($0.name) } + properties.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } + own
  }

  /// Settings for a consumer that reads a single record.
  func anchorSettings() throws(KafkaFailure) -> [Setting] {
    // A broker gives one batch even where it is larger: no more than that is unpacked.
    let small: [Setting] = [("queued.min.messages", "1"), ("fetch.wait.max.ms", "10"), ("fetch.message.max.bytes", "1")]
    return try consumerSettings() + small
  }

  /// Names that newer versions of librdkafka know.
  static let optionalSettings: [Setting] = [("fetch.queue.backoff.ms", "10")]
}
