internal import MillBase

/// Writes records into one topic, fast and each of them once (idempotent producer): for `millrace generate` and tests. One thread.
///
/// Nothing is delivered for certain before ``flush(timeoutMilliseconds:)`` returns.
package final class TopicWriter {
  package struct Options: Sendable {
    package var brokers: String
    package var topic: String
    /// Further properties of librdkafka (security and the like); they win over the defaults here.
    package var properties: [String: String] = [:]
    /// How long a record may wait for others of its batch.
    package var lingerMilliseconds = 20
    /// With an id, records stand in transactions: ``beginTransaction()`` first.
    package var transactionalID: String?

    package init(brokers: String, topic: String) {
      self.brokers = brokers
      self.topic = topic
    }
  }

  private let options: Options
  private let client: KafkaClient
  private let topic: ProducedTopic
  /// Records handed over so far.
  package private(set) var producedCount = 0

  /// Makes the producer; brokers needn't answer yet, except with a transactional id.
  package init(_ options: Options, tokens: TokenCache? = nil, log: @escaping KafkaLog = { _, _ in }) throws(KafkaFailure) {
    self.options = options
    var settings: [String: String] = [
      "client.id": "millrace-generate", "bootstrap.servers": options.brokers, "enable.idempotence": "true", "compression.codec": "lz4",
      "linger.ms": "\(options.lingerMilliseconds)", "batch.num.messages": "20000", "queue.buffering.max.messages": "500000",
      "queue.buffering.max.kbytes": "262144", "delivery.report.only.error": "true", "message.timeout.ms": "120000",
      "reconnect.backoff.max.ms": "2000",
    ]
    if let id = options.transactionalID { settings["transactional.id"] = id }
    settings.merge(options.properties) { $1 }
    client = try KafkaClient(
      .producer, required: settings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) },
      signals: KafkaSignals(tokens: tokens, log: log))
    topic = try ProducedTopic(client, options.topic)
    if options.transactionalID != nil { try client.transaction(.initialise, timeoutMilliseconds: 15_000) }
  }

  /// What came of ``createTopic(partitions:replication:)``.
  package enum Creation: Hashable, Sendable {
    case created
    /// It was there already, with so many partitions.
    case existed(partitions: Int)
    /// The brokers know no admin calls (a mock cluster); asking for the topic made it, with so many partitions.
    case automatic(partitions: Int)
  }

  /// Makes the topic where there is none, and waits until brokers know it.
  package func createTopic(
    partitions: Int, replication: Int = 1, timeoutMilliseconds: Int = 8000
  ) throws(KafkaFailure) -> Creation {
    do throws(KafkaFailure) {
      try client.createTopic(options.topic, partitions: partitions, replication: replication, timeoutMilliseconds: timeoutMilliseconds)
    } catch {
      switch error.kind {
      case .exists: return .existed(partitions: try partitionCount(timeoutMilliseconds))
      case .denied:
        // Who may write may not make topics, as a rule; where it isn't there either, that it may not be made is what to say.
        guard let count = try? client.partitionCount(of: options.topic, timeoutMilliseconds: timeoutMilliseconds) else { throw error }
        return .existed(partitions: count)
      // A mock cluster names no controller: the call runs into its time-out.
      case .unsupported, .unreachable:
        client.serve(timeoutMilliseconds: 0)
        return .automatic(partitions: try partitionCount(timeoutMilliseconds))
      default: throw error
      }
    }
    _ = try partitionCount(timeoutMilliseconds)
    return .created
  }

  /// Asks until the brokers know the topic: they learn of a new one a moment after its controller.
  private func partitionCount(_ timeoutMilliseconds: Int) throws(KafkaFailure) -> Int {
    var attempts = max(1, timeoutMilliseconds / 50)
    while true {
      do throws(KafkaFailure) { return try client.partitionCount(of: options.topic, timeoutMilliseconds: timeoutMilliseconds) } catch {
        attempts -= 1
        guard error.kind == .unknownTopic, attempts > 0 else { throw error }
        client.serve(timeoutMilliseconds: 50)
      }
    }
  }

  /// Hands over one record, whose bytes are copied; waits while the queue is full.
  ///
  /// - Parameters:
  ///   - partition: nil lets the library choose by key.
  ///   - key: nil is a null key. - payload: nil is a tombstone.
  ///   - timestamp: milliseconds since 1970; nil: now.
  package func produce(
    partition: Int32? = nil, key: UnsafeRawBufferPointer?, payload: UnsafeRawBufferPointer?, timestamp: Int64? = nil,
    headers: [(name: String, value: [UInt8]?)] = []
  ) throws(KafkaFailure) {
    while true {
      do throws(KafkaFailure) {
        try unsafe topic.produce(partition: partition ?? -1, key: key, payload: payload, timestamp: timestamp ?? 0, headers: headers)
        break
      } catch {
        // The queue empties, by deliveries or, after message.timeout.ms, by failures.
        guard error.kind == .queueFull else { throw error }
        client.serve(timeoutMilliseconds: 50)
      }
    }
    producedCount += 1
    if producedCount & 1023 == 0 { client.serve(timeoutMilliseconds: 0) }
  }

  /// The same for bytes in arrays.
  package func produce(
    partition: Int32? = nil, key: [UInt8]?, payload: [UInt8]?, timestamp: Int64? = nil, headers: [(name: String, value: [UInt8]?)] = []
  ) throws(KafkaFailure) {
    func withPayload(_ key: UnsafeRawBufferPointer?) throws(KafkaFailure) {
      guard let payload else {
        return try unsafe produce(partition: partition, key: key, payload: nil, timestamp: timestamp, headers: headers)
      }
      try unsafe payload.withRawBytes { (bytes) throws(KafkaFailure) in
        try unsafe produce(partition: partition, key: key, payload: bytes, timestamp: timestamp, headers: headers)
      }
    }
    guard let key else { return try withPayload(nil) }
    try unsafe key.withRawBytes { (bytes) throws(KafkaFailure) in try unsafe withPayload(bytes) }
  }

  /// How many records could not be delivered so far, and why the first of them.
  package var failures: (count: Int, first: KafkaFailure?) { client.signals.failures }

  /// Waits until every record handed over is delivered.
  /// - Throws: when time runs out, or when a record failed, with how many and why the first did.
  package func flush(timeoutMilliseconds: Int = 150_000) throws(KafkaFailure) {
    do throws(KafkaFailure) { try client.flush(timeoutMilliseconds: timeoutMilliseconds) } catch {
      throw KafkaFailure(error.kind, "\(client.pendingCount) records not delivered in \(timeoutMilliseconds) ms: \(error.text)")
    }
    let (count, first) = client.signals.failures
    if let first {
      throw KafkaFailure(first.kind, "\(count) of \(producedCount) records not delivered to \(options.topic); the first: \(first.text)")
    }
  }

  // MARK: Transactions

  package func beginTransaction() throws(KafkaFailure) { try client.transaction(.begin, timeoutMilliseconds: 0) }
  /// Delivers what was produced since ``beginTransaction()`` and makes it visible.
  package func commitTransaction() throws(KafkaFailure) { try client.transaction(.commit, timeoutMilliseconds: 30_000) }
  /// Makes what was produced since ``beginTransaction()`` never visible; it keeps its offsets where it was written.
  package func abortTransaction() throws(KafkaFailure) {
    // What still waits in the queue would never get an offset.
    try client.flush(timeoutMilliseconds: 30_000)
    try client.transaction(.abort, timeoutMilliseconds: 30_000)
  }

  // MARK: Changing the topic

  package func deleteTopic() throws(KafkaFailure) { try client.deleteTopic(options.topic, timeoutMilliseconds: 8000) }
  /// Adds partitions until there are `count`.
  package func growTopic(toPartitions count: Int) throws(KafkaFailure) {
    try client.growTopic(options.topic, toPartitions: count, timeoutMilliseconds: 8000)
  }
  /// Deletes one partition's records before `offset`, as retention does.
  package func deleteRecords(partition: Int32, before offset: Int64) throws(KafkaFailure) {
    try client.deleteRecords(options.topic, partition: partition, before: offset, timeoutMilliseconds: 8000)
  }
}
