internal import MillBase
internal import MillCore
internal import MillEngine
internal import MillLog

/// Shows progress: a live line on a terminal, otherwise a log line every 10 s. One thread.
struct ProgressReporter {
  private static let logIntervalMilliseconds: Int64 = 10_000
  private static let liveIntervalMilliseconds: Int64 = 500

  private let logger: Logger
  private let isLive: Bool
  private var shownAt: Int64
  private var shownRecordCount: UInt64 = 0
  private var shownRowCount: UInt64 = 0

  /// Times are of one clock that never goes back, in ms. `isLive` where stderr is a terminal and logs are text.
  init(_ logger: Logger, isLive: Bool, now: Int64) {
    self.logger = logger
    self.isLive = isLive
    self.shownAt = now
  }

  /// Call it as often as you like: it shows something when it is time.
  mutating func report(_ snapshot: EngineSnapshot) {
    let now = snapshot.at.monotonicMilliseconds
    let elapsed = now - shownAt
    guard elapsed >= (isLive ? Self.liveIntervalMilliseconds : Self.logIntervalMilliseconds) else { return }
    let progress = snapshot.progress
    let recordCount = progress.counters.records + progress.replayedRecords
    let rowCount = progress.outcomes.emitted
    let rates = Rates(
      rows: (rowCount - shownRowCount) * 1000 / UInt64(elapsed), records: (recordCount - shownRecordCount) * 1000 / UInt64(elapsed))
    shownAt = now
    (shownRecordCount, shownRowCount) = (recordCount, rowCount)
    if isLive {
      Output.live(Self.line(progress, rates, now: now))
    } else {
      let deadLetters = progress.allDeadLetters
      let waits = progress.waits.map { "\($0.label): \($0.reason)" }
      logger.info(
        "progress",
        [
          "rows_per_second": .integer(Int64(rates.rows)), "records_per_second": .integer(Int64(rates.records)),
          "rows": .integer(Int64(clamping: rowCount)), "records": .integer(Int64(clamping: recordCount)),
          "dead_letters": .integer(Int64(clamping: deadLetters.total)),
          "dead_letters_by_reason": .text(deadLetters.isEmpty ? "none" : deadLetters.text),
          "skipped": .integer(Int64(clamping: progress.outcomes.skipped)),
          "filtered": .integer(Int64(clamping: progress.outcomes.filtered)),
          "acked_rows": .integer(Int64(clamping: progress.ackedRows)),
          "lag": progress.partitions.isEmpty ? "unknown" : .text("\(progress.lag)"),
          "watermark_delay_ms": .text(progress.watermarkDelayMilliseconds.map(String.init) ?? "none"),
          "unacked_batches": .integer(Int64(progress.unackedBatches)),
          "checkpoint_age_ms": .text(progress.checkpointedAt.map { "\(now - $0)" } ?? "none"),
          "waiting_for": .text(waits.isEmpty ? "none" : waits.joined(separator: "; ")),
        ])
    }
  }

  /// Removes the live line.
  func finish() {
    if isLive { Output.live("") }
  }

  /// Per second, since what was shown before: rows that went on towards the table, and records that were read, whatever came of them.
  struct Rates {
    var rows: UInt64
    var records: UInt64
  }

  /// The live line. `now`: monotonic.
  static func line(_ progress: Progress, _ rates: Rates, now: Int64) -> String {
    var parts = [
      "\(grouped(Int64(clamping: rates.rows))) rows/s", "\(grouped(Int64(clamping: rates.records))) records/s",
    ]
    parts.append("lag \(progress.partitions.isEmpty ? "?" : grouped(progress.lag))")
    let deadLetters = progress.allDeadLetters
    if !deadLetters.isEmpty { parts.append("\(grouped(Int64(clamping: deadLetters.total))) dead letters (\(deadLetters.text))") }
    if progress.outcomes.skipped > 0 { parts.append("\(grouped(Int64(clamping: progress.outcomes.skipped))) skipped") }
    if progress.outcomes.filtered > 0 { parts.append("\(grouped(Int64(clamping: progress.outcomes.filtered))) filtered") }
    if let delay = progress.watermarkDelayMilliseconds { parts.append("watermark \(seconds(delay)) behind") }
    parts.append("\(progress.unackedBatches) unacked batches")
    parts.append(progress.checkpointedAt.map { "checkpoint \(seconds(now - $0)) ago" } ?? "no checkpoint yet")
    for wait in progress.waits { parts.append("waiting for \(wait.label): \(wait.reason)") }
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
