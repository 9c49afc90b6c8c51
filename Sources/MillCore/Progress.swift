package import MillBase

/// Where a pipeline is now, for people: a copy, taken on the flow thread.
package struct Progress: Sendable {
  package var isLive: Bool
  package var epoch: EpochNumber
  package var counters: Counters
  /// Records between what was read and the last stable offsets last heard of.
  package var lag: Int64
  /// Epoch clock less watermark; nil without one.
  package var watermarkDelayMilliseconds: Int64?
  /// Rows acked since the start.
  package var ackedRows: UInt64
  /// Rows that the server refused and that became dead letters since the start (R11).
  package var refusedRows: UInt64
  package var unackedBatches: Int
  package var unackedBytes: UInt64
  package var checkpointAgeMilliseconds: Int64?
  /// What is waited for, in words.
  package var waitsFor: String?
}

extension Core {
  package var progress: Progress {
    let lag = zip(source.stableEnd, partitions).reduce(0) { $0 + max(0, $1.0 - $1.1.next) }
    return Progress(
      isLive: phase == .live, epoch: epoch, counters: counters, lag: lag,
      watermarkDelayMilliseconds: watermark == Int64.min ? nil : max(0, clockMilliseconds - watermark),
      ackedRows: ackedRows, refusedRows: refusedRows,
      unackedBatches: deliveries.count { !$0.isAcked } + deadLetters.waiting.count, unackedBytes: sealedUnackedBytes,
      checkpointAgeMilliseconds: checkpoint.lastPublishedAt.map { monotonic - $0 },
      waitsFor: room.words ?? sinkWaiting.reason ?? sourceWatch.reason)
  }
}
