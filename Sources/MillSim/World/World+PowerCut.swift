extension World {
  /// The machine of the server loses power once, late enough for rows to be there: parts that were committed, and acked, go.
  func planPowerCut() {
    guard scenario.profile == .powerCut else { return }
    scheduler.after(draws.within(scenario.safetyMilliseconds / 3...scenario.safetyMilliseconds)) { [self] in loseParts(tries: 100) }
  }

  private func loseParts(tries: Int) {
    guard finalStop == nil else { return }
    let count = server.table.parts.count
    guard count > 0 else {
      if tries > 0 { scheduler.after(100) { [self] in loseParts(tries: tries - 1) } }
      return
    }
    isBeyond = true
    invariants.isMuted = true
    loosen(.nothing)
    server.cutPower(losing: 1 + draws.below(min(count, 20)), down: draws.within(Int64(50)...3000))
  }
}
