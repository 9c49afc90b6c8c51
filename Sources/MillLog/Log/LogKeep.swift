package import MillBase

/// What a reader of the log keeps in memory. A log may be long: it holds all since the oldest batch that ClickHouse hasn't taken.
package struct LogKeep: Hashable, Sendable {
  /// Before it only what a batch in ``batches`` needs is kept, and who wrote, under which plan, what was given up.
  package var from: LogPosition
  /// Batches sealed before ``from`` that count.
  package var batches: Set<Ack>

  package init(from: LogPosition, batches: Set<Ack>) {
    self.from = from
    self.batches = batches
  }

  /// What recovery needs: all since the checkpoint's position, and of the records before the batches that it lists as unacked.
  package init(_ manifest: Manifest) {
    self.init(
      from: manifest.position, batches: Set(manifest.unacked.map { Ack(destination: $0.destination, batch: $0.number) }))
  }

  /// Where there is nothing to recover from: whether there is a seal, and which was each table's first batch.
  package static let nothing = LogKeep(from: .max, batches: [])
}

/// Decides record by record what is kept, and notes what records that aren't would have told of those that are.
struct LogSieve {
  /// nil: all, chunks' places too.
  private let keep: LogKeep?
  /// Clocks of the epochs that a seal may still name, oldest first: one destination's rows may be sealed after another's of the same epoch.
  private var clocks: [(epoch: EpochNumber, milliseconds: Int64)] = []
  /// The first batch of each table is told: all after it are unsettled (R9).
  private var hasFirstBatch: Set<Destination> = []
  private var hasSeal = false
  /// The seal's last record must be kept.
  private var isAmidSeal = false
  /// Bytes of the log before the first chunk that no seal or retire names so far.
  private var chunksBegin: UInt64?
  /// Where the intents end, those that aren't kept too.
  private(set) var cutEnds: [Slot: Int64] = [:]
  /// Most batches have the columns of the one before: they share one array.
  private var columns: [BatchColumn] = []

  init(_ keep: LogKeep?) { self.keep = keep }

  mutating func takeChunk(byteCountBefore: UInt64) { chunksBegin = chunksBegin ?? byteCountBefore }

  var keepsChunks: Bool { keep == nil }

  /// The record as it is kept; nil: not at all. `sealed`: what else is to be known of one that makes batches.
  mutating func take(
    _ record: LogRecord, at position: LogPosition, byteCountBefore: UInt64
  ) -> (record: LogRecord?, sealed: LogContents.Sealed?) {
    switch record {
    case .intent(let intent):
      clocks.append((intent.epoch, intent.clockMilliseconds))
      for (slot, range) in intent.slots { cutEnds[slot] = max(cutEnds[slot] ?? 0, range.next) }
      return (isKept(position) ? record : nil, nil)
    case .seal(var seal):
      let sealed = sealed(seal.epoch, byteCountBefore)
      if !seal.continues {
        clocks.removeAll { $0.epoch < seal.epoch }
        chunksBegin = nil
      }
      seal.batches = kept(seal.batches, position)
      let isNeeded = isKept(position) || !seal.batches.isEmpty || isAmidSeal || !hasSeal
      if !isNeeded { return (nil, nil) }
      hasSeal = hasSeal || !seal.continues
      isAmidSeal = seal.continues
      return (.seal(seal), sealed)
    case .retire(var retire):
      let sealed = sealed(nil, byteCountBefore)
      chunksBegin = nil
      retire.replacements = kept(retire.replacements, position)
      let isNeeded = isKept(position) || isListed(retire.destination, retire.batch) || !retire.replacements.isEmpty
      return isNeeded ? (.retire(retire), sealed) : (nil, nil)
    case .ack(let ack): return (isKept(position) || isListed(ack.destination, ack.batch) ? record : nil, nil)
    case .deadline(let deadline):
      return (isKept(position) || isListed(deadline.destination, deadline.batch) ? record : nil, nil)
    case .restart:
      (isAmidSeal, chunksBegin) = (false, nil)
      return (record, nil)
    case .plan, .gap, .sourceStart, .chunk: return (record, nil)
    }
  }

  private func isKept(_ position: LogPosition) -> Bool { keep.map { position >= $0.from } ?? true }

  private func isListed(_ destination: Destination, _ number: BatchNumber) -> Bool {
    keep?.batches.contains(Ack(destination: destination, batch: number)) ?? true
  }

  private func sealed(_ epoch: EpochNumber?, _ byteCountBefore: UInt64) -> LogContents.Sealed {
    LogContents.Sealed(
      clockMilliseconds: epoch.flatMap { epoch in clocks.last { $0.epoch == epoch }?.milliseconds },
      byteCountBefore: chunksBegin ?? byteCountBefore)
  }

  private mutating func kept(_ batches: [SealedBatch], _ position: LogPosition) -> [SealedBatch] {
    var kept: [SealedBatch] = []
    for batch in batches {
      let isFirst = batch.destination.isTable && !hasFirstBatch.contains(batch.destination)
      guard isKept(position) || isListed(batch.destination, batch.number) || isFirst else { continue }
      if batch.destination.isTable { hasFirstBatch.insert(batch.destination) }
      var batch = batch
      if batch.columns == columns { batch.columns = columns } else { columns = batch.columns }
      kept.append(batch)
    }
    return kept
  }
}
