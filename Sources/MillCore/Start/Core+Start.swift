internal import MillBase
internal import MillLog

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
  /// Of this process.
  var instance: UInt64 = 0
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
    start.instance = found.instance
    for index in sinks.indices { sinks[index].instance = found.instance }
    let recovery = Recovery.of(found, options)
    for note in recovery.notes { say(note.level, note.text) }
    switch recovery.outcome {
    case .failure(let stop): return end(stop)
    case .success(.birth): beBorn(found)
    case .success(.state(let state)): goOn(from: state, found)
    }
    guard phase != .stopped else { return }
    // A source of which a lineage has sealed anything is past this.
    if !options.acceptsDeadLetters { births = sources.map { recovery.hasSealed && $0.wasRead ? nil : Birth() } }
    phase = .looking
  }

  private mutating func beBorn(_ found: Opened) {
    lineage = found.lineage
    hashSeed = found.hashSeed
    logEnd = found.log.end
    for index in sinks.indices { sinks[index].lineages = [lineage] }
    for index in sources.indices { sources[index].anchorsChecked = true }
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
    number(log)
    guard phase != .stopped else { return }
    numberSources(log, manifest)
    guard phase != .stopped else { return }
    (replay, seals, cutBefore) = (log.replay, log.seals, log.cutEnds)
    (checkpoint.lastEpoch, checkpoint.name) = (manifest.epoch, state.checkpointName)
    retention.restore(state.checkpoints, epoch: manifest.epoch)
    for letters in log.deadLetters { deadLetters.recover(letters.batch, at: letters.seal, logBegin: letters.logBegin) }
    held.logByteCount = found.log.byteCount
    held.changed()
    if options.newLineage {
      Reach.mark(.r15NewLineage)
      lineage = found.lineage
      say(.warning, "--new-lineage: going on as lineage \(lineage); rows sent since the state that is here may be doubled")
    }
    for index in sinks.indices { sinks[index].lineages = start.lineages + [lineage] }
  }

  /// Gives each sink its number, and what the log has of it. A sink that the file has no more must have nothing on its way: nobody would
  /// send it.
  private mutating func number(_ log: LogFold) {
    guard let numbers = DestinationNumbers(known: log.destinations, tables: options.tables) else {
      return end(
        Stop(
          .invalidPipeline, rule: "R6",
          "the state directory has had 255 tables, and no number is left for another sink: take one out that is new, or give the file a state.path of its own"
        ))
    }
    self.numbers = numbers
    (nextBatch, firstUncovered, tableIdentities) = (log.nextBatch, log.firstUncovered, log.tableIdentities)
    makeRoom()
    for gone in numbers.gone {
      let count = log.deliveries(to: gone.destination).count
      guard count == 0 else {
        return end(
          Stop(
            .promise, rule: "R12",
            "sink \(gone.name) is gone from the pipeline file, and \(count) of its batches aren't in \(gone.target) yet: start once with the sink, stop with SIGTERM when they are, then start without it"
          ))
      }
    }
    for (index, destination) in numbers.ofSinks.enumerated() {
      sinks[index].destination = destination
      sinks[index].tableIdentity = tableIdentities[destination.index]
      for delivery in log.deliveries(to: destination) { sinks[index].recover(delivery) }
      sinks[index].openAttempts.begin(oldestInLog: log.oldestBatches[destination], at: monotonic)
    }
  }

  /// Gives each source its number, and what checkpoint and log have of it.
  private mutating func numberSources(_ log: LogFold, _ manifest: Manifest) {
    guard let numbers = SourceNumbers(known: log.sources, sources: options.sources) else {
      return end(
        Stop(
          .invalidPipeline, rule: "R6",
          "the state directory has had 2048 sources, and no number is left for another one: take one out that is new, or give the file a state.path of its own"
        ))
    }
    sourceNumbers = numbers
    for (index, number) in numbers.ofSources.enumerated() {
      sources[index].number = number
      sources[index].recover(manifest.sources.first { $0.number == number }, log)
      guard sources[index].isNew else { continue }
      Reach.mark(.sourceJoined)
      say(.info, "source \(sources[index].its.name) is new: it begins where the file says")
    }
  }

  /// Today's plan, with the numbers of its tables and sources.
  var plan: PlanRecord {
    var plan = options.plan
    plan.destinations = numbers.all
    plan.sources = sourceNumbers.all
    return plan
  }

  // MARK: - Looking: witness, source, table, before anything is written

  mutating func advanceLooking() {
    withSources {
      if $0.witness.found == nil { $0.ask(.witness) }
      if $0.found == nil { $0.ask(.describe) }
    }
    for index in sinks.indices where sinks[index].table == nil { withSink(index) { $0.describeTable() } }
    guard phase != .stopped, sources.allSatisfy({ $0.found != nil && $0.witness.found != nil }), sinks.allSatisfy({ $0.table != nil })
    else { return }
    guard checkSources(), checkTables() else { return }
    withSources {
      if $0.isNew, $0.starts == nil { $0.ask(.starts) }
      if !$0.anchorsChecked { $0.ask(.anchors) }
    }
    guard phase != .stopped, sources.allSatisfy({ $0.anchorsChecked && (!$0.isNew || $0.starts != nil) }) else { return }
    if start.manifest != nil {
      guard knowsGreatest() else { return }
      if !checkPlan() { return }
    }
    guard start.removals.isEmpty else { return removeCheckpoints() }
    for index in sources.indices { if let look = sources[index].found { sources[index].topic = look } }
    prepare()
  }

  /// R15, K3, K4, K6, K8, K16, of each source.
  private mutating func checkSources() -> Bool {
    for index in sources.indices {
      guard case .some(let text) = sources[index].witness.found, let look = sources[index].found, checkIsAlone(index, look),
        withSource(index, { $0.checkIdentity(look) }), checkWitness(text, of: index), withSource(index, { $0.checkTopic(look) })
      else { return false }
    }
    return true
  }

  /// The group's offsets of a topic are one source's.
  private mutating func checkIsAlone(_ index: Int, _ look: SourceLook) -> Bool {
    guard !look.clusterID.isEmpty,
      let other = sources[..<index].first(where: { $0.its.topic == sources[index].its.topic && $0.found?.clusterID == look.clusterID })
    else { return true }
    end(
      Stop(
        .invalidPipeline,
        "sources \(other.its.name) and \(sources[index].its.name) read the same topic \(other.its.topic) of cluster \(look.clusterID): read it once, several operators may read one source"
      ))
    return false
  }

  private mutating func checkTables() -> Bool {
    for index in sinks.indices {
      let next = nextBatch[sinks[index].destination.index]
      guard let table = sinks[index].table, withSink(index, { $0.checkTable(table, nextBatch: next) }) else { return false }
    }
    return true
  }

  /// R15, of each table that can tell.
  private mutating func knowsGreatest() -> Bool {
    let lineage = start.recovered ?? lineage
    var isKnown = true
    for index in sinks.indices where sinks[index].table?.hasProvenance == true {
      let next = nextBatch[sinks[index].destination.index]
      isKnown = withSink(index) { $0.knowsGreatest(of: lineage, nextBatch: next) } && isKnown
    }
    return isKnown
  }

  private mutating func removeCheckpoints() {
    guard !start.removesCheckpoints else { return }
    start.removesCheckpoints = true
    for name in start.removals.sorted() { commands.append(.removeCheckpoint(name: name)) }
  }
}
