internal import MillCore

/// What an operator does to the table and to the user's rights while the engine runs, and puts back.
extension World {
  func planTableTrouble() {
    if scenario.refusedFrom > 0 {
      let isAmid = Draws.stream(seed: scenario.seed, "constraint amid an insert").chance(0.5)
      scheduler.after(scenario.refusedFrom) { [self] in
        if isAmid {
          server.constraintComesAmid = scenario.refusal
        } else {
          trace.note("the table has a constraint from here on")
          for server in server.all { server.refusal = scenario.refusal }
        }
      }
    }
    every(scenario.tableTroubleEvery) { [self] in
      guard server.trouble == .none else { return }
      let trouble: SimClickHouse.Trouble = draws.pick([.detached, .altered, .rightsTaken])
      for server in server.all { server.trouble = trouble }
      trace.hit(
        server.trouble == .detached ? .tableDetached : server.trouble == .altered ? .tableAltered : .rightsTaken)
      troubleUntil = scheduler.now + draws.within(Int64(100)...4000)
      scheduler.after(troubleUntil - scheduler.now) { [self] in
        for server in server.all { server.trouble = .none }
      }
    }
  }

  /// Whether the engine may have seen the table as it shouldn't be, and stop for it: the operator puts it back and starts again.
  func isLegalTableStop(_ stop: Stop) -> Bool {
    // An answer may have been long under way, and schema errors are looked into a few times.
    guard scenario.tableTroubleEvery > 0, scheduler.now < troubleUntil + 120_000 else { return false }
    switch (stop.kind, stop.rule) {
    case (.promise, "R6"), (.invalidPipeline, "R6"), (.failed, "R6"), (.failed, "R7"), (.failed, "R15"): return true
    // A table without uuid is known by its create statement.
    case (.promise, "C8"): return scenario.destination == .readBackOld
    default: return false
    }
  }
}
