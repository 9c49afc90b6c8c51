internal import MillBase
internal import MillCore
internal import MillEngine
internal import MillLog
internal import MillTestKit

/// Bad weather that stays, and what is asked of the engine in it: bounded disk and memory, something delivered whenever the server answers
/// at all, and never a long wait without a word.
extension World {
  /// Runs the scenario to its end; nothing heals.
  func runWeather(_ weather: Scenario.Weather) {
    planWeather(weather)
    watchWeather(weather, WeatherWatch())
    _ = scheduler.run(limit: weather.end) { self.isOver }
  }

  private func planWeather(_ weather: Scenario.Weather) {
    server.slowness = weather.slowness
    if weather.slowness != nil { trace.hit(.alwaysSlow) }
    if let outage = weather.outage {
      scheduler.after(outage.at) { [self] in
        trace.hit(.longOutage, "for \(outage.length) ms")
        if outage.standsStill { server.pause(for: outage.length) } else { server.crash(down: outage.length) }
      }
    }
    if let at = weather.hangsAt { scheduler.after(at) { [self] in server.hangsNext = true } }
    if let back = weather.clockBack {
      scheduler.after(back.at) { [self] in
        trace.hit(.serverClockBack, "by \(back.by) ms")
        server.setClockBack(back.by)
      }
    }
    if let at = weather.killAt { scheduler.after(at) { [self] in strike(.kill) } }
  }

  private func watchWeather(_ weather: Scenario.Weather, _ before: WeatherWatch) {
    var watch = before
    if let progress { look(weather, progress, &watch) } else { watch = WeatherWatch() }
    scheduler.after(1000) { [self] in watchWeather(weather, watch) }
  }

  private func look(_ weather: Scenario.Weather, _ progress: Progress, _ watch: inout WeatherWatch) {
    let now = scheduler.now
    let acked = progress.batches.reduce(0) { $0 + $1.acked.batches }
    let isIdle = progress.phase == .running && progress.unackedBatches == 0
    if isIdle || acked != watch.acked || progress.phase != watch.phase {
      watch = WeatherWatch(acked: acked, phase: progress.phase, movedAt: now)
    }
    // Words.
    for wait in progress.waits where wait.reason.isEmpty { invariants.violate("weather: a wait for \(wait.subject) gives no reason") }
    if !progress.waits.isEmpty { watch.spokeAt = now }
    let silent = now - max(watch.movedAt, watch.spokeAt)
    if silent > 12_000 + 6 * weather.slowest {
      invariants.violate("weather: nothing is delivered for \(now - watch.movedAt) ms, \(progress.phase), without a word for \(silent) ms")
    }
    // Bounds.
    let longest = 60_000 + 30 * weather.slowest
    if mustDeliver(weather), now - max(watch.movedAt, deliversFrom(weather)) > longest {
      let why = progress.waits.map(\.reason).joined(separator: "; ")
      invariants.violate("weather: the server answers, and nothing is delivered for \(now - watch.movedAt) ms: \(why)")
    }
    let largest = self.watch.sealed.flatMap(\.values).map { Int($0.byteCount) }.max() ?? 0
    let most = scenario.unackedBytes + 3 * largest
    if Int(progress.unackedBytes) > most { invariants.violate("weather: \(progress.unackedBytes) bytes are unacked, of at most \(most)") }
    let log = byteCount(below: Job.stateDirectory + "/log")
    let room = scenario.unackedBytes + 2 * largest + 8 * scenario.segmentBytes
    if log > room { invariants.violate("weather: the log has \(log) bytes, of at most \(room)") }
  }

  /// Whether the server answers, and nothing that it says or keeps stands against a batch.
  private func mustDeliver(_ weather: Scenario.Weather) -> Bool { weather.hangsAt == nil && server.isUp && !server.isPaused }

  /// When it could begin to: behind an outage, and when a clock that was set back has come to where it was.
  private func deliversFrom(_ weather: Scenario.Weather) -> Int64 {
    let now = scheduler.now
    let outage = weather.outage.map { $0.at + $0.length } ?? 0
    let clock = weather.clockBack.map { $0.at + $0.by } ?? 0
    return max(now >= (weather.outage?.at ?? .max) ? outage : 0, now >= (weather.clockBack?.at ?? .max) ? clock : 0)
  }

  private func byteCount(below directory: String) -> Int {
    ((try? disk.list(directory)) ?? []).reduce(0) { $0 + ((try? disk.byteCount(directory + "/" + $1)) ?? 0) }
  }
}

/// What was seen last.
private struct WeatherWatch {
  var acked: UInt64 = 0
  var phase = Progress.Phase.stopped
  /// When something was delivered, or nothing was to be.
  var movedAt: Int64 = 0
  /// When a wait was told.
  var spokeAt: Int64 = 0
}
