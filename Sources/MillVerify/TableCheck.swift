internal import MillBase
internal import MillClickHouse
internal import MillLog

/// Compares the batches of history with the table's rows, many of them in one question, in the order of their tokens.
///
/// Memory: the batches of one question, and tokens that nobody sealed.
final class TableCheck {
  /// Batches in one question: about 10 MB of answer.
  private static let chunkMax = 50_000
  /// Batches that are looked into one by one.
  private static let looksMax = 20

  private let questions: BatchQuestions
  /// How the pipeline's tokens begin, under each name that its sink has had.
  private let ours: Set<String>
  private(set) var failure: QuestionFailure?
  private(set) var report: VerifyReport
  private var chunk: [String: Expected] = [:]
  private var shape: BatchShape? {
    didSet { if shape != oldValue { emptied = shape.map(questions.emptied(of:)) ?? [] } }
  }
  /// Columns of this shape's content sum that the table empties.
  private var emptied: [String] = []
  private var prefix = ""
  /// What the tokens begin with that were asked for.
  private(set) var prefixes: Set<String> = []
  private var after = ""
  private var isInclusive = true
  private var newest = ""
  /// Rows of tokens that history doesn't know, with their table.
  private(set) var unknown: [String: UInt64] = [:]
  /// Batches that were sealed without the provenance column: when it had another name, or there was none.
  private(set) var unnamed: (batches: Int, rows: UInt64) = (0, 0)
  /// Batches whose content can't be compared, as the table empties columns of its sum; and those columns.
  private(set) var uncompared: (batches: Int, columns: Set<String>) = (0, [])
  /// Wrong batches, to be looked into: rows found.
  private(set) var wrong: [(batch: HistoryBatch, found: UInt64)] = []

  private struct Expected {
    var batch: HistoryBatch
    var isInFlight: Bool
  }

  init(_ questions: BatchQuestions, _ report: VerifyReport, ours: Set<String>) {
    self.questions = questions
    self.ours = ours
    self.report = report
  }

  /// The next batch, in the order of their seals.
  func add(_ batch: HistoryBatch, isInFlight: Bool) {
    guard batch.shape.columns.contains(where: { $0.name == questions.provenance }) else {
      unnamed.batches += 1
      unnamed.rows += batch.rowCount
      return
    }
    let itsPrefix = TokenParts(batch.token)?.prefix ?? batch.token
    if itsPrefix != prefix || batch.shape != shape || chunk.count >= Self.chunkMax {
      ask(isLast: itsPrefix != prefix || batch.shape.target != shape?.target)
    }
    if itsPrefix != prefix || batch.shape.target != shape?.target {
      after = itsPrefix
      isInclusive = true
    }
    prefix = itsPrefix
    prefixes.insert(itsPrefix)
    shape = batch.shape
    newest = max(newest, batch.token)
    chunk[batch.token] = Expected(batch: batch, isInFlight: isInFlight)
  }

  func finish() { ask(isLast: true) }

  /// Rows of a lineage that has sealed nothing.
  func addUnsealed(_ table: TableName, prefix: String) {
    guard failure == nil else { return }
    let nothing = BatchShape(target: "\(table)", columns: [])
    switch questions.batches(table, after: prefix, isInclusive: true, upTo: Statements.behind(prefix), nothing) {
    case .failure(let error): failure = error
    case .success(let found): for rows in found { compare(rows, of: prefix) }
    }
  }

  /// `isLast`: all tokens that begin alike, greater ones too.
  private func ask(isLast: Bool) {
    defer {
      chunk.removeAll(keepingCapacity: true)
      after = newest
      isInclusive = false
      newest = ""
    }
    guard let shape, failure == nil, !chunk.isEmpty || isLast else { return }
    guard let table = TableName(shape.target) else {
      failure = .denied("the log names table \(shape.target), which is no database.table")
      return
    }
    let upTo = isLast ? Statements.behind(prefix) : newest
    switch questions.batches(table, after: after, isInclusive: isInclusive, upTo: upTo, shape) {
    case .failure(let error): failure = error
    case .success(let found):
      for rows in found { compare(rows, of: prefix) }
      for (_, expected) in chunk.sorted(by: { $0.key < $1.key }) {
        compare(BatchRows(token: expected.batch.token, rowCount: 0), of: prefix)
      }
    }
  }

  private func compare(_ found: BatchRows, of asked: String) {
    // Earlier releases' names of sinks may begin alike (`orders-`, `orders-eu-`): each is asked for by itself.
    if let its = TokenParts(found.token)?.prefix, its != asked, ours.contains(its) { return }
    report.rowsFound += found.rowCount
    guard let expected = chunk.removeValue(forKey: found.token) else {
      if unknown.count < 100_000 { unknown[found.token] = found.rowCount }
      return
    }
    let batch = expected.batch
    if expected.isInFlight {
      report.inFlightRows += found.rowCount
      if found.rowCount > batch.rowCount { note(batch, found.rowCount) }
      return
    }
    if let sum = batch.contentSum, let its = found.contentSum, questions.rowsLeave == nil {
      report.batchesWithContent += 1
      if sum != its, found.rowCount == batch.rowCount { return note(batch, found.rowCount) }
    }
    if batch.contentSum != nil, found.rowCount > 0, !emptied.isEmpty {
      uncompared.batches += 1
      uncompared.columns.formUnion(emptied)
    }
    if found.rowCount > batch.rowCount || found.rowCount < batch.rowCount && questions.rowsLeave == nil { note(batch, found.rowCount) }
  }

  /// Counted at once; the first ones are looked into later.
  private func note(_ batch: HistoryBatch, _ found: UInt64) {
    if wrong.count < Self.looksMax { return wrong.append((batch, found)) }
    if found < batch.rowCount { report.missing += batch.rowCount - found }
    if found > batch.rowCount { report.double += found - batch.rowCount }
    if found == batch.rowCount { report.altered += 1 }
  }
}
