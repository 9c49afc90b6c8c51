internal import CRdKafka

/// Offsets by partition, as librdkafka takes them; destroyed with this object.
@safe final class PartitionList {
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
