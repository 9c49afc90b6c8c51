package import MillCore

/// A sequence of jobs that runs beside the flow thread, one job at a time, in the order given.
package enum Lane: Hashable, Sendable {
  /// Encodes and writes seals, syncs the log.
  case log
  /// Sorts, ingests, drops and checkpoints state (R18).
  case state
  /// Reads and removes files at start, truncates the log.
  case control
  /// Reads batches back from the log for sending, writes dead letters.
  case delivery
  /// Asks one source's brokers.
  case source(Int)

  /// Of an engine with so many sources, by ``index``.
  package static func all(sourceCount: Int) -> [Lane] { [.log, .state, .control, .delivery] + (0..<sourceCount).map { .source($0) } }

  package var index: Int {
    switch self {
    case .log: 0
    case .state: 1
    case .control: 2
    case .delivery: 3
    case .source(let source): 4 + source
    }
  }

  /// Of its thread.
  package var name: String {
    switch self {
    case .log: "log"
    case .state: "state"
    case .control: "control"
    case .delivery: "delivery"
    case .source(let source): "source-\(source)"
    }
  }
}

/// The seam to threads: production has one named thread a lane, the simulator runs the jobs when its scheduler says so.
package protocol Lanes: AnyObject, Sendable {
  /// Runs `job` on `lane` and hands its event to the engine; nil: nothing to tell.
  func run(_ lane: Lane, _ job: @escaping @Sendable () -> Event?)
  /// Hands an event to the engine from any thread.
  func post(_ event: Event)
}
