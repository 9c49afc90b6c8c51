internal import MillBase
internal import MillFlow
package import MillCore

/// One engine: the core and the executor of its commands. It holds no protocol state of its own.
///
/// The flow thread owns it: it hands in events, polls while the core wants to, and learns when to come back. Production drives it with
/// ``EngineLoop``, the simulator with its scheduler; both do exactly this:
///
///     engine.handle(event)                    // for each event posted by lanes
///     engine.poll()                            // while it wants to: when the source has records, by ``pollDueAt`` at the latest
///     engine.wakeAt                            // else wait until then, and handle(.wake)
package final class Engine {
  package private(set) var core: Core
  package let executor: Executor
  private let clock: any Clock
  /// Set by ``Command/stop(_:)``; nothing is done after it.
  package private(set) var stop: Stop?
  /// Told every event and command, for traces; nil: nobody listens.
  package var trace: ((Event, [Command]) -> Void)?

  package init(parts: EngineParts, lanes: any Lanes, say: @escaping @Sendable (Command.Level, String) -> Void) {
    core = Core(options: parts.core)
    clock = parts.clock
    executor = Executor(parts: parts, lanes: lanes, say: say)
  }

  /// Takes one event, and all that its commands answer inline.
  package func handle(_ event: Event) {
    var waiting = [event]
    var head = 0
    while head < waiting.count, stop == nil {
      let event = waiting[head]
      head += 1
      let commands = core.step(event, now: clock.now())
      trace?(event, commands)
      for command in commands {
        if case .stop(let reason) = command {
          stop = reason
          break
        }
        if let answer = executor.execute(command) { waiting.append(answer) }
      }
    }
  }

  /// A copy of where the core is; ``snapshot()`` has more.
  package var progress: Progress { core.progress }

  var now: Instant { clock.now() }

  package var wantsPoll: Bool { stop == nil && core.pollOrder != nil }

  /// Monotonic milliseconds at which the next poll is due where the source tells of nothing; nil: none is wanted.
  package var pollDueAt: Int64? { stop == nil ? core.pollOrder?.dueAt : nil }

  /// Whether a source has records for the next poll.
  package var hasFetched: Bool { executor.parts.sources.contains { $0.end.prefetchedCount > 0 } }

  /// See ``Source/whenFetched(_:)``.
  package func whenFetched(_ tell: @escaping @Sendable () -> Void) {
    for source in executor.parts.sources { source.end.whenFetched(tell) }
  }

  /// Takes records from the sources as the core allows, and hands what then lies in the buffers to it.
  package func poll() {
    guard let order = core.pollOrder else { return }
    handle(.polled(executor.poll(order)))
  }

  /// Monotonic milliseconds at which ``Event/wake`` is due; never now, so that what is blocked doesn't spin.
  package var wakeAt: Int64? { core.wakeAt.map { max($0, clock.now().monotonicMilliseconds + 1) } }
}
