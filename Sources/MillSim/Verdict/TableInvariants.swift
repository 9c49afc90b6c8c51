internal import MillBase
internal import MillCore
internal import MillLog

/// What the job asks of one table and its server.
struct TableRules {
  var inFlight: Int
  var window: Int
  var entriesPerBatch: Int
  /// Entries of the window that others may use up while a doubt is settled; nil: any.
  var reserveEntries: Int?
  var hasProvenance: Bool
  var isExactlyOnce: Bool
  /// Rows are counted, and tokens hold meanwhile.
  var countsOnTokens: Bool
}

/// What must hold at every step on the way to one table: seen at its server's network, and in the log.
final class TableInvariants {
  /// The file's name of the sink may change; its number doesn't.
  let destination: Destination
  private let rules: TableRules
  private let watch: LogWatch
  private let server: SimClickHouse
  private let violate: (String) -> Void
  private var contents: [String: [ServerRow]] = [:]
  private var digests: [String: [ServerRow]] = [:]
  private var tokens: [String: String] = [:]

  init(
    _ rules: TableRules, _ destination: Destination, watch: LogWatch, server: SimClickHouse, violate: @escaping (String) -> Void
  ) {
    self.rules = rules
    self.destination = destination
    self.watch = watch
    self.server = server
    self.violate = violate
    for server in server.all { server.onInsert = { [unowned self] in sent($0, incarnation: $1) } }
  }

  func sent(_ insert: InsertSeen, incarnation: Int) {
    if server.openInserts(incarnation: incarnation) >= rules.inFlight {
      violate("R9: \(insert.queryID) sent beside \(rules.inFlight) others that wait for an answer")
    }
    if insert.isGuarded, let other = server.guardedUnderWay(token: insert.token) {
      violate("R8: \(insert.queryID) sent while \(other) may still take effect")
    }
    if !watch.durableTokens.contains(insert.token) { violate("R2: \(insert.queryID) sent before its seal is durable") }
    if watch.retiredTokens.contains(insert.token) { violate("R11: \(insert.queryID) sent, its batch is retired") }
    checkAlone(insert)
    if let token = insert.deduplicationToken, token != insert.token { violate("R6: \(insert.queryID) sent with token \(token)") }
    if let known = contents[insert.token] {
      if known != insert.rows { violate("R6: token \(insert.token) named other rows before") }
    } else {
      contents[insert.token] = insert.rows
    }
    let parts = insert.token.split(separator: "-")
    let digest = parts.last.map(String.init) ?? ""
    let plain = insert.rows.map { row in
      var row = row
      row.provenance = ""
      return row
    }
    if let known = digests[digest], known != plain { violate("R6: digest \(digest) named other rows before") }
    digests[digest] = plain
    let batch = parts.dropLast().joined(separator: "-")
    if let known = tokens[batch], known != insert.token { violate("R6: \(batch) sent as \(insert.token), before as \(known)") }
    tokens[batch] = insert.token
    if rules.hasProvenance, let row = insert.rows.first(where: { $0.provenance != insert.token }) {
      violate("R8: \(insert.queryID) carries a row of batch '\(row.provenance)'")
    }
    if let number = batchNumber(insert.token) {
      checkDeadline(insert, number)
      checkOpenAttempts(insert, number)
      numbers[insert.token] = number
      // One that was refused, or never arrived, counts from here.
      if !isAnywhere(insert.token) { sends.removeAll { $0 == insert.token } }
      if !sends.contains(insert.token) { sends.append(insert.token) }
      if insert.deduplicationToken != nil, rules.countsOnTokens { checkWindow(insert.token) }
    }
  }

  /// Number of each token that was sent, and these in the order of their first sending, from the oldest unsettled one on.
  private var numbers: [String: BatchNumber] = [:]
  private var sends: [String] = []

  private func isSettled(_ token: String) -> Bool {
    guard let number = numbers[token] else { return true }
    let index = destination.index
    return watch.durableAcks[index].contains(number) || watch.durablyRetired[index].contains(number)
  }

  /// False of one that is refused and waits for its turn.
  private func isAnywhere(_ token: String) -> Bool {
    server.table.count(sentAs: token) > 0 || server.plainUnderWay(token: token) != nil || server.guardedUnderWay(token: token) != nil
  }

  // R9: while a batch is bisected nothing newer is in flight, and each half is settled before the next.
  private func checkAlone(_ insert: InsertSeen) {
    // At least once takes no heed of doubts.
    guard rules.isExactlyOnce else { return }
    if let piece = sends.first(where: { $0 != insert.token && watch.pieces.contains($0) && !isSettled($0) }) {
      violate("R9: \(insert.queryID) sent while \(piece), which replaces a refused batch, is unsettled")
    }
    if watch.pieces.contains(insert.token), let other = sends.first(where: { $0 != insert.token && !isSettled($0) && isAnywhere($0) }) {
      violate("R9: \(insert.queryID), which replaces a refused batch, sent while \(other) is unsettled")
    }
  }

  // R11: only what is nowhere is replaced, and all of it.
  func retired(_ retire: Retire) {
    guard let batch = watch.sealed[Int(retire.destination.rawValue)][retire.batch] else {
      violate("R11: batch \(retire.batch) retired, never sealed")
      return
    }
    let rows = retire.replacements.reduce(0) { $0 + $1.rowCount }
    if rows != batch.rowCount { violate("R11: batch \(batch.token) of \(batch.rowCount) rows retired into \(rows)") }
    guard rules.isExactlyOnce else { return }
    let count = server.table.count(sentAs: batch.token)
    if count > 0 { violate("R11: batch \(batch.token) retired, \(count) of its rows are in the table") }
    if let attempt = server.plainUnderWay(token: batch.token) ?? server.guardedUnderWay(token: batch.token) {
      violate("R11: batch \(batch.token) retired while \(attempt) may still take effect")
    }
  }

  // R9: the batches from the oldest unsettled to the newest sent must fit half of the window. The other half is for those that were
  // unsettled when the oldest was sent, and are sent once more behind it: together with them it must still be remembered.
  private func checkWindow(_ token: String) {
    sends.removeFirst(sends.firstIndex { !isSettled($0) } ?? 0)
    guard let index = sends.firstIndex(where: { !isSettled($0) && isAnywhere($0) }) else { return }
    let whole = rules.window - rules.entriesPerBatch - (rules.reserveEntries ?? 0)
    // What was refused whole, and is nowhere, has no entries.
    let behind = sends[(index + 1)...].filter {
      $0 == token || isSettled($0) || isAnywhere($0) || server.table.remembers(token: $0)
    }
    let used = behind.count * rules.entriesPerBatch
    if used > whole { violate("R9: \(token) sent while \(sends[index]) is unsettled: \(used) window entries of at most \(whole)") }
    let oldest = sends[index...].filter { !isSettled($0) && isAnywhere($0) }.compactMap { numbers[$0] }.min() ?? 0
    let span = Int(max(oldest, numbers[token] ?? 0) - oldest) * rules.entriesPerBatch
    if span > whole / 2 { violate("R9: \(token) sent while batch \(oldest) is unsettled: \(span) window entries of at most \(whole / 2)") }
  }

  func acked(_ ack: Ack) {
    guard let batch = watch.sealed[Int(ack.destination.rawValue)][ack.batch] else {
      violate("R13: batch \(ack.batch) of \(ack.destination) acked, never sealed")
      return
    }
    if let view = server.view, server.all.allSatisfy({ $0.boot == 1 }),
      server.all.contains(where: { $0.viewFailures.contains(batch.token) }), view.count(sentAs: batch.token) < batch.rowCount
    {
      violate("R7: batch \(batch.token) acked, its view threw and has \(view.count(sentAs: batch.token)) of \(batch.rowCount) rows")
    }
    let rows = server.table.count(sentAs: batch.token)
    if rows < Int(batch.rowCount) || (rules.isExactlyOnce && rows > Int(batch.rowCount)) {
      violate("R13: batch \(batch.token) of \(batch.rowCount) rows acked, \(rows) are in the table")
    }
  }

  // MARK: - What must be done before what

  /// R16: an attempt that is still open is known to the next life by its batch's seal.
  func checkTruncation(_ keep: LogPosition) {
    guard rules.isExactlyOnce else { return }
    for attempt in server.openAttempts {
      if let seal = watch.sealPositions[attempt.token], seal < keep {
        violate("R16: the log goes up to \(keep), \(attempt.queryID) may still take effect, its batch was sealed at \(seal)")
      }
    }
  }

  /// R8: the deadline is in the log before any request carries it.
  private func checkDeadline(_ insert: InsertSeen, _ number: BatchNumber) {
    guard let deadline = insert.deadline, watch.durableDeadlines[BatchKey(destination, number)].map({ $0 < deadline }) ?? true else {
      return
    }
    violate(
      "R8: \(insert.queryID) sent with deadline \(deadline), durable is \(watch.durableDeadlines[BatchKey(destination, number)].map(String.init) ?? "none")"
    )
  }

  /// R9: what was sent after an open attempt fits half of the window, or its token may be forgotten when it comes. The batch itself goes
  /// again only where others leave of the window what was reserved.
  private func checkOpenAttempts(_ insert: InsertSeen, _ number: BatchNumber) {
    guard insert.deduplicationToken != nil, rules.isExactlyOnce, !watch.pieces.contains(insert.token) else { return }
    let whole = rules.window - rules.entriesPerBatch - (rules.reserveEntries ?? 0)
    for attempt in server.openAttempts {
      if attempt.token == insert.token, rules.reserveEntries == nil {
        violate("R9: \(insert.queryID) sent while \(attempt.queryID) may take effect, and others may use any part of the window")
      }
      guard let open = batchNumber(attempt.token), open < number else { continue }
      let span = Int(number - open) * rules.entriesPerBatch
      if span > whole / 2 {
        violate("R9: \(insert.queryID) sent while \(attempt.queryID) may take effect: \(span) window entries of at most \(whole / 2)")
      }
    }
  }

  private func batchNumber(_ token: String) -> BatchNumber? { token.split(separator: "-").dropLast().last.flatMap { BatchNumber($0) } }
}
