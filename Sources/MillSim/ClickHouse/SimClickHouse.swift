internal import MillBase
internal import MillClickHouse

/// What is seen of an INSERT when the engine hands it to the network.
package struct InsertSeen: Sendable {
  package var queryID: String
  /// Query id without its attempt.
  package var token: String
  package var isGuarded: Bool
  package var deadline: Int64?
  package var deduplicationToken: String?
  package var rows: [ServerRow]
}

/// The simulated ClickHouse server with the one table of the job. It outlives every crash of the engine and has crashes of its own.
///
/// It answers in status, headers and bytes. One thread only.
package final class SimClickHouse {
  /// How the table was made.
  package struct Table: Sendable {
    package var flavour: ServerFlavour
    package var engine: String
    package var partitionKey: String
    package var window: Int
    /// Seconds after which a replicated table's window forgets, counted from its newest entry.
    package var windowSeconds: Int
    /// Name and type of the provenance column; nil: the table has none.
    package var provenance: (name: String, type: String)?
    /// The key's second field has a column.
    package var hasSub = false

    package init(
      flavour: ServerFlavour, engine: String, partitionKey: String, window: Int, windowSeconds: Int = 3600,
      provenance: (name: String, type: String)?
    ) {
      self.flavour = flavour
      self.engine = engine
      self.partitionKey = partitionKey
      self.window = window
      self.windowSeconds = windowSeconds
      self.provenance = provenance
    }
  }

  /// Probabilities, each of one request.
  package struct Rates: Sendable {
    package var refused = 0.0
    package var lost = 0.0
    package var delayed = 0.0
    package var answerLost = 0.0
    package var torn = 0.0
    package var error = 0.0
    package var unknownError = 0.0
    package var oddSuccess = 0.0
    package var slow = 0.0
    /// Of dying between a part's deduplication entry and its rename.
    package var aimedCrash = 0.0
    /// Of a view that throws when the rows are in.
    package var viewFails = 0.0
    /// Of an error code of any class but that of the rows.
    package var anyCode = 0.0
    /// Of a transient error between the parts of an insert.
    package var amidst = 0.0
    package init() {}

    /// For what is asked by the dozen before anything else can happen.
    var thinned: Rates {
      var rates = self
      rates.refused /= 4
      rates.lost /= 4
      rates.delayed /= 4
      rates.torn /= 4
      rates.error /= 4
      return rates
    }
  }

  package let definition: Table
  /// The rows, wherever they were taken.
  package var table: ServerTable {
    _read { yield store.table }
    _modify { yield &store.table }
  }
  /// What a materialized view on the table has; nil: there is none.
  package var view: ServerTable? {
    _read { yield store.view }
    _modify { yield &store.view }
  }
  let store: TableStore
  /// Parts that other replicas have taken and this one hasn't got yet, by number.
  var unseen: Set<Int> = []
  /// Longest time until this replica has got what another took, ms.
  package var lagMilliseconds: Int64 = 20
  /// Tokens whose engine has been told by this life's server that the view threw.
  package private(set) var viewFailures: Set<String> = []
  package var rates = Rates()
  /// Told of each INSERT before it leaves the engine's machine.
  package var onInsert: ((InsertSeen, _ incarnation: Int) -> Void)?
  /// Statements that this server could not read: a defect of the simulation, never passed over.
  package internal(set) var unreadable: [String] = []
  /// How long the engine trusts a lost request to be gone, ms: no plain INSERT turns up later than this after its connection closed.
  package var settleMilliseconds: Int64 = 5000

  /// Which rows it doesn't take.
  package var refusal = Scenario.Refusal.nothing
  /// What it refuses as soon as a plain INSERT of such rows is at work, whose connection breaks: it has passed the check that its
  /// repetition will fail.
  package var constraintComesAmid: Scenario.Refusal?
  /// Of what is drawn apart, so that older scenarios stay as they were.
  package var moreDraws: Draws?
  /// Of ``Rates/amidst``.
  package var amidstDraws: Draws?
  /// What an operator has done to the table.
  package enum Trouble: Sendable { case none, detached, altered, rightsTaken }
  package var trouble = Trouble.none

  /// Who else writes into the table; nil: nobody.
  var others: OtherWriters? {
    get { store.others }
    set { store.others = newValue }
  }

  let scheduler: Scheduler
  let draws: Draws
  let trace: Trace
  let answers: ServerAnswers
  private var wallOffset: Int64
  /// Each answer takes so long, ms; nil: they are quick.
  var slowness: ClosedRange<Int64>?
  /// The next insert stays in the process list for ever.
  var hangsNext = false
  private(set) var isUp = true
  private(set) var isPaused = false
  private var held: [Exchange] = []
  private var bootedAt: Int64 = 0
  /// Raised by each crash; what belongs to an earlier life is dead.
  private(set) var boot = 1
  var running: [RunningInsert] = []
  private var inNetwork: [Exchange] = []
  /// See ``openAttempts``.
  var attempts: [Exchange] = []
  private var readBefore = ReadBefore()
  private let columns: [(name: String, type: String)]

  /// - Parameters:
  ///   - wallOffset: the server's clock at simulated time 0, ms since 1970.
  ///   - peer: another replica of the same table; nil: the first, or the only server.
  package init(
    _ definition: Table, draws: Draws, scheduler: Scheduler, wallOffset: Int64, trace: Trace, replicaOf peer: SimClickHouse? = nil
  ) {
    self.definition = definition
    columns = definition.columns
    self.draws = draws
    self.scheduler = scheduler
    self.wallOffset = wallOffset
    self.trace = trace
    store = peer?.store ?? TableStore(Self.emptyTable(definition))
    answers = ServerAnswers(flavour: definition.flavour)
    store.servers.append(self)
  }

  private static func emptyTable(_ definition: Table) -> ServerTable {
    ServerTable(window: definition.window, seconds: definition.isReplicated ? Int64(definition.windowSeconds) : nil)
  }

  /// The server's now(), whole seconds.
  package var seconds: Int64 { (wallOffset + scheduler.now) / 1000 }
  /// The keeper's clock, by which the window forgets: one for all replicas.
  var keeperSeconds: Int64 { (all.first ?? self).seconds }
  var uptime: Int64 { (scheduler.now - bootedAt) / 1000 + (boot == 1 ? 100_000 : 0) }

  /// Whether an INSERT may still take effect that has been sent.
  package var hasInsertsUnderWay: Bool {
    all.contains { server in !server.running.isEmpty || (server.inNetwork + server.held).contains { $0.seen != nil } }
  }

  /// Inserts of an engine's process that it waits for.
  package func openInserts(incarnation: Int) -> Int {
    let exchanges = all.flatMap { server in server.inNetwork + server.held + server.running.compactMap(\.exchange) }
    return exchanges.count { $0.incarnation == incarnation && !$0.isClosed && $0.seen != nil }
  }

  /// A plain insert of the batch that may still take effect, by its query id.
  func plainUnderWay(token: String) -> String? { all.lazy.compactMap { $0.plainHere(token: token) }.first }

  private func plainHere(token: String) -> String? {
    let listed = running.filter { $0.written < $0.parts.count }.compactMap(\.exchange)
    let toCome = (inNetwork + held).filter { $0.boot == boot }
    return (listed + toCome).compactMap(\.seen).first { !$0.isGuarded && $0.token == token }?.queryID
  }

  /// A guarded insert of the batch that may still take effect, by its query id.
  package func guardedUnderWay(token: String) -> String? { all.lazy.compactMap { $0.guardedHere(token: token) }.first }

  private func guardedHere(token: String) -> String? {
    let listed = running.filter { $0.written < $0.parts.count }.compactMap(\.exchange).compactMap(\.seen)
    let toCome = (inNetwork + held).compactMap(\.seen).filter { seconds < $0.deadline ?? 0 }
    return (listed + toCome).first { $0.isGuarded && $0.token == token }?.queryID
  }

  /// Whether it is on its way, held, or at work.
  func isListed(_ exchange: Exchange) -> Bool {
    inNetwork.contains { $0 === exchange } || held.contains { $0 === exchange } || running.contains { $0.exchange === exchange }
  }

  // MARK: - The network

  /// Takes a request of the engine's process `incarnation`; the answer comes later, unless that process is gone by then.
  func send(_ request: HTTPRequest, incarnation: Int, done: @escaping (Result<HTTPResponse, TransportError>) -> Void) {
    let exchange = Exchange(request, incarnation: incarnation, boot: boot, done: done)
    exchange.read(columns, &readBefore)
    if let seen = exchange.seen {
      onInsert?(seen, incarnation)
      if !seen.isGuarded { others?.sent(seen.token) }
    }
    noteSent(exchange)
    let rates = exchange.isLook ? self.rates.thinned : rates
    if !isUp || draws.chance(rates.refused) {
      trace.hit(.connectionRefused)
      answer(exchange, .failure(TransportError(nothingSent: true, reason: "connection refused")), after: draws.within(Int64(0)...5))
      return
    }
    scheduler.after(Int64(request.timeoutMilliseconds), incarnation: incarnation) { [self] in close(exchange, reason: "timed out") }
    inNetwork.append(exchange)
    if draws.chance(rates.lost) {
      trace.hit(.requestLost)
      leave(exchange)
      if draws.chance(0.5) { reset(exchange) }
    } else if draws.chance(rates.torn) {
      // Its body's end never comes: with an exact Content-Length the server takes nothing.
      trace.hit(.bodyTorn)
      leave(exchange)
      reset(exchange)
    } else if draws.chance(exchange.seen?.isGuarded == true ? min(0.5, 5 * rates.delayed) : rates.delayed) {
      trace.hit(.requestDelayed)
      arrive(exchange, after: delay(deadline: exchange.seen?.deadline))
      if draws.chance(0.3) { reset(exchange) }
    } else {
      arrive(exchange, after: draws.within(Int64(0)...3))
    }
  }

  // What is guarded by a deadline may come at any time; it is most telling near it.
  private func delay(deadline: Int64?) -> Int64 {
    guard let deadline else { return draws.within(Int64(0)...draws.pick([50, 1000, 8000, 30_000])) }
    let left = deadline * 1000 - (wallOffset + scheduler.now)
    if draws.chance(0.5), left > 0, left < 60_000 { return max(0, left + draws.within(Int64(-1500)...1500)) }
    return draws.within(Int64(0)...draws.pick([1000, 40_000]))
  }

  // The connection breaks some time soon, while the request may still be under way.
  func reset(_ exchange: Exchange) {
    scheduler.after(draws.within(Int64(1)...200)) { [self] in close(exchange, reason: "connection reset by peer") }
  }

  private func arrive(_ exchange: Exchange, after milliseconds: Int64) {
    exchange.arrival += 1
    let arrival = exchange.arrival
    scheduler.after(milliseconds) { [self] in
      guard exchange.isInNetwork, exchange.arrival == arrival else { return }
      leave(exchange)
      // A restarted server still gets what stood before it only where that can do no harm that is outside the promise (R7).
      if !isUp || (exchange.boot != boot && !exchange.isHarmlessLate) {
        answer(exchange, .failure(TransportError(nothingSent: false, reason: "connection reset by peer")), after: 0)
        return
      }
      if exchange.isClosed { trace.hit(.arrivedAfterClose, exchange.label) }
      if isPaused { held.append(exchange) } else { serve(exchange) }
    }
  }

  private func leave(_ exchange: Exchange) {
    exchange.isInNetwork = false
    inNetwork.removeAll { $0 === exchange }
  }

  /// The client gives up: what is still in the network is lost, or turns up within the time that the promise allows.
  private func close(_ exchange: Exchange, reason: String) {
    guard !exchange.isClosed else { return }
    forget(exchange)
    // Of a process that has ended meanwhile its end counts.
    exchange.closedAt = exchange.closedAt ?? scheduler.now
    exchange.finish(.failure(TransportError(nothingSent: false, reason: reason)))
  }

  private func forget(_ exchange: Exchange) {
    guard !exchange.isClosed else { return }
    exchange.isClosed = true
    guard exchange.isInNetwork else { return }
    if draws.chance(0.4) {
      leave(exchange)
    } else {
      let latest = exchange.isHarmlessLate ? 40_000 : max(0, settleMilliseconds - 1500)
      arrive(exchange, after: draws.within(0...latest))
    }
  }

  /// The engine's process is gone, and with it every connection.
  package func clientGone(incarnation: Int) {
    for exchange in inNetwork + held + running.compactMap(\.exchange) where exchange.incarnation <= incarnation { forget(exchange) }
    noteGone(incarnation: incarnation)
    viewFailures = []
  }

  func answer(_ exchange: Exchange, _ result: Result<HTTPResponse, TransportError>, after milliseconds: Int64) {
    scheduler.after(milliseconds, incarnation: exchange.incarnation) { [self] in
      guard !exchange.isClosed else { return }
      exchange.isClosed = true
      if case .failure(let error) = result, !error.nothingSent { exchange.closedAt = scheduler.now } else { exchange.isAnswered = true }
      if exchange.viewHasFailed, boot == 1, let seen = exchange.seen { viewFailures.insert(seen.token) }
      exchange.finish(result)
    }
  }

  /// The way back of a whole answer, which may be lost.
  func respond(_ exchange: Exchange, _ response: HTTPResponse) {
    if draws.chance(rates.answerLost) {
      trace.hit(.answerLost, exchange.label)
      if draws.chance(0.5) { reset(exchange) }
      return
    }
    answer(exchange, .success(response), after: draws.within(slowness ?? 0...2))
  }

  // MARK: - The server

  private func serve(_ exchange: Exchange) {
    guard let statement = exchange.statement else {
      unreadable.append(exchange.label)
      respond(exchange, answers.error(62, "Syntax error: \(exchange.label)"))
      return
    }
    switch statement {
    case .insert, .guardedInsert: insert(exchange, statement)
    default:
      // Questions are quick, or take their time.
      let slow = draws.chance(rates.slow) ? draws.within(Int64(0)...2000) : draws.within(Int64(0)...2)
      let boot = boot
      scheduler.after(slow) { [self] in
        guard boot == self.boot else { return }
        if draws.chance(exchange.isLook ? rates.thinned.error : rates.error) {
          trace.hit(.transientError)
          respond(exchange, answers.error(202, "Too many simultaneous queries. Maximum: 100"))
        } else {
          question(exchange, statement)
        }
      }
    }
  }

  private func question(_ exchange: Exchange, _ statement: ServerStatement) {
    switch statement {
    case .kill(let prefix):
      let killed = running.filter { $0.queryID.hasPrefix(prefix) }
      for insert in killed { insert.isKilled = true }
      waitForEnd(of: killed, exchange)
    case .catchUp: catchUp(exchange)
    case .count, .greatest, .describe, .writers, .nothing:
      switch trouble {
      case .detached: respond(exchange, answers.error(60, "Table sim.events doesn't exist"))
      case .rightsTaken: respond(exchange, answers.error(497, "Not enough privileges. It's necessary to have SELECT"))
      case .none, .altered:
        if case .count(let token) = statement, table.count(provenance: token) == 0, plainUnderWay(token: token) != nil {
          others?.foundNone(of: token, at: scheduler.now, incarnation: exchange.incarnation)
        }
        respond(exchange, answers.success(lines(for: statement)))
      }
    case .rowsByPartition:
      if let error = exchange.bodyError {
        unreadable.append("body: \(error.message)")
        respond(exchange, answers.error(error.code, error.message))
      } else {
        respond(exchange, answers.success(lines(byPartition: exchange.rows)))
      }
    default: respond(exchange, answers.success(lines(for: statement)))
    }
  }

  // SYNC: the answer comes when the killed queries are gone.
  private func waitForEnd(of killed: [RunningInsert], _ exchange: Exchange) {
    let boot = boot
    guard killed.contains(where: { insert in running.contains { $0 === insert } }) else {
      respond(exchange, answers.success(killed.map { "finished\t\($0.queryID)\tdefault\tINSERT" }))
      return
    }
    scheduler.after(killed.contains { $0.hangs } ? 1000 : 5) { [self] in
      if boot == self.boot, !exchange.isClosed { waitForEnd(of: killed, exchange) }
    }
  }

  // MARK: - What befalls it

  /// Ends the process: running queries stay half done, `down` ms later a new one listens.
  package func crash(down: Int64) {
    guard isUp else { return }
    trace.hit(.serverCrash, "for \(down) ms, \(running.count) running")
    for insert in running { if insert.isHalfDone { trace.hit(.halfCommitted, insert.queryID) } }
    let broken = running.compactMap(\.exchange) + held
    running = []
    held = []
    isUp = false
    isPaused = false
    boot += 1
    for exchange in broken { reset(exchange) }
    scheduler.after(down) { [self] in
      isUp = true
      bootedAt = scheduler.now
    }
  }

  /// The machine loses power: the newest parts had not been written to its disk.
  package func cutPower(losing count: Int, down: Int64) {
    trace.hit(.serverPowerCut, "\(count) of \(table.parts.count) parts are lost")
    table.lose(newest: count, withTokens: draws.chance(0.5))
    crash(down: down)
  }

  /// The process stands still, its sockets go on taking bytes.
  package func pause(for milliseconds: Int64) {
    guard isUp, !isPaused else { return }
    trace.hit(.serverPaused, "for \(milliseconds) ms")
    isPaused = true
    let boot = boot
    scheduler.after(milliseconds) { [self] in
      guard boot == self.boot else { return }
      isPaused = false
      let waiting = held
      held = []
      for exchange in waiting { serve(exchange) }
    }
  }

  /// Its clock, which queries and deadlines go by, is set back.
  package func setClockBack(_ milliseconds: Int64) { wallOffset -= milliseconds }

  /// Drops the table and makes it anew, the same but for its uuid.
  func recreateTable() {
    trace.hit(.tableDropped)
    store.tableNumber += 1
    for server in all { server.endInserts() }
    table = Self.emptyTable(definition)
  }

  private func endInserts() {
    let broken = running.compactMap(\.exchange)
    running = []
    unseen = []
    for exchange in broken { respond(exchange, answers.error(218, "Table sim.events is dropped")) }
  }

  /// Forgets all requests: the simulation is over.
  func close() {
    inNetwork = []
    held = []
    running = []
    attempts = []
    onInsert = nil
    store.servers = []
  }

  /// Faults are over.
  package func heal() {
    rates = Rates()
    trouble = .none
  }
}
