package import MillBase
package import MillCore
internal import MillLog
internal import Synchronization

/// The destination: carries out the core's requests, one HTTP exchange each.
///
/// Callable from any thread. `done` is called exactly once, on a thread of the transport or before `perform` returns; it must not block.
package final class ClickHouseSink: Sendable {
  package let options: SinkOptions
  package let fields: [SinkField]
  let replicas: Replicas
  let state = Mutex(State())
  private let clock: any Clock

  struct State {
    var dialect = Dialect(major: 0, minor: 0, settings: [])
    var chosen: ChosenTable?
    /// How the replicas that are trusted see the table.
    var look: TableLook?
  }

  /// - Parameters:
  ///   - fields: in the order of the RowBlock's columns.
  ///   - transports: one for each of the options' URLs.
  package init(options: SinkOptions, fields: [SinkField], transports: [any Transport], clock: any Clock) {
    self.options = options
    self.fields = fields
    self.replicas = Replicas(urls: options.urls, transports: transports)
    self.clock = clock
  }

  /// Of one server.
  package convenience init(options: SinkOptions, fields: [SinkField], transport: any Transport, clock: any Clock) {
    self.init(options: options, fields: fields, transports: [transport], clock: clock)
  }

  /// The table as it was last described; nil before, or after it was found unfit.
  package var chosen: ChosenTable? { state.withLock { $0.chosen } }

  /// - Parameter body: the batch's chunks that are sent (without its origins), in order; called for INSERTs and pieces only, before
  ///   `perform` returns.
  package func perform(_ request: SinkRequest, body: () throws -> [[UInt8]], done: @escaping @Sendable (SinkAnswer) -> Void) {
    switch request {
    case .describe(let pending): describe(pending, done)
    case .insert(let batch, let attempt, let token, let partitionsMax):
      insert(batch, body, carriesToken: token, looks: false, done) { (requests, table, _, chunks) in
        requests.insert(batch, into: table, attempt: attempt, token: token, partitionsMax: partitionsMax, frames: joined(chunks))
      }
    case .guardedInsert(let batch, let attempt, let deadline, let looks, let partitionsMax):
      guard let provenance = options.provenanceColumn else {
        return done(.notSent(reason: "a guarded insert into \(options.table) needs a provenance column"))
      }
      insert(batch, body, carriesToken: false, looks: looks, done) { (requests, table, chosen, chunks) in
        requests.guardedInsert(
          batch, into: table, attempt: attempt, deadline: deadline, looks: looks, partitionsMax: partitionsMax,
          partitionKey: chosen.partitionKey, provenance: provenance, block: try Frames.decode(chunks))
      }
    case .pieces(let batch, let partitionsMax): pieces(batch, partitionsMax, body, done)
    case .serverTime: askTime(done)
    case .count(let target, let token): count(target, token, done)
    case .running(let prefix):
      askAll(Statements.running(prefix: prefix), done) { answers in .running(answers.flatMap { $0.compactMap(\.first) }) }
    case .kill(let prefix): askAll(Statements.kill(prefix: prefix), done) { _ in .killed }
    case .greatestBatch(let lineage): greatestBatch(lineage, done)
    }
  }

  /// - Parameter looks: what is inserted depends on the rows that are there.
  private func insert(
    _ batch: SealedBatch, _ body: () throws -> [[UInt8]], carriesToken: Bool, looks: Bool, _ done: @escaping @Sendable (SinkAnswer) -> Void,
    _ make: (Requests, TableName, ChosenTable, [[UInt8]]) throws -> HTTPRequest
  ) {
    let (dialect, chosen) = state.withLock { ($0.dialect, $0.chosen) }
    guard let chosen else { return done(.notSent(reason: "\(options.table) has not been described")) }
    guard let table = TableName(batch.target) else {
      return done(.notSent(reason: "batch \(batch.number): target \(batch.target) is no database.table"))
    }
    let request: HTTPRequest
    do {
      request = try make(Requests(options: options, dialect: dialect, isShared: chosen.isShared), table, chosen, try body())
    } catch {
      return done(.notSent(reason: "batch \(batch.number): its bytes can't be read from the log: \(error)"))
    }
    let isOnePart = chosen.isOnePart && !carriesToken
    let user = options.user
    let take: @Sendable (Replicas.Answer) -> Void = { [self] answer in
      if case .failure = answer { lookAtOthers() }
      done(Classification.insertAnswer(answer, isOnePart: isOnePart, user: user))
    }
    guard looks else { return replicas.send(request, done: take) }
    whereAllIsSeen { [self] place in
      switch place {
      case .failure(.unanswered(let reason)): done(.notSent(reason: reason))
      case .failure(.denied(let reason)): done(.denied(reason: reason))
      case .success(let replica): replicas.send(request, to: replica, done: take)
      }
    }
  }

  /// The slowest and the fastest of the replicas' clocks, and the one that has run longest: what is true of these is true of all.
  private func askTime(_ done: @escaping @Sendable (SinkAnswer) -> Void) {
    let clock = clock
    let asked = clock.now().monotonicMilliseconds
    askAll(Statements.serverTime, fresh: true, done) { answers in
      let took = clock.now().monotonicMilliseconds - asked
      var times: [(seconds: Int64, uptime: Int64)] = []
      for rows in answers {
        guard let row = rows.first, row.count == 2, let seconds = Int64(row[0]), let uptime = Int64(row[1]) else { return nil }
        times.append((seconds, uptime))
      }
      guard let slowest = times.map(\.seconds).min(), let fastest = times.map(\.seconds).max(), let uptime = times.map(\.uptime).max()
      else {
        return nil
      }
      return .serverTime(seconds: slowest, fastestSeconds: fastest, uptimeSeconds: uptime, tookMilliseconds: took)
    }
  }

  private func count(_ target: String, _ token: String, _ done: @escaping @Sendable (SinkAnswer) -> Void) {
    guard let (table, provenance) = countable(target) else {
      return done(.denied(reason: "\(target) is no database.table with a provenance column"))
    }
    askRows(Statements.count(table: table, provenance: provenance, token: token), done) { rows in
      rows.first?.first.flatMap { UInt64($0) }.map { .counted($0) }
    }
  }

  private func greatestBatch(_ lineage: Lineage, _ done: @escaping @Sendable (SinkAnswer) -> Void) {
    guard let provenance = options.provenanceColumn else {
      return done(.denied(reason: "\(options.table) has no provenance column"))
    }
    askRows(Statements.greatestBatch(table: options.table, provenance: provenance, lineage: lineage), done) { rows in
      // Batches are numbered from 1.
      rows.first?.first.flatMap { BatchNumber($0) }.map { .greatestBatch($0 == 0 ? nil : $0) }
    }
  }

  private func countable(_ target: String) -> (TableName, String)? {
    guard let table = TableName(target), let provenance = options.provenanceColumn else { return nil }
    return (table, provenance)
  }

  private var requests: Requests {
    state.withLock { Requests(options: options, dialect: $0.dialect, isShared: $0.chosen?.isShared ?? false) }
  }

  /// A question about rows, which goes where all that was committed is visible.
  private func askRows(
    _ statement: String, _ done: @escaping @Sendable (SinkAnswer) -> Void, _ read: @escaping @Sendable ([[String]]) -> SinkAnswer?
  ) {
    let request = requests.question(statement)
    whereAllIsSeen { [self] place in
      switch place {
      case .failure(let failure): done(failure.answer)
      case .success(let replica):
        replicas.send(request, to: replica) { [self] answer in
          if case .failure = answer { lookAtOthers() }
          done(combined([answer]) { read($0[0]) })
        }
      }
    }
  }

  /// Every replica is asked and has to answer: an attempt may be under way at any of them.
  private func askAll(
    _ statement: String, fresh: Bool = false, _ done: @escaping @Sendable (SinkAnswer) -> Void,
    _ read: @escaping @Sendable ([[[String]]]) -> SinkAnswer?
  ) {
    replicas.sendToAll(requests.question(statement, fresh: fresh)) { [self] answers in done(combined(answers, read)) }
  }

  private func combined(_ answers: [Replicas.Answer], _ read: ([[[String]]]) -> SinkAnswer?) -> SinkAnswer {
    var all: [[[String]]] = []
    for answer in answers {
      switch Classification.questionAnswer(answer, user: options.user) {
      case .success(let bytes): all.append(TabSeparated.rows(bytes))
      case .failure(let failure): return failure.answer
      }
    }
    return read(all) ?? .unanswered(reason: "unreadable answer: \(ForeignText.cut("\(all)"))")
  }

  /// The replica at which everything that has been committed anywhere is visible. One of several may lag behind: it catches up first.
  private func whereAllIsSeen(_ then: @escaping @Sendable (Result<Int, QuestionFailure>) -> Void) {
    let replica = replicas.current
    guard replicas.count > 1, state.withLock({ $0.chosen?.family }) == .replicated else {
      return then(.success(replica))
    }
    var request = requests.question(Statements.catchUp(options.table))
    request.timeoutMilliseconds = options.insertTimeoutMilliseconds
    replicas.send(request, to: replica) { [self] answer in
      if case .failure = answer { lookAtOthers() }
      then(Classification.questionAnswer(answer, user: options.user).map { _ in replica })
    }
  }
}

extension QuestionFailure {
  var answer: SinkAnswer {
    switch self {
    case .unanswered(let reason): .unanswered(reason: reason)
    case .denied(let reason): .denied(reason: reason)
    }
  }
}

/// The chunks one after the other. Not `Array(joined())`, which goes byte by byte.
private func joined(_ chunks: [[UInt8]]) -> [UInt8] {
  if chunks.count == 1 { return chunks[0] }
  var whole: [UInt8] = []
  whole.reserveCapacity(chunks.reduce(0) { $0 + $1.count })
  for chunk in chunks { whole += chunk }
  return whole
}
