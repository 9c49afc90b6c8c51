package import MillBase
package import MillCore

/// Production's lanes: a named thread each, and the queue of events that the flow thread reads.
package final class ThreadLanes: Lanes {
  package let events = BlockingQueue<Event>()
  private let queues: [BlockingQueue<@Sendable () -> Event?>]
  private let threads: [NamedThread]

  package init() {
    let events = events
    let queues = Lane.allCases.map { _ in BlockingQueue<@Sendable () -> Event?>() }
    self.queues = queues
    threads = Lane.allCases.map { lane in
      NamedThread("mill-\(lane)") {
        let queue = queues[lane.rawValue]
        while true {
          let jobs = queue.takeAll(waitingMilliseconds: nil)
          if jobs.isEmpty, queue.isFinished { return }
          for job in jobs {
            if let event = job() { events.put(event) }
          }
        }
      }
    }
  }

  package func run(_ lane: Lane, _ job: @escaping @Sendable () -> Event?) { queues[lane.rawValue].put(job) }

  package func post(_ event: Event) { events.put(event) }

  /// Lets each lane finish what it was given, and joins its thread.
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

  package init(lanes: ThreadLanes, clock: any Clock) {
    self.lanes = lanes
    self.clock = clock
  }

  package func run(_ engine: Engine) -> Stop {
    var nextReport = clock.now().monotonicMilliseconds + reportMilliseconds
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
      let wake = min(engine.wakeAt ?? nextReport, nextReport)
      let events = lanes.events.takeAll(waitingMilliseconds: engine.wantsPoll ? 0 : max(1, wake - now))
      for event in events where engine.stop == nil { engine.handle(event) }
      guard engine.stop == nil else { continue }
      if engine.wantsPoll {
        engine.poll()
      } else if events.isEmpty {
        engine.handle(.wake)
      }
    }
  }
}
