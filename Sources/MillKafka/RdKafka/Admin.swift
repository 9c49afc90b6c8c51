internal import CRdKafka

/// Topics made, grown and emptied: for tests, drills and the generator.
extension KafkaClient {
  /// Makes a topic. Fails with `.exists` where there is one, `.unsupported` where brokers have no such call.
  func createTopic(_ topic: String, partitions: Int, replication: Int, timeoutMilliseconds: Int) throws(KafkaFailure) {
    var text = [CChar](repeating: 0, count: 512)
    var wanted = unsafe rd_kafka_NewTopic_new(topic, Int32(partitions), Int32(replication), &text, text.count)
    guard unsafe wanted != nil else { throw KafkaFailure(.rejected, words(text)) }
    defer { unsafe rd_kafka_NewTopic_destroy(wanted) }
    try unsafe administer(RD_KAFKA_ADMIN_OP_CREATETOPICS, timeoutMilliseconds) { options, queue in
      unsafe rd_kafka_CreateTopics(handle, &wanted, 1, options, queue)
    } results: { event, count in
      unsafe rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
    }
  }

  func deleteTopic(_ topic: String, timeoutMilliseconds: Int) throws(KafkaFailure) {
    var wanted = unsafe rd_kafka_DeleteTopic_new(topic)
    defer { unsafe rd_kafka_DeleteTopic_destroy(wanted) }
    try unsafe administer(RD_KAFKA_ADMIN_OP_DELETETOPICS, timeoutMilliseconds) { options, queue in
      unsafe rd_kafka_DeleteTopics(handle, &wanted, 1, options, queue)
    } results: { event, count in
      unsafe rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count)
    }
  }

  func growTopic(_ topic: String, toPartitions count: Int, timeoutMilliseconds: Int) throws(KafkaFailure) {
    var text = [CChar](repeating: 0, count: 512)
    var wanted = unsafe rd_kafka_NewPartitions_new(topic, count, &text, text.count)
    guard unsafe wanted != nil else { throw KafkaFailure(.rejected, words(text)) }
    defer { unsafe rd_kafka_NewPartitions_destroy(wanted) }
    try unsafe administer(RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, timeoutMilliseconds) { options, queue in
      unsafe rd_kafka_CreatePartitions(handle, &wanted, 1, options, queue)
    } results: { event, count in
      unsafe rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count)
    }
  }

  /// Deletes the records of one partition that stand before `offset`.
  func deleteRecords(_ topic: String, partition: Int32, before offset: Int64, timeoutMilliseconds: Int) throws(KafkaFailure) {
    let list = PartitionList(topic, [offset], first: partition)
    defer { withExtendedLifetime(list) {} }
    var wanted = unsafe rd_kafka_DeleteRecords_new(list.pointer)
    defer { unsafe rd_kafka_DeleteRecords_destroy(wanted) }
    var code = RD_KAFKA_RESP_ERR_NO_ERROR
    try unsafe administer(RD_KAFKA_ADMIN_OP_DELETERECORDS, timeoutMilliseconds) { options, queue in
      unsafe rd_kafka_DeleteRecords(handle, &wanted, 1, options, queue)
    } results: { event, _ in
      if let answer = unsafe rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event)) {
        unsafe code = answer.pointee.elems[0].err
      }
      return nil
    }
    try check(code)
  }

  private func administer(
    _ operation: rd_kafka_admin_op_t, _ timeoutMilliseconds: Int, _ start: (OpaquePointer?, OpaquePointer?) -> Void,
    results: (OpaquePointer, inout Int) -> UnsafeMutablePointer<OpaquePointer?>?
  ) throws(KafkaFailure) {
    let options = unsafe rd_kafka_AdminOptions_new(handle, operation)
    defer { unsafe rd_kafka_AdminOptions_destroy(options) }
    var text = [CChar](repeating: 0, count: 512)
    try check(unsafe rd_kafka_AdminOptions_set_request_timeout(options, Int32(timeoutMilliseconds), &text, text.count))
    // The broker answers only when it is done, within this time; an operation without one refuses the option.
    _ = unsafe rd_kafka_AdminOptions_set_operation_timeout(options, Int32(timeoutMilliseconds), &text, text.count)
    let queue = unsafe rd_kafka_queue_new(handle)!
    defer { unsafe rd_kafka_queue_destroy(queue) }
    unsafe start(options, queue)
    guard let event = unsafe rd_kafka_queue_poll(queue, Int32(timeoutMilliseconds + 1000)) else {
      throw signals.failure(RD_KAFKA_RESP_ERR__TIMED_OUT)
    }
    defer { unsafe rd_kafka_event_destroy(event) }
    let code = unsafe rd_kafka_event_error(event)
    if code != RD_KAFKA_RESP_ERR_NO_ERROR {
      throw signals.failure(code, unsafe rd_kafka_event_error_string(event).map { unsafe String(cString: $0) })
    }
    var count = 0
    let found = unsafe results(event, &count)
    for index in 0..<count {
      guard let result = unsafe found?[index] else { continue }
      let code = unsafe rd_kafka_topic_result_error(result)
      if code != RD_KAFKA_RESP_ERR_NO_ERROR {
        throw signals.failure(code, unsafe rd_kafka_topic_result_error_string(result).map { unsafe String(cString: $0) })
      }
    }
  }
}
