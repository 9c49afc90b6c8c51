/// What the process ends with; the contract's numbers.
enum ExitCode: Int32, Sendable {
  case done = 0
  /// A named error stands on stderr.
  case failed = 1
  case wrongUsage = 2
  /// The pipeline file is wrong, by itself or against the table it names.
  case invalidFile = 3
  /// Stopped to keep the promise: fenced, lost history, diverged replay, corrupt state, state of another pipeline.
  case stopped = 4
  /// Another instance holds the state.
  case alreadyRunning = 5
}
