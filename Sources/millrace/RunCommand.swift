internal import MillBase
internal import MillConfig
internal import MillCore
internal import MillEngine
internal import MillFlow

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

/// Builds the engine's parts for `pipeline` and runs them on this thread until they are done or told to stop.
func runPipeline(_ pipeline: Pipeline, _ options: RunOptions, _ logger: Logger) -> ExitCode {
  let assembly: Assembly
  do throws(SourceError) {
    assembly = try Assembly(pipeline, logger)
  } catch {
    logger.error("Kafka's client can't be made: \(error)")
    return .failed
  }
  let lanes = ThreadLanes()
  let engine = Engine(parts: assembly.parts(pipeline, options), lanes: lanes) { level, text in logger.log(LogLevel(level), text) }
  StopSignals.onFirst { lanes.post(.stopRequested) }
  var loop = EngineLoop(lanes: lanes, clock: SystemClock())
  var progress = ProgressReporter(logger: logger)
  loop.report = { progress.report($0.progress) }
  let stop = loop.run(engine)
  progress.finish()
  // Requests under way are dropped: what they did is settled at the next start (R7).
  assembly.transport.close()
  lanes.close()
  engine.executor.close()
  return report(stop, logger)
}

private func report(_ stop: Stop, _ logger: Logger) -> ExitCode {
  switch stop.kind {
  case .done:
    logger.info(stop.message)
    return .done
  case .failed: logger.error(stop.message, ["rule": .text(stop.rule)])
  case .invalidPipeline, .promise, .inUse: logger.error(stop.message, ["rule": .text(stop.rule)])
  }
  return ExitCode(rawValue: stop.kind.rawValue) ?? .failed
}

extension LogLevel {
  init(_ level: Command.Level) {
    self =
      switch level {
      case .debug: .debug
      case .info: .info
      case .warning: .warning
      case .error: .error
      }
  }
}
