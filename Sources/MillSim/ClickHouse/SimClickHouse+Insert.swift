internal import MillBase
internal import MillClickHouse

/// An INSERT that the server is at work on; listed in system.processes.
final class RunningInsert {
  let queryID: String
  let exchange: Exchange?
  var isKilled = false
  /// It stays where it is until the server's process ends, killed or not.
  var hangs = false
  /// Parts still to be written, and how many of them are in.
  var parts: [ServerTable.Part]
  var written = 0
  /// Nil: no deduplication.
  let token: String?

  init(queryID: String, exchange: Exchange, parts: [ServerTable.Part], token: String?) {
    self.queryID = queryID
    self.exchange = exchange
    self.parts = parts
    self.token = token
  }

  var isHalfDone: Bool { written > 0 && written < parts.count }
}

extension SimClickHouse {
  /// Both kinds of INSERT: checks, then the parts one by one, then the answer.
  func insert(_ exchange: Exchange, _ statement: ServerStatement) {
    if let refusal = refusal(exchange) {
      respond(exchange, refusal)
      return
    }
    let rows = rows(exchange, statement)
    if refusal == .constraint || refusal == .expression, rows.contains(where: Self.isRefused) {
      trace.hit(.rowsRefused, exchange.queryID)
      respond(exchange, refusedRows)
      return
    }
    let parts = parts(of: rows, queryID: exchange.queryID)
    let limit = Int(exchange.parameters["max_partitions_per_insert_block"] ?? "") ?? 100
    if limit > 0, parts.count > limit {
      trace.hit(.tooManyPartitions, exchange.queryID)
      respond(exchange, answers.error(252, "Too many partitions for single INSERT block (more than \(limit))"))
      return
    }
    let insert = RunningInsert(queryID: exchange.queryID, exchange: exchange, parts: parts, token: token(exchange))
    running.append(insert)
    if hangsNext {
      trace.hit(.queryHangs, insert.queryID)
      (hangsNext, insert.hangs) = (false, true)
      return
    }
    if let coming = constraintComesAmid, exchange.seen?.isGuarded != true, rows.contains(where: Self.isRefused) {
      trace.hit(.constraintAmidst, insert.queryID)
      constraintComesAmid = nil
      for server in all { server.refusal = coming }
      reset(exchange)
      return proceed(insert, after: draws.within(Int64(300)...4000), isSlow: false)
    }
    let slow = draws.chance(rates.slow)
    if slow { trace.hit(.serverSlow) }
    proceed(
      insert, after: slow ? draws.within(Int64(0)...(exchange.seen?.isGuarded == true ? 14_000 : 4000)) : draws.within(Int64(0)...10),
      isSlow: slow)
  }

  private static func isRefused(_ row: ServerRow) -> Bool { row.amount >= Scenario.refusedAmount }

  private var refusedRows: HTTPResponse {
    refusal == .constraint
      ? answers.error(469, "Constraint `small` for table sim.events is violated at row 1. Expression: (amount < \(Scenario.refusedAmount))")
      : answers.error(153, "Division by zero: while executing 'FUNCTION intDiv(1, minus(amount, \(Scenario.refusedAmount)))'")
  }

  // What proves that nothing was written.
  private func refusal(_ exchange: Exchange) -> HTTPResponse? {
    if running.contains(where: { $0.queryID == exchange.queryID }) {
      return answers.error(216, "Query with id = \(exchange.queryID) is already running")
    }
    if let unknown = exchange.parameters.names.filter({ !knows(parameter: $0) }).min() {
      unreadable.append("setting \(unknown)")
      return answers.error(115, "Unknown setting \(unknown)")
    }
    switch trouble {
    case .none: break
    case .detached: return answers.error(60, "Table sim.events doesn't exist")
    case .altered: return answers.error(53, "Type mismatch in column amount: Int64 and Int32")
    case .rightsTaken: return answers.error(497, "millrace: Not enough privileges. To execute this query, it's necessary to have INSERT")
    }
    if let error = anyRefusal(exchange) { return error }
    if let error = exchange.bodyError {
      unreadable.append("body: \(error.message)")
      return answers.error(error.code, error.message)
    }
    if draws.chance(rates.unknownError / 2) {
      trace.hit(.unknownOutcome, "nothing written: \(exchange.queryID)")
      return answers.error(159, "Timeout exceeded: elapsed 30.001 seconds, maximum: 30")
    }
    if draws.chance(rates.oddSuccess / 2) {
      // Seen in the wild: the body was not read to its end, and the status says that all is well.
      trace.hit(.headerException, "nothing written: \(exchange.queryID)")
      return answers.successWithHeader(209, "Timeout exceeded while reading from socket")
    }
    guard draws.chance(rates.error) else { return nil }
    trace.hit(.transientError)
    return switch draws.below(definition.flavour == .modern ? 6 : 3) {
    case 0: answers.error(202, "Too many simultaneous queries. Maximum: 100")
    case 1: answers.error(241, "Memory limit (total) exceeded: would use 9.00 GiB, maximum: 8.00 GiB")
    case 2: answers.error(252, "Too many parts (3000). Merges are processing significantly slower than inserts")
    case 3: answers.error(33, "Cannot read all data. Bytes read: 3. Bytes expected: 16.")
    case 4: answers.error(745, "Server is overloaded")
    default: answers.error(203, "No free connections")
    }
  }

  // The clock is read and the table looked at once, when the query starts.
  private func rows(_ exchange: Exchange, _ statement: ServerStatement) -> [ServerRow] {
    guard case .guardedInsert(_, let deadline, let lacking) = statement else { return exchange.rows }
    guard seconds < deadline else {
      trace.hit(.lateGuarded, exchange.queryID)
      return []
    }
    guard let lacking else { return exchange.rows }
    if lacking.partitionKey.isEmpty { return count(provenance: lacking.provenance) == 0 ? exchange.rows : [] }
    let present = partitions(provenance: lacking.provenance)
    return exchange.rows.filter { !present.contains(partition(of: $0)) }
  }

  func partition(of row: ServerRow) -> String { definition.partitionKey == "k" ? String(row.group) : "all" }

  private func parts(of rows: [ServerRow], queryID: String) -> [ServerTable.Part] {
    var parts: [ServerTable.Part] = []
    for row in rows {
      let partition = partition(of: row)
      if let index = parts.firstIndex(where: { $0.partition == partition }) {
        parts[index].rows.append(row)
      } else {
        parts.append(ServerTable.Part(partition: partition, rows: [row], queryID: queryID))
      }
    }
    return parts
  }

  // Without a token a table with a window goes by the block's content.
  private func token(_ exchange: Exchange) -> String? {
    guard table.window > 0, exchange.parameters["insert_deduplicate"] != "0", exchange.parameters["deduplicate_insert"] != "disable" else {
      return nil
    }
    if case .guardedInsert = exchange.statement { return nil }
    return exchange.parameters["insert_deduplication_token"] ?? "content \(crc32c(0, exchange.plain)) \(exchange.plain.count)"
  }

  private func proceed(_ insert: RunningInsert, after milliseconds: Int64, isSlow: Bool) {
    let boot = boot
    scheduler.after(milliseconds) { [self] in
      // What was at work on a table that was dropped writes nothing into the one made in its place.
      guard boot == self.boot, running.contains(where: { $0 === insert }) else { return }
      if isPaused {
        proceed(insert, after: 50, isSlow: isSlow)
        return
      }
      if insert.isKilled {
        end(insert, answers.error(394, "Query was cancelled"))
        return
      }
      guard insert.written < insert.parts.count else {
        finish(insert)
        return
      }
      write(insert, isSlow: isSlow)
    }
  }

  private func write(_ insert: RunningInsert, isSlow: Bool) {
    let part = insert.parts[insert.written]
    if viewFails(insert) || failsAmidst(insert, part) { return }
    if refusal == .sortingKey, part.rows.contains(where: Self.isRefused) {
      trace.hit(insert.written > 0 ? .rowsRefusedAmidst : .rowsRefused, insert.queryID)
      end(insert, refusedRows)
      return
    }
    let pause = isSlow ? draws.within(Int64(0)...1500) : draws.within(Int64(0)...3)
    if let token = insert.token {
      if table.knows(part.partition, token: token) {
        trace.hit(.insertDeduplicated, "\(insert.queryID) partition \(part.partition)")
        insert.written += 1
        if viewFails(insert) { return }
        pushToView(part, of: insert)
        proceed(insert, after: pause, isSlow: isSlow)
        return
      }
      table.remember(part.partition, token: token, at: keeperSeconds)
      // A plain MergeTree has the token on disk before the part is there; a replicated one commits both at once.
      if !isReplicated {
        if draws.chance(rates.aimedCrash) {
          trace.hit(.tokenBurnt, insert.queryID)
          crash(down: draws.within(Int64(50)...3000))
          return
        }
      }
    }
    commit(part)
    insert.written += 1
    trace.note("part \(insert.queryID) partition \(part.partition): \(part.rows.count) rows")
    if viewFails(insert) { return }
    pushToView(part, of: insert)
    proceed(insert, after: pause, isSlow: isSlow)
  }

  // Codes of all classes but that of the rows; one in eight is none that anybody has listed.
  private func anyRefusal(_ exchange: Exchange) -> HTTPResponse? {
    guard let moreDraws, moreDraws.chance(rates.anyCode) else { return nil }
    let isKnown = moreDraws.chance(0.7)
    trace.hit(isKnown ? .anyRefusal : .anyUnknown, exchange.queryID)
    return answers.error(moreDraws.pick(isKnown ? Self.refusalCodes : Self.unknownCodes), "simulated")
  }

  private static let refusalCodes = [33, 40, 201, 202, 203, 241, 242, 243, 285, 286, 289, 290, 432, 473]
  private static let unknownCodes = [95, 159, 209, 210, 236, 319, 394, 999, 1000, 1001, 1002, 4242]

  private func finish(_ insert: RunningInsert) {
    if let moreDraws, moreDraws.chance(rates.anyCode / 2) {
      trace.hit(.anyUnknown, insert.queryID)
      return end(insert, answers.error(moreDraws.pick(Self.unknownCodes), "simulated, when all was written"))
    }
    if viewFails(insert) { return }
    if draws.chance(rates.unknownError) {
      trace.hit(.unknownOutcome, insert.queryID)
      let (code, text) = draws.pick([
        (319, "Unknown status, client must retry"), (159, "Timeout exceeded"), (209, "Timeout exceeded while writing to socket"),
      ])
      end(insert, answers.error(code, text))
    } else if draws.chance(rates.oddSuccess) {
      if draws.chance(0.5) {
        trace.hit(.headerException, insert.queryID)
        end(insert, answers.successWithHeader(209, "Timeout exceeded while reading from socket"))
      } else {
        trace.hit(.tailException, insert.queryID)
        end(insert, answers.successWithTail(241, "Memory limit (total) exceeded"))
      }
    } else {
      end(insert, answers.success())
    }
  }

  func end(_ insert: RunningInsert, _ response: HTTPResponse) {
    running.removeAll { $0 === insert }
    if let exchange = insert.exchange { respond(exchange, response) }
  }

  var isReplicated: Bool { definition.engine.hasPrefix("Replicated") }
}
