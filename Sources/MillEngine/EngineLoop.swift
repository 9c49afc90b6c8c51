package import MillBase
package import MillCore
internal import Synchronization

/// Production's lanes: a named thread each, and the queue of events that the flow thread reads.
package final class ThreadLanes: Lanes {
  package let events = BlockingQueue<Event>()
  private let queues: [BlockingQueue<@Sendable () -> Event?>]
  private let threads: [NamedThread]

  package init(sourceCount: Int) {
    let events = events
    let lanes = Lane.all(sourceCount: sourceCount)
    let queues = lanes.map { _ in BlockingQueue<@Sendable () -> Event?>() }
    self.queues = queues
    threads = lanes.map { lane in
      NamedThread("mill-\(lane.name)") {
        let queue = queues[lane.index]
        while true {
          let jobs = queue.takeAll(waitingMilliseconds: nil)
          if jobs.isEmpty, queue.isFinished { return }
          for job in jobs {
            // What was to be asked of brokers that don't answer would hold up the process's end.
            if case .source = lane, queue.isFinished { continue }
            if let event = job() { events.put(event) }
          }
        }
      }
    }
  }

  package func run(_ lane: Lane, _ job: @escaping @Sendable () -> Event?) { queues[lane.index].put(job) }

  package func post(_ event: Event) { events.put(event) }

  /// Lets each lane finish what it was given, a source's what it does now, and joins its thread.
  package func close() {
    for queue in queues { queue.close() }
    for thread in threads { thread.join() }
  }
}

/// Drives an engine on the calling thread, which becomes the flow thread, until it stops.
package struct EngineLoop {
  private let lanes: ThreadLanes
  private let clock: any Clock
  /// Called on the flow thread about every `reportMilliseconds`.
  package var report: ((Engine) -> Void)?
  package var reportMilliseconds: Int64 = 500
  /// Between two polls, where the source has more at once: waking up for each answer of a broker costs more than its records.
  private static let pollGapMilliseconds: Int64 = 5

  package init(lanes: ThreadLanes, clock: any Clock) {
    self.lanes = lanes
    self.clock = clock
  }

  package func run(_ engine: Engine) -> Stop {
    let fetched = Fetched()
    let queue = lanes.events
    engine.whenFetched {
      fetched.note()
      queue.nudge()
    }
    var nextReport = clock.now().monotonicMilliseconds + reportMilliseconds
    var polledAt = Int64.min / 2
    engine.handle(.started)
    while true {
      if let stop = engine.stop {
        report?(engine)
        return stop
      }
      let now = clock.now().monotonicMilliseconds
      if now >= nextReport {
        nextReport = now + reportMilliseconds
        report?(engine)
      }
      // One place to wait for lanes, the source and the clock.
      func pollAt() -> Int64 {
        guard let dueAt = engine.pollDueAt else { return .max }
        let hasMore = fetched.isNoted || engine.hasFetched
        // Not again within the same millisecond, should what is due not be taken.
        return max(hasMore ? min(dueAt, polledAt + Self.pollGapMilliseconds) : dueAt, polledAt + 1)
      }
      let wakeAt = min(engine.wakeAt ?? nextReport, nextReport)
      let events = queue.takeAll(waitingMilliseconds: max(0, min(wakeAt, pollAt()) - now))
      for event in events where engine.stop == nil { engine.handle(event) }
      guard engine.stop == nil else { continue }
      let after = clock.now().monotonicMilliseconds
      if pollAt() <= after {
        polledAt = after
        fetched.clear()
        engine.poll()
      } else if events.isEmpty, wakeAt <= after {
        engine.handle(.wake)
      }
    }
  }

  /// That the source has told of records since the last poll.
  private final class Fetched: Sendable {
    private let isThere = Atomic(false)
    var isNoted: Bool { isThere.load(ordering: .acquiring) }
    func note() { isThere.store(true, ordering: .releasing) }
    func clear() { isThere.store(false, ordering: .releasing) }
  }
}
