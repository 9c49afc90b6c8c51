internal import MillBase
internal import MillLog

/// What the log says beside a checkpoint, record by record: epochs to replay, the seals that they are compared with, batches without an
/// ack, the numbers that go on. A value of log and manifest alone.
struct LogFold {
  private let manifest: Manifest
  /// Batches that the manifest has as unacked.
  private let listed: Set<BatchKey>
  private let sealed: [LogPosition: LogContents.Sealed]
  private var sealParts = SealParts<LogPosition>()
  private var intents: [EpochNumber: RecordedIntent] = [:]
  private var unacked: [BatchKey: Unacked] = [:]
  private var deadlines: [BatchKey: Int64] = [:]

  /// The one that wrote last, and every one that the directory has had.
  private(set) var lineage: Lineage
  private(set) var lineages: [Lineage]
  /// Plans under which lives began since the checkpoint, its own first.
  private(set) var plans: [PlanRecord]
  /// The tables that have numbers, as recorded last.
  private(set) var destinations: [NamedDestination]
  /// The sources that have numbers, as recorded last.
  private(set) var sources: [NamedSource]
  /// Index: destination. As recorded by the checkpoint.
  private(set) var tableIdentities: [String]
  /// Index: destination.
  private(set) var nextBatch: [BatchNumber]
  /// The first epoch that the destination's next seal covers.
  private(set) var firstUncovered: [EpochNumber]
  private(set) var seals: [EpochNumber: [(seal: Seal, position: LogPosition)]] = [:]
  /// R4: what is to be processed again, ascending.
  private(set) var replay: [RecordedIntent] = []
  /// What earlier starts have given up since the checkpoint, and where that stands: what stands before isn't compared.
  private(set) var gaps: [(gap: Gap, position: LogPosition)] = []
  /// Where sources began that the checkpoint doesn't know.
  private(set) var starts: [SourceNumber: SourceStart] = [:]
  /// How far epochs were cut.
  private(set) var cutEnds: [Slot: Int64]
  /// The first batch of each table that the log still holds, and where its seal stands.
  private(set) var oldestBatches: [Destination: (number: BatchNumber, seal: LogPosition)] = [:]

  init(of log: FoundLog, since manifest: Manifest) {
    self.manifest = manifest
    listed = Set(manifest.unacked.map { BatchKey($0.destination, $0.number) })
    sealed = log.sealed
    lineage = manifest.lineage
    lineages = [manifest.lineage]
    plans = [manifest.plan]
    destinations = manifest.plan.destinations
    sources = manifest.plan.sources
    tableIdentities = manifest.tableIdentities
    nextBatch = manifest.nextBatchNumbers
    firstUncovered = manifest.nextBatchNumbers.map { _ in manifest.epoch + 1 }
    cutEnds = log.cutEnds
    for (position, record) in log.records { take(record, at: position) }
    finish()
  }

  /// Batches of a table that were sealed, and not acked, in the order in which an earlier life sent them.
  func deliveries(to destination: Destination) -> [Delivery] {
    unacked.values.filter { $0.batch.destination == destination }.sorted { $0.goesBefore($1) }.map { found in
      var delivery = Delivery(batch: found.batch, seal: found.position, wasRecovered: true, isPiece: found.isPiece)
      delivery.recordedDeadline = deadlines[found.batch.key]
      delivery.sealedWall = found.sealedWall
      delivery.logBegin = found.logBegin
      return delivery
    }
  }

  /// The same of the dead letters.
  var deadLetters: [(batch: SealedBatch, seal: LogPosition, logBegin: UInt64)] {
    unacked.values.filter { $0.batch.destination == .deadLetters }.sorted { $0.batch.number < $1.batch.number }.map {
      ($0.batch, $0.position, $0.logBegin)
    }
  }

  // MARK: - Record by record

  private mutating func take(_ record: LogRecord, at position: LogPosition) {
    let isAfter = position >= manifest.position
    switch record {
    case .restart(let restart):
      if !lineages.contains(restart.lineage) { lineages.append(restart.lineage) }
      if isAfter { take(restart) }
      sealParts.restart()
    case .plan(let plan):
      guard isAfter else { break }
      plans.append(plan)
      if !plan.destinations.isEmpty { destinations = plan.destinations }
      if !plan.sources.isEmpty { sources = plan.sources }
    case .chunk: break
    case .intent(let intent):
      for (slot, range) in intent.slots { cutEnds[slot] = max(cutEnds[slot] ?? 0, range.next) }
      if isAfter, intent.epoch > manifest.epoch { intents[intent.epoch] = RecordedIntent(intent: intent, position: position) }
    case .seal(let part):
      noteOldest(part.batches, at: position)
      if let parts = sealParts.take(part, at: position) { take(parts, at: position, isAfter: isAfter) }
    case .retire(let retire):
      noteOldest(retire.replacements, at: position)
      take(retire, at: position, isAfter: isAfter)
    case .ack(let ack): unacked[ack.key] = nil
    case .deadline(let deadline): deadlines[deadline.key] = max(deadlines[deadline.key] ?? 0, deadline.seconds)
    case .gap(let gap) where isAfter: gaps.append((gap, position))
    case .sourceStart(let start) where isAfter: starts[start.source] = start
    case .gap, .sourceStart: break
    }
  }

  /// Intents without a seal before it are void (R4).
  private mutating func take(_ restart: Restart) {
    lineage = restart.lineage
    let void = intents.keys.filter { $0 > restart.lastKeptEpoch }
    if !void.isEmpty { Reach.mark(.r4VoidIntents) }
    for epoch in void { intents[epoch] = nil }
  }

  private mutating func take(_ parts: [(seal: Seal, place: LogPosition)], at position: LogPosition, isAfter: Bool) {
    for part in parts {
      let its = sealed[part.place]
      for batch in part.seal.batches where isAfter || listed.contains(batch.key) {
        unacked[batch.key] = Unacked(
          batch: batch, position: part.place, logBegin: its?.byteCountBefore ?? 0, sealedWall: its?.clockMilliseconds)
        if isAfter { number(batch) }
      }
    }
    guard isAfter else { return }
    let seal = Seal.joined(parts.map(\.seal))
    if seal.epoch > manifest.epoch { seals[seal.epoch, default: []].append((seal, position)) }
    if seal.epoch <= manifest.epoch {
      for part in seal.covered {
        makeRoom(for: part.destination)
        firstUncovered[part.destination.index] = max(firstUncovered[part.destination.index], seal.epoch + 1)
      }
    }
  }

  private mutating func take(_ retire: Retire, at position: LogPosition, isAfter: Bool) {
    unacked[retire.key] = nil
    for batch in retire.replacements where isAfter || listed.contains(batch.key) {
      Reach.mark(.r11Recovered)
      unacked[batch.key] = Unacked(
        batch: batch, position: position, logBegin: sealed[position]?.byteCountBefore ?? 0, sealedWall: retire.wallMilliseconds,
        isPiece: true)
      guard isAfter else { continue }
      number(batch)
    }
  }

  /// The next number is beyond all that were given.
  private mutating func number(_ batch: SealedBatch) {
    makeRoom(for: batch.destination)
    nextBatch[batch.destination.index] = max(nextBatch[batch.destination.index], batch.number + 1)
  }

  /// A table that was new after the checkpoint.
  private mutating func makeRoom(for destination: Destination) {
    while nextBatch.count <= destination.index {
      nextBatch.append(1)
      firstUncovered.append(manifest.epoch + 1)
    }
  }

  /// R9: after a start every batch that the log still holds is unsettled until R7's look has been made.
  private mutating func noteOldest(_ batches: [SealedBatch], at position: LogPosition) {
    for batch in batches where batch.destination.isTable && oldestBatches[batch.destination] == nil {
      oldestBatches[batch.destination] = (batch.number, position)
    }
  }

  private mutating func finish() {
    // Older releases had one sink, and didn't note its name. Its batches tell its table, where there are any.
    if destinations.isEmpty {
      let newest = unacked.values.filter { $0.batch.destination == .table }.max { $0.batch.number < $1.batch.number }
      destinations = [NamedDestination(destination: .table, name: "", target: newest?.batch.target ?? "")]
    }
    if sources.isEmpty { sources = manifest.sources.map { NamedSource(number: $0.number, name: $0.name, topic: $0.topic) } }
    for batch in unacked.keys {
      makeRoom(for: batch.destination)
      require(batch.number < nextBatch[batch.destination.index], "batch \(batch) is in the log, and its number would be given again")
    }
    let lastSealed = seals.keys.max() ?? manifest.epoch
    replay = intents.values.filter { $0.intent.epoch <= lastSealed }.sorted { $0.intent.epoch < $1.intent.epoch }
    if intents.keys.contains(where: { $0 > lastSealed }) { Reach.mark(.r4VoidIntents) }
  }

  /// A batch without an ack.
  private struct Unacked {
    var batch: SealedBatch
    var position: LogPosition
    /// As ``Delivery/logBegin``.
    var logBegin: UInt64
    var sealedWall: Int64?
    var isPiece = false

    /// The order in which an earlier life sent: nothing newer was under way beside pieces (R9), of which the newest retire's go first.
    func goesBefore(_ other: Unacked) -> Bool {
      if isPiece != other.isPiece { return isPiece }
      if isPiece, position != other.position { return position > other.position }
      return batch.number < other.batch.number
    }
  }
}
