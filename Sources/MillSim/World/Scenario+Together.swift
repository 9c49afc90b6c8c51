internal import MillBase

extension Scenario {
  /// Draws what comes about only where several things meet, which each alone are drawn too seldom. Drawn apart, so that nothing else of
  /// the scenario depends on it.
  mutating func drawTogether() {
    let draws = Draws.stream(seed: seed, "together")
    if draws.chance(0.06), beyond == nil { drawPatience(draws) }
    // Sealed rows that no witness and no checkpoint tells of yet, or a witness that is soon looked at.
    let (long, short) = (draws.within(Int64(1500)...4000), draws.within(Int64(150)...400))
    switch beyond {
    case .rollback, .inputChanges, .programDiffers, .planChanges:
      if draws.chance(0.6) { checkpointInterval = max(checkpointInterval, long) }
    case .otherCopy: checkpointInterval = min(checkpointInterval, short)
    default: break
    }
    if draws.chance(0.03), beyond == nil { (beyond, checkpointInterval) = (.topicAnew, min(checkpointInterval, long)) }
    checkpointsReplay = draws.chance(0.15)
    // State is flushed again and again beside a slow seal, a checkpoint's too.
    if draws.chance(0.1) { (stateMemory, slowestJob, slowestSync) = (1024, 5, 1000) }
    if draws.chance(0.02), beyond == nil { beyond = .partitionCut }
    // About the first checkpoint, which has no record of the old topic to ask for: it may remember records of both.
    if beyond == .topicAnew, draws.chance(0.5) {
      checkpointInterval = draws.within(Int64(300)...1500)
      beyondAt = checkpointInterval * draws.within(Int64(6)...13) / 10
      // The first checkpoint has the new topic's records of one partition, the second one those of the others.
      if draws.chance(0.7) { quietAnew = checkpointInterval * draws.within(Int64(2)...12) / 10 }
    }
  }

  // An engine that waits, a network and a server that take their time: inserts come near their deadlines, before and after.
  private mutating func drawPatience(_ draws: Draws) {
    destination = draws.pick([.readBack, .readBack, .readBackOld])
    window = 0
    if destination == .readBackOld { outOfOrderness = max(1000, outOfOrderness) }
    insertTimeout = 30_000
    settle = 2000
    requestDelayed = 0.08
    serverSlow = 0.2
    killEvery = 15_000
    (powerCutEvery, serverCrashEvery, terminateEvery) = (0, 0, 0)
    inputMilliseconds = 12_000
    safetyMilliseconds = 25_000
  }
}
