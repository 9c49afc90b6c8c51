internal import MillBase
package import MillLog

/// What history comes to as a whole: the first of two looks at it. Memory: a few bytes for each batch that isn't finished.
package struct HistoryTally {
  private(set) var walk = HistoryWalk()
  private(set) var lineages: [Lineage] = []
  /// Tokens begin so; of batches for the table.
  private(set) var prefixes: Set<String> = []
  private(set) var counters = Counters()
  /// A seal of an older release doesn't tell them.
  private(set) var countersAreKnown = true
  private(set) var batchCount: [Int] = [0, 0]
  /// Rows as sealed; index: destination's raw value.
  private(set) var rowCount: [UInt64] = [0, 0]
  /// Rows that the server refused, one by one: sealed for the table, in the dead letters now (R11).
  private(set) var refusedRowCount: UInt64 = 0
  private var retired: Set<Ack> = []
  /// Rows that a seal has counted, that no batch has, and that may never be made: their records were given up. Index: destination.
  package private(set) var givenUpMax: [UInt64] = [0, 0]
  /// Where counters and rows part, at the first seals that show it.
  package private(set) var disagreements: [String] = []
  /// Sealed in the log (what is in the ledger only is finished) and not acked.
  private(set) var inFlight: [Ack: HistoryBatch] = [:]

  package init() {}

  /// `isInLog`: the entry is the log's, not the ledger's.
  package mutating func take(_ entry: HistoryEntry, isInLog: Bool) {
    if case .gap(let range) = entry, range.start < walk.positions[range.partition] ?? 0 { noteGivenUp() }
    var seals: [HistorySeal] = []
    walk.take(entry) { seal, _ in seals.append(seal) }
    for seal in seals { take(seal, isInLog: isInLog) }
    switch entry {
    case .restart(let lineage, _, _): if !lineages.contains(lineage) { lineages.append(lineage) }
    case .ack(let ack): inFlight[ack] = nil
    case .retire(let destination, let number, let replacements):
      let parent = Ack(destination: destination, batch: number)
      retired.insert(parent)
      inFlight[parent] = nil
      batchCount[Int(destination.rawValue)] -= 1
      for batch in replacements {
        take(batch, isInLog: isInLog)
        if batch.destination == .deadLetters { refusedRowCount &+= batch.rowCount }
      }
    case .epochs, .seal, .gap: break
    }
  }

  /// Whether others have taken a batch's place: no row may stand under its name.
  func isRetired(_ batch: HistoryBatch) -> Bool { retired.contains(Ack(destination: batch.destination, batch: batch.number)) }

  private mutating func take(_ batch: HistoryBatch, isInLog: Bool) {
    batchCount[Int(batch.destination.rawValue)] += 1
    if batch.destination == .table, let parts = TokenParts(batch.token) { prefixes.insert(parts.prefix) }
    if isInLog { inFlight[Ack(destination: batch.destination, batch: batch.number)] = batch }
  }

  private mutating func take(_ seal: HistorySeal, isInLog: Bool) {
    for batch in seal.batches {
      rowCount[Int(batch.destination.rawValue)] &+= batch.rowCount
      take(batch, isInLog: isInLog)
    }
    guard let added = seal.counters else {
      countersAreKnown = false
      return
    }
    counters.add(added)
    guard countersAreKnown else { return }
    if !added.isWhole { disagree(seal, "its records don't add up: \(added)") }
    let covered = Set(seal.covered.map(\.destination))
    if covered.contains(.table), !agrees(.table) {
      disagree(seal, "\(counters.emitted) rows were emitted, \(rowCount[0]) are sealed for the table")
    }
    if covered.contains(.deadLetters), !agrees(.deadLetters) {
      disagree(seal, "\(counted[1]) records were late or dead-lettered, \(rowCount[1]) are sealed for the dead letters")
    }
  }

  /// Rows as the seals have counted them; index: destination's raw value.
  private var counted: [UInt64] { [counters.emitted, counters.late &+ counters.deadLettered] }

  /// Of these, how many no batch has so far.
  var unsealed: [UInt64] { zip(counted, rowCount).map { $0 - min($0, $1) } }

  private func agrees(_ destination: Destination) -> Bool {
    let index = Int(destination.rawValue)
    return rowCount[index] <= counted[index] && unsealed[index] <= givenUpMax[index]
  }

  /// What a seal of the other destination has counted is made again in a replay, of the records that are still there.
  private mutating func noteGivenUp() { givenUpMax = zip(givenUpMax, unsealed).map { max($0, $1) } }

  private mutating func disagree(_ seal: HistorySeal, _ what: String) {
    if disagreements.count < 5 { disagreements.append("up to epoch \(seal.epoch): \(what)") }
  }

  /// Rows that are to be in the table; where history is lost it may know the dead letters of refused rows and not the rows.
  package var tableRows: UInt64 { rowCount[0] - min(rowCount[0], refusedRowCount) }

  package var deadLetterRows: UInt64 { rowCount[1] &+ refusedRowCount }

  /// Of the oldest and newest offsets taken, in order of the partitions.
  var offsets: [OffsetRange] {
    walk.positions.keys.sorted().map { OffsetRange(partition: $0, start: walk.starts[$0] ?? 0, next: walk.positions[$0] ?? 0) }
  }
}
