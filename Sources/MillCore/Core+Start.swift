internal import MillBase
package import MillLog

/// What has been looked at before anything is written or sent.
struct StartLooks {
  var witness: String??
  var isLogBegun = false
  var isStateOpen = false
  /// As ordered, to be ordered again where there was no room.
  var beginLog: Command?
  var openState: Command?
  /// The checkpoint to recover from; nil: birth.
  var manifest: Manifest?
  var checkpointName: String?
  /// Every lineage that this directory has had: a witness of one of them is ours.
  var lineages: [Lineage] = []
  /// The one that the state was in when it was found.
  var recovered: Lineage?
  /// Checkpoints that need more of the log than there is: removed when nothing else speaks against this start, before anything is written.
  var removals: Set<String> = []
  var removesCheckpoints = false
  /// Plans under which lives began since the checkpoint, its own first.
  var recordedPlans: [PlanRecord] = []
  /// Time zones whose rules have changed since epochs that are to be replayed were recorded.
  var changedZones: [String] = []
  var checkpointedBirth = false
  var witnessDone = false
}

extension Core {
  /// R17: which checkpoint to go on from, or birth, or a reason to stop.
  mutating func takeOpened(_ found: Opened) {
    precondition(phase == .starting && opened == nil, "the state directory was opened twice")
    foundSpace(.open)
    opened = found
    instance = found.instance
    sink.instance = instance
    let log = found.log
    var found = found
    for (index, checkpoint) in found.checkpoints.enumerated() where checkpoint.problem == nil {
      guard let manifest = checkpoint.manifest else { continue }
      if manifest.pipeline != options.pipeline {
        return end(
          Stop(
            .promise, rule: "R17",
            "the state directory belongs to pipeline \"\(manifest.pipeline)\", this file is \"\(options.pipeline)\": give each pipeline a state.path of its own"
          ))
      }
      if manifest.durableEnd > log.end {
        Reach.mark(.r17ManifestBeyondLog)
        guard options.newLineage else {
          return end(
            Stop(
              .promise, rule: "R17",
              "checkpoint \(checkpoint.name) needs the log up to position \(manifest.durableEnd), but it ends at \(log.end): part of the log is gone (restored snapshot, copied disk). Rows after it may be in the table already: put the newer state back, or go on from an older checkpoint with --new-lineage, which may double them"
            ))
        }
        // Gone before the log goes on, which will use that position again.
        found.checkpoints[index].problem = "it needs the log up to position \(manifest.durableEnd), which ends at \(log.end)"
        start.removals.insert(checkpoint.name)
      }
    }
    opened = found
    if let newest = found.checkpoints.first, newest.problem != nil { Reach.mark(.r17FellBack) }
    let usable = found.checkpoints.first { $0.problem == nil && $0.manifest != nil }
    for broken in found.checkpoints where broken.problem != nil {
      say(.warning, "checkpoint \(broken.name) does not verify: \(broken.problem ?? "")")
    }
    let hasSeal = log.records.contains { if case .seal = $0.record { true } else { false } }
    guard let usable, let manifest = usable.manifest else {
      guard found.checkpoints.isEmpty, !hasSeal else {
        Reach.mark(.r17NothingLeft)
        let problems = found.checkpoints.map { "\($0.name): \($0.problem ?? "no manifest")" }.joined(separator: "; ")
        return end(
          Stop(
            .promise, rule: "R17",
            "no checkpoint can be recovered from (\(problems.isEmpty ? "there is none" : problems)): restore the state directory from a copy, or start anew with an empty one and --new-lineage"
          ))
      }
      return prepareBirth(found, bornAgain: !log.records.isEmpty)
    }
    if log.first > manifest.position {
      return end(
        Stop(
          .promise, rule: "R16",
          "checkpoint \(usable.name) needs the log from position \(manifest.position), which begins at \(log.first): log segments are missing"
        ))
    }
    Reach.mark(.r17Recovered)
    prepareRecovery(found, manifest, usable.name)
  }

  private mutating func prepareBirth(_ found: Opened, bornAgain: Bool) {
    Reach.mark(bornAgain ? .r17BornAgain : .r17Born)
    lineage = found.lineage
    hashSeed = found.hashSeed
    logEnd = found.log.end
    start.lineages = []
    sink.lineages = [lineage]
    source.anchorsChecked = true
    recoverBirth(found.log)
    say(.info, "state directory is empty: starting lineage \(lineage)")
    phase = .looking
  }

  private mutating func prepareRecovery(_ found: Opened, _ manifest: Manifest, _ name: String) {
    start.manifest = manifest
    start.checkpointName = name
    hashSeed = manifest.hashSeed
    lineage = manifest.lineage
    start.lineages = [manifest.lineage]
    start.recordedPlans = [manifest.plan]
    sink.tableIdentity = manifest.tableIdentity
    epoch = manifest.epoch
    clockMilliseconds = manifest.clockMilliseconds
    watermark = manifest.watermark
    nextBatch = manifest.nextBatchNumbers
    firstUncovered = [manifest.epoch + 1, manifest.epoch + 1]
    checkpoint.restore(found.checkpoints, chosen: name, epoch: manifest.epoch)
    source.partitions = (manifest.sources.first?.partitions ?? []).map {
      PartitionProgress(
        next: $0.nextOffset, maxEventTime: $0.maxEventTime, anchorOffset: $0.anchorOffset, anchorTimestamp: $0.anchorTimestamp,
        anchorChecksum: $0.anchorChecksum)
    }
    readLog(found.log, manifest)
    recoverBirth(found.log)
    start.recovered = lineage
    if options.newLineage {
      Reach.mark(.r15NewLineage)
      lineage = found.lineage
      say(.warning, "--new-lineage: going on as lineage \(lineage); rows sent since the state that is here may be doubled")
    }
    sink.lineages = start.lineages + [lineage]
    phase = .looking
  }

  /// Unacked batches, batch numbers, intents to replay, by what the log says after the checkpoint's position.
  private mutating func readLog(_ log: FoundLog, _ manifest: Manifest) {
    cutBefore = log.cutEnds
    var intents: [EpochNumber: RecordedIntent] = [:]
    var live: [BatchKey: FoundBatch] = [:]
    let listed = Set(manifest.unacked.map { BatchKey($0.destination, $0.number) })
    var deadlines: [BatchKey: Int64] = [:]
    var sealParts = SealParts<LogPosition>()
    var gaps: [Gap] = []
    held.logByteCount = log.byteCount
    for (position, record) in log.records {
      let isAfter = position >= manifest.position
      switch record {
      case .restart(let restart):
        if !start.lineages.contains(restart.lineage) { start.lineages.append(restart.lineage) }
        if isAfter { readRestart(restart, &intents) }
        sealParts.restart()
      case .plan(let plan): if isAfter { start.recordedPlans.append(plan) }
      case .chunk: break
      case .intent(let intent):
        for range in intent.ranges { cutBefore[range.partition] = max(cutBefore[range.partition] ?? 0, range.next) }
        if isAfter, intent.epoch > manifest.epoch {
          intents[intent.epoch] = RecordedIntent(intent: intent, position: position)
        }
      case .seal(let part):
        guard let parts = sealParts.take(part, at: position) else { continue }
        for found in foundBatches(parts, log) where isAfter || listed.contains(found.batch.key) {
          let index = found.batch.destination.index
          live[found.batch.key] = found
          if isAfter { nextBatch[index] = max(nextBatch[index], found.batch.number + 1) }
        }
        let seal = Seal.joined(parts.map(\.seal))
        if isAfter, seal.epoch > manifest.epoch { seals[seal.epoch, default: []].append((seal, position)) }
        if isAfter, seal.epoch <= manifest.epoch {
          for part in seal.covered { firstUncovered[part.destination.index] = max(firstUncovered[part.destination.index], seal.epoch + 1) }
        }
      case .retire(let retire):
        live[retire.key] = nil
        for batch in retire.replacements where isAfter || listed.contains(batch.key) {
          Reach.mark(.r11Recovered)
          live[batch.key] =
            FoundBatch(
              batch: batch, position: position, sealed: log.sealed[position], sealedWall: retire.wallMilliseconds, isPiece: true)
          guard isAfter else { continue }
          nextBatch[batch.destination.index] = max(nextBatch[batch.destination.index], batch.number + 1)
        }
      case .ack(let ack): live[ack.key] = nil
      case .deadline(let deadline): deadlines[deadline.key] = max(deadlines[deadline.key] ?? 0, deadline.seconds)
      case .gap(let gap) where isAfter:
        gaps.append(gap)
        source.lossPosition = position
      case .gap: break
      }
    }
    for batch in live.keys {
      precondition(batch.number < nextBatch[batch.destination.index], "batch \(batch) is in the log, and its number would be given again")
    }
    let lastSealed = seals.keys.max() ?? manifest.epoch
    replay = intents.values.filter { $0.intent.epoch <= lastSealed }.sorted { $0.intent.epoch < $1.intent.epoch }
    if intents.keys.contains(where: { $0 > lastSealed }) { Reach.mark(.r4VoidIntents) }
    source.join(replay.map(\.intent))
    source.skip(gaps)
    recover(live, deadlines)
    sink.settler.begin(oldestInLog: oldestBatchInLog(log), at: monotonic)
  }

  /// Intents without a seal before it are void (R4).
  private mutating func readRestart(_ restart: Restart, _ intents: inout [EpochNumber: RecordedIntent]) {
    lineage = restart.lineage
    let void = intents.keys.filter { $0 > restart.lastKeptEpoch }
    if !void.isEmpty { Reach.mark(.r4VoidIntents) }
    for epoch in void { intents[epoch] = nil }
  }

  private func foundBatches(_ parts: [(seal: Seal, place: LogPosition)], _ log: FoundLog) -> [FoundBatch] {
    parts.flatMap { part in
      let sealed = log.sealed[part.place]
      return part.seal.batches.map {
        FoundBatch(batch: $0, position: part.place, sealed: sealed, sealedWall: sealed?.clockMilliseconds)
      }
    }
  }

  /// Batches that were sealed, and not acked.
  private mutating func recover(_ live: [BatchKey: FoundBatch], _ deadlines: [BatchKey: Int64]) {
    defer { held.changed() }
    for found in live.values.filter({ $0.batch.destination == .table }).sorted(by: { $0.goesBefore($1) }) {
      var delivery = Delivery(batch: found.batch, seal: found.position, wasRecovered: true, isPiece: found.isPiece)
      delivery.recordedDeadline = deadlines[found.batch.key]
      delivery.sealedWall = found.sealedWall
      delivery.logBegin = found.sealed?.byteCountBefore ?? 0
      sink.recover(delivery)
    }
    let letters = live.values.filter { $0.batch.destination == .deadLetters }
    for found in letters.sorted(by: { $0.batch.number < $1.batch.number }) {
      deadLetters.recover(found.batch, at: found.position, logBegin: found.sealed?.byteCountBefore ?? 0)
    }
  }

  /// A batch without an ack, as a start finds it.
  private struct FoundBatch {
    var batch: SealedBatch
    var position: LogPosition
    var sealed: LogContents.Sealed?
    var sealedWall: Int64?
    var isPiece = false

    /// The order in which an earlier life sent: nothing newer was under way beside pieces (R9), of which the newest retire's go first.
    func goesBefore(_ other: FoundBatch) -> Bool {
      if isPiece != other.isPiece { return isPiece }
      if isPiece, position != other.position { return position > other.position }
      return batch.number < other.batch.number
    }
  }

  /// R9: after a start every batch that the log still holds is unsettled until R7's look has been made.
  private func oldestBatchInLog(_ log: FoundLog) -> (number: BatchNumber, seal: LogPosition)? {
    for (position, record) in log.records {
      let batches =
        switch record {
        case .seal(let seal): seal.batches
        case .retire(let retire): retire.replacements
        default: [SealedBatch]()
        }
      if let batch = batches.first(where: { $0.destination == .table }) { return (batch.number, position) }
    }
    return nil
  }

  // MARK: - Looking: witness, source, table, before anything is written

  mutating func advanceLooking() {
    let witness = start.witness
    withSource {
      if witness == nil { $0.ask(.witness) }
      if $0.found == nil { $0.ask(.describe) }
    }
    if table == nil { withSink { $0.describeTable() } }
    guard let look = source.found, case .some(let witness) = witness, let table else { return }
    let (state, nextBatch) = (start.manifest, nextBatch[sink.destination.index])
    guard checkWitness(witness), withSource({ $0.checkTopic(look, state: state) }), withSink({ $0.checkTable(table, nextBatch: nextBatch) })
    else { return }
    if start.manifest == nil {
      guard source.starts != nil else { return withSource { $0.ask(.starts) } }
    } else {
      guard source.anchorsChecked else { return withSource { $0.ask(.anchors) } }
      if table.hasProvenance {
        let lineage = start.recovered ?? lineage
        guard withSink({ $0.knowsGreatest(of: lineage, nextBatch: nextBatch) }) else { return }
      }
      if !checkPlan() { return }
    }
    guard start.removals.isEmpty else { return removeCheckpoints() }
    source.topic = look
    prepare()
  }

  private mutating func removeCheckpoints() {
    guard !start.removesCheckpoints else { return }
    start.removesCheckpoints = true
    for name in start.removals.sorted() { commands.append(.removeCheckpoint(name: name)) }
  }

  mutating func takeWitness(_ text: String?) {
    withSource { $0.answered(.witness) }
    guard phase == .live else { return start.witness = .some(text) }
    nextWitnessLook = monotonic + options.witnessIntervalMilliseconds
    var known = checkpoint.knownWitnesses
    if known.isEmpty, case .some(.some(let read)) = start.witness { known = [read] }
    if let text, !known.isEmpty, !known.contains(text) { takeWitnessTaken(text) }
  }

  /// R15. Returns false after ordering a stop.
  private mutating func checkWitness(_ text: String?) -> Bool {
    guard let text, !text.isEmpty else {
      if text == nil, !start.witnessDone, start.manifest != nil {
        Reach.mark(.r15Absent)
        say(
          .warning,
          "the consumer group has no witness any more (brokers forget an idle group's offsets, or they were deleted): it can't tell whether this state directory was rolled back; going on"
        )
      }
      start.witnessDone = true
      return true
    }
    start.witnessDone = true
    guard let witness = Witness(text) else {
      end(
        Stop(
          .promise, rule: "R15",
          Witness.foreign(text, pipeline: options.pipeline, topic: options.topic)))
      return false
    }
    if options.newLineage {
      Reach.mark(.r15NewLineage)
      return true
    }
    guard start.lineages.contains(witness.lineage) else {
      Reach.mark(.r15OtherLineage)
      end(
        Stop(
          .promise, rule: "R15",
          "the consumer group bears witness of lineage \(witness.lineage) at log position \(witness.position), which this state directory has never been: its state was deleted, or another directory runs this pipeline. Rows it has sent would be doubled. Put that directory back, or accept it with --new-lineage"
        ))
      return false
    }
    guard witness.position <= (opened?.log.end ?? 0) else {
      Reach.mark(.r15RolledBack)
      end(
        Stop(
          .promise, rule: "R15",
          "the consumer group bears witness of log position \(witness.position), but this log ends at \(opened?.log.end ?? 0): the state directory was rolled back. Rows sent after that would be doubled. Put the newer state back, or accept it with --new-lineage"
        ))
      return false
    }
    return true
  }
}

extension Destination {
  package var index: Int { Int(rawValue) }
}
