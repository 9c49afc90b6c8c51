internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillEngine
internal import MillFlow
internal import MillLog
internal import MillTestKit

/// One run of one scenario: the world around the engine, its lives one after the other, and what befalls them.
package final class World {
  package let scenario: Scenario
  package let trace: Trace
  package let invariants: Invariants
  package private(set) var crashes = 0
  let scheduler: Scheduler
  /// The first source's.
  let broker: SimBroker
  let topics: Topics
  let sourceDraws: Draws
  var sourceFile = SourceFileState()
  /// The first replica, which speaks for all, or the only server.
  let server: SimClickHouse
  /// The second table's; nil in most worlds.
  let second: SimClickHouse?
  let secondDraws: Draws
  private(set) var disk: SimDisk
  let watch = LogWatch()
  private let tap: TapDisk
  private let clock: ScheduledClock
  let workload: Workload
  private let stores: SimRunStoreOpener
  let sourcePlan: SourcePlan
  let draws: Draws
  private let laneDraws: Draws
  private(set) var life: Life?
  private(set) var incarnation = 0
  private(set) var faultsAreOn = true
  /// Everything is written and no fault comes any more: a life runs until the end.
  private(set) var isToEnd = false
  /// Simulated time at which what was done to the table is undone.
  var troubleUntil: Int64 = 0
  // What happens beyond the promise; see ``Beyond``.
  var waitingBeyond: Beyond?
  var isBeyond = false
  var olderCopy: SimDisk?
  /// The newest checkpoint was damaged, and others have files of their own.
  var isWholeOneLeft = false
  /// The life in which a partition lost its newest records.
  var cutIn: Int?
  var partsWhenCopied = 0
  /// How the table is judged at the end.
  var judgement = Judgement.exact
  /// Raised when the file names another plan.
  var plan: UInt64 = 0
  /// Set when the program judges by another window under the same plan: a defect of a release.
  var otherWithin: Int64?
  var acceptsNewLineage = false
  /// See ``Scenario/stopsAmidBirth``: once.
  var hasStoppedAmidBirth = false
  /// Raised when a file that decoded nothing was mended.
  var mendings: UInt64 = 0
  var acceptsDeadLetters = false
  /// Where a source that decoded nothing began to be read, by slot, until the next cut: there it must begin again.
  var beginsAgain: [Int32: Int64]?
  /// What the next start gives up, by topic.
  var acceptedLosses: [String: [LostRange]] = [:]
  /// The topic that something beyond the promise befell.
  var troubled: SimBroker?
  /// The stop that ended the run, when one was final.
  var finalStop: Stop?
  private static let start: Int64 = 1_780_000_000_000

  package init(_ scenario: Scenario, isVerbose: Bool = false, kept: Int = 200) throws {
    self.scenario = scenario
    let seed = scenario.seed
    let scheduler = Scheduler(seed: seed)
    self.scheduler = scheduler
    trace = Trace(kept: kept, isVerbose: isVerbose) { scheduler.now }
    draws = .stream(seed: seed, "world")
    laneDraws = .stream(seed: seed, "lanes")
    broker = SimBroker(
      partitionCount: scenario.kafkaPartitions, usesSeconds: scenario.destination == .readBackOld, draws: .stream(seed: seed, "kafka"),
      scheduler: scheduler, trace: trace)
    topics = Topics(broker, second: Self.secondBroker(scenario, scheduler, trace), watch: watch)
    sourceDraws = .stream(seed: seed, "second source's world")
    sourceFile.now = scenario.second?.files.first ?? .alone
    server = SimClickHouse(
      Job.table(scenario), draws: .stream(seed: seed, "clickhouse"), scheduler: scheduler,
      wallOffset: Self.start + scenario.serverClockSkew, trace: trace)
    for number in 1..<scenario.replicas {
      _ = SimClickHouse(
        Job.table(scenario), draws: .stream(seed: seed, "clickhouse \(number)"), scheduler: scheduler,
        wallOffset: Self.start + scenario.serverClockSkew + scenario.replicaSkew, trace: trace, replicaOf: server)
    }
    secondDraws = .stream(seed: seed, "second")
    second =
      scenario.hasSecondTable
      ? SimClickHouse(
        SecondTable.table(scenario), draws: .stream(seed: seed, "second clickhouse"), scheduler: scheduler, wallOffset: Self.start,
        trace: trace) : nil
    second?.settleMilliseconds = scenario.settle
    server.others = OtherWriters(reserve: scenario.reserveEntries, settleMilliseconds: scenario.settle)
    for (number, server) in server.all.enumerated() {
      server.lagMilliseconds = scenario.replicaLag
      server.settleMilliseconds = scenario.settle
      if scenario.refusedFrom == 0 { server.refusal = scenario.refusal }
      server.moreDraws = .stream(seed: seed, "clickhouse, more\(number == 0 ? "" : " \(number)")")
      server.amidstDraws = .stream(seed: seed, "clickhouse, amidst\(number == 0 ? "" : " \(number)")")
    }
    if scenario.viewFails > 0 { server.view = ServerTable(window: 10_000, seconds: nil) }
    disk = SimDisk(seed: seed)
    if scenario.checkpointsElsewhere { disk.mount(Job.checkpointDirectory) }
    tap = TapDisk(
      disk, watch: watch, logDirectory: Job.stateDirectory + "/log", ledgerDirectory: HistoryReader.ledgerDirectory(Job.stateDirectory))
    clock = ScheduledClock(scheduler, wallOffset: Self.start)
    workload = Workload(scenario, broker: broker, second: topics.second, scheduler: scheduler, epochStart: Self.start, trace: trace)
    stores = SimRunStoreOpener(disk: tap, draws: .stream(seed: seed, "state"), trace: trace)
    sourcePlan = try Job.source(scenario)
    invariants = Invariants(scenario, watch: watch, server: server, second: second, topics: topics)
    invariants.deadLettersExist = { [self] in disk.exists("\(Job.deadLetterDirectory)/sim-\($0).jsonl") }
    tap.onSegmentRemoved = { [self] path, positions in
      // A start's copy of the same positions has taken over.
      guard life?.engine.stop == nil, hasBegun else { return }
      invariants.segmentGoes(positions)
      if !tap.ledger.holds(positions) { invariants.violate("R16: positions \(positions) removed, the ledger doesn't hold them") }
    }
    // The check after each event: a disk that was to fail in the midst of something has done so.
    scheduler.afterStep = { [self] in
      if disk.isStopped { crash(.powerCut, isArmed: true) }
    }
  }

  /// Whether this life's log has been begun: what is removed before is a start's own.
  private var hasBegun = false

  /// Runs the scenario: faults first, then none until everything has arrived.
  package func run() {
    setRates()
    workload.start()
    planFaults()
    planSecondFaults()
    planSecondSource()
    planTableTrouble()
    planBeyond()
    planPowerCut()
    begin()
    if let weather = scenario.weather { return runWeather(weather) }
    let safety = max(scenario.safetyMilliseconds, scenario.inputMilliseconds + 2000)
    _ = scheduler.run(limit: safety) { self.isOver }
    guard !isOver else { return }
    heal()
    trace.note("faults end")
    _ = scheduler.run(limit: scheduler.now + 60_000) { self.workload.isDone || self.isOver }
    if let second = scenario.second, second.isOutAtEnd { goOnBesideOutage(of: second) }
    guard !isOver else { return }
    isToEnd = true
    if life != nil, draws.chance(0.5) { crash(draws.chance(0.5) ? .kill : .powerCut, isArmed: false) } else { endLife() }
    begin()
    let converged = scheduler.run(limit: scheduler.now + 3_600_000) { self.isOver }
    // What still hangs in the network comes in.
    if finalStop != nil { _ = scheduler.run(limit: scheduler.now + 60_000) { !self.invariants.violations.isEmpty } }
    if !converged { invariants.violate("liveness: not done an hour after the last fault; \(stuck)") }
  }

  /// What the engine says of itself; nil: none runs.
  var progress: Progress? { life?.engine.core.progress }

  /// Whether the engine takes new records now.
  var isLive: Bool { life?.engine.core.isLive ?? false }

  /// Whether it reads records again that it had read before it was killed.
  var isReplaying: Bool { life?.engine.core.isReplaying ?? false }

  /// Lets go of what holds the world in memory through itself; it has been judged.
  func close() {
    life?.close()
    life = nil
    scheduler.close()
    for server in servers { server.close() }
    tap.onSegmentRemoved = nil
    watch.onViolation = nil
    watch.onAck = nil
    watch.onRetire = nil
    invariants.deadLettersExist = nil
  }

  var isOver: Bool { finalStop != nil || !invariants.violations.isEmpty }

  private var stuck: String {
    let sealed = watch.sealed[0].count
    return
      "\(watch.epochs.count) epochs, \(sealed) batches sealed, \(watch.durableAcks[0].count) acked durably, \(scheduler.pendingCount) events wait"
  }

  // MARK: - Lives

  private func begin() {
    guard finalStop == nil else { return }
    let untilEnd = isToEnd
    befall()
    changeFile()
    incarnation += 1
    hasBegun = false
    let sources = SourcesOfFile(scenario, sourceFile.now, incarnation: incarnation)
    var options = Job.options(scenario, sources, untilEnd: untilEnd, incarnation: incarnation)
    // The file's order tells nothing of the numbers, once a batch bears one.
    if !watch.durableTokens.isEmpty, incarnation % 3 == 2 { options.tables.reverse() }
    let isOlder = scenario.upgradeAt > scheduler.now
    var olderPlan = Job.olderPlan
    let change = Job.change(plan: plan, mendings: mendings, sourceFile.now)
    (olderPlan.hash, options.plan.hash) = (olderPlan.hash &+ change, options.plan.hash &+ change)
    if isOlder { options.plan = olderPlan } else { options.earlierPlans = [olderPlan] }
    options.acceptsDeadLetters = acceptsDeadLetters
    options.newLineage = acceptsNewLineage
    invariants.mayFallBack = acceptsNewLineage
    acceptsNewLineage = false
    for index in options.sources.indices { options.sources[index].acceptedLosses = acceptedLosses[options.sources[index].topic] ?? [] }
    let lanes = SimLanes(
      scheduler, draws: laneDraws, incarnation: incarnation, sourceCount: options.sources.count, slowest: scenario.slowestJob,
      slowestSync: scenario.slowestSync)
    let plans = sources.plans(sourcePlan)
    let olderPlans = plans.map(Job.olderSource)
    let deduplicate = Job.deduplicate(scenario, within: otherWithin, incarnation: incarnation)
    var parts = EngineParts(
      core: options, disk: tap, clock: clock, sources: sources.parts(topics, isOlder ? olderPlans : plans), stores: stores,
      sinks: sinks(options.tables), deduplicate: deduplicate,
      graph: Job.graph(scenario, sources, sourcePlan, sinkCount: options.tables.count), stateDirectory: Job.stateDirectory,
      checkpointDirectory: Job.checkpointDirectory, deadLetterDirectory: Job.deadLetterDirectory,
      entropy: (0..<4).map { _ in draws.next() }, logSegmentByteCount: scenario.segmentBytes, holder: "pid \(incarnation)")
    parts.sealByteCountMax = scenario.sealBytes
    if !isOlder { parts.earlierRules = [olderPlan.hash: RowRules(sourcePlans: olderPlans, deduplicate: deduplicate)] }
    parts.slackSeed = SeededRandom(scenario.seed).split("slack").split(UInt64(incarnation)).seed
    let trace = trace
    let engine = Engine(parts: parts, lanes: lanes) { level, text in trace.note("\(level): \(text)") }
    engine.trace = { [self] event, commands in
      if case .logBegun = event { hasBegun = true }
      trace.mix(UInt64(commands.count))
      invariants.observe(event, commands)
      noteLoss(commands)
      if case .logBegun = event { judgeSources() }
      stopAmidBirth(event)
      for case .cut(let intent) in commands {
        sourceFile.before = nil
        judgeIdleness(intent)
        judgeBeginning(intent)
      }
      if trace.isVerbose { noteStep(event, commands) }
    }
    let life = Life(engine, lanes: lanes, incarnation: incarnation, isUntilEnd: untilEnd, scheduler: scheduler, draws: laneDraws)
    life.onStop = { [self] in stopped($0) }
    self.life = life
    trace.note("life \(incarnation) begins\(untilEnd ? ", until the end" : "")")
    life.start()
  }

  private func sinks(_ tables: [TableOptions]) -> [ClickHouseSink] {
    tables.map { table in
      if let second, table.name == SecondTable.name {
        return SecondTable.sink(scenario, SimTransport(second, incarnation: incarnation), clock: clock, plan: sourcePlan)
      }
      let transports = server.all.map { SimTransport($0, incarnation: incarnation) }
      return Job.sink(scenario, transports: transports, clock: clock, plan: sourcePlan)
    }
  }

  /// A partition that is called idle has had nothing to read for long: records of it that wait would be late for nothing.
  private func judgeIdleness(_ intent: Intent) {
    for part in intent.parts { judgeIdleness(part, of: intent.epoch) }
  }

  private func judgeIdleness(_ part: IntentPart, of epoch: EpochNumber) {
    let source = topics.broker(number: Int32(part.source.rawValue))
    let idleAfter = source === broker ? scenario.idleAfter : scenario.second?.idleAfter ?? 0
    for idle in part.idle.sorted() {
      let slot = Slot(part.source, idle).rawValue
      let partition = source.partitions[Int(idle)]
      let next = part.ranges.first { $0.partition == idle }?.next ?? watch.next(of: slot)
      let waiting = (next..<max(next, partition.end)).lazy.compactMap { offset in
        if case .record(let record, _)? = partition.slot(offset) { record.timestamp } else { nil }
      }
      guard let written = waiting.first else { continue }
      let waited = Self.start + scheduler.now - written
      // A fetch may leave a partition out now and then.
      if waited > 2 * idleAfter + 5000 {
        invariants.violate(
          "epoch \(epoch) calls partition \(idle) of \(source.topic) idle, where a record waits at \(next) for \(waited) ms")
      }
    }
  }

  private func noteStep(_ event: Event, _ commands: [Command]) {
    if case .polled(let polled) = event, polled.allSatisfy({ $0.rows.allSatisfy { $0 == 0 } }), commands.isEmpty { return }
    if case .wake = event, commands.isEmpty { return }
    trace.note("\(String("\(event)".prefix(160))) -> \(commands.map { String("\($0)".prefix(120)) })")
  }

  private func stopped(_ stop: Stop) {
    trace.note("life \(incarnation) stops: \(stop.kind) \(stop.rule) \(stop.message)")
    // The power went in the midst of a change, and the engine noticed before the world did.
    if disk.isStopped { return crash(.powerCut, isArmed: true) }
    let untilEnd = life?.isUntilEnd ?? false
    endLife()
    switch stop.kind {
    case .done where untilEnd: finalStop = stop
    case .done:
      sourceFile.endedWell = true
      restart()
    case .promise where goesBackToFileBefore(stop): restart()
    case .failed where isLegal(stop): restart()
    case .failed where untilEnd && hasNoRow(stop): finalStop = stop
    case .invalidPipeline where stop.message.contains("not one of the first"): stoppedUnproven(stop)
    case _ where isLegalTableStop(stop): restart()
    case .promise where stop.rule == "K4" && cutIn == nil: invariants.violate("the engine misses records that are there: \(stop.message)")
    case .promise where stop.rule.isEmpty: invariants.violate("a stop that names no rule: \(stop.message)")
    case .promise where scenario.profile == .powerCut && isBeyond: finalStop = stop
    case .promise where isBeyond: stoppedBeyond(stop)
    case .promise where scenario.destination == .tokenOnly && stop.rule == "R10": finalStop = stop
    case .promise where stop.rule == "R11" && mayStopRefused: finalStop = stop
    // The view is mended, and the next start goes on.
    case .promise where stop.rule == "R7" && scenario.viewFails > 0: restart()
    default: invariants.violate("the engine stops in a legal execution: \(stop.rule) \(stop.message)")
    }
  }

  // Rows are refused, and others of their batch are in, or nobody can count.
  private var mayStopRefused: Bool {
    switch scenario.refusal {
    case .nothing: scenario.partitionKey == .group && !scenario.hasProvenance
    case .constraint, .expression: !scenario.hasProvenance || (scenario.refusedFrom > 0 && scenario.partitionKey == .group)
    case .sortingKey: !scenario.hasProvenance || scenario.partitionKey == .group
    }
  }

  // All that it took until the end was unusable, and is where it belongs.
  private func hasNoRow(_ stop: Stop) -> Bool {
    stop.message.hasPrefix("no row came of")
      && (scenario.garbageRate > 0 || scenario.garbageFirst > 0 || scenario.refusal != .nothing || scenario.aheadRate > 0
        || scenario.wallJumpEvery > 0 || topics.all.allSatisfy { $0.isAllRewritten } || scenario.shaping.mayFail)
  }

  /// Every record that the run read is in its place, whatever it says of it.
  var endedWhole: Bool { finalStop.map { $0.kind == .done || hasNoRow($0) } ?? false }

  private func judgeBeginning(_ intent: Intent) {
    guard let expected = beginsAgain else { return }
    beginsAgain = nil
    for (slot, range) in intent.slots where range.start != expected[slot.rawValue] ?? range.start && !isBeyond {
      invariants.violate("after a stop that skipped nothing partition \(range.partition) is read from \(range.start) on")
    }
  }

  /// Keys of records that are gone are forgotten, which the oracle doesn't follow.
  private func noteLoss(_ commands: [Command]) {
    for case .replay(_, isWhole: false) in commands { loosen(.nothing) }
  }

  /// From here on no more is asked of the table than this.
  func loosen(_ judgement: Judgement) {
    if self.judgement != .nothing { self.judgement = judgement }
  }

  /// The directory is another one now; all that is known of it is what is read from here on.
  func replaceDisk(_ other: SimDisk) {
    // What an older copy was like says nothing about the room that there is now.
    other.capacity = disk.capacity
    disk = other
    tap.disk = other
    watch.forgetFiles()
    tap.ledger.forget()
  }

  // A sync that fails ends the process.
  private func isLegal(_ stop: Stop) -> Bool { failedSyncs > 0 }

  private var failedSyncs: Int { disk.faultCount(.failedSync) + disk.faultCount(.failedDirectorySync) }

  func restart() {
    scheduler.after(draws.within(Int64(1)...(draws.chance(0.1) ? 1000 : 200))) { [self] in
      if life == nil { begin() }
    }
  }

  /// The process is gone without a trace but for what it wrote.
  private func endLife() {
    guard let ended = life else { return }
    life = nil
    ended.close()
    scheduler.drop(incarnation: ended.incarnation)
    for server in servers { server.clientGone(incarnation: ended.incarnation) }
    watch.processEnded()
    disk.kill9()
  }

  // MARK: - Faults

  private func crash(_ kind: Fault, isArmed: Bool) {
    guard life != nil || disk.isStopped else { return }
    trace.hit(kind, isArmed ? "in the midst of a change" : "")
    crashes += 1
    let dead = life
    life = nil
    if let dead {
      dead.close()
      scheduler.drop(incarnation: dead.incarnation)
      for server in servers { server.clientGone(incarnation: dead.incarnation) }
    }
    watch.processEnded()
    if kind == .powerCut { disk.crash(&draws.random) } else { disk.kill9() }
    disk.stopAfter(operations: nil)
    if faultsAreOn { restart() }
  }

  private func setRates() {
    broker.rates.outage = scenario.kafkaRequestFails
    broker.rates.slow = scenario.kafkaSlow
    broker.rates.gap = scenario.kafkaGap
    broker.rates.stall = scenario.kafkaStall
    broker.rates.stallMilliseconds = scenario.kafkaStallMilliseconds
    broker.rates.commitFails = scenario.commitFails
    broker.rates.commitTakesEffect = scenario.commitTakesEffect
    var rates = SimClickHouse.Rates()
    rates.refused = scenario.refused
    rates.lost = scenario.requestLost
    rates.delayed = scenario.requestDelayed
    rates.answerLost = scenario.answerLost
    rates.torn = scenario.bodyTorn
    rates.error = scenario.serverError
    rates.unknownError = scenario.unknownError
    rates.oddSuccess = scenario.oddSuccess
    rates.slow = scenario.serverSlow
    rates.viewFails = scenario.viewFails
    rates.anyCode = scenario.anyCode
    rates.amidst = scenario.transientAmidst
    for server in servers { server.rates = rates }
    // Its rows reach no view.
    second?.rates.viewFails = 0
    server.rates.aimedCrash = scenario.aimedServerCrash
    stores.outOfSpaceRate = scenario.stateOutOfSpace
    disk.rates.failedSync = scenario.syncFails
    disk.rates.failedDirectorySync = scenario.syncFails
  }

  private func planFaults() {
    every(scenario.killEvery) { [self] in strike(.kill) }
    every(scenario.powerCutEvery) { [self] in strike(.powerCut) }
    every(scenario.serverCrashEvery) { [self] in oneServer.crash(down: draws.within(Int64(50)...scenario.safetyMilliseconds / 5)) }
    every(scenario.serverPauseEvery) { [self] in oneServer.pause(for: draws.within(Int64(50)...scenario.safetyMilliseconds / 4)) }
    every(scenario.kafkaOutageEvery) { [self] in broker.fail(for: draws.within(Int64(50)...scenario.safetyMilliseconds / 5)) }
    every(scenario.wallJumpEvery) { [self] in
      trace.hit(.wallJump)
      clock.wallOffset += draws.within(Int64(-60_000)...60_000)
    }
    every(scenario.terminateEvery) { [self] in terminate() }
    every(scenario.othersEvery) { [self] in
      server.othersWrite(1 + draws.below(scenario.othersBurst), incarnation: incarnation)
    }
    if scenario.outageFrom > 0 {
      scheduler.after(scenario.outageFrom) { [self] in server.crash(down: scenario.safetyMilliseconds) }
    }
    if scenario.witnessExpires {
      every(scenario.safetyMilliseconds / 3) { [self] in
        for broker in topics.all where broker.committed != nil {
          trace.hit(.kafkaWitnessExpired)
          broker.committed = nil
        }
      }
    }
    if scenario.outOfSpace {
      every(scenario.safetyMilliseconds / 4) { [self] in
        guard disk.capacity == nil else { return }
        trace.hit(.outOfSpace)
        disk.capacity = disk.usedByteCount + draws.below(20_000)
        scheduler.after(draws.within(Int64(100)...4000)) { [self] in disk.capacity = nil }
      }
    }
  }

  /// All of both tables.
  var servers: [SimClickHouse] { server.all + (second.map { [$0] } ?? []) }

  // What befalls one server leaves the other.
  private var oneServer: SimClickHouse { server.all.count > 1 ? draws.pick(server.all) : server }

  /// SIGTERM.
  func terminate() {
    guard let life else { return }
    trace.hit(.terminate)
    life.terminate()
  }

  /// Also where no fault comes any more, so that nobody else would start it again.
  func killAndRestart() {
    guard life != nil else { return }
    crash(.kill, isArmed: false)
    if !faultsAreOn { restart() }
  }

  // A crash comes between two events, or in the midst of what the disk is asked to do.
  func strike(_ kind: Fault) {
    guard let struck = life else { return }
    guard kind == .powerCut, draws.chance(0.5) else {
      crash(kind, isArmed: false)
      return
    }
    disk.stopAfter(operations: 1 + draws.below(40))
    scheduler.after(500) { [self] in
      if life === struck { crash(.powerCut, isArmed: false) }
    }
  }

  func every(_ mean: Int64, _ body: @escaping () -> Void) {
    guard mean > 0 else { return }
    scheduler.after(draws.within(Int64(1)...2 * mean)) { [self] in
      guard faultsAreOn else { return }
      body()
      every(mean, body)
    }
  }

  private func heal() {
    faultsAreOn = false
    for broker in topics.all { broker.heal() }
    for server in servers { server.heal() }
    stores.outOfSpaceRate = 0
    disk.rates = SimDiskRates()
    disk.capacity = nil
    if disk.isStopped { crash(.powerCut, isArmed: true) }
    disk.stopAfter(operations: nil)
    trace.tally[.syncFailed] += failedSyncs
  }
}
