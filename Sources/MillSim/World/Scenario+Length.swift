internal import MillBase

extension Scenario {
  /// Draws how much a seed does: mostly about sixty epochs and two crashes, so that many seeds are cheap; a few are long or crash often,
  /// since windows, fallbacks and truncation need time. Drawn apart, so that nothing else of the scenario depends on it.
  mutating func drawLength() {
    let draws = Draws.stream(seed: seed, "length")
    let isLong = draws.chance(0.04)
    let epochs = isLong ? draws.within(150...400) : draws.within(50...80)
    // What is read at once makes one epoch, but for what epochRows cuts; bursts are of one to seven.
    let recordsPerEpoch =
      switch epochRows {
      case 1: 1.0
      case 3: 2.3
      case 5: 3.2
      case 8: 4.0
      default: 5.0
      }
    records = Int(Double(epochs) * recordsPerEpoch)
    inputMilliseconds = isLong ? draws.within(Int64(6000)...20_000) : draws.within(Int64(2500)...6000)
    safetyMilliseconds = inputMilliseconds + draws.within(Int64(1000)...3000)
    // Faults come as thick as in a run of half a minute.
    for time in [
      \Self.killEvery, \.powerCutEvery, \.serverCrashEvery, \.serverPauseEvery, \.kafkaOutageEvery, \.wallJumpEvery, \.terminateEvery,
    ] { self[keyPath: time] = self[keyPath: time] * (isLong ? 2 : 1) / 4 }
    checkpointInterval = max(200, checkpointInterval / 3)
  }
}
