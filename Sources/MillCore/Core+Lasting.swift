internal import MillBase

/// Waits that last: the process waits for ever for what may come back, but says so where it hardly will, and ends at the user's bound.
extension Core {
  static let hopelessAfterMilliseconds: Int64 = 60_000

  /// When ``judgeWaits()`` has something to do, as far as that is known.
  var waitsJudgedAt: Int64? {
    var moments: [Int64] = []
    if let sinkWait, saidHopeless != sinkWait.since {
      moments.append(sinkWait.since.monotonicMilliseconds + Self.hopelessAfterMilliseconds)
    }
    if let limit = options.waitAtMostMilliseconds { moments += waits.map { $0.since.monotonicMilliseconds + limit } }
    return moments.filter { $0 > monotonic }.min()
  }

  /// Orders the stop where the bound is passed.
  mutating func judgeWaits() {
    if let sinkWait, saidHopeless != sinkWait.since, monotonic - sinkWait.since.monotonicMilliseconds >= Self.hopelessAfterMilliseconds,
      let status = Self.hopelessStatus(sinkWait.reason)
    {
      saidHopeless = sinkWait.since
      say(
        .warning,
        "ClickHouse's address has answered HTTP \(status) for a minute, which no waiting heals: does the url lead to ClickHouse's HTTP port, without a redirection, and do user and password fit what stands before it? (\(sinkWait.reason))"
      )
    }
    guard let limit = options.waitAtMostMilliseconds, options.untilEnd else { return }
    guard let wait = waits.first(where: { monotonic - $0.since.monotonicMilliseconds >= limit }) else { return }
    end(
      Stop(
        .failed,
        "waited \((monotonic - wait.since.monotonicMilliseconds) / 1000) s for \(wait.subject.rawValue), longer than --wait-at-most allows: \(wait.reason). What was sealed is in the log; the next start goes on"
      ))
  }

  /// The status of an answer that isn't ClickHouse's and asks for another address or other credentials: a redirection, 401, 403, 404, 405,
  /// 407. 429 and 5xx pass.
  static func hopelessStatus(_ reason: String) -> Int? {
    guard let place = reason.firstRange(of: "HTTP ") else { return nil }
    guard let status = Int(reason[place.upperBound...].prefix(3)) else { return nil }
    return (300...399).contains(status) || [401, 403, 404, 405, 407].contains(status) ? status : nil
  }
}
