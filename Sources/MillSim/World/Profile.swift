internal import MillBase

/// What kind of world a seed is run in.
package enum Profile: String, CaseIterable, Sendable {
  /// Faults, then none: all of the promise must hold.
  case usual
  /// Outside of the promise: the machine of a ClickHouse that doesn't sync loses power, and with it rows that were acked. Judged by what
  /// `verify` finds.
  case powerCut = "power-cut"
  /// Bad weather that stays: slow answers, outages of hours, queries that hang, a clock set back. Judged by bounds and words.
  case weather
}

extension Scenario {
  /// What `seed` draws for a world of this kind.
  package init(seed: UInt64, profile: Profile) {
    self.init(seed: seed)
    self.profile = profile
    switch profile {
    case .usual: break
    case .powerCut: drawPowerCut()
    case .weather: drawWeather()
    }
  }

  // Whose rows can be counted, on a server of its own; nothing else is beyond the promise.
  private mutating func drawPowerCut() {
    let draws = Draws.stream(seed: seed, "power cut")
    destination = draws.pick([.tokenAndProvenance, .tokenAndProvenance, .readBack, .readBackOld])
    if destination == .tokenAndProvenance { window = 10_000 } else { window = 0 }
    if destination == .readBackOld { outOfOrderness = max(1000, outOfOrderness) }
    (replicas, beyond, viewFails, tableTroubleEvery, refusedRate, refusal) = (1, nil, 0, 0, 0, .nothing)
    (garbageFirst, outageFrom, othersEvery) = (0, 0, 0)
  }
}
