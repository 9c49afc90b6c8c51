internal import CPlatform
internal import CRdKafka
internal import Glibc

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
