/// Where a pipeline is, as its owner counts it.
struct ProgressCounters: Sendable {
  /// Records processed since the start.
  var recordCount: UInt64 = 0
  /// Rows acked by ClickHouse since the start.
  var ackedRowCount: UInt64 = 0
  /// Records between the position and the end of the topic; nil while unknown.
  var lag: Int64?
  /// How far the watermark is behind the clock; nil without event time or before the first record.
  var watermarkDelayMilliseconds: Int64?
  var unackedBatchCount = 0
  /// Since the last checkpoint; nil before the first.
  var checkpointAgeMilliseconds: Int64?
  /// What the pipeline waits for, such as `ClickHouse: connection refused`; nil while it runs.
  var waitingFor: String?
}

/// Shows progress: a live line on a terminal, otherwise a log line every 10 s. One thread.
struct ProgressReporter {
  private static let logIntervalMilliseconds: Int64 = 10_000
  private static let liveIntervalMilliseconds: Int64 = 500

  private let logger: Logger
  private let isLive: Bool
  private var shownAt: Int64
  private var shownRecordCount: UInt64 = 0

  /// Times are of one clock that never goes back, in ms. `isLive` where stderr is a terminal and logs are text.
  init(_ logger: Logger, isLive: Bool, now: Int64) {
    self.logger = logger
    self.isLive = isLive
    self.shownAt = now
  }

  /// Call it as often as you like: it shows something when it is time.
  mutating func report(_ counters: ProgressCounters, now: Int64) {
    let elapsed = now - shownAt
    guard elapsed >= (isLive ? Self.liveIntervalMilliseconds : Self.logIntervalMilliseconds) else { return }
    let rate = (counters.recordCount &- shownRecordCount) * 1000 / UInt64(elapsed)
    shownAt = now
    shownRecordCount = counters.recordCount
    if isLive {
      Output.live(Self.line(counters, rate: rate))
    } else {
      var text = counters.waitingFor ?? ""
      if text.isEmpty { text = "none" }
      logger.info(
        "progress",
        [
          "rows_per_second": .integer(Int64(rate)), "records": .integer(Int64(clamping: counters.recordCount)),
          "acked_rows": .integer(Int64(clamping: counters.ackedRowCount)), "lag": .text(counters.lag.map(String.init) ?? "unknown"),
          "watermark_delay_ms": .text(counters.watermarkDelayMilliseconds.map(String.init) ?? "none"),
          "unacked_batches": .integer(Int64(counters.unackedBatchCount)),
          "checkpoint_age_ms": .text(counters.checkpointAgeMilliseconds.map(String.init) ?? "none"), "waiting_for": .text(text),
        ])
    }
  }

  /// Removes the live line.
  func finish() {
    if isLive { Output.live("") }
  }

  /// The live line.
  static func line(_ counters: ProgressCounters, rate: UInt64) -> String {
    var parts = ["\(grouped(Int64(clamping: rate))) rows/s", "lag \(counters.lag.map { grouped($0) } ?? "?")"]
    if let delay = counters.watermarkDelayMilliseconds { parts.append("watermark \(seconds(delay)) behind") }
    parts.append("\(counters.unackedBatchCount) unacked batches")
    parts.append(counters.checkpointAgeMilliseconds.map { "checkpoint \(seconds($0)) ago" } ?? "no checkpoint yet")
    if let waiting = counters.waitingFor { parts.append("waiting: \(waiting)") }
    return parts.joined(separator: "  ")
  }

  private static func seconds(_ milliseconds: Int64) -> String {
    "\(milliseconds / 1000).\((milliseconds.magnitude % 1000) / 100) s"
  }
}

/// `1234567` as `1,234,567`.
func grouped(_ number: Int64) -> String {
  var digits = String(number.magnitude)
  var index = digits.count - 3
  while index > 0 {
    digits.insert(",", at: digits.index(digits.startIndex, offsetBy: index))
    index -= 3
  }
  return number < 0 ? "-" + digits : digits
}
