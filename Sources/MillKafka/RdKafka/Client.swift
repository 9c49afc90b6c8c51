internal import CRdKafka
internal import Glibc
internal import MillBase
internal import MillFlow

/// A client of librdkafka: a consumer or a producer. Internally synchronised, so callable from any thread.
@safe final class KafkaClient: @unchecked Sendable {
  enum Role { case consumer, producer }
  let handle: OpaquePointer
  /// What librdkafka's callbacks write into; outlives the handle because this object owns both.
  let signals: KafkaSignals

  /// Makes a client; brokers are contacted in the background.
  /// `required` settings must be taken, `optional` ones belong to newer versions of the library and are left out where unknown.
  init(
    _ role: Role, required: [(name: String, value: String)], optional: [(name: String, value: String)] = [], signals: KafkaSignals
  ) throws(KafkaFailure) {
    self.signals = signals
    let conf = unsafe rd_kafka_conf_new()!
    var text = [CChar](repeating: 0, count: 512)
    for setting in required {
      let result = unsafe rd_kafka_conf_set(conf, setting.name, setting.value, &text, text.count)
      guard result == RD_KAFKA_CONF_OK else {
        unsafe rd_kafka_conf_destroy(conf)
        throw KafkaFailure(.rejected, "property \(setting.name): \(words(text))")
      }
    }
    for setting in optional {
      // An unknown name is what makes it optional; the value is ours and fits where the name is known.
      _ = unsafe rd_kafka_conf_set(conf, setting.name, setting.value, &text, text.count)
    }
    unsafe rd_kafka_conf_set_opaque(conf, Unmanaged.passUnretained(signals).toOpaque())
    unsafe rd_kafka_conf_set_log_cb(conf) { client, level, _, line in
      guard let context = unsafe rd_kafka_opaque(client), let line = unsafe line else { return }
      unsafe Unmanaged<KafkaSignals>.fromOpaque(context).takeUnretainedValue().log(Int(level), String(cString: line))
    }
    unsafe rd_kafka_conf_set_error_cb(conf) { _, code, reason, context in
      guard let context = unsafe context else { return }
      let text = unsafe reason.map { unsafe String(cString: $0) } ?? "no reason given"
      unsafe Unmanaged<KafkaSignals>.fromOpaque(context).takeUnretainedValue().report(rd_kafka_resp_err_t(rawValue: code), text)
    }
    if role == .producer {
      unsafe rd_kafka_conf_set_dr_msg_cb(conf) { _, message, context in
        guard let context = unsafe context, let message = unsafe message else { return }
        let code = unsafe message.pointee.err
        unsafe Unmanaged<KafkaSignals>.fromOpaque(context).takeUnretainedValue().delivered(failure: code)
      }
    }
    unsafe setSecurity(conf)
    guard let handle = unsafe rd_kafka_new(role == .consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, &text, text.count) else {
      unsafe rd_kafka_conf_destroy(conf)
      throw KafkaFailure.unusable(required, words(text))
    }
    unsafe self.handle = handle
    if role == .consumer { unsafe rd_kafka_poll_set_consumer(handle) }
    // On the library's own thread: a control client is not polled while nothing is asked.
    if signals.tokens != nil, let error = unsafe rd_kafka_sasl_background_callbacks_enable(handle) {
      defer { unsafe rd_kafka_error_destroy(error) }
      throw KafkaFailure(.rejected, unsafe String(cString: rd_kafka_error_string(error)))
    }
  }

  deinit {
    // No group is joined under assign(), so there is nothing to leave.
    let flags = role == RD_KAFKA_CONSUMER ? Int32(RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) : 0
    nonisolated(unsafe) let handle = unsafe self.handle
    ending { [signals] in withExtendedLifetime(signals) { unsafe rd_kafka_destroy_flags(handle, flags) } }
  }

  private var role: rd_kafka_type_t { unsafe rd_kafka_type(handle) }
  /// 0xMMmmrrpp, such as 0x020002ff.
  static var libraryVersion: Int { Int(rd_kafka_version()) }

  /// Serves callbacks; returns after at most `timeoutMilliseconds`.
  func serve(timeoutMilliseconds: Int) {
    if role == RD_KAFKA_CONSUMER {
      // A control client has no assignment: what comes as a message is an error, such as a coordinator that may not be asked.
      guard let message = unsafe rd_kafka_consumer_poll(handle, Int32(timeoutMilliseconds)) else { return }
      defer { unsafe rd_kafka_message_destroy(message) }
      let code = unsafe message.pointee.err
      let text = unsafe rd_kafka_message_errstr(message).map { unsafe String(cString: $0) }
      if code != RD_KAFKA_RESP_ERR_NO_ERROR { signals.report(code, text ?? "no reason given") }
    } else {
      _ = unsafe rd_kafka_poll(handle, Int32(timeoutMilliseconds))
    }
  }

  func check(_ code: rd_kafka_resp_err_t) throws(KafkaFailure) { if code.rawValue != 0 { throw signals.failure(code) } }

  /// A topic's setting in the brokers' words; nil where they don't tell. `.unsupported` on a cluster without a controller (the mock one).
  func setting(_ name: String, of topic: String, timeoutMilliseconds: Int) throws(KafkaFailure) -> String? {
    var text = [CChar](repeating: 0, count: 512)
    try check(unsafe mr_kafka_topic_setting(handle, topic, name, &text, text.count, Int32(timeoutMilliseconds)))
    return text[0] == 0 ? nil : words(text)
  }

  /// The topics that this client may know of.
  func topics(timeoutMilliseconds: Int) throws(KafkaFailure) -> [String] {
    var answer: UnsafePointer<rd_kafka_metadata>?
    try check(unsafe rd_kafka_metadata(handle, 1, nil, &answer, Int32(timeoutMilliseconds)))
    guard let metadata = unsafe answer else { return [] }
    defer { unsafe rd_kafka_metadata_destroy(metadata) }
    return (0..<Int(unsafe metadata.pointee.topic_cnt)).map { unsafe String(cString: metadata.pointee.topics[$0].topic) }
  }

  /// Where the partition ends by the newest fetch, open transactions included; nil before the first.
  func fetchedEnd(_ topic: String, partition: Int32) -> Int64? {
    var (low, high): (Int64, Int64) = (0, 0)
    let code = unsafe rd_kafka_get_watermark_offsets(handle, topic, partition, &low, &high)
    return code == RD_KAFKA_RESP_ERR_NO_ERROR && 0...offsetMax ~= high ? high : nil
  }

  func clusterID(timeoutMilliseconds: Int) throws(KafkaFailure) -> String {
    guard let text = unsafe rd_kafka_clusterid(handle, Int32(timeoutMilliseconds)) else {
      throw signals.failure(RD_KAFKA_RESP_ERR__TIMED_OUT, "no broker told its cluster id")
    }
    defer { unsafe rd_kafka_mem_free(handle, text) }
    return unsafe String(cString: text)
  }

  /// How many partitions the topic has. Consumers ask without making the topic; producers make it where brokers allow that.
  func partitionCount(of topic: String, timeoutMilliseconds: Int) throws(KafkaFailure) -> Int {
    guard let handleOfTopic = unsafe rd_kafka_topic_new(handle, topic, nil) else { throw signals.failure(rd_kafka_last_error()) }
    defer { unsafe rd_kafka_topic_destroy(handleOfTopic) }
    var answer: UnsafePointer<rd_kafka_metadata>?
    try check(unsafe rd_kafka_metadata(handle, 0, handleOfTopic, &answer, Int32(timeoutMilliseconds)))
    guard let metadata = unsafe answer else { throw signals.failure(RD_KAFKA_RESP_ERR__FAIL) }
    defer { unsafe rd_kafka_metadata_destroy(metadata) }
    guard unsafe metadata.pointee.topic_cnt == 1 else { throw signals.failure(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) }
    let found = unsafe metadata.pointee.topics[0]
    try check(unsafe found.err)
    let count = unsafe Int(found.partition_cnt)
    var seen = Set<Int32>()
    for index in 0..<count { unsafe seen.insert(found.partitions[index].id) }
    guard seen == Set(0..<Int32(count)) else {
      throw KafkaFailure(
        .unreachable, "topic \(topic): the broker lists \(count) partitions as \(ForeignText.cut("\(seen.sorted())")), without some")
    }
    guard count > 0 else { throw signals.failure(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) }
    return count
  }

  /// Whether some broker answers.
  func answers(timeoutMilliseconds: Int) -> Bool {
    var answer: UnsafePointer<rd_kafka_metadata>?
    guard unsafe rd_kafka_metadata(handle, 0, nil, &answer, Int32(timeoutMilliseconds)).rawValue == 0 else { return false }
    unsafe rd_kafka_metadata_destroy(answer)
    return true
  }

  /// Asks the brokers: the first kept offset, and what read_committed can read is below `stableEnd`.
  func bounds(_ topic: String, partition: Int32, timeoutMilliseconds: Int) throws(KafkaFailure) -> PartitionBounds {
    var (low, high): (Int64, Int64) = (0, 0)
    try check(unsafe rd_kafka_query_watermark_offsets(handle, topic, partition, &low, &high, Int32(timeoutMilliseconds)))
    return try PartitionBounds.checked(low, high, topic: topic, partition: partition)
  }

  /// For partitions `0 ..< count` the offset of the first record at or after the time; nil where there is none yet.
  func offsets(
    _ topic: String, count: Int, milliseconds: Int64, timeoutMilliseconds: Int
  ) throws(KafkaFailure) -> [Int64?] {
    let list = PartitionList(topic, Array(repeating: milliseconds, count: count))
    try check(unsafe rd_kafka_offsets_for_times(handle, list.pointer, Int32(timeoutMilliseconds)))
    var found: [Int64?] = []
    for index in 0..<count {
      let element = unsafe list.pointer.pointee.elems[index]
      try check(unsafe element.err)
      unsafe found.append(0...offsetMax ~= element.offset ? element.offset : nil)
    }
    return found
  }

  /// The metadata that the group has committed for one partition; nil when nothing, or nothing with metadata, is committed.
  func committedMetadata(_ topic: String, partition: Int32, timeoutMilliseconds: Int) throws(KafkaFailure) -> String? {
    let list = PartitionList(topic, [Int64(RD_KAFKA_OFFSET_INVALID)], first: partition)
    try check(unsafe rd_kafka_committed(handle, list.pointer, Int32(timeoutMilliseconds)))
    let element = unsafe list.pointer.pointee.elems[0]
    try check(unsafe element.err)
    guard unsafe element.offset >= 0, let bytes = unsafe element.metadata, unsafe element.metadata_size > 0 else { return nil }
    return unsafe String(decoding: UnsafeRawBufferPointer(start: bytes, count: element.metadata_size), as: UTF8.self)
  }

  /// Commits offsets (of partitions from `first` on) for the group, each with `metadata`; a time-out leaves open whether it happened.
  func commit(_ topic: String, offsets: [Int64], first: Int32 = 0, metadata: String, timeoutMilliseconds: Int) throws(KafkaFailure) {
    let list = PartitionList(topic, offsets, first: first)
    defer { withExtendedLifetime(list) {} }
    for index in offsets.indices {
      unsafe list.pointer.pointee.elems[index].metadata = UnsafeMutableRawPointer(strdup(metadata))
      unsafe list.pointer.pointee.elems[index].metadata_size = metadata.utf8.count
    }
    let queue = unsafe rd_kafka_queue_new(handle)!
    defer { unsafe rd_kafka_queue_destroy(queue) }
    try check(unsafe rd_kafka_commit_queue(handle, list.pointer, queue, nil, nil))
    guard let event = unsafe rd_kafka_queue_poll(queue, Int32(timeoutMilliseconds)) else {
      throw signals.failure(RD_KAFKA_RESP_ERR__TIMED_OUT, "the group's coordinator didn't answer the commit")
    }
    defer { unsafe rd_kafka_event_destroy(event) }
    try check(unsafe rd_kafka_event_error(event))
    guard let answer = unsafe rd_kafka_event_topic_partition_list(event) else { return }
    for index in 0..<Int(unsafe answer.pointee.cnt) { try check(unsafe answer.pointee.elems[index].err) }
  }
}
