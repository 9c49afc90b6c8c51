internal import MillBase
package import MillFlow

/// How long the end of a client is waited for: it takes milliseconds.
private let patienceMilliseconds: Int64 = 5_000

/// Runs `body`, the end of a client, on a thread of its own and waits for it, but not for ever: librdkafka 2.0.2 joins its threads without
/// end where a broker has told of partitions with negative numbers, or a topic is gone. Such a thread is left behind; it holds no lock of
/// ours, and the process ends without it.
func ending(_ body: @escaping @Sendable () -> Void) {
  let done = BlockingQueue<Void>()
  let thread = NamedThread("mill-kafka-end") {
    body()
    done.put(())
  }
  if !done.takeAll(waitingMilliseconds: patienceMilliseconds).isEmpty { thread.join() }
}

extension PartitionBounds {
  /// As a broker tells them.
  ///
  /// - Throws: where they are none; asked again, it may tell others.
  package static func checked(_ low: Int64, _ high: Int64, topic: String, partition: Int32) throws(KafkaFailure) -> PartitionBounds {
    guard 0 <= low, low <= high, high <= offsetMax else {
      throw KafkaFailure(
        .unreachable, "the broker says that partition \(partition) of \(topic) has the offsets \(low) to \(high), which can't be")
    }
    return PartitionBounds(low: low, stableEnd: high)
  }
}
