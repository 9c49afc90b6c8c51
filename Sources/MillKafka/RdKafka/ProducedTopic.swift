internal import CRdKafka

/// A topic that a producer's client writes to. One thread.
@safe final class ProducedTopic {
  private let client: KafkaClient
  private let topic: OpaquePointer

  init(_ client: KafkaClient, _ name: String) throws(KafkaFailure) {
    self.client = client
    guard let topic = unsafe rd_kafka_topic_new(client.handle, name, nil) else { throw client.signals.failure(rd_kafka_last_error()) }
    unsafe self.topic = topic
  }

  deinit { unsafe rd_kafka_topic_destroy(topic) }

  /// Queues one record; `.queueFull` asks to serve the client and come again. See ``TopicWriter`` for the arguments.
  func produce(
    partition: Int32, key: UnsafeRawBufferPointer?, payload: UnsafeRawBufferPointer?, timestamp: Int64,
    headers: [(name: String, value: [UInt8]?)]
  ) throws(KafkaFailure) {
    var list: OpaquePointer?
    if !headers.isEmpty {
      unsafe list = rd_kafka_headers_new(headers.count)
      for header in headers {
        let code =
          if let value = header.value {
            unsafe value.withUnsafeBytes { unsafe rd_kafka_header_add(list, header.name, -1, $0.baseAddress ?? Self.empty, $0.count) }
          } else {
            unsafe rd_kafka_header_add(list, header.name, -1, nil, 0)
          }
        try client.check(code)
      }
    }
    let code = unsafe mr_kafka_produce(
      client.handle, topic, partition, key.map { unsafe $0.baseAddress ?? Self.empty }, key?.count ?? 0,
      payload.map { unsafe $0.baseAddress ?? Self.empty }, payload?.count ?? 0, timestamp, list)
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
    if let list = unsafe list { unsafe rd_kafka_headers_destroy(list) }
    throw client.signals.failure(code)
  }

  /// A place for empty keys and payloads, which a null pointer would make null.
  nonisolated(unsafe) private static let empty = UnsafeRawPointer(UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1))
}

extension KafkaClient {
  /// Waits until all that was queued is delivered or failed; throws when `timeoutMilliseconds` pass before.
  func flush(timeoutMilliseconds: Int) throws(KafkaFailure) { try check(unsafe rd_kafka_flush(handle, Int32(timeoutMilliseconds))) }

  /// Messages queued or under way.
  var pendingCount: Int { unsafe Int(rd_kafka_outq_len(handle)) }

  enum TransactionStep { case initialise, begin, commit, abort }

  func transaction(_ step: TransactionStep, timeoutMilliseconds: Int) throws(KafkaFailure) {
    let error =
      switch step {
      case .initialise: unsafe rd_kafka_init_transactions(handle, Int32(timeoutMilliseconds))
      case .begin: unsafe rd_kafka_begin_transaction(handle)
      case .commit: unsafe rd_kafka_commit_transaction(handle, Int32(timeoutMilliseconds))
      case .abort: unsafe rd_kafka_abort_transaction(handle, Int32(timeoutMilliseconds))
      }
    guard let error = unsafe error else { return }
    defer { unsafe rd_kafka_error_destroy(error) }
    throw signals.failure(unsafe rd_kafka_error_code(error), unsafe String(cString: rd_kafka_error_string(error)))
  }
}
