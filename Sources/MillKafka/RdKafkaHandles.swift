internal import CPlatform
internal import CRdKafka
internal import Glibc
internal import MillBase
internal import MillFlow

// The only file that imports librdkafka: pointers come and go here, decisions about what they mean are made above it.

/// A client of librdkafka: a consumer or a producer. Internally synchronised, so callable from any thread.
@safe final class KafkaClient: @unchecked Sendable {
  enum Role { case consumer, producer }
  fileprivate let handle: OpaquePointer
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

  fileprivate func check(_ code: rd_kafka_resp_err_t) throws(KafkaFailure) { if code.rawValue != 0 { throw signals.failure(code) } }

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

/// Verdicts on certificates in words, and tokens, both asked for by librdkafka's threads.
private func setSecurity(_ conf: OpaquePointer) {
  unsafe rd_kafka_conf_set_ssl_cert_verify_cb(conf) { _, broker, _, verdict, depth, _, _, text, size, context in
    guard let verdict = unsafe verdict, let context = unsafe context, unsafe verdict.pointee != 0 else { return 1 }
    let name = unsafe broker.map { unsafe String(cString: $0) }
    let problem = CertificateProblem.text(unsafe verdict.pointee, depth: depth, broker: name ?? "the broker")
    unsafe Unmanaged<KafkaSignals>.fromOpaque(context).takeUnretainedValue().refuseCertificate(problem)
    if let text = unsafe text { unsafe strncpy(text, problem, size - 1) }
    return 0
  }
  unsafe rd_kafka_conf_enable_sasl_queue(conf, 1)
  unsafe rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf) { client, _, context in
    guard let context = unsafe context else { return }
    guard let tokens = unsafe Unmanaged<KafkaSignals>.fromOpaque(context).takeUnretainedValue().tokens else { return }
    var text = [CChar](repeating: 0, count: 512)
    switch tokens.token() {
    case .success(let token):
      let pairs = unsafe token.extensions.sorted { $0.key < $1.key }.flatMap { unsafe [strdup($0.key), strdup($0.value)] }
      defer { for index in unsafe pairs.indices { unsafe free(pairs[index]) } }
      var extensions = unsafe pairs.map { unsafe UnsafePointer<CChar>($0) }
      let code = unsafe rd_kafka_oauthbearer_set_token(
        client, token.value, token.expiresAt, token.principal, &extensions, extensions.count, &text, text.count)
      if code != RD_KAFKA_RESP_ERR_NO_ERROR { unsafe rd_kafka_oauthbearer_set_token_failure(client, words(text)) }
    case .failure(let failure): unsafe rd_kafka_oauthbearer_set_token_failure(client, failure.reason)
    }
  }
}

/// What librdkafka wrote into a buffer of characters.
private func words(_ text: [CChar]) -> String { String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) }

/// Offsets by partition, as librdkafka takes them; destroyed with this object.
@safe private final class PartitionList {
  let pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>
  /// `offsets` of partitions from `first` on; nil leaves a partition out.
  init(_ topic: String, _ offsets: [Int64?], first: Int32 = 0) {
    unsafe pointer = rd_kafka_topic_partition_list_new(Int32(offsets.count))
    for (index, offset) in offsets.enumerated() {
      if let offset { unsafe rd_kafka_topic_partition_list_add(pointer, topic, first + Int32(index)).pointee.offset = offset }
    }
  }
  deinit { unsafe rd_kafka_topic_partition_list_destroy(pointer) }
}

/// The fetched messages of one assignment. One thread; a new one has a new queue and client: nothing of an older one can come out of it.
@safe final class FetchQueue {
  /// Messages taken from librdkafka in one go: few enough for them to stay in the processor's cache until they are freed.
  static let slotCount = 256
  /// Messages lie all over librdkafka's heap, written by another thread: so many are asked for ahead.
  private static let ahead = 6
  let client: KafkaClient
  private let queue: OpaquePointer
  private let readsHeaders: Bool
  private let slots: UnsafeMutablePointer<UnsafeMutablePointer<rd_kafka_message_t>?>
  /// Headers of one record in the form of ``RecordEntry/headersByteCount``, used again.
  private var headerBytes: [UInt8] = []
  private var listener: Listener?

  private final class Listener: Sendable {
    let tell: @Sendable () -> Void
    init(_ tell: @escaping @Sendable () -> Void) { self.tell = tell }
  }

  /// Messages, events included, that wait to be taken.
  var count: Int { unsafe Int(rd_kafka_queue_length(queue)) }

  /// Fetches each partition from its offset on; nil leaves a partition out. Does not wait for brokers.
  ///
  /// `whenFilled`: called on a thread of the library's when messages have come into the queue while it was empty; it must not block.
  init(
    _ client: KafkaClient, topic: String, offsets: [Int64?], readsHeaders: Bool, whenFilled: (@Sendable () -> Void)? = nil
  ) throws(KafkaFailure) {
    self.client = client
    self.readsHeaders = readsHeaders
    unsafe slots = .allocate(capacity: Self.slotCount)
    unsafe slots.initialize(repeating: nil, count: Self.slotCount)
    guard let queue = unsafe rd_kafka_queue_get_consumer(client.handle) else {
      unsafe slots.deallocate()
      throw KafkaFailure(.rejected, "librdkafka gives no queue to a consumer without a group")
    }
    unsafe self.queue = queue
    if let whenFilled {
      let listener = Listener(whenFilled)
      self.listener = listener
      unsafe rd_kafka_queue_cb_event_enable(
        queue,
        { _, context in
          guard let context = unsafe context else { return }
          unsafe Unmanaged<Listener>.fromOpaque(context).takeUnretainedValue().tell()
        }, Unmanaged.passUnretained(listener).toOpaque())
    }
    let list = PartitionList(topic, offsets)
    defer { withExtendedLifetime(list) {} }
    try client.check(unsafe rd_kafka_assign(client.handle, list.pointer))
  }

  deinit {
    unsafe slots.deallocate()
    // Under the queue's lock, so that no call is under way behind it.
    if listener != nil { unsafe rd_kafka_queue_cb_event_enable(queue, nil, nil) }
    unsafe rd_kafka_queue_destroy(queue)
  }

  /// Hands on at most `limit` records and any events between them, waiting at most `timeoutMilliseconds` for the first of them.
  /// A record's pieces are valid during `onRecord` only. Returns how many messages, events included, were taken.
  func take(
    limit: Int, timeoutMilliseconds: Int, onRecord: (borrowing FetchedRecord) -> Void, onEvent: (FetchEvent) -> Void
  ) -> Int {
    var taken = 0
    var mayWait = timeoutMilliseconds > 0
    while taken < limit {
      var count = unsafe rd_kafka_consume_batch_queue(queue, 0, slots, min(limit - taken, Self.slotCount))
      if count <= 0, mayWait, taken == 0 {
        // A wait for more than one message would last until all of them are there.
        mayWait = false
        count = unsafe rd_kafka_consume_batch_queue(queue, Int32(timeoutMilliseconds), slots, 1)
        if count == 1, limit > 1 {
          count += max(0, unsafe rd_kafka_consume_batch_queue(queue, 0, slots + 1, min(limit, Self.slotCount) - 1))
        }
      }
      guard count > 0 else { break }
      for index in 0..<count {
        if index &+ Self.ahead < count { unsafe mr_prefetch(slots[index &+ Self.ahead]) }
        let message = unsafe slots[index]!
        unsafe hand(on: message, onRecord, onEvent)
        unsafe rd_kafka_message_destroy(message)
      }
      taken += count
    }
    return taken
  }

  @inline(__always)
  private func hand(
    on message: UnsafeMutablePointer<rd_kafka_message_t>, _ onRecord: (borrowing FetchedRecord) -> Void, _ onEvent: (FetchEvent) -> Void
  ) {
    let code = unsafe message.pointee.err
    let partition = unsafe message.pointee.partition
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
      if code == RD_KAFKA_RESP_ERR__PARTITION_EOF { return onEvent(.end(partition: partition, offset: unsafe message.pointee.offset)) }
      let text = unsafe rd_kafka_message_errstr(message).map { unsafe String(cString: $0) }
      var failure = client.signals.failure(code, text)
      if failure.kind == .unreadable, unsafe message.pointee.offset >= 0 { failure.offset = unsafe message.pointee.offset }
      return onEvent(.failed(partition: partition, failure))
    }
    var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
    let timestamp = unsafe rd_kafka_message_timestamp(message, &kind)
    var headers: OpaquePointer?
    let hasHeaders = unsafe readsHeaders && rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR
    if hasHeaders, let headers = unsafe headers { unsafe flatten(headers) }
    let key = unsafe message.pointee.key.map { unsafe UnsafeRawBufferPointer(start: $0, count: message.pointee.key_len) }
    let payload = unsafe message.pointee.payload.map { unsafe UnsafeRawBufferPointer(start: $0, count: message.pointee.len) }
    func give(_ headers: UnsafeRawBufferPointer?) {
      unsafe onRecord(
        FetchedRecord(
          partition: partition, offset: message.pointee.offset, timestamp: kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : timestamp,
          key: key, payload: payload, headers: headers))
    }
    if hasHeaders { unsafe headerBytes.withUnsafeBytes { unsafe give($0) } } else { give(nil) }
  }

  @inline(never)
  private func flatten(_ headers: OpaquePointer) {
    headerBytes.removeAll(keepingCapacity: true)
    var name: UnsafePointer<CChar>?
    var value: UnsafeRawPointer?
    var (size, index) = (0, 0)
    while unsafe rd_kafka_header_get_all(headers, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR {
      index += 1
      guard let name = unsafe name else { continue }
      // Kafka's own limit is the batch; a name beyond u16 is cut, its value stays.
      let nameCount = unsafe min(strlen(name), Int(UInt16.max))
      append(UInt64(nameCount), byteCount: 2)
      unsafe headerBytes.append(contentsOf: UnsafeRawBufferPointer(start: name, count: nameCount))
      guard let value = unsafe value else {
        append(UInt64.max, byteCount: 4)
        continue
      }
      append(UInt64(size), byteCount: 4)
      unsafe headerBytes.append(contentsOf: UnsafeRawBufferPointer(start: value, count: size))
    }
  }

  private func append(_ value: UInt64, byteCount: Int) {
    unsafe withUnsafeBytes(of: value.littleEndian) { unsafe headerBytes.append(contentsOf: $0.prefix(byteCount)) }
  }
}

extension KafkaSignals {
  /// A failure with the library's text, and the last reason heard where the code alone says little.
  fileprivate func failure(_ code: rd_kafka_resp_err_t, _ text: String? = nil) -> KafkaFailure {
    let saysLittle = [RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN].contains(code)
    let heard = saysLittle ? lastReason : nil
    var failure = unsafe KafkaFailure(code, told(heard ?? text ?? String(cString: rd_kafka_err2str(code))))
    failure.isBare = saysLittle && lastReason == nil
    return failure
  }

  fileprivate func report(_ code: rd_kafka_resp_err_t, _ reason: String) {
    let news: News = code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ? .allDown : code == RD_KAFKA_RESP_ERR__FATAL ? .fatal : .trouble
    report(news, KafkaFailure(code, told(reason)))
  }

  fileprivate func delivered(failure code: rd_kafka_resp_err_t) {
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { addFailure(KafkaFailure(code, unsafe String(cString: rd_kafka_err2str(code)))) }
  }
}

extension KafkaFailure {
  /// What a code of librdkafka means to a reader or writer of one topic.
  fileprivate init(_ code: rd_kafka_resp_err_t, _ text: String) {
    let kind: Kind
    switch code {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      kind = .unknownTopic
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, RD_KAFKA_RESP_ERR__NO_OFFSET: kind = .positionLost
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION: kind = .unreadable
    case RD_KAFKA_RESP_ERR__BAD_MSG, RD_KAFKA_RESP_ERR_INVALID_MSG, RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE,
      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED,
      RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE:
      kind = .damaged
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: kind = .exists
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION: kind = .unsupported
    case RD_KAFKA_RESP_ERR__INVALID_ARG, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, RD_KAFKA_RESP_ERR_INVALID_PARTITIONS,
      RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, RD_KAFKA_RESP_ERR_POLICY_VIOLATION, RD_KAFKA_RESP_ERR_INVALID_GROUP_ID,
      RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_CONFIG:
      kind = .rejected
    case RD_KAFKA_RESP_ERR__QUEUE_FULL: kind = .queueFull
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      kind = .denied
    default: kind = .unreachable
    }
    self.init(kind, text)
  }
}

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
