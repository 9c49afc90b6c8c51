internal import MillBase

extension Scenario {
  /// Draws how much a seed does: mostly about sixty epochs and two crashes, so that many seeds are cheap; a few are long or crash often,
  /// since windows, fallbacks and truncation need time. Drawn apart, so that nothing else of the scenario depends on it.
  mutating func drawLength() {
    let draws = Draws.stream(seed: seed, "length")
    let isLong = draws.chance(0.025)
    let epochs = isLong ? draws.within(120...300) : draws.within(55...77)
    // What is read at once makes one epoch, but for what epochRows cuts; bursts are of one to seven.
    let recordsPerEpoch =
      switch epochRows {
      case 1: 1.05
      case 3: 3.0
      case 5: 4.8
      case 8: 7.0
      default: 5.0
      }
    records = Int(Double(epochs) * recordsPerEpoch)
    // A batch costs more than an epoch: two to five exchanges with the server, and their records in the log.
    if !isLong || batchRows > 2 { batchRows = max(batchRows, records / draws.within(8...40)) }
    inputMilliseconds = isLong ? draws.within(Int64(6000)...20_000) : draws.within(Int64(2000)...5000)
    safetyMilliseconds = inputMilliseconds + draws.within(Int64(300)...1500)
    // Faults come as thick as in a run of half a minute, crashes not quite: each costs a start.
    for time in [
      \Self.killEvery, \.powerCutEvery, \.serverCrashEvery, \.serverPauseEvery, \.kafkaOutageEvery, \.wallJumpEvery, \.terminateEvery,
    ] { self[keyPath: time] = self[keyPath: time] * (isLong ? 2 : 1) / 2 }
    segmentBytes = min(segmentBytes, isLong ? 49_152 : 16_384)
    retryMilliseconds = max(100, retryMilliseconds)
    checkpointInterval = max(200, checkpointInterval / 3)
  }
}
