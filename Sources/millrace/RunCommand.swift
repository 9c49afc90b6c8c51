internal import Glibc
internal import MillBase
internal import MillClickHouse
internal import MillConfig
internal import MillCore
internal import MillEngine
internal import MillFlow
internal import Synchronization

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
  // Before any other thread is begun: threads inherit the signals' mask.
  let target = StopTarget()
  _ = StopSignals.install { target.stop() }
  let assembly: Assembly
  do throws(SourceError) {
    assembly = try Assembly(pipeline, logger)
  } catch {
    logger.error("Kafka's client can't be made: \(error)")
    return .failed
  }
  let lanes = ThreadLanes()
  let engine = Engine(parts: assembly.parts(pipeline, options), lanes: lanes) { level, text in logger.log(LogLevel(level), text) }
  target.set(lanes)
  let clock = SystemClock()
  var loop = EngineLoop(lanes: lanes, clock: clock)
  var progress = ProgressReporter(
    logger, isLive: isatty(2) == 1 && logger.format == .text, now: clock.now().monotonicMilliseconds)
  loop.report = { progress.report(ProgressCounters($0.progress), now: clock.now().monotonicMilliseconds) }
  let stop = loop.run(engine)
  progress.finish()
  // Requests under way are dropped: what they did is settled at the next start (R7).
  assembly.transport.close()
  lanes.close()
  engine.executor.close()
  return report(stop, logger)
}

/// Where a stop request goes once the engine is there; one that came before is kept.
private final class StopTarget: Sendable {
  private let state = Mutex<(lanes: ThreadLanes?, isRequested: Bool)>((nil, false))

  func stop() {
    state.withLock {
      $0.isRequested = true
      $0.lanes?.post(.stopRequested)
    }
  }

  func set(_ lanes: ThreadLanes) {
    state.withLock {
      $0.lanes = lanes
      if $0.isRequested { lanes.post(.stopRequested) }
    }
  }
}

extension ProgressCounters {
  init(_ progress: Progress) {
    self.init(
      recordCount: progress.counters.records, ackedRowCount: progress.ackedRows, lag: progress.lag,
      watermarkDelayMilliseconds: progress.watermarkDelayMilliseconds, unackedBatchCount: progress.unackedBatches,
      checkpointAgeMilliseconds: progress.checkpointAgeMilliseconds, waitingFor: progress.waitsFor)
  }
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
