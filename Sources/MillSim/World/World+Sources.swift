internal import MillBase
internal import MillCore
internal import MillLog

/// Which sources the pipeline file has, and what it is being changed to.
struct SourceFileState {
  var now = SecondSource.File.alone
  /// What it had before, and how often it was mended, until an epoch is cut under the new one: there it must be possible to go back to.
  var before: (file: SecondSource.File, mendings: UInt64)?
  var wanted: SecondSource.File?
  /// The last life was stopped, and ended with a checkpoint.
  var endedWell = false
}

extension World {
  static func secondBroker(_ scenario: Scenario, _ scheduler: Scheduler, _ trace: Trace) -> SimBroker? {
    scenario.second.map {
      SimBroker(
        clusterID: "other-cluster", topic: SecondSource.topic, partitionCount: $0.partitions,
        usesSeconds: scenario.destination == .readBackOld, draws: .stream(seed: scenario.seed, "second kafka"), scheduler: scheduler,
        trace: trace)
    }
  }

  /// Its own faults, by its own draws: the first source's stay as they were.
  func planSecondSource() {
    guard let broker = topics.second, let second = scenario.second else { return }
    trace.hit(.secondSource)
    broker.rates = SimBroker.Rates(sourceDraws)
    broker.rates.stallMilliseconds = scenario.kafkaStallMilliseconds
    every(second.outageEvery) { [self] in broker.fail(for: sourceDraws.within(Int64(50)...scenario.safetyMilliseconds / 4)) }
    for (index, file) in second.files.enumerated().dropFirst() {
      let span = scenario.safetyMilliseconds / Int64(second.files.count)
      scheduler.after(span * Int64(index) + sourceDraws.within(-span / 3...span / 3)) { [self] in
        sourceFile.wanted = file
        pressForChange()
      }
    }
  }

  /// A careful user stops the engine before; others kill it first, and are told.
  private func pressForChange() {
    guard sourceFile.wanted != nil, faultsAreOn, finalStop == nil else { return }
    if sourceDraws.chance(0.75) { terminate() } else { strike(.kill) }
    scheduler.after(sourceDraws.within(Int64(300)...1500)) { [self] in pressForChange() }
  }

  /// Between two lives.
  func changeFile() {
    let endedWell = sourceFile.endedWell
    sourceFile.endedWell = false
    guard let wanted = sourceFile.wanted, faultsAreOn, endedWell || sourceDraws.chance(0.2) else { return }
    sourceFile.wanted = nil
    trace.hit(.sourceFileChanged, "from \(sourceFile.now) to \(wanted)")
    sourceFile.before = sourceFile.before ?? (sourceFile.now, mendings)
    sourceFile.now = wanted
    // The first life or two with another file are often short.
    for _ in 0..<sourceDraws.pick([0, 0, 1, 2]) {
      scheduler.after(sourceDraws.within(Int64(5)...600)) { [self] in if faultsAreOn { strike(.kill) } }
    }
  }

  /// R4: what was recorded under the file as it was must be replayed first.
  func goesBackToFileBefore(_ stop: Stop) -> Bool {
    guard stop.rule == "R4", stop.message.contains("start once with the old file"), let before = sourceFile.before, !isBeyond else {
      return false
    }
    trace.note("back to the file before")
    if sourceFile.now != before.file {
      sourceFile.wanted = sourceFile.now
      scheduler.after(sourceDraws.within(Int64(300)...1500)) { [self] in pressForChange() }
    }
    (sourceFile.now, mendings) = before
    sourceFile.before = nil
    return true
  }

  // MARK: - One of two goes on alone

  /// The faults are over, and one of the clusters is away for long: what comes to the other one is read, sealed and acked meanwhile,
  /// kept by a checkpoint, and its group bears witness of that.
  func goOnBesideOutage(of second: SecondSource) {
    guard let other = topics.second, !isBeyond else { return }
    let (out, up) = second.isFirstOut ? (broker, other) : (other, broker)
    _ = scheduler.run(limit: scheduler.now + 120_000) { self.isOver || self.isLive }
    guard !isOver, isLive, sourceFile.now != .alone else { return }
    let its = life
    trace.hit(.sourceOut, out.topic)
    out.isOut = true
    workload.writeMore(20, to: up)
    let ends = up.partitions.map(\.stableEnd)
    let witness = up.committed?.witness
    let longest = 60_000 + 4 * max(scenario.checkpointInterval, scenario.settle) + 20 * scenario.slowestSync
    let isDone = scheduler.run(limit: scheduler.now + longest) {
      self.isOver || self.life !== its || self.isSealed(up, ends) && up.committed?.witness != witness
    }
    out.isOut = false
    // A power cut that was planned before may come yet; and another life would wait for both.
    guard !isOver, life === its else { return }
    if !isDone {
      let waits = progress?.waits.map { "\($0.subject): \($0.reason)" } ?? []
      invariants.violate("liveness: \(out.topic) is out, and what came to \(up.topic) isn't sealed after \(longest) ms; waits: \(waits)")
    }
  }

  /// Whether what stands before these ends is sealed durably and acked, and a checkpoint has it.
  private func isSealed(_ up: SimBroker, _ ends: [Int64]) -> Bool {
    func isRead(_ number: EpochNumber) -> Bool {
      guard let ranges = watch.epochs[number]?.ranges else { return false }
      return ends.indices.allSatisfy { partition in
        ranges.contains { topics.broker(number: $0.source) === up && $0.partition & 0xfffff == partition && $0.next >= ends[partition] }
      }
    }
    return isRead(watch.durablySealedEpoch) && progress?.unackedBatches == 0 && invariants.manifests.values.contains { isRead($0.epoch) }
  }

  /// What the log says of the sources is what the file has.
  func judgeSources() {
    let expected = SourcesOfFile(scenario, sourceFile.now, incarnation: incarnation).topics
    let names = watch.sources.names
    let found = Dictionary(names.map { ($0.value, watch.sources.topic(of: $0.key) ?? "") }) { first, _ in first }
    if found != expected || names.count != expected.count { invariants.violate("the log's sources are \(found), the file's \(expected)") }
  }
}
