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
  private let transport: any Transport
  private let clock: any Clock
  private let state = Mutex(State())

  private struct State {
    var dialect = Dialect(major: 0, minor: 0, settings: [])
    var chosen: ChosenTable?
  }

  /// - Parameter fields: in the order of the RowBlock's columns.
  package init(options: SinkOptions, fields: [SinkField], transport: any Transport, clock: any Clock) {
    self.options = options
    self.fields = fields
    self.transport = transport
    self.clock = clock
  }

  /// The table as it was last described; nil before, or after it was found unfit.
  package var chosen: ChosenTable? { state.withLock { $0.chosen } }

  /// - Parameter body: the batch's chunks that are sent (without its origins), in order; called for INSERTs only, before `perform` returns.
  package func perform(_ request: SinkRequest, body: () throws -> [[UInt8]], done: @escaping @Sendable (SinkAnswer) -> Void) {
    switch request {
    case .describe(let pending): describe(pending, done)
    case .insert(let batch, let attempt, let token, let partitionsMax):
      insert(batch, body, carriesToken: token, done) { (requests, table, _, chunks) in
        requests.insert(batch, into: table, attempt: attempt, token: token, partitionsMax: partitionsMax, frames: joined(chunks))
      }
    case .guardedInsert(let batch, let attempt, let deadline, let looks, let partitionsMax):
      guard let provenance = options.provenanceColumn else {
        return done(.notSent(reason: "a guarded insert into \(options.table) needs a provenance column"))
      }
      insert(batch, body, carriesToken: false, done) { (requests, table, chosen, chunks) in
        requests.guardedInsert(
          batch, into: table, attempt: attempt, deadline: deadline, looks: looks, partitionsMax: partitionsMax,
          partitionKey: chosen.partitionKey, provenance: provenance, block: try Frames.decode(chunks))
      }
    case .serverTime: askTime(done)
    case .count(let target, let token): count(target, token, done)
    case .running(let prefix):
      ask(Statements.running(prefix: prefix, cluster: options.cluster), done) { .running($0.compactMap(\.first)) }
    case .kill(let prefix): ask(Statements.kill(prefix: prefix, cluster: options.cluster), done) { _ in .killed }
    case .greatestToken(let target, let prefix): greatestToken(target, prefix, done)
    }
  }

  private func insert(
    _ batch: SealedBatch, _ body: () throws -> [[UInt8]], carriesToken: Bool, _ done: @escaping @Sendable (SinkAnswer) -> Void,
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
    transport.send(request) { done(Classification.insertAnswer($0, isOnePart: chosen.isOnePart && !carriesToken)) }
  }

  private func askTime(_ done: @escaping @Sendable (SinkAnswer) -> Void) {
    let clock = clock
    let asked = clock.now().monotonicMilliseconds
    transport.send(requests.question(Statements.serverTime, fresh: true)) { result in
      let took = clock.now().monotonicMilliseconds - asked
      done(
        Self.answer(result) { rows in
          guard let row = rows.first, row.count == 2, let seconds = Int64(row[0]), let uptime = Int64(row[1]) else { return nil }
          return .serverTime(seconds: seconds, uptimeSeconds: uptime, tookMilliseconds: took)
        })
    }
  }

  private func count(_ target: String, _ token: String, _ done: @escaping @Sendable (SinkAnswer) -> Void) {
    guard let (table, provenance) = countable(target) else {
      return done(.denied(reason: "\(target) is no database.table with a provenance column"))
    }
    ask(Statements.count(table: table, provenance: provenance, token: token), done) { rows in
      rows.first?.first.flatMap { UInt64($0) }.map { .counted($0) }
    }
  }

  private func greatestToken(_ target: String, _ prefix: String, _ done: @escaping @Sendable (SinkAnswer) -> Void) {
    guard let (table, provenance) = countable(target) else {
      return done(.denied(reason: "\(target) is no database.table with a provenance column"))
    }
    ask(Statements.greatestToken(table: table, provenance: provenance, prefix: prefix), done) { rows in
      guard let row = rows.first, let token = row.first else { return nil }
      // Over no rows max() gives the empty text.
      return .greatestToken(token.isEmpty ? nil : token)
    }
  }

  private func countable(_ target: String) -> (TableName, String)? {
    guard let table = TableName(target), let provenance = options.provenanceColumn else { return nil }
    return (table, provenance)
  }

  private var requests: Requests {
    state.withLock { Requests(options: options, dialect: $0.dialect, isShared: $0.chosen?.isShared ?? false) }
  }

  private func ask(
    _ statement: String, _ done: @escaping @Sendable (SinkAnswer) -> Void, _ read: @escaping @Sendable ([[String]]) -> SinkAnswer?
  ) {
    transport.send(requests.question(statement)) { done(Self.answer($0, read)) }
  }

  private static func answer(
    _ result: Result<HTTPResponse, TransportError>, _ read: ([[String]]) -> SinkAnswer?
  ) -> SinkAnswer {
    switch Classification.questionAnswer(result) {
    case .success(let bytes):
      return read(TabSeparated.rows(bytes))
        ?? .unanswered(reason: "unreadable answer: \(String(decoding: bytes.prefix(300), as: UTF8.self))")
    case .failure(.unanswered(let reason)): return .unanswered(reason: reason)
    case .failure(.denied(let reason)): return .denied(reason: reason)
    }
  }
}

// MARK: - describe

extension ClickHouseSink {
  /// Asks one question after the other, then decides.
  private func describe(_ pending: [SealedBatch], _ done: @escaping @Sendable (SinkAnswer) -> Void) {
    let looking = Looking(options: options, transport: transport)
    looking.look { [self] outcome in
      switch outcome {
      case .failure(.unanswered(let reason)): done(.unanswered(reason: reason))
      case .failure(.denied(let reason)): done(.unfit([reason]))
      case .success(let look):
        let choice = DeliveryChoice.choose(look, options: options, fields: fields, pending: pending)
        state.withLock {
          $0.dialect = look.dialect
          // The last one that fitted stays: rows that wait are encoded by it until the core has ended.
          if case .success(let chosen) = choice { $0.chosen = chosen }
        }
        switch choice {
        case .success(let chosen): done(.described(chosen.facts))
        case .failure(let refusal): done(.unfit(refusal.problems))
        }
      }
    }
  }
}

/// The chunks one after the other. Not `Array(joined())`, which goes byte by byte.
private func joined(_ chunks: [[UInt8]]) -> [UInt8] {
  var whole: [UInt8] = []
  whole.reserveCapacity(chunks.reduce(0) { $0 + $1.count })
  for chunk in chunks { whole += chunk }
  return whole
}
