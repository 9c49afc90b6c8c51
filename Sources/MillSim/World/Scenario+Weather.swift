internal import MillBase

extension Scenario {
  /// Weather that stays: nothing of it ends because a test wants to see the end.
  package struct Weather: Sendable {
    /// Each answer takes so long, ms; nil: answers are quick.
    package var slowness: ClosedRange<Int64>?
    /// When the server goes for hours, and for how long, ms. Refusing, or standing still behind sockets that go on taking bytes.
    package var outage: (at: Int64, length: Int64, standsStill: Bool)?
    /// When a query begins that stays in the process list for ever.
    package var hangsAt: Int64?
    /// When the server's clock is set back, and how far, ms.
    package var clockBack: (at: Int64, by: Int64)?
    /// When the engine is killed, so that there are attempts in doubt.
    package var killAt: Int64?
    package var end: Int64 = 0

    /// The slowest answer, ms.
    var slowest: Int64 { slowness?.upperBound ?? 10 }
  }

  mutating func drawWeather() {
    let draws = Draws.stream(seed: seed, "weather")
    var weather = Weather()
    let slowest = draws.within(Int64(1500)...5000)
    let slowness = draws.within(Int64(1000)...slowest)...slowest
    let outage = (
      at: draws.within(Int64(5000)...60_000), length: draws.within(Int64(1_800_000)...7_200_000), standsStill: draws.chance(0.4)
    )
    let hangsAt = draws.within(Int64(1000)...60_000)
    let clockBack = (at: draws.within(Int64(1000)...60_000), by: draws.within(Int64(60_000)...3_600_000))
    let killAt = draws.within(Int64(1000)...90_000)
    let kinds = draws.within(1...15)
    if kinds & 1 != 0 { weather.slowness = slowness }
    if kinds & 2 != 0 { weather.outage = outage }
    if kinds & 4 != 0 { weather.hangsAt = hangsAt }
    if kinds & 8 != 0 { weather.clockBack = clockBack }
    if draws.chance(0.7) { weather.killAt = killAt }
    records = draws.within(200...600)
    inputMilliseconds = draws.pick([60_000, 600_000])
    let longest = max(inputMilliseconds, weather.outage.map { $0.at + $0.length } ?? 0, weather.clockBack.map { $0.at + $0.by } ?? 0)
    weather.end = longest + 900_000
    self.weather = weather
    calm()
    batchRows = max(batchRows, 10)
    insertTimeout = 30_000
    questionTimeout = 30_000
  }

  // No other fault: what is seen is the weather's.
  private mutating func calm() {
    for time in [
      \Self.killEvery, \.powerCutEvery, \.serverCrashEvery, \.serverPauseEvery, \.kafkaOutageEvery, \.wallJumpEvery, \.terminateEvery,
      \.tableTroubleEvery, \.refusedFrom,
    ] { self[keyPath: time] = 0 }
    for rate in [
      \Self.kafkaRequestFails, \.kafkaSlow, \.kafkaStall, \.commitFails, \.commitTakesEffect, \.refused, \.requestLost, \.requestDelayed,
      \.answerLost, \.bodyTorn, \.serverError, \.unknownError, \.oddSuccess, \.serverSlow, \.aimedServerCrash, \.syncFails,
      \.stateOutOfSpace, \.refusedRate, \.viewFails, \.anyCode, \.transientAmidst,
    ] { self[keyPath: rate] = 0 }
    (witnessExpires, outOfSpace, beyond, refusal, replicas) = (false, false, nil, .nothing, 1)
    (windowSeconds, garbageFirst, outageFrom, upgradeAt, othersEvery) = (3600, 0, 0, 0, 0)
  }
}
