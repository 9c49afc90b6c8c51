internal import MillBase
internal import MillCore
internal import MillEngine

/// The engine's lanes in simulated time.
final class SimLanes: Lanes, @unchecked Sendable {
  private let lanes: [SimLane]
  /// Told of each event, to hand it to the engine.
  var onPost: ((Event) -> Void)?

  /// `slowest`, `slowestSync`: longest time of a job, ms; the latter of the log's lane.
  init(_ scheduler: Scheduler, draws: Draws, incarnation: Int, sourceCount: Int, slowest: Int64, slowestSync: Int64) {
    lanes = Lane.all(sourceCount: sourceCount).map { lane in
      SimLane(scheduler, draws: draws, incarnation: incarnation, slowest: lane == .log ? slowestSync : slowest)
    }
  }

  func run(_ lane: Lane, _ job: @escaping @Sendable () -> Event?) {
    lanes[lane.index].enqueue { [self] in
      if let event = job() { post(event) }
    }
  }

  func post(_ event: Event) { onPost?(event) }

  /// Forgets whom it tells, and all jobs.
  func close() {
    onPost = nil
    for lane in lanes { lane.close() }
  }
}

/// One life of the engine's process: the same engine as in production, driven by the scheduler as the production loop drives it.
final class Life {
  let incarnation: Int
  let engine: Engine
  let isUntilEnd: Bool
  private let lanes: SimLanes
  private let scheduler: Scheduler
  private let draws: Draws
  private var events: [Event] = []
  /// When the loop comes round next; later plans replace earlier ones.
  private var planned: (time: Int64, number: Int) = (0, 0)
  private var lastRows = 0
  /// Called once, when the engine has stopped.
  var onStop: ((Stop) -> Void)?
  private var isOver = false

  init(_ engine: Engine, lanes: SimLanes, incarnation: Int, isUntilEnd: Bool, scheduler: Scheduler, draws: Draws) {
    self.engine = engine
    self.lanes = lanes
    self.incarnation = incarnation
    self.isUntilEnd = isUntilEnd
    self.scheduler = scheduler
    self.draws = draws
    lanes.onPost = { [self] event in
      events.append(event)
      plan(after: draws.within(Int64(0)...1))
    }
  }

  func start() {
    events.append(.started)
    plan(after: 0)
  }

  /// SIGTERM.
  func terminate() {
    events.append(.stopRequested)
    plan(after: 0)
  }

  /// Its process is gone: nothing is told or done any more, and nothing holds it in memory.
  func close() {
    isOver = true
    onStop = nil
    engine.trace = nil
    lanes.close()
  }

  private func plan(after milliseconds: Int64) {
    let time = scheduler.now + max(0, milliseconds)
    if planned.number > 0, planned.time <= time, planned.time >= scheduler.now, isPlanned { return }
    planned = (time, planned.number + 1)
    isPlanned = true
    let number = planned.number
    scheduler.after(milliseconds, incarnation: incarnation) { [self] in
      guard number == planned.number else { return }
      isPlanned = false
      turn()
    }
  }

  private var isPlanned = false

  // One turn of the loop: what waits, else records, else the clock.
  private func turn() {
    guard !isOver else { return }
    let waiting = events
    events = []
    for event in waiting where engine.stop == nil { engine.handle(event) }
    if engine.stop == nil, events.isEmpty {
      if engine.wantsPoll {
        engine.poll()
      } else if waiting.isEmpty {
        engine.handle(.wake)
      }
    }
    if let stop = engine.stop {
      isOver = true
      onStop?(stop)
      return
    }
    if !events.isEmpty {
      plan(after: 0)
    } else if engine.wantsPoll {
      plan(after: draws.within(Int64(1)...(draws.chance(0.2) ? 60 : 16)))
    } else {
      let now = scheduler.now + ScheduledClock.monotonicOffset
      plan(after: min(1000, max(1, (engine.wakeAt ?? now + 1000) - now)))
    }
  }
}
