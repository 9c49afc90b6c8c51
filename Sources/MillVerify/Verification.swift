package import MillBase
package import MillClickHouse
package import MillFlow
internal import MillLog

/// What `verify` looks at.
package struct VerifyParts: Sendable {
  package var disk: any Disk
  package var pipeline: String
  package var stateDirectory: String
  package var deadLetterDirectory: String
  package var checkpointDirectory: String
  /// In the file's order; never empty.
  package var sources: [VerifySource]
  /// In the file's order; never empty.
  package var sinks: [VerifySink]
  /// Waits between two looks at a log that is being written.
  package var pause: @Sendable () -> Void

  package init(
    disk: any Disk, pipeline: String, stateDirectory: String, deadLetterDirectory: String, checkpointDirectory: String,
    sources: [VerifySource], sinks: [VerifySink], pause: @escaping @Sendable () -> Void
  ) {
    self.disk = disk
    self.pipeline = pipeline
    self.stateDirectory = stateDirectory
    self.deadLetterDirectory = deadLetterDirectory
    self.checkpointDirectory = checkpointDirectory
    self.sources = sources
    self.sinks = sinks
    self.pause = pause
  }
}

/// A source and how its brokers are asked.
package struct VerifySource: Sendable {
  /// As the file has it.
  package var name: String
  package var topic: String
  package var end: any Source

  package init(name: String, topic: String, end: any Source) {
    self.name = name
    self.topic = topic
    self.end = end
  }
}

/// A sink and how its server is asked.
package struct VerifySink: Sendable {
  /// As the file has it.
  package var name: String
  package var options: SinkOptions
  /// One for each of the sink's URLs.
  package var transports: [any Transport]
  /// Whether no two rows of a batch can be equal: records are deduplicated by an event time that the table has.
  package var rowsAreDistinct: Bool

  package init(name: String, options: SinkOptions, transports: [any Transport], rowsAreDistinct: Bool) {
    self.name = name
    self.options = options
    self.transports = transports
    self.rowsAreDistinct = rowsAreDistinct
  }
}

/// Reconciles what the log has sealed with the table, the dead letters and Kafka. It changes nothing, and may run beside the pipeline:
/// history is read first, so that what is acked in it must be in the table when that is asked.
package struct Verification {
  let parts: VerifyParts

  package init(_ parts: VerifyParts) { self.parts = parts }

  package func run() -> VerifyReport {
    var report = VerifyReport()
    let history: HistoryReader
    var tally = HistoryTally()
    do {
      history = try readHistory()
      var isInLog = false
      let first = history.log.firstPosition
      let gaps = try history.forEach(fromLog: { isInLog = true }) { tally.take($0, isInLog: isInLog) }
      report.lostHistory = gaps.map { "\($0)" }
      if history.log.end == 0 { report.lostHistory = ["there is no log in \(parts.stateDirectory)/log: has the pipeline run?"] }
      if first == history.log.end, first > 0 { report.lostHistory.append("the log holds nothing behind position \(first)") }
    } catch {
      report.lostHistory = ["\(error)"]
      return report
    }
    report.sources = SourceNames(parts, history)
    fill(&report, tally)
    checkHistory(&report, tally)
    checkKafka(&report, tally)
    do {
      try checkDeadLetters(&report, history, tally)
      try checkTables(&report, history, tally)
    } catch {
      report.lostHistory.append("\(error)")
    }
    return report
  }

  /// A running instance truncates the log and begins segments under its reader: then it is read again.
  func readHistory() throws -> HistoryReader {
    var tries = 0
    while true {
      do throws(LogError) {
        return try HistoryReader(parts.disk, stateDirectory: parts.stateDirectory, pipeline: parts.pipeline)
      } catch {
        tries += 1
        if tries == 10 { throw error }
        parts.pause()
      }
    }
  }

  private func fill(_ report: inout VerifyReport, _ tally: HistoryTally) {
    report.lineages = tally.lineages
    report.lastEpoch = tally.walk.epoch
    report.offsets = tally.offsets
    report.givenUp = tally.walk.givenUp
    report.counters = tally.countersAreKnown ? tally.counters : nil
    report.tableBatches = tally.tableBatches
    report.tableRows = tally.tableRows
    report.deadLetterBatches = tally.batchCount[.deadLetters] ?? 0
    report.deadLetterRows = tally.deadLetterRows
    report.inFlightBatches = tally.inFlight.count
    if tally.countersAreKnown, tally.tableRows == 0, tally.counters.records > 0 {
      report.notes.append("no row was ever sealed for the table: of \(tally.counters.records) records none became one")
    }
  }

  /// Ranges without gaps and overlaps; records that add up.
  private func checkHistory(_ report: inout VerifyReport, _ tally: HistoryTally) {
    for one in tally.walk.breaks {
      let what =
        one.found > one.expected
        ? "offsets \(one.expected) to \(one.found - 1) were never read" : "offsets \(one.found) to \(one.expected - 1) were read twice"
      report.add(VerifyReport.Finding(kind: .ranges, text: "\(report.sources.place(one.slot)), epoch \(one.epoch): \(what)"))
    }
    // Where history has holes its sums mean nothing.
    guard report.lostHistory.isEmpty else { return }
    let lacking = tally.lacking
    if lacking.rows + lacking.letters > 0, tally.countersAreKnown {
      report.notes.append(
        "\(lacking.rows) rows and \(lacking.letters) dead letters were counted and never made: their records were given up before (--accept-loss)"
      )
    }
    for text in tally.disagreements { report.add(VerifyReport.Finding(kind: .counters, text: text)) }
    if !tally.countersAreKnown { report.unproven.append("seals of an older release don't say where their records ended") }
  }

  private func checkKafka(_ report: inout VerifyReport, _ tally: HistoryTally) {
    let ranges = Dictionary(grouping: tally.offsets, by: \.slot.source)
    for (number, ranges) in ranges.sorted(by: { $0.key < $1.key }) {
      guard let source = report.sources.source(number, parts.sources) else {
        let name = report.sources.name(number) ?? "number \(number.rawValue)"
        report.notes.append("source \(name) is not in the file any more: whether Kafka still has what was read of it was not compared")
        continue
      }
      do throws(SourceError) {
        compare(ranges, try source.end.describe(), &report)
      } catch {
        let which = parts.sources.count > 1 ? " for source \(source.name)" : ""
        report.notes.append("Kafka does not answer\(which) (\(error)): whether it still has what was read was not compared")
      }
    }
  }

  private func compare(_ ranges: [OffsetRange], _ topic: TopicDescription, _ report: inout VerifyReport) {
    for range in ranges {
      let (index, place) = (Int(range.slot.partition), report.sources.place(range.slot))
      guard index < topic.partitions.count else {
        report.add(VerifyReport.Finding(kind: .kafka, text: "\(place) was read, the topic has \(topic.partitions.count)"))
        continue
      }
      let end = topic.partitions[index].stableEnd
      if range.next > end {
        report.add(
          VerifyReport.Finding(
            kind: .kafka, text: "\(place) was read up to offset \(range.next - 1), the topic ends at \(end - 1)"))
      }
    }
  }
}
