internal import MillBase

/// How much of the epoch log can't go because of batches that aren't acked: all since the first chunk of the oldest of them, whatever it
/// is, intents and batches acked since too. `log.unacked_max` bounds that.
struct HeldLog {
  /// Bytes of all records, since the first that stood in the log at the start (``EpochLog/writtenByteCount``).
  var logByteCount: UInt64 = 0
  /// The same when the seal or retire under way was ordered: its chunks begin there or later.
  var orderedAt: UInt64 = 0
  /// Where the oldest batch begins; nil: there is none. As of the last look.
  fileprivate var begin: UInt64?
  fileprivate var isMeasured = false

  /// A batch has come, or gone.
  mutating func changed() { isMeasured = false }

  /// The seal or retire under way stands.
  mutating func sealed(_ logByteCount: UInt64) {
    self.logByteCount = max(self.logByteCount, logByteCount)
    changed()
  }
}

extension Core {
  /// Batches whose ack is outstanding, at most: each takes memory, and of a start too.
  static let unackedBatchesMax = 65_536

  /// Whether no more may be read before something is acked.
  var isHeldByUnacked: Bool {
    if unackedBatchCount >= Self.unackedBatchesMax { return true }
    return heldLogByteCount >= options.unackedMaxBytes
  }

  private var heldLogByteCount: UInt64 {
    (held.isMeasured ? held.begin : oldestBegin).map { held.logByteCount - min(held.logByteCount, $0) } ?? 0
  }

  private var oldestBegin: UInt64? {
    let letters = deadLetters.waiting.lazy.map { $0.logBegin }.min()
    return (sinks.map(\.oldestBegin) + [letters]).compactMap { $0 }.min()
  }

  /// Looks for the oldest batch, so that asking costs nothing until something changes.
  mutating func measureHeldLog() {
    if !held.isMeasured { (held.begin, held.isMeasured) = (oldestBegin, true) }
  }
}
