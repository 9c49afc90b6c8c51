internal import MillBase
internal import MillClickHouse

extension Scenario {
  /// Window entries that others may use while a doubt is being settled (R9's r); nil: any number.
  package var reserveEntries: Int? { windowReserve.entries(window: window, perBatch: entriesPerBatch) }

  /// Draws whether others write into the table too. Drawn apart, so that nothing else of the scenario depends on it.
  mutating func drawOthers() {
    let draws = Draws.stream(seed: seed, "others")
    let mean = draws.within(Int64(50)...2000)
    let burst = draws.pick([1, 3, 20, window])
    let isUnlimited = draws.chance(0.3)
    guard draws.chance(0.5), destination == .tokenAndProvenance else { return }
    if isUnlimited { windowReserve = .unlimited }
    // While a view refuses a batch its token is sent again uncounted: others must leave it in the window.
    guard viewFails == 0 || isUnlimited else { return }
    othersEvery = mean
    othersBurst = max(1, burst)
  }
}
