import MillBase
import MillClickHouse
import MillSim
import Synchronization

/// The simulated ClickHouse on a thread of its own, in real time, with an outage and a standstill at places that don't depend on speed.
///
/// Callable from any thread.
final class ShellServer: Transport {
  /// What the server has at its end.
  struct Report: Sendable {
    var rows: [ServerRow] = []
    /// Statements that it could not read.
    var unreadable: [String] = []
    var faults = FaultTally()
    var refusedCount = 0
    /// The standstill ended because nobody called ``goOn()`` for a minute.
    var isImpatient = false
  }

  private enum Order: Sendable {
    case request(HTTPRequest, @Sendable (Result<HTTPResponse, TransportError>) -> Void)
    case goOn
    case clientGone
  }

  private let orders = BlockingQueue<Order>()
  private let report = Mutex(Report())
  private let thread = Mutex<NamedThread?>(nil)
  private let standing = Standing()

  /// Shared between the server's thread and who asks.
  private final class Standing: Sendable {
    let isNow = Atomic(false)
  }

  /// - Parameters:
  ///   - outageAt: it dies once so many parts are in, and then refuses three connections.
  ///   - standstillAt: it stands still once so many parts are in, until ``goOn()``.
  init(seed: UInt64, clock: any Clock, outageAt: Int, standstillAt: Int) {
    let orders = orders
    let started = NamedThread("shell-server") { [self, standing] in
      var loop = ShellServerLoop(seed: seed, clock: clock, outageAt: outageAt, standstillAt: standstillAt) {
        standing.isNow.store($0, ordering: .releasing)
      }
      let end = loop.run { orders.isFinished ? nil : orders.takeAll(waitingMilliseconds: 1) }
      report.withLock { $0 = end }
    }
    thread.withLock { $0 = started }
  }

  func send(_ request: HTTPRequest, done: @escaping @Sendable (Result<HTTPResponse, TransportError>) -> Void) {
    orders.put(.request(request, done))
  }

  /// Whether it stands still at this moment.
  var isStandingStill: Bool { standing.isNow.load(ordering: .acquiring) }

  /// Ends a standstill.
  func goOn() { orders.put(.goOn) }

  /// The engine's process is gone, and with it every connection.
  func clientGone() { orders.put(.clientGone) }

  /// Ends the thread and hands out what it leaves.
  func close() -> Report {
    orders.close()
    thread.withLock { $0 }?.join()
    return report.withLock { $0 }
  }

  /// What the server's thread has to itself: nothing of the simulation is made for more than one.
  private struct ShellServerLoop {
    let clock: any Clock
    let outageAt: Int
    let standstillAt: Int
    let standsStill: (Bool) -> Void
    let start: Instant
    let scheduler: Scheduler
    let trace: Trace
    let server: SimClickHouse
    var incarnation = 1
    var refusalsLeft: Int?
    var heldSince: Int64?
    var report = Report()

    init(seed: UInt64, clock: any Clock, outageAt: Int, standstillAt: Int, standsStill: @escaping (Bool) -> Void) {
      self.clock = clock
      self.outageAt = outageAt
      self.standstillAt = standstillAt
      self.standsStill = standsStill
      let scheduler = Scheduler(seed: seed)
      self.scheduler = scheduler
      start = clock.now()
      trace = Trace(kept: 0) { scheduler.now }
      server = SimClickHouse(
        SimClickHouse.Table(
          flavour: .modern, engine: "MergeTree", partitionKey: "", window: 10_000, provenance: ("_millrace_batch", "String")),
        draws: .stream(seed: seed, "clickhouse"), scheduler: scheduler, wallOffset: start.wallMilliseconds, trace: trace)
      server.settleMilliseconds = Shell.settleMilliseconds
      server.rates.error = 0.05
      server.rates.unknownError = 0.03
      server.rates.oddSuccess = 0.03
      server.rates.torn = 0.03
    }

    mutating func run(_ take: () -> [Order]?) -> Report {
      var isStandstillOver = false
      while let orders = take() {
        for order in orders {
          switch order {
          case .request(let request, let done): answer(request, done)
          case .goOn: isStandstillOver = true
          case .clientGone:
            server.clientGone(incarnation: incarnation)
            incarnation += 1
          }
        }
        let now = clock.now().monotonicMilliseconds - start.monotonicMilliseconds
        if server.table.parts.count >= standstillAt, !isStandstillOver {
          let since = heldSince ?? now
          heldSince = since
          report.isImpatient = now - since > 60_000
          isStandstillOver = report.isImpatient
          standsStill(!isStandstillOver)
          continue
        }
        standsStill(false)
        // Simulated time comes to now also where nothing was to happen.
        scheduler.after(now - scheduler.now) {}
        _ = scheduler.run(limit: now) { false }
        if server.table.parts.count >= outageAt, refusalsLeft == nil {
          refusalsLeft = 3
          server.crash(down: 1)
        }
      }
      report.rows = server.table.rows
      report.unreadable = server.unreadable
      report.faults = trace.tally
      return report
    }

    private mutating func answer(_ request: HTTPRequest, _ done: @escaping @Sendable (Result<HTTPResponse, TransportError>) -> Void) {
      if let left = refusalsLeft, left > 0 {
        refusalsLeft = left - 1
        report.refusedCount += 1
        return done(.failure(TransportError(nothingSent: true, reason: "connection refused")))
      }
      SimTransport(server, incarnation: incarnation).send(request, done: done)
    }
  }
}
