internal import Glibc
internal import MillBase
internal import MillClickHouse
internal import MillConfig
internal import MillFlow
internal import MillLog
internal import MillVerify

/// `millrace verify FILE`.
func verifyPipeline(_ arguments: Arguments, _ logger: Logger) -> ExitCode {
  guard let pipeline = loadPipeline(arguments.positional[0]) else { return .invalidFile }
  guard let assembly = Assembly.make(pipeline, logger) else { return .invalidFile }
  defer { assembly.close() }
  let sinks = assembly.sinks.map { sink in
    var options = sink.options
    // A look at all batches of a year reads a column of all rows.
    options.questionTimeoutMilliseconds = 3_600_000
    return VerifySink(
      name: sink.settings.name, options: options, transports: sink.transports, rowsAreDistinct: pipeline.rowsAreDistinct(sink.settings))
  }
  let report = Verification(
    VerifyParts(
      disk: RealDisk(), pipeline: pipeline.name, stateDirectory: pipeline.state.directory,
      deadLetterDirectory: pipeline.deadLetters.directory, checkpointDirectory: pipeline.checkpoint.directory,
      sources: assembly.sources.map { VerifySource(name: $0.settings.plan.name, topic: $0.settings.plan.topic, end: $0.end) },
      sinks: sinks, pause: { usleep(200_000) })
  ).run()
  if arguments.flag("--json") { Output.json(json(report) + "\n") } else { Output.out(text(report)) }
  if report.isProven { return .done }
  return report.lostHistory.isEmpty ? .failed : .stopped
}

private func text(_ report: VerifyReport) -> String {
  var lines: [String] = []
  lines.append("history  \(report.lastEpoch) epochs, lineages \(report.lineages.map(\.description).joined(separator: ", "))")
  for range in report.offsets { lines.append("  \(report.sources.place(range.slot)): offsets \(range.start) to \(range.next - 1)") }
  for range in report.givenUp {
    let place = report.sources.place(range.slot)
    lines.append("  \(place): offsets \(range.start) to \(range.next - 1) were given up (--accept-loss)")
  }
  if let counters = report.counters {
    let nullKeys = counters.nullKey > 0 ? " (\(counters.nullKey) of them without a key: null_key)" : ""
    lines.append(
      "records  \(counters.records): \(counters.emitted) emitted\(nullKeys), \(counters.duplicate) duplicate, \(counters.late) late, "
        + "\(counters.skipped) skipped, \(counters.deadLettered) dead-lettered"
        + (counters.filtered > 0 ? ", \(counters.filtered) filtered" : ""))
  }
  lines.append(
    "sealed   \(report.tableBatches) batches with \(report.tableRows) rows for the table, \(report.deadLetterBatches) with "
      + "\(report.deadLetterRows) records for the dead letters; \(report.inFlightBatches) batches in flight")
  lines.append(
    "table    \(report.rowsFound) rows under these batches, \(report.inFlightRows) of them in flight; content compared of "
      + "\(report.batchesWithContent) batches" + (report.otherRows.map { "; \($0) rows of other writers" } ?? ""))
  for note in report.notes { lines.append("note     \(note)") }
  for finding in report.findings { lines += findingLines(finding, report.sources) }
  for reason in report.unproven { lines.append("UNPROVEN \(reason)") }
  for lost in report.lostHistory { lines.append("LOST     \(lost)") }
  let counts =
    "missing \(report.missing), extra \(report.extra), double \(report.double) rows; altered \(report.altered) batches; "
    + "other problems \(report.otherProblems)"
  let verdict =
    report.isProven
    ? "proven" : report.lostHistory.isEmpty ? "NOT PROVEN" : "CAN'T BE PROVEN: ledger or log are not whole"
  lines.append("\(verdict): \(counts)")
  return lines.map { shown($0) + "\n" }.joined()
}

private func findingLines(_ finding: VerifyReport.Finding, _ sources: SourceNames) -> [String] {
  var lines = ["\(finding.kind.rawValue.uppercased()) \(finding.text)"]
  if let token = finding.token { lines.append("  batch \(token)") }
  if let epochs = finding.epochs { lines.append("  epochs \(epochs.lowerBound) to \(epochs.upperBound)") }
  for range in finding.ranges { lines.append("  \(sources.place(range.slot)): offsets \(range.start) to \(range.next - 1)") }
  for sample in finding.samples { lines.append("  \(sample)") }
  return lines
}

private func json(_ report: VerifyReport) -> String {
  func list(_ texts: [String]) -> String { "[" + texts.map(jsonText).joined(separator: ",") + "]" }
  func ranges(_ ranges: [OffsetRange]) -> String {
    let texts = ranges.map { range in
      let source = report.sources.name(range.slot.source).map(jsonText) ?? "null"
      return "{\"source\":\(source),\"partition\":\(range.slot.partition),\"start\":\(range.start),\"next\":\(range.next)}"
    }
    return "[\(texts.joined(separator: ","))]"
  }
  let findings = report.findings.map { finding in
    var text = "{\"kind\":\"\(finding.kind.rawValue)\",\"rows\":\(finding.rows),\"text\":\(jsonText(finding.text))"
    if let token = finding.token { text += ",\"batch\":\(jsonText(token))" }
    if let epochs = finding.epochs { text += ",\"first_epoch\":\(epochs.lowerBound),\"last_epoch\":\(epochs.upperBound)" }
    return text + ",\"ranges\":\(ranges(finding.ranges)),\"samples\":\(list(finding.samples))}"
  }
  let counters = report.counters.map { counters in
    "{\"records\":\(counters.records),\"emitted\":\(counters.emitted),\"duplicate\":\(counters.duplicate),\"late\":\(counters.late),"
      + "\"skipped\":\(counters.skipped),\"dead_lettered\":\(counters.deadLettered),\"filtered\":\(counters.filtered),"
      + "\"null_key\":\(counters.nullKey)}"
  }
  return "{\"proven\":\(report.isProven),\"missing\":\(report.missing),\"extra\":\(report.extra),\"double\":\(report.double),"
    + "\"altered_batches\":\(report.altered),\"other_problems\":\(report.otherProblems),\"lost_history\":\(list(report.lostHistory)),"
    + "\"unproven\":\(list(report.unproven)),\"notes\":\(list(report.notes)),"
    + "\"lineages\":\(list(report.lineages.map(\.description))),\"last_epoch\":\(report.lastEpoch),\"offsets\":\(ranges(report.offsets)),"
    + "\"given_up\":\(ranges(report.givenUp)),"
    + "\"counters\":\(counters ?? "null"),\"batches\":\(report.tableBatches),\"rows_sealed\":\(report.tableRows),"
    + "\"rows_found\":\(report.rowsFound),\"batches_in_flight\":\(report.inFlightBatches),\"rows_in_flight\":\(report.inFlightRows),"
    + "\"batches_with_content\":\(report.batchesWithContent),\"dead_letter_batches\":\(report.deadLetterBatches),"
    + "\"dead_letters\":\(report.deadLetterRows),\"other_rows\":\(report.otherRows.map { "\($0)" } ?? "null"),"
    + "\"findings\":[\(findings.joined(separator: ","))]}"
}
