internal import MillBase
internal import MillLog

/// R12: batches for the dead letters, written one at a time in order.
struct DeadLetterQueue {
  /// `logBegin`: as ``Delivery/logBegin``.
  var waiting: [(batch: SealedBatch, seal: LogPosition, logBegin: UInt64)] = []
  var isWriting = false
  var ackPending: BatchNumber?
  /// Acked since the last truncation that looked, with the ack's position: until that is durable the batch's bytes stay (R16).
  var acked: [(number: BatchNumber, ack: LogPosition)] = []
  var retryAt: Int64?
  /// Of this pipeline's files, as last looked at and with what was written since.
  var byteCount: UInt64 = 0
  var isMeasuring = false
  /// When they are looked at again; nil: at once.
  var measureAt: Int64?
  /// They have reached their bound.
  var full: Wait?
  /// What is unacked and pending is filled in when somebody looks.
  var batches = Progress.Batches()

  mutating func recover(_ batch: SealedBatch, at position: LogPosition, logBegin: UInt64) {
    waiting.append((batch, position, logBegin))
    batches.recovered.add(batch)
  }

  /// Sealed, or made by a retire: it is durable.
  mutating func take(_ batch: SealedBatch, at position: LogPosition, logBegin: UInt64) {
    batches.sealed.add(batch)
    waiting.append((batch, position, logBegin))
  }

  /// - Parameter byteCount: what was added to the directory.
  mutating func takeWritten(_ batch: BatchKey, _ byteCount: Int, max: UInt64) {
    require(isWriting && waiting.first?.batch.key == batch, "dead letters \(batch) were written that nobody has ordered")
    isWriting = false
    self.byteCount += UInt64(byteCount)
    if self.byteCount >= max { measureAt = nil }
    ackPending = batch.number
  }

  mutating func takeAcked(_ batch: BatchKey, at position: LogPosition) {
    require(
      ackPending == batch.number && waiting.first?.batch.key == batch,
      "dead letters \(batch) were acked, and are not those that were written")
    batches.acked.add(waiting.removeFirst().batch)
    ackPending = nil
    acked.append((batch.number, position))
  }

  /// What was acked before this position is durable.
  mutating func forgetAcked(before durableEnd: LogPosition) { acked.removeAll { $0.ack < durableEnd } }

  mutating func advance(_ monotonic: Int64, _ commands: inout [Command]) {
    if !isMeasuring, (measureAt ?? monotonic) <= monotonic {
      isMeasuring = true
      commands.append(.measureDeadLetters)
    }
    guard !isWriting, ackPending == nil, let first = waiting.first, (retryAt ?? 0) <= monotonic else { return }
    retryAt = nil
    isWriting = true
    commands.append(.writeDeadLetters(first.batch))
  }
}
