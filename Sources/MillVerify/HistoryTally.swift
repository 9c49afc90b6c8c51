internal import MillBase
package import MillLog

/// What history comes to as a whole: the first of two looks at it. Memory: a few bytes for each batch that isn't finished.
package struct HistoryTally {
  private(set) var walk = HistoryWalk()
  private(set) var lineages: [Lineage] = []
  /// Tokens begin so; of batches for each table.
  private(set) var prefixes: [Destination: Set<String>] = [:]
  private(set) var counters = Counters()
  /// A seal of an older release doesn't tell them.
  private(set) var countersAreKnown = true
  private(set) var batchCount: [Destination: Int] = [:]
  /// Rows as sealed.
  private(set) var rowCount: [Destination: UInt64] = [:]
  /// Rows that the server refused, one by one: sealed for the table, in the dead letters now (R11).
  private(set) var refusedRowCount: UInt64 = 0
  /// Of each table the newest batch: `database.table`, and how its token begins.
  private(set) var newest: [Destination: (target: String, prefix: String)] = [:]
  private var retired: Set<Ack> = []
  /// Rows that a seal has counted, that no batch has, and that may never be made: their records were given up.
  package private(set) var givenUpMax: [Destination: UInt64] = [:]
  /// Where counters and rows part, at the first seals that show it.
  package private(set) var disagreements: [String] = []
  /// Sealed in the log (what is in the ledger only is finished) and not acked.
  private(set) var inFlight: [Ack: HistoryBatch] = [:]

  package init() {}

  /// `isInLog`: the entry is the log's, not the ledger's.
  package mutating func take(_ entry: HistoryEntry, isInLog: Bool) {
    if case .gap(let range) = entry, range.start < walk.positions[range.slot] ?? 0 { noteGivenUp() }
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
      batchCount[destination, default: 0] -= 1
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
    batchCount[batch.destination, default: 0] += 1
    if batch.destination.isTable {
      let prefix = TokenParts(batch.token)?.prefix
      newest[batch.destination] = (batch.shape.target, prefix ?? "")
      if let prefix { prefixes[batch.destination, default: []].insert(prefix) }
    }
    if isInLog { inFlight[Ack(destination: batch.destination, batch: batch.number)] = batch }
  }

  private mutating func take(_ seal: HistorySeal, isInLog: Bool) {
    for batch in seal.batches {
      rowCount[batch.destination, default: 0] &+= batch.rowCount
      take(batch, isInLog: isInLog)
    }
    guard let added = seal.counters else {
      countersAreKnown = false
      return
    }
    counters.add(added)
    guard countersAreKnown else { return }
    if !added.isWhole { disagree(seal, "its records don't add up: \(added)") }
    for destination in Set(seal.covered.map(\.destination)).sorted() where !agrees(destination) {
      let (made, sealed) = (counted(destination), rowCount[destination] ?? 0)
      disagree(
        seal,
        destination.isTable
          ? "\(made) rows were emitted, \(sealed) are sealed for \(newest[destination]?.target ?? "the table")"
          : "\(made) records were late or dead-lettered, \(sealed) are sealed for the dead letters")
    }
  }

  /// Rows as the seals have counted them.
  private func counted(_ destination: Destination) -> UInt64 {
    destination.isTable ? counters.rows(for: destination) : counters.late &+ counters.deadLettered
  }

  /// Of these, how many no batch has so far.
  func unsealed(_ destination: Destination) -> UInt64 {
    let counted = counted(destination)
    return counted - min(counted, rowCount[destination] ?? 0)
  }

  private func agrees(_ destination: Destination) -> Bool {
    rowCount[destination] ?? 0 <= counted(destination) && unsealed(destination) <= givenUpMax[destination] ?? 0
  }

  /// Every one that rows were made for.
  var destinations: [Destination] {
    Set(rowCount.keys).union(counters.tableRows.keys).union([.table, .deadLetters]).sorted()
  }

  /// What a seal of another destination has counted is made again in a replay, of the records that are still there.
  private mutating func noteGivenUp() {
    for destination in destinations { givenUpMax[destination] = max(givenUpMax[destination] ?? 0, unsealed(destination)) }
  }

  /// Rows and dead letters that were counted and never made.
  package var lacking: (rows: UInt64, letters: UInt64) {
    var lacking: (rows: UInt64, letters: UInt64) = (0, 0)
    for destination in destinations {
      let count = min(givenUpMax[destination] ?? 0, unsealed(destination))
      if destination.isTable { lacking.rows += count } else { lacking.letters += count }
    }
    return lacking
  }

  private mutating func disagree(_ seal: HistorySeal, _ what: String) {
    if disagreements.count < 5 { disagreements.append("up to epoch \(seal.epoch): \(what)") }
  }

  /// Rows that are to be in the tables; where history is lost it may know the dead letters of refused rows and not the rows.
  package var tableRows: UInt64 {
    let rows = rowCount.reduce(0) { $1.key.isTable ? $0 &+ $1.value : $0 }
    return rows - min(rows, refusedRowCount)
  }

  package var deadLetterRows: UInt64 { (rowCount[.deadLetters] ?? 0) &+ refusedRowCount }

  /// Of all tables.
  var tableBatches: Int { batchCount.reduce(0) { $1.key.isTable ? $0 + $1.value : $0 } }

  /// Of the oldest and newest offsets taken, in order of sources and partitions.
  var offsets: [OffsetRange] {
    walk.positions.keys.sorted().map { OffsetRange(slot: $0, start: walk.starts[$0] ?? 0, next: walk.positions[$0] ?? 0) }
  }
}
