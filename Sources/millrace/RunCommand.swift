internal import Glibc
internal import MillAdmin
internal import MillBase
internal import MillClickHouse
internal import MillConfig
internal import MillCore
internal import MillEngine
internal import MillFlow
internal import MillLog
internal import Synchronization

/// What the command line asks of a run beside the file.
struct RunOptions: Sendable {
  /// Stop once every partition has reached the end that it had at the start, all acked and a checkpoint taken.
  var untilEnd: Bool
  /// Accept that another lineage has run, and begin one of our own.
  var newLineage: Bool
  /// A new lineage goes on although none of its first records can be decoded.
  var acceptsDeadLetters = false
  /// Records that Kafka has deleted and that are given up; key: which of the file's sources.
  var acceptedLosses: [Int: [LostRange]] = [:]
  /// End where something was waited for that long; nil: wait without end.
  var waitAtMostMilliseconds: Int64?
}

/// `millrace run FILE`.
func runFile(_ arguments: Arguments, _ logger: Logger) throws(UsageError) -> ExitCode {
  var options = RunOptions(untilEnd: arguments.flag("--until-end"), newLineage: arguments.flag("--new-lineage"))
  options.acceptsDeadLetters = arguments.flag("--accept-dead-letters")
  if let text = arguments.text("--wait-at-most") {
    guard let milliseconds = ScalarText.duration(text), milliseconds > 0 else {
      throw arguments.usage("--wait-at-most \(text): must be a duration, such as 60s or 10m")
    }
    options.waitAtMostMilliseconds = milliseconds
  }
  guard let pipeline = loadPipeline(arguments.positional[0]) else { return .invalidFile }
  options.acceptedLosses = try acceptedLosses(arguments, pipeline)
  return runPipeline(pipeline, options, logger)
}

/// The ranges after `--accept-loss`, as the message that asks for them writes them.
private func acceptedLosses(_ arguments: Arguments, _ pipeline: Pipeline) throws(UsageError) -> [Int: [LostRange]] {
  var losses: [Int: [LostRange]] = [:]
  for text in arguments.all("--accept-loss") {
    let form = "must be TOPIC/PARTITION:FIRST-LAST, as the message of the stop has it"
    guard let slash = text.lastIndex(of: "/"), let colon = text.lastIndex(of: ":"), slash < colon else {
      throw arguments.usage("--accept-loss \(text): \(form)")
    }
    let offsets = text[text.index(after: colon)...].split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
    guard let partition = Int32(text[text.index(after: slash)..<colon]), partition >= 0, offsets.count == 2, let first = offsets[0],
      let last = offsets[1], first >= 0, last >= first, last < Int64.max
    else { throw arguments.usage("--accept-loss \(text): \(form)") }
    let source = try lossSource(String(text[..<slash]), text, arguments, pipeline)
    losses[source, default: []].append(LostRange(partition: partition, start: first, next: last + 1))
  }
  return losses
}

/// Which source is meant by a topic, or by `SOURCE:TOPIC` where two clusters have one of that name.
private func lossSource(_ name: String, _ text: String, _ arguments: Arguments, _ pipeline: Pipeline) throws(UsageError) -> Int {
  let plans = pipeline.sources.map(\.plan)
  if let exact = plans.firstIndex(where: { "\($0.name):\($0.topic)" == name }) { return exact }
  let found = plans.indices.filter { plans[$0].topic == name }
  if found.count == 1 { return found[0] }
  let topics = plans.map(\.topic).joined(separator: ", ")
  guard found.isEmpty else {
    let ways = found.map { "\(plans[$0].name):\(name)" }.joined(separator: " or ")
    throw arguments.usage("--accept-loss \(text): \(found.count) sources read a topic \(name): write \(ways) for it")
  }
  throw arguments.usage("--accept-loss \(text): the pipeline reads \(plans.count == 1 ? "topic" : "topics") \(topics)")
}

/// How often free memory goes back to the system.
private let trimMilliseconds: Int64 = 5000

/// Builds the engine's parts for `pipeline` and runs them on this thread until they are done or told to stop.
func runPipeline(_ pipeline: Pipeline, _ options: RunOptions, _ logger: Logger) -> ExitCode {
  // RocksDB makes files with the mode that it likes.
  umask(0o077)
  let freeMemory = FreeMemory(stateByteCount: pipeline.state.memoryByteCount)
  if let armed = FaultPoint.armedText {
    logger.warning("MILLRACE_FAULT is set: this process kills itself at \(armed). It is for drills; unset it elsewhere")
  }
  // Before any other thread is begun: threads inherit the signals' mask.
  let target = StopTarget()
  _ = StopSignals.install { target.stop() }
  guard let assembly = Assembly.make(pipeline, logger) else { return .invalidFile }
  let (clock, board, metrics) = (SystemClock(), SnapshotBoard(), EngineMetrics())
  let admin: Admin
  do throws(AdminError) {
    admin = try Admin(pipeline, board, metrics, clock: clock)
  } catch {
    assembly.close()
    return cannotServe(error, pipeline, logger)
  }
  defer { admin.close() }
  let lanes = ThreadLanes(sourceCount: pipeline.sources.count)
  let engine = Engine(parts: assembly.parts(pipeline, options, metrics), lanes: lanes) { level, text in logger.log(LogLevel(level), text) }
  target.set(lanes)
  var loop = EngineLoop(lanes: lanes, clock: clock)
  var progress = ProgressReporter(
    logger, isLive: isatty(2) == 1 && logger.format == .text, now: clock.now().monotonicMilliseconds)
  var trimAt = clock.now().monotonicMilliseconds + trimMilliseconds
  loop.report = { engine in
    let now = clock.now().monotonicMilliseconds
    if now >= trimAt {
      trimAt = now + trimMilliseconds
      lanes.run(.control) {
        freeMemory.giveBack()
        return nil
      }
    }
    let snapshot = engine.snapshot()
    board.put(snapshot)
    progress.report(snapshot)
  }
  let stop = loop.run(engine)
  progress.finish()
  // Requests under way are dropped: what they did is settled at the next start (R7).
  assembly.close()
  lanes.close()
  engine.executor.close()
  return report(stop, logger)
}

/// A second instance of the pipeline finds its port taken before it finds its state locked; the lock is what it is to be told of.
private func cannotServe(_ error: AdminError, _ pipeline: Pipeline, _ logger: Logger) -> ExitCode {
  let lock = pipeline.state.directory + "/LOCK"
  let disk = RealDisk()
  if error.isTaken, disk.exists(lock) {
    do throws(DiskError) {
      try disk.lock(lock, holder: "").release()
    } catch .locked(_, let holder) {
      return report(Stop(.inUse, rule: "R19", "another instance holds the state directory (\(lock)): \(holder)"), logger)
    } catch {
      // What else is wrong with it the engine would have said; here it is about the port.
    }
  }
  let remedy = error.isTaken ? "; another program uses that port: end it, or write another one into admin.listen" : ""
  logger.error("admin: \(error.message)\(remedy)")
  return .failed
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

private func report(_ stop: Stop, _ logger: Logger) -> ExitCode {
  switch stop.kind {
  case .done:
    logger.info(stop.message)
    return .done
  case .failed, .invalidPipeline, .promise, .inUse: logger.error(stop.message, ["rule": .text(stop.rule)])
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
