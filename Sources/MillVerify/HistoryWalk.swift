internal import MillBase
internal import MillLog

/// Follows history entry by entry: which offsets the sealed epochs took, and of which epochs and offsets a batch is.
struct HistoryWalk {
  /// The next offset of each slot, as of the last seal.
  private(set) var positions: [Slot: Int64] = [:]
  /// The first offset ever taken of each.
  private(set) var starts: [Slot: Int64] = [:]
  /// The epoch of the last seal.
  private(set) var epoch: EpochNumber = 0
  /// Where a range doesn't begin at the end of the one before.
  private(set) var breaks: [Break] = []
  /// Offsets that were given up before they were read.
  private(set) var givenUp: [OffsetRange] = []
  /// Epochs that no seal covers so far.
  private(set) var unsealed: [(through: EpochNumber, ranges: [OffsetRange])] = []
  /// As of the last seal that covered a destination.
  private var before: [Destination: (epoch: EpochNumber, positions: [Slot: Int64])] = [:]

  struct Break: Hashable {
    var slot: Slot
    /// Where the epochs before ended.
    var expected: Int64
    var found: Int64
    var epoch: EpochNumber
  }

  /// Takes one entry. `sealed` is told of each seal, while ``extent(of:)`` still means its batches.
  mutating func take(_ entry: HistoryEntry, sealed: (HistorySeal, borrowing HistoryWalk) -> Void) {
    switch entry {
    case .ack, .retire: break
    case .gap(let range): givenUp.append(range)
    case .restart(_, let lastKept, _): unsealed.removeAll { $0.through > lastKept }
    case .epochs(let through, let ranges): unsealed.append((through, ranges))
    case .seal(let seal):
      for (through, ranges) in unsealed where through <= seal.epoch {
        for range in ranges { advance(range, through) }
      }
      unsealed.removeAll { $0.through <= seal.epoch }
      epoch = seal.epoch
      sealed(seal, self)
      for part in seal.covered { before[part.destination] = (seal.epoch, positions) }
    }
  }

  private mutating func advance(_ range: OffsetRange, _ epoch: EpochNumber) {
    if let position = positions[range.slot] {
      if position != range.start, !isGivenUp(range.slot, position, range.start) {
        breaks.append(Break(slot: range.slot, expected: position, found: range.start, epoch: epoch))
      }
    } else {
      starts[range.slot] = range.start
    }
    positions[range.slot] = range.next
  }

  /// Whether all offsets in between were given up, in one piece or several.
  private func isGivenUp(_ slot: Slot, _ from: Int64, _ to: Int64) -> Bool {
    var at = from
    while at < to, let gap = givenUp.first(where: { $0.slot == slot && $0.start <= at && $0.next > at }) { at = gap.next }
    return from < to && at >= to
  }

  /// Epochs and offsets whose output for a destination a seal covers, at most.
  func extent(of destination: Destination) -> (epochs: ClosedRange<EpochNumber>, ranges: [OffsetRange]) {
    let (last, from) = before[destination] ?? (0, [:])
    let ranges = positions.keys.sorted().compactMap { slot -> OffsetRange? in
      let start = from[slot] ?? starts[slot] ?? 0
      let next = positions[slot] ?? start
      return next == start ? nil : OffsetRange(slot: slot, start: start, next: next)
    }
    return (min(last + 1, epoch)...epoch, ranges)
  }
}
