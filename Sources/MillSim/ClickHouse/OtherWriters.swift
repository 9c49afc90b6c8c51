/// Other writers of the table, which use up its deduplication window: at any time and in any number, but for what the promise asks of
/// them (R9). From a count that found nothing of a batch while an attempt of it was open, until all of its attempts have ended, they
/// make at most as many entries as `window_reserve` leaves them.
struct OtherWriters {
  /// A batch that the engine may send again although an attempt of it is open.
  private struct Doubt {
    var countedAt: Int64
    var incarnation: Int
    var isSentAgain = false
  }

  /// Nil: any number at any time.
  let reserve: Int?
  /// How long after its count a batch may be sent again.
  let settleMilliseconds: Int64
  private var doubts: [String: Doubt] = [:]
  private var used = 0
  private var written = 0

  init(reserve: Int?, settleMilliseconds: Int64) {
    self.reserve = reserve
    self.settleMilliseconds = settleMilliseconds
  }

  /// The table was asked for rows of the batch and has none, while an attempt of it may still take effect.
  mutating func foundNone(of token: String, at now: Int64, incarnation: Int) {
    if doubts[token] == nil { doubts[token] = Doubt(countedAt: now, incarnation: incarnation) }
  }

  mutating func sent(_ token: String) { doubts[token]?.isSentAgain = true }

  /// - Parameters:
  ///   - mayTakeEffect: whether an attempt of this batch is open.
  ///   - incarnation: of the engine's process that runs now.
  /// - Returns: names of the entries that are made now, `count` of them at most.
  mutating func write(_ count: Int, at now: Int64, incarnation: Int, mayTakeEffect: (String) -> Bool) -> [String] {
    let settle = settleMilliseconds
    doubts = doubts.filter { token, doubt in
      if mayTakeEffect(token) { return true }
      return !doubt.isSentAgain && doubt.incarnation == incarnation && now <= doubt.countedAt + settle
    }
    if doubts.isEmpty { used = 0 }
    let allowed = reserve.map { doubts.isEmpty ? count : min(count, $0 - used) } ?? count
    guard allowed > 0 else { return [] }
    if !doubts.isEmpty { used += allowed }
    defer { written += allowed }
    return (0..<allowed).map { "other \(written + $0)" }
  }
}

extension SimClickHouse {
  /// INSERTs of others: what they write into the table nobody looks at, but each takes an entry of the window.
  package func othersWrite(_ count: Int, incarnation: Int) {
    guard isUp, !isPaused, var others else { return }
    let tokens = others.write(count, at: scheduler.now, incarnation: incarnation) { plainUnderWay(token: $0) != nil }
    self.others = others
    guard !tokens.isEmpty else { return }
    trace.hit(.othersWrote, "\(tokens.count) entries")
    for token in tokens { table.remember("all", token: token, at: seconds) }
  }
}
