internal import MillBase
internal import MillConfig
internal import MillCore
internal import MillFlow
internal import MillKafka

/// `check --connect`: decodes the newest records of each partition, as `run` would, and says what comes of them.
struct CheckSample {
  /// Of each partition; fewer where there are many.
  static let recordCountMax = 200
  private static let totalCountMax = 10_000
  /// Rows that are decoded together: few, as defaults and arrays may be far larger than their records.
  private static let pieceRowCount = 64

  private(set) var rowCount = 0
  private(set) var reasons = ReasonTally()

  /// Prints what was found. `.invalidFile` where records are there and none of them is a row.
  static func check(_ topic: TopicDescription, _ source: Assembly.Source) throws(SourceError) -> ExitCode {
    let plan = source.settings.plan
    let count = max(1, min(recordCountMax, totalCountMax / max(1, topic.partitions.count)))
    let sample = try source.end.sample(topic.partitions, limits: plan.limits, recordCountMax: count)
    for gap in sample.gaps { Output.line("  note    sample: \(gap)") }
    guard sample.recordCount > 0 else {
      let isEmpty = topic.partitions.allSatisfy { $0.stableEnd <= $0.low }
      Output.line("  sample  \(isEmpty ? "the topic is empty" : "no record could be read"): the fields weren't tried on records")
      return .done
    }
    var found = CheckSample()
    for (partition, buffer) in sample.buffers.enumerated() { found.decode(buffer, Int32(partition), plan) }
    return found.tell(plan)
  }

  mutating func decode(_ buffer: RecordBuffer, _ partition: Int32, _ plan: SourcePlan) {
    let decoder = RecordDecoder(plan: plan)
    let rows = DecodedRows(plan)
    let clock = SystemClock().now().wallMilliseconds
    var taken = 0
    while taken < buffer.count {
      let some = min(Self.pieceRowCount, buffer.count - taken)
      var failures: [DecodeFailure] = []
      rows.removeAll()
      decoder.decode(
        buffer, skipping: taken, first: some, partition: partition, clockMilliseconds: clock, into: rows, failures: &failures)
      taken += some
      rowCount += rows.rowCount
      for failure in failures { reasons.add(failure.reason.rawValue, example: failure.example(plan, buffer, partition: partition)) }
    }
  }

  private func tell(_ plan: SourcePlan) -> ExitCode {
    let total = rowCount + Int(reasons.total)
    guard !reasons.isEmpty else {
      Output.line("  sample  each of the \(grouped(Int64(total))) newest records is a row")
      return .done
    }
    let lines = reasons.entries.map { "          \(grouped(Int64($0.count))) \($0.reason): \($0.example)" }
    guard rowCount == 0 else {
      let fate =
        switch plan.onError {
        case .deadLetter: "become dead letters"
        case .skip: "are skipped"
        case .fail: "end the run (on_error: fail)"
        }
      Output.line("  sample  \(grouped(Int64(rowCount))) of the \(grouped(Int64(total))) newest records are rows; the others \(fate):")
      for line in lines { Output.line(line) }
      return .done
    }
    Output.errorLine("  sample  not one of the \(grouped(Int64(total))) newest records is a row:")
    for line in lines { Output.errorLine(line) }
    return .invalidFile
  }
}
