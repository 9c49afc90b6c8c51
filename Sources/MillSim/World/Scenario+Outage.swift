extension Scenario {
  /// Checkpoints on a file system of their own, now and then with one that rots among whole ones.
  mutating func drawElsewhere() {
    let draws = Draws.stream(seed: seed, "elsewhere")
    checkpointsElsewhere = draws.chance(0.15)
    guard draws.chance(0.02), beyond == nil else { return }
    (beyond, checkpointsElsewhere, retain, checkpointInterval) = (.checkpointRots, true, 3, 250)
  }

  /// A server that is down from early on, many partitions, few rows to insert: what fills the log then is what isn't rows.
  mutating func drawOutage() {
    let draws = Draws.stream(seed: seed, "outage's sizes")
    kafkaPartitions = draws.within(10...40)
    outageFrom = draws.within(Int64(200)...1000)
    (keys, within) = (5, 86_400_000)
    (epochRows, epochDelay) = (3, 5)
    (batchRows, batchDelay) = (30, 100)
    unackedBytes = 4096
    records = 1200
    (garbageRate, lateRate, refusedRate, refused) = (0, 0, 0, 0)
    (inputMilliseconds, safetyMilliseconds) = (12_000, 13_000)
    (outOfSpace, stateOutOfSpace, tableTroubleEvery, kafkaOutageEvery) = (false, 0, 0, 0)
    (checkpointInterval, retain) = (500, 1)
    if destination == .tokenOnly { windowSeconds = 3600 }
  }
}
