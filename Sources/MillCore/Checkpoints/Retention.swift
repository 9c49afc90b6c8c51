internal import MillBase
internal import MillLog

/// Which checkpoints are kept, and what of the log they and the batches on their way need (R16).
struct Retention {
  /// Those that verify, newest first.
  private(set) var retained: [(name: String, manifest: Manifest)] = []
  /// Names of those that don't, until the next publication removes them: the one recovered from proves itself by a successor.
  var broken: [String] = []

  var newest: Manifest? { retained.first?.manifest }

  mutating func restore(_ found: [FoundCheckpoint], epoch: EpochNumber) {
    retained = found.compactMap { checkpoint in
      guard checkpoint.problem == nil, let manifest = checkpoint.manifest, manifest.epoch <= epoch else { return nil }
      return (checkpoint.name, manifest)
    }
  }

  /// A checkpoint was published.
  /// - Returns: the names of those that go.
  mutating func take(_ manifest: Manifest, _ name: String, count: Int) -> [String] {
    retained.removeAll { $0.name == name }
    retained.insert((name, manifest), at: 0)
    var gone: [String] = []
    while retained.count > max(1, count) { gone.append(retained.removeLast().name) }
    gone += broken.filter { $0 != name }
    broken = []
    return gone
  }

  /// Where the log may begin: what every retained checkpoint needs stays; so do the bytes of a batch that the oldest of them lists and no
  /// durable record acks. Nil: no checkpoint is kept.
  func firstNeeded(_ sinks: [SinkMachine], _ deadLetters: DeadLetterQueue, durableEnd: LogPosition) -> LogPosition? {
    guard let oldest = retained.last?.manifest else { return nil }
    var keep = oldest.position
    let deliveries = sinks.flatMap(\.deliveries)
    let unacked = Set(
      deliveries.filter { !$0.isAcked || ($0.ackPosition ?? 0) >= durableEnd }.map { $0.batch.key }
        + deadLetters.waiting.map { $0.batch.key }
        + deadLetters.acked.map { BatchKey(.deadLetters, $0.number) })
    for batch in oldest.unacked where unacked.contains(BatchKey(batch.destination, batch.number)) {
      if batch.firstChunk < keep {
        keep = batch.firstChunk
        Reach.mark(.r16HeldByUnacked)
      }
    }
    // Batches of this process that no manifest lists yet.
    for delivery in deliveries where !delivery.isAcked { keep = min(keep, delivery.batch.chunks.min() ?? keep) }
    // An attempt that is still open is known to the next life by its batch's seal only (R9).
    for delivery in deliveries where delivery.hasOpenAttempt { keep = min(keep, delivery.seal) }
    for unsettled in sinks.compactMap(\.openAttempts.oldestSeal) { keep = min(keep, unsettled) }
    for waiting in deadLetters.waiting { keep = min(keep, waiting.batch.chunks.min() ?? keep) }
    return keep
  }
}
