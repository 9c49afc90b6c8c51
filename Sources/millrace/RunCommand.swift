internal import MillConfig

/// What the command line asks of a run beside the file.
struct RunOptions: Sendable {
  /// Stop once every partition has reached the end that it had at the start, all acked and a checkpoint taken.
  var untilEnd: Bool
  /// Accept that another lineage has run, and begin one of our own.
  var newLineage: Bool
}

/// `millrace run FILE`.
func runFile(_ arguments: Arguments, _ logger: Logger) -> ExitCode {
  guard let pipeline = loadPipeline(arguments.positional[0]) else { return .invalidFile }
  let options = RunOptions(untilEnd: arguments.flag("--until-end"), newLineage: arguments.flag("--new-lineage"))
  return runPipeline(pipeline, options, logger)
}

/// Builds the engine's parts for `pipeline` and runs them until it is done or told to stop.
///
/// The place where sources, state, sink and engine are put together.
func runPipeline(_ pipeline: Pipeline, _ options: RunOptions, _ logger: Logger) -> ExitCode {
  logger.error("the engine is not linked into this binary", ["pipeline": .text(pipeline.name)])
  return .failed
}
