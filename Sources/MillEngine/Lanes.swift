package import MillCore

/// A sequence of jobs that runs beside the flow thread, one job at a time, in the order given.
package enum Lane: Int, CaseIterable, Sendable {
  /// Encodes and writes seals, syncs the log.
  case log
  /// Sorts, ingests, drops and checkpoints state (R18).
  case state
  /// Asks the source; reads and removes files at start.
  case control
  /// Reads batches back from the log for sending, writes dead letters.
  case delivery
}

/// The seam to threads: production has one named thread a lane, the simulator runs the jobs when its scheduler says so.
package protocol Lanes: AnyObject, Sendable {
  /// Runs `job` on `lane` and hands its event to the engine; nil: nothing to tell.
  func run(_ lane: Lane, _ job: @escaping @Sendable () -> Event?)
  /// Hands an event to the engine from any thread.
  func post(_ event: Event)
}
