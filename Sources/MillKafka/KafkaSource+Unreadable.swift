internal import MillBase
package import MillFlow
internal import Synchronization

extension KafkaSource {
  /// librdkafka tells where a batch begins that it can't unpack, not where it ends: brokers give the batch for each offset within it, so
  /// the first offset that gives something else is looked for, with ever larger steps and then between the last two.
  package func unreadable(partition: Int32, offset: Int64) throws(SourceError) -> (next: Int64, reason: String)? {
    try ask(needs: .readTopic) { client throws(KafkaFailure) in
      let kept = try client.bounds(options.topic, partition: partition, timeoutMilliseconds: Self.timeoutMilliseconds)
      guard kept.low <= offset, offset < kept.stableEnd else { return nil }
      let heard = HeardLine()
      let failure = try unreadableFailure(partition, offset) { line in
        // "Unable to decompress ZSTD (…): output would exceed message.max.bytes (…)", by which receive.message.max.bytes is meant.
        if line.contains("output would exceed") { heard.isTooLarge.withLock { $0 = true } }
      }
      guard let failure, let base = failure.offset else { return nil }
      func isWithin(_ place: Int64) throws(KafkaFailure) -> Bool {
        guard place < kept.stableEnd else { return false }
        return try unreadableFailure(partition, place)?.offset == base
      }
      var inside = offset
      var step: Int64 = 1
      while try isWithin(inside + step) {
        inside += step
        step *= 2
      }
      var outside = min(inside + step, kept.stableEnd)
      while outside - inside > 1 {
        let middle = inside + (outside - inside) / 2
        if try isWithin(middle) { inside = middle } else { outside = middle }
      }
      return (next: outside, reason: reason(failure, isTooLarge: heard.isTooLarge.withLock(\.self)))
    }
  }

  private static let limitName = "receive.message.max.bytes"

  private func reason(_ failure: KafkaFailure, isTooLarge: Bool) -> String {
    let right = "Its checksum is right: it isn't damaged, and whoever produced it made it so"
    guard isTooLarge else { return "\(failure.text). \(right)" }
    let limit = options.properties[Self.limitName] ?? "100000000"
    return
      "unpacked it has more than kafka.properties.\(Self.limitName) (\(limit)) bytes. \(right). To read it, raise that property (2147483647 at most; memory grows with what is unpacked)"
  }

  /// Why what stands at `offset` can't be unpacked; nil: it can, or nothing stands there. `onLine`: librdkafka's log about it.
  private func unreadableFailure(
    _ partition: Int32, _ offset: Int64, onLine: (@Sendable (String) -> Void)? = nil
  ) throws(KafkaFailure) -> KafkaFailure? {
    // It says only in its debug log that a batch is too large.
    let signals =
      onLine.map { onLine in KafkaSignals(tokens: tokens) { _, line in onLine(line) } } ?? KafkaSignals(tokens: tokens, log: log)
    let settings: [KafkaOptions.Setting] = onLine == nil ? [] : [("debug", "msg")]
    let found = try first(in: partition, from: offset, signals: signals, settings: settings) { _ in }
    guard case .failed(_, let failure) = found, ![.positionLost, .damaged].contains(failure.kind) else { return nil }
    guard failure.kind == .unreadable else { throw failure }
    return failure
  }
}

/// What librdkafka's log said of a batch.
private final class HeardLine: Sendable {
  let isTooLarge = Mutex(false)
}
