internal import MillBase
internal import MillTestKit

/// What the promise does not survive unnoticed: here the engine has to stop with a name, or to find its way back, but never to write
/// wrong rows.
package enum Beyond: String, CaseIterable, Sendable {
  /// The state directory is replaced by an older copy of itself.
  case rollback
  /// The state directory is deleted.
  case stateDeleted
  /// A bit of the newest checkpoint turns over.
  case checkpointRots
  /// A bit of the log turns over.
  case logRots
  /// The log's directory is gone, the checkpoints are there.
  case logDeleted
  /// The group's metadata is written by somebody else.
  case otherCopy
  /// A record that was read changes its bytes.
  case inputChanges
  /// Retention takes records away before they are read.
  case retention
  /// The next start runs another plan.
  case planChanges
  /// The table is dropped and made anew, the same but for its uuid.
  case tableDropped
  /// The topic is deleted and made anew, and soon as long as it was.
  case topicAnew
  /// A partition loses its newest records, some of them read.
  case partitionCut
  /// The next start's program decides otherwise under the same plan and replay version.
  case programDiffers

  /// Whether records of the log may be gone that a batch was sent under.
  var losesLog: Bool { [.rollback, .stateDeleted, .logRots, .logDeleted].contains(self) }
}

/// What is asked of the table at the end.
enum Judgement {
  /// Each row once.
  case exact
  /// Rows may be doubled, as the limits page says or as `--new-lineage` accepts.
  case noneMissing
  /// Rows may be gone with a table that was dropped.
  case noneExtra
  case nothing
}

extension World {
  /// Draws what happens beyond the promise, and when.
  func planBeyond() {
    guard let beyond = scenario.beyond else { return }
    let usual = draws.within(scenario.safetyMilliseconds / 4...scenario.safetyMilliseconds * 2 / 3)
    let at = scenario.beyondAt ?? usual
    // Long before, or so shortly that no witness has told of what came since.
    let isRecent = draws.chance(0.7)
    scheduler.after(isRecent ? at - draws.within(Int64(20)...800) : at / 2) { [self] in
      olderCopy = disk.copy()
      partsWhenCopied = server.table.parts.count
    }
    scheduler.after(at) { [self] in befallSoon(beyond, within: isRecent ? 1000 : 0) }
  }

  // Waits a while for a telling moment: rows that came in since the copy, an engine that is past its looks.
  private func befallSoon(_ beyond: Beyond, within left: Int64) {
    let isTelling =
      switch beyond {
      case .rollback: server.table.parts.count >= partsWhenCopied + 3
      case .otherCopy, .topicAnew: isLive && target.committed != nil
      case .partitionCut: cuttable != nil
      default: true
      }
    if left > 0, !isTelling {
      scheduler.after(50) { [self] in befallSoon(beyond, within: left - 50) }
    } else {
      switch beyond {
      case .otherCopy: claimWitness()
      case .inputChanges: changeInput()
      case .retention: deleteUnread()
      case .tableDropped: dropTable()
      case .topicAnew: recreateTopic()
      case .partitionCut where draws.chance(0.4):
        strike(.kill)
        cutAmidReplay(within: 10_000)
      case .partitionCut:
        cutPartition()
        if draws.chance(0.5) { strike(.kill) }
      case .rollback, .stateDeleted, .checkpointRots, .logRots, .logDeleted, .planChanges, .programDiffers:
        waitingBeyond = beyond
        // A careful user stops the engine before.
        if beyond == .planChanges, draws.chance(0.5) { terminate() } else { strike(.kill) }
      }
    }
  }

  /// Between two lives.
  func befall() {
    guard let beyond = waitingBeyond, !watch.epochs.isEmpty else { return }
    waitingBeyond = nil
    happened(beyond)
    // What an older directory knows nothing of and the table hasn't yet got, nobody can know of.
    if beyond.losesLog, server.hasInsertsUnderWay { loosen(.noneMissing) }
    switch beyond {
    case .rollback:
      guard let copy = olderCopy else { return }
      replaceDisk(copy)
      // Without the column nobody can know of rows that were sent since the last witness.
      if !scenario.hasProvenance || scenario.witnessExpires { loosen(.noneMissing) }
    case .stateDeleted:
      try? disk.removeTree(Job.stateDirectory)
      watch.forgetFiles()
      // A witness that isn't there, or expires before it is read, tells nobody.
      if topics.all.contains(where: { $0.committed == nil }) || scenario.witnessExpires { loosen(.noneMissing) }
    case .logDeleted:
      try? disk.removeTree(Job.stateDirectory + "/log")
      watch.forgetFiles()
      if !scenario.hasProvenance || scenario.witnessExpires { loosen(.noneMissing) }
    case .checkpointRots:
      isWholeOneLeft = scenario.checkpointsElsewhere && publishedCheckpoints().count > 1
      // Filters that don't change are links in every checkpoint.
      rot(newestCheckpointFiles().filter { !isWholeOneLeft || !$0.contains("/filters/") })
    case .logRots:
      rot(files(Job.stateDirectory + "/log"))
      // What neither a manifest nor a later header vouches for looks torn (R5): its batches may be in the table already.
      loosen(.noneMissing)
    case .planChanges: plan += 1
    case .programDiffers:
      otherWithin = scenario.within > 1000 ? 1 : 100_000
      loosen(.nothing)
    case .otherCopy, .inputChanges, .retention, .tableDropped, .topicAnew, .partitionCut: break
    }
  }

  private func happened(_ beyond: Beyond) {
    trace.note("beyond the promise: \(beyond.rawValue)")
    invariants.isMuted = true
    isBeyond = true
  }

  private func claimWitness() {
    guard let committed = target.committed else { return }
    happened(.otherCopy)
    target.committed = ("millrace:00000000000000aa:7", committed.offsets)
  }

  /// The topic that it befalls.
  private var target: SimBroker { scenario.second?.isTarget == true ? topics.second ?? broker : broker }

  // Inserts that succeed go into the new one; a start, or a look after an error, finds that it is another.
  private func dropTable() {
    happened(.tableDropped)
    server.recreateTable()
    loosen(.noneExtra)
    if draws.chance(0.7) { strike(.kill) }
  }

  private func recreateTopic() {
    happened(.topicAnew)
    troubled = target
    target.recreateTopic(quietMilliseconds: scenario.quietAnew)
    invariants.topicAnew = target
    loosen(.nothing)
    if draws.chance(0.3) { strike(.kill) }
  }

  /// What was read of a partition for good: no later start has read less.
  private var cuttable: EpochFact.Range? {
    let ranges = watch.epochs[watch.durablySealedEpoch]?.ranges.filter { $0.next > $0.start } ?? []
    return ranges.first { topics.place($0.partition).broker === target } ?? ranges.first
  }

  private func cutPartition() {
    guard finalStop == nil, let range = cuttable else { return }
    happened(.partitionCut)
    cutIn = incarnation
    let (broker, partition) = topics.place(range.partition)
    troubled = broker
    broker.cut(partition: partition, at: draws.within(range.start...range.next - 1))
  }

  // As soon as records are read again, or where none are.
  private func cutAmidReplay(within left: Int64) {
    if left <= 0 || isLive || isReplaying { return cutPartition() }
    scheduler.after(1) { [self] in cutAmidReplay(within: left - 1) }
  }

  private func changeInput() {
    // Only of an epoch that counts for good: what is cut anew is read anew.
    guard let range = watch.epochs[watch.durablySealedEpoch]?.ranges.first(where: { $0.next > $0.start }) else { return }
    happened(.inputChanges)
    let (broker, partition) = topics.place(range.partition)
    broker.rewrite(Origin(partition: Int32(partition), offset: range.start))
    strike(.kill)
  }

  private func deleteUnread() {
    guard let epoch = watch.epochs.values.max(by: { $0.number < $1.number }) else { return }
    happened(.retention)
    // Of one of two sources, or of both.
    let isOfAll = topics.second == nil || sourceDraws.chance(0.5)
    for range in epoch.ranges where range.next >= 0 {
      let (broker, partition) = topics.place(range.partition)
      if isOfAll || broker === target { broker.retain(partition: partition, from: range.next + 2) }
    }
    if draws.chance(0.5) { strike(.kill) }
  }

  private func files(_ directory: String) -> [String] {
    ((try? disk.list(directory)) ?? []).map { directory + "/" + $0 }.filter { ((try? disk.byteCount($0)) ?? 0) > 0 }
  }

  private func publishedCheckpoints() -> [String] {
    ((try? disk.list(Job.checkpointDirectory)) ?? []).filter { disk.exists("\(Job.checkpointDirectory)/\($0)/MANIFEST") }
  }

  private func newestCheckpointFiles() -> [String] {
    guard let newest = publishedCheckpoints().last else { return [] }
    let path = Job.checkpointDirectory + "/" + newest
    return files(path) + files(path + "/shard-0/store") + files(path + "/shard-0/filters")
  }

  private func rot(_ paths: [String]) {
    guard !paths.isEmpty else { return }
    let path = draws.pick(paths)
    guard let count = try? disk.byteCount(path), count > 0 else { return }
    let at = draws.below(count)
    trace.note("bit of \(path) at \(at) of \(count)")
    try? disk.flipBit(path, byteOffset: at, bit: draws.below(8))
  }
}
