package import MillBase

/// What the epoch log has said, without what only recovery needs: no bytes, no positions of chunks, no acks of truncated batches.
///
/// The ledger keeps it of every log segment that has gone, the log says it of the rest (``HistoryReader``). Entries stand in the log's
/// order.
package enum HistoryEntry: Hashable, Sendable {
  /// Epochs after `lastKeptEpoch` that stand before this are void.
  case restart(lineage: Lineage, lastKeptEpoch: EpochNumber, wallMilliseconds: Int64)
  /// What the epochs after the entry's predecessor up to and with `through` took; ranges that touch are one, empty ones aren't there.
  case epochs(through: EpochNumber, [OffsetRange])
  case seal(HistorySeal)
  /// Records that were given up before they were read (`--accept-loss`).
  case gap(OffsetRange)
  /// A batch that was never sent again, and those that its rows are in from here on (protocol R11).
  case retire(Destination, BatchNumber, [HistoryBatch])
  /// Never in the ledger: of a segment that has gone every batch is acked or retired (protocol R16).
  case ack(Ack)
}

/// A half-open range of offsets of one partition.
package struct OffsetRange: Hashable, Sendable {
  package var slot: Slot
  package var start: Int64
  package var next: Int64

  package init(slot: Slot, start: Int64, next: Int64) {
    self.slot = slot
    self.start = start
    self.next = next
  }
}

/// A seal as history knows it.
package struct HistorySeal: Hashable, Sendable {
  package var epoch: EpochNumber
  package var covered: [Seal.Coverage]
  package var batches: [HistoryBatch]
  package var counters: Counters?
  /// Its batches exist only with those of the next entry of a seal; ``HistoryReader`` hands out whole seals only.
  package var continues = false
}

/// A batch as history knows it.
package struct HistoryBatch: Hashable, Sendable {
  package var destination: Destination
  package var number: BatchNumber
  package var rowCount: UInt64
  /// `mr-<lineage>-<destination>-<batch, 20 digits>-<digest>`; the digest is of the rows (dead letters: of the file's bytes).
  package var token: String
  package var contentSum: UInt64?
  package var shape: BatchShape
}

/// What many batches have in common.
package struct BatchShape: Hashable, Sendable {
  /// `database.table`; empty for dead letters.
  package var target: String
  package var columns: [BatchColumn]

  package init(target: String, columns: [BatchColumn]) {
    self.target = target
    self.columns = columns
  }
}

extension HistoryBatch {
  package init(_ batch: SealedBatch) {
    self.init(
      destination: batch.destination, number: batch.number, rowCount: batch.rowCount, token: batch.token, contentSum: batch.contentSum,
      shape: BatchShape(target: batch.target, columns: batch.columns))
  }
}

extension HistoryEntry {
  /// The batches that exist from this entry on.
  package var batches: [HistoryBatch] {
    switch self {
    case .seal(let seal): seal.batches
    case .retire(_, _, let replacements): replacements
    case .restart, .epochs, .gap, .ack: []
    }
  }

  /// What a record of the log says to history; nil: nothing.
  package init?(_ record: LogRecord) {
    switch record {
    case .restart(let restart):
      self = .restart(
        lineage: restart.lineage, lastKeptEpoch: restart.lastKeptEpoch, wallMilliseconds: restart.wallMilliseconds)
    case .intent(let intent):
      self = .epochs(
        through: intent.epoch,
        intent.slots.filter { $0.range.next != $0.range.start }.map {
          OffsetRange(slot: $0.slot, start: $0.range.start, next: $0.range.next)
        })
    case .seal(let seal):
      self = .seal(
        HistorySeal(
          epoch: seal.epoch, covered: seal.covered, batches: seal.batches.map(HistoryBatch.init), counters: seal.counters,
          continues: seal.continues))
    case .retire(let retire): self = .retire(retire.destination, retire.batch, retire.replacements.map(HistoryBatch.init))
    case .ack(let ack): self = .ack(ack)
    case .gap(let gap): self = .gap(OffsetRange(slot: gap.slot, start: gap.start, next: gap.next))
    case .plan, .sourceStart, .chunk, .deadline: return nil
    }
  }
}

/// Turns the records of a log segment into as few entries as say the same.
struct HistoryCondenser {
  private(set) var entries: [HistoryEntry] = []
  /// Epochs that no seal covers so far: a restart may yet void some of them, so that they stay apart.
  private var unsealed: [(through: EpochNumber, ranges: [OffsetRange])] = []

  mutating func add(_ record: LogRecord) {
    guard let entry = HistoryEntry(record) else { return }
    switch entry {
    case .ack: break
    case .epochs(let through, let ranges): unsealed.append((through, ranges))
    case .restart(_, let lastKept, _):
      unsealed.removeAll { $0.through > lastKept }
      entries.append(entry)
    case .seal(let seal):
      if !seal.continues { appendSealed(through: seal.epoch) }
      entries.append(entry)
    case .gap, .retire: entries.append(entry)
    }
  }

  mutating func finish() -> [HistoryEntry] {
    for (through, ranges) in unsealed { entries.append(.epochs(through: through, ranges)) }
    unsealed = []
    return entries
  }

  /// Sealed epochs are never void: they can be told as one, but where a range doesn't go on from the one before.
  private mutating func appendSealed(through last: EpochNumber) {
    var merged: [OffsetRange] = []
    var through: EpochNumber?
    for (epoch, ranges) in unsealed where epoch <= last {
      through = epoch
      for range in ranges {
        guard let index = merged.firstIndex(where: { $0.slot == range.slot }) else {
          merged.append(range)
          continue
        }
        if merged[index].next == range.start {
          merged[index].next = range.next
        } else {
          entries.append(.epochs(through: epoch, merged))
          merged = [range]
        }
      }
    }
    if let through { entries.append(.epochs(through: through, merged)) }
    unsealed.removeAll { $0.through <= last }
  }
}
