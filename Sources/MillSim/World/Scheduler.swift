package import MillBase

/// Simulated time and what is to happen in it: the one place that decides what runs next.
///
/// Events are ordered by time; ties by a draw, so that no order is ever relied upon that real threads would not give. One thread only.
package final class Scheduler: @unchecked Sendable {
  /// Milliseconds since the simulation began; never goes back.
  package private(set) var now: Int64 = 0
  /// Events run so far.
  package private(set) var steps = 0
  /// Called after each event; the invariants are checked here.
  package var afterStep: (() -> Void)?

  private var queue = EventQueue()
  private let draws: Draws
  private var droppedThrough = 0

  package init(seed: UInt64) { draws = .stream(seed: seed, "scheduler") }

  /// Events still waiting, dropped ones included.
  package var pendingCount: Int { queue.count }

  /// Runs `body` after `milliseconds`. What belongs to an `incarnation` of the engine above 0 is forgotten when that ends.
  package func after(_ milliseconds: Int64, incarnation: Int = 0, _ body: @escaping () -> Void) {
    queue.push(time: now + max(0, milliseconds), tie: draws.next(), incarnation: incarnation, body)
  }

  /// Forgets all events of this and earlier incarnations: their process is dead.
  package func drop(incarnation: Int) { droppedThrough = max(droppedThrough, incarnation) }

  /// Forgets everything: the simulation is over.
  package func close() {
    queue = EventQueue()
    afterStep = nil
  }

  /// Runs the next event; false when there is none.
  package func step() -> Bool {
    while let (event, body) = queue.pop() {
      if event.incarnation != 0, event.incarnation <= droppedThrough { continue }
      now = max(now, event.time)
      steps += 1
      body()
      afterStep?()
      return true
    }
    return false
  }

  /// Runs events until `stop` says so, none is left or the next is later than `limit`. Returns whether `stop` ended it.
  package func run(limit: Int64, until stop: () -> Bool) -> Bool {
    while !stop() {
      guard let next = queue.nextTime, next <= limit else { return false }
      _ = step()
    }
    return true
  }
}

/// A heap of events, the earliest first.
private struct EventQueue {
  struct Event {
    var time: Int64
    var tie: UInt64
    /// The engine's life that this event belongs to; 0: the world's.
    var incarnation: Int
    /// Where its body stands: what moves about in the heap is plain numbers.
    var slot: Int
  }

  private var heap: [Event] = []
  private var bodies: [(() -> Void)?] = []
  private var freeSlots: [Int] = []

  var count: Int { heap.count }
  var nextTime: Int64? { heap.first?.time }

  mutating func push(time: Int64, tie: UInt64, incarnation: Int, _ body: @escaping () -> Void) {
    let slot = freeSlots.popLast() ?? bodies.count
    if slot == bodies.count { bodies.append(body) } else { bodies[slot] = body }
    heap.append(Event(time: time, tie: tie, incarnation: incarnation, slot: slot))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard precedes(child, parent) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func pop() -> (event: Event, body: () -> Void)? {
    guard !heap.isEmpty else { return nil }
    heap.swapAt(0, heap.count - 1)
    let event = heap.removeLast()
    guard let body = bodies[event.slot] else { preconditionFailure("the event at \(event.time) has no body") }
    bodies[event.slot] = nil
    freeSlots.append(event.slot)
    var parent = 0
    while true {
      var least = parent
      let child = 2 * parent + 1
      if child < heap.count, precedes(child, least) { least = child }
      if child + 1 < heap.count, precedes(child + 1, least) { least = child + 1 }
      if least == parent { return (event, body) }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  private func precedes(_ a: Int, _ b: Int) -> Bool { (heap[a].time, heap[a].tie) < (heap[b].time, heap[b].tie) }
}

/// The engine's clock in simulated time: a wall clock that may jump, a monotonic one that does not.
package final class ScheduledClock: Clock, @unchecked Sendable {
  private let scheduler: Scheduler
  /// What the wall clock shows at simulated time 0, ms since 1970.
  package var wallOffset: Int64
  /// What the monotonic clock shows at simulated time 0.
  static let monotonicOffset: Int64 = 1_000_000

  package init(_ scheduler: Scheduler, wallOffset: Int64) {
    self.scheduler = scheduler
    self.wallOffset = wallOffset
  }

  package func now() -> Instant {
    Instant(wallMilliseconds: wallOffset + scheduler.now, monotonicMilliseconds: Self.monotonicOffset + scheduler.now)
  }
}

/// Jobs done one after the other, each at its own drawn time: the simulated stand-in for a lane's thread.
package final class SimLane {
  private let scheduler: Scheduler
  private let draws: Draws
  private let incarnation: Int
  /// Longest time of a job, ms.
  private let slowest: Int64
  private var queue: [() -> Void] = []
  private var head = 0
  private var isBusy = false

  package init(_ scheduler: Scheduler, draws: Draws, incarnation: Int, slowest: Int64) {
    self.scheduler = scheduler
    self.draws = draws
    self.incarnation = incarnation
    self.slowest = slowest
  }

  /// Puts a job at the end of the lane's queue; it never runs before this call returns.
  package func enqueue(_ job: @escaping () -> Void) {
    queue.append(job)
    if !isBusy { startNext() }
  }

  /// Forgets all jobs.
  func close() {
    queue = []
    head = 0
  }

  private func startNext() {
    guard head < queue.count else {
      queue.removeAll(keepingCapacity: true)
      head = 0
      isBusy = false
      return
    }
    isBusy = true
    let job = queue[head]
    head += 1
    // Mostly quick; now and then a job takes its whole time.
    let time = draws.chance(0.1) ? draws.within(0...slowest) : draws.within(0...min(2, slowest))
    scheduler.after(time, incarnation: incarnation) { [self] in
      job()
      startNext()
    }
  }
}
