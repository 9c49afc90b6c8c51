internal import MillBase

extension Scenario {
  /// Which rows the server doesn't take, and how it says so.
  package enum Refusal: String, CaseIterable, Sendable {
    case nothing
    /// 469, looked at over the whole block.
    case constraint
    /// 153 out of an expression over the whole block.
    case expression
    /// 153 out of the sorting key, which is computed part by part: parts before are in.
    case sortingKey

    /// ClickHouse's code.
    package var code: Int { self == .constraint ? 469 : 153 }
  }

  /// Amounts from here on are those that a server refuses which refuses any.
  package static let refusedAmount: Int64 = 900_000

  /// Draws what the server refuses of rows, of views and of too many partitions. Drawn apart, so that nothing else of the scenario depends
  /// on it.
  mutating func drawRefusals() {
    let draws = Draws.stream(seed: seed, "refusals")
    let kinds: [Refusal] = destination == .readBackOld ? [.expression, .sortingKey] : [.constraint, .constraint, .expression, .sortingKey]
    let kind = draws.pick(kinds)
    let rate = draws.pick([0.005, 0.03, 0.3])
    if draws.chance(0.35) { (refusal, refusedRate) = (kind, rate) }
    let later = draws.within(Int64(500)...4000)
    if draws.chance(0.3), refusal == .constraint { refusedFrom = later }
    let fewer = draws.within(1...4)
    if draws.chance(0.15), partitionKey == .group, groups > 1 {
      partitionsMax = min(fewer, groups - 1)
      if destination == .readBack, window > 0 { window = 3 * entriesPerBatch - 1 }
    }
    let views = draws.pick([0.02, 0.1, 0.2])
    if draws.chance(0.15) { viewFails = views }
    let codes = draws.pick([0.02, 0.1])
    if draws.chance(0.3) { anyCode = codes }
    let mean = draws.within(Int64(1000)...6000)
    if draws.chance(0.15) { tableTroubleEvery = mean }
    let amidst = Draws.stream(seed: seed, "amidst")
    let amidstRate = amidst.pick([0.03, 0.15])
    if amidst.chance(0.25) { transientAmidst = amidstRate }
    // Without uuids a table that is made anew as it was is the same.
    if draws.chance(0.02), destination != .readBackOld { beyond = .tableDropped }
  }
}
