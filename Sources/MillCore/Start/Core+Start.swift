internal import MillBase
package import MillLog

/// What has been looked at before anything is written or sent.
struct StartLooks {
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
}

extension Core {
  /// R17: what the state directory holds is recovered from, or born.
  mutating func takeOpened(_ found: Opened) {
    require(phase == .starting && opened == nil, "the state directory was opened twice")
    foundSpace(.open)
    opened = found
    sink.instance = found.instance
    let recovery = Recovery.of(found, options)
    for note in recovery.notes { say(note.level, note.text) }
    switch recovery.outcome {
    case .failure(let stop): return end(stop)
    case .success(.birth): beBorn(found)
    case .success(.state(let state)): goOn(from: state, found)
    }
    // A state whose lineage has sealed anything is past this.
    birth = recovery.hasSealed || options.acceptsDeadLetters ? nil : Birth()
    phase = .looking
  }

  private mutating func beBorn(_ found: Opened) {
    lineage = found.lineage
    hashSeed = found.hashSeed
    logEnd = found.log.end
    sink.lineages = [lineage]
    source.anchorsChecked = true
    say(.info, "state directory is empty: starting lineage \(lineage)")
  }

  private mutating func goOn(from state: Recovery.State, _ found: Opened) {
    let (manifest, log) = (state.manifest, state.log)
    opened?.checkpoints = state.checkpoints
    start.removals = state.removals
    start.manifest = manifest
    start.checkpointName = state.checkpointName
    start.lineages = log.lineages
    start.recordedPlans = log.plans
    start.recovered = log.lineage
    lineage = log.lineage
    hashSeed = manifest.hashSeed
    (epoch, clockMilliseconds, watermark) = (manifest.epoch, manifest.clockMilliseconds, manifest.watermark)
    (nextBatch, firstUncovered) = (log.nextBatch, log.firstUncovered)
    (replay, seals, cutBefore) = (log.replay, log.seals, log.cutEnds)
    (checkpoint.lastEpoch, checkpoint.name) = (manifest.epoch, state.checkpointName)
    retention.restore(state.checkpoints, epoch: manifest.epoch)
    source.recover(manifest.sources.first, log)
    sink.tableIdentity = manifest.tableIdentity
    for delivery in log.deliveries { sink.recover(delivery) }
    for letters in log.deadLetters { deadLetters.recover(letters.batch, at: letters.seal, logBegin: letters.logBegin) }
    held.logByteCount = found.log.byteCount
    held.changed()
    sink.openAttempts.begin(oldestInLog: log.oldestBatch, at: monotonic)
    if options.newLineage {
      Reach.mark(.r15NewLineage)
      lineage = found.lineage
      say(.warning, "--new-lineage: going on as lineage \(lineage); rows sent since the state that is here may be doubled")
    }
    sink.lineages = start.lineages + [lineage]
  }

  // MARK: - Looking: witness, source, table, before anything is written

  mutating func advanceLooking() {
    let found = witness.found
    withSource {
      if found == nil { $0.ask(.witness) }
      if $0.found == nil { $0.ask(.describe) }
    }
    if table == nil { withSink { $0.describeTable() } }
    guard let look = source.found, case .some(let text) = found, let table else { return }
    let (state, nextBatch) = (start.manifest, nextBatch[sink.destination.index])
    guard checkWitness(text), withSource({ $0.checkTopic(look, state: state) }), withSink({ $0.checkTable(table, nextBatch: nextBatch) })
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
}

extension Destination {
  package var index: Int { Int(rawValue) }
}
