internal import MillBase
internal import MillClickHouse
internal import MillLog

/// The table's rows against the batches that were sealed for it.
extension Verification {
  /// Rows of a batch that are told one by one.
  private static let samplesMax = 5

  /// Each table by itself. A batch is asked for where its sink writes today, under the table's name that it was sealed for.
  func checkTables(_ report: inout VerifyReport, _ history: HistoryReader, _ tally: HistoryTally) throws {
    let tables = tally.destinations.filter(\.isTable)
    guard parts.sinks.count > 1 || tables.count > 1 else {
      return try checkTable(&report, parts.sinks[0], Set(tables), history, tally)
    }
    let owners = owners(of: tables, tally)
    for (index, sink) in parts.sinks.enumerated() {
      try checkTable(&report, sink, Set(tables.filter { owners[$0] == index }), history, tally)
    }
    for table in tables where owners[table] == nil {
      guard let target = tally.newest[table]?.target else { continue }
      report.unproven.append(
        "batches were sealed for \(target), which no sink of the file writes into: verify with a file that still has the sink looks for them"
      )
    }
  }

  /// Which of the sinks each table's batches were sealed for last: the one whose name their tokens have, else (renamed since) the one that
  /// writes into a table of that name. Two servers may have one of the same.
  private func owners(of tables: [Destination], _ tally: HistoryTally) -> [Destination: Int] {
    var owners: [Destination: Int] = [:]
    for table in tables {
      guard let prefix = tally.newest[table]?.prefix, let lineage = TokenParts.lineage(ofPrefix: prefix) else { continue }
      owners[table] = parts.sinks.firstIndex { sink in
        [tokenName(sink: sink.name), sink.name].contains { tokenPrefix(lineage: lineage, destination: $0) == prefix }
      }
    }
    for table in tables where owners[table] == nil {
      let target = tally.newest[table]?.target
      owners[table] = parts.sinks.indices.first { !owners.values.contains($0) && "\(parts.sinks[$0].options.table)" == target }
    }
    return owners
  }

  private func checkTable(
    _ report: inout VerifyReport, _ sink: VerifySink, _ destinations: Set<Destination>, _ history: HistoryReader, _ tally: HistoryTally
  ) throws {
    guard sink.options.provenanceColumn != nil else {
      report.unproven.append(
        "\(words(sink)) has no column that names each row's batch (provenance_column is null): missing, extra and doubled rows can't be told"
      )
      return
    }
    let questions: BatchQuestions
    switch BatchQuestions.open(sink.options, sink.transports) {
    case .success(let opened): questions = opened
    case .failure(let reason):
      report.unproven.append("\(words(sink)) can't be asked: \(reason)")
      return
    }
    // Earlier releases had the sink's name in tokens as it stands.
    let names = [tokenName(sink: sink.name), sink.name]
    let sealed = tally.prefixes.filter { destinations.contains($0.key) }.reduce(into: Set<String>()) { $0.formUnion($1.value) }
    let prefixes = sealed.union(tally.lineages.flatMap { lineage in names.map { tokenPrefix(lineage: lineage, destination: $0) } })
    let check = TableCheck(questions, report, ours: prefixes)
    _ = try history.forEach { entry in
      for batch in entry.batches where destinations.contains(batch.destination) && !tally.isRetired(batch) {
        check.add(batch, isInFlight: tally.inFlight[Ack(destination: batch.destination, batch: batch.number)] != nil)
      }
    }
    check.finish()
    // Nothing sealed, or all of it retired.
    for prefix in prefixes.sorted() where !check.prefixes.contains(prefix) { check.addUnsealed(sink.options.table, prefix: prefix) }
    report = check.report
    if let failure = check.failure {
      report.unproven.append("\(words(sink)) did not answer all that was asked: \(failure)")
      return
    }
    if check.unnamed.batches > 0 {
      report.unproven.append(
        "\(check.unnamed.batches) batches with \(check.unnamed.rows) rows were sealed without column \(questions.provenance): whether the table has them can't be told"
      )
    }
    if let reason = questions.rowsLeave {
      report.unproven.append("\(reason): rows that are gone can't be told from rows that never came")
    }
    if check.uncompared.batches > 0 {
      report.notes.append(
        "the content of \(check.uncompared.batches) batches was not compared: the table empties column "
          + check.uncompared.columns.sorted().joined(separator: ", ") + " (TTL)")
    }
    if case .success(let rows) = questions.otherRows(sink.options.table, prefixes: prefixes.sorted()) {
      report.otherRows = (report.otherRows ?? 0) + rows
    }
    try tellUnknown(&report, check.unknown, tally)
    try tellWrong(&report, check.wrong, sink, history, questions, tally)
  }

  private func words(_ sink: VerifySink) -> String { parts.sinks.count == 1 ? "the table" : "the table of sink \(sink.name)" }

  /// Tokens that history didn't know: sealed since it was read, or by nobody.
  private func tellUnknown(_ report: inout VerifyReport, _ unknown: [String: UInt64], _ tally: HistoryTally) throws {
    guard !unknown.isEmpty else { return }
    var left = unknown
    _ = try readHistory().forEach { entry in
      for batch in entry.batches where !tally.isRetired(batch) { left[batch.token] = nil }
    }
    for (token, rows) in left.sorted(by: { $0.key < $1.key }) {
      guard report.lostHistory.isEmpty else {
        report.unproven.append("\(rows) rows under \(token), of which nothing is known any more")
        continue
      }
      report.add(VerifyReport.Finding(kind: .extra, rows: rows, text: "\(rows) rows under a token that nobody sealed", token: token))
    }
  }

  private func tellWrong(
    _ report: inout VerifyReport, _ wrong: [(batch: HistoryBatch, found: UInt64)], _ sink: VerifySink, _ history: HistoryReader,
    _ questions: BatchQuestions, _ tally: HistoryTally
  ) throws {
    guard !wrong.isEmpty else { return }
    let tokens = Set(wrong.map(\.batch.token))
    var extents: [String: (epochs: ClosedRange<EpochNumber>, ranges: [OffsetRange])] = [:]
    var ofRetired: [BatchKey: (epochs: ClosedRange<EpochNumber>, ranges: [OffsetRange])] = [:]
    var walk = HistoryWalk()
    _ = try history.forEach { entry in
      walk.take(entry) { seal, walk in
        for batch in seal.batches where batch.destination.isTable {
          if tokens.contains(batch.token) { extents[batch.token] = walk.extent(of: batch.destination) }
          if tally.isRetired(batch) { ofRetired[BatchKey(batch.destination, batch.number)] = walk.extent(of: batch.destination) }
        }
      }
      // What replaces a batch is of its epochs.
      if case .retire(let table, let number, let replacements) = entry {
        for batch in replacements {
          extents[batch.token] = ofRetired[BatchKey(table, number)]
          if tally.isRetired(batch) { ofRetired[BatchKey(batch.destination, batch.number)] = ofRetired[BatchKey(table, number)] }
        }
      }
    }
    for (batch, found) in wrong {
      for var finding in findings(&report, batch, found, sink, history, questions) {
        finding.token = batch.token
        finding.epochs = extents[batch.token]?.epochs
        finding.ranges = extents[batch.token]?.ranges ?? []
        report.add(finding)
      }
    }
  }

  /// What is wrong with a batch: rows missing, doubled, or others than were sealed.
  private func findings(
    _ report: inout VerifyReport, _ batch: HistoryBatch, _ found: UInt64, _ sink: VerifySink, _ history: HistoryReader,
    _ questions: BatchQuestions
  ) -> [VerifyReport.Finding] {
    guard let table = TableName(batch.shape.target) else { return [] }
    var doubled: (count: UInt64, samples: [String]) = (0, [])
    var surplusWords = ", none a copy"
    if found > 0 {
      switch questions.doubled(table, token: batch.token, batch.shape, limit: Self.samplesMax) {
      case .success(let answer): doubled = answer
      case .failure(let reason):
        surplusWords = ""
        report.unproven.append("which rows of batch \(batch.token) stand there again can't be told: \(reason)")
      }
    }
    // Rows may be equal by right where nothing removes duplicates. With as many as were sealed, but another content, it is likelier that
    // one is gone and another there twice.
    let surplus = found > batch.rowCount ? found - batch.rowCount : 0
    // Where the table empties columns, rows become equal that were not.
    let areDistinct = sink.rowsAreDistinct && questions.emptied.isEmpty
    let copies = areDistinct || found == batch.rowCount ? doubled.count : min(doubled.count, surplus)
    let kept = found - min(copies, found)
    var findings: [VerifyReport.Finding] = []
    if kept < batch.rowCount, questions.rowsLeave == nil {
      let count = batch.rowCount - kept
      findings.append(
        VerifyReport.Finding(
          kind: .missing, rows: count, text: "\(count) of \(batch.rowCount) rows are missing",
          samples: missingRows(batch, table, history, questions, report.sources)))
    }
    if copies > 0 {
      findings.append(
        VerifyReport.Finding(kind: .double, rows: copies, text: "\(copies) rows stand there again", samples: doubled.samples))
    }
    if kept > batch.rowCount {
      let count = kept - batch.rowCount
      findings.append(
        VerifyReport.Finding(
          kind: .extra, rows: count, text: "\(count) rows more than the \(batch.rowCount) that were sealed\(surplusWords)")
      )
    }
    if findings.isEmpty {
      findings.append(
        VerifyReport.Finding(
          kind: .altered, text: "as many rows as were sealed, \(batch.rowCount), but with another content",
          samples: missingRows(batch, table, history, questions, report.sources) + doubled.samples))
    }
    return findings
  }

  /// Of a batch whose bytes are still in the log: where the rows came from that the table hasn't got.
  private func missingRows(
    _ batch: HistoryBatch, _ table: TableName, _ history: HistoryReader, _ questions: BatchQuestions, _ names: SourceNames
  ) -> [String] {
    guard let sealed = history.sealedBatch(batch.token) else { return [] }
    do {
      let chunks = try sealed.chunks.map { try history.readChunk($0) }
      let frames = Array(chunks.dropLast(Int(sealed.originChunkCount)))
      let rows = questions.missing(table, token: batch.token, batch.shape, frames: frames, limit: Self.samplesMax)
      guard case .success(let numbers) = rows else { return [] }
      let origins = try Origins.decode(Array(chunks.suffix(Int(sealed.originChunkCount))))
      return numbers.filter(origins.indices.contains).map {
        "row \($0): \(names.place(Slot(rawValue: origins[$0].partition))), offset \(origins[$0].offset)"
      }
    } catch {
      // Truncated since: what is known of it stands in the finding.
      return []
    }
  }
}
