internal import MillAdmin
internal import MillBase
internal import MillConfig
internal import MillCore
internal import MillEngine
internal import MillLog

/// The HTTP interface of a running pipeline, as its file asks for it: what the pages say comes off the board alone.
struct Admin {
  private let server: AdminServer?
  private let board: SnapshotBoard

  /// Listens at once where the file says so.
  init(_ pipeline: Pipeline, _ board: SnapshotBoard, _ metrics: EngineMetrics, clock: SystemClock) throws(AdminError) {
    self.board = board
    guard let settings = pipeline.admin else {
      server = nil
      return
    }
    let startedAt = Double(clock.now().wallMilliseconds) / 1000
    let (name, disk) = (pipeline.name, pipeline.state.directory)
    let views = AdminViews(
      health: { health(of: board.snapshot, pipeline: name, now: clock.now()) },
      metrics: {
        var page = MetricsText(common: ("pipeline", name))
        page.gauge("millrace_build_info", "Always 1; its labels say which program this is.", .init(true, ("version", versionText)))
        if let snapshot = board.snapshot { MetricsPage.write(snapshot, metrics, now: clock.now(), to: &page) }
        if let free = freeDiskByteCount(at: disk) {
          page.gauge("millrace_disk_free_bytes", "Room on the file system of the state directory.", .init(free))
        }
        writeProcess(startedAt, to: &page)
        return page
      })
    server = try AdminServer(host: settings.host, port: settings.port, AdminPages(views: views, token: settings.token?.revealed))
  }

  /// Ends all connections; the last thing before the process ends, so that a stop's reason can be asked for till then.
  func close() { server?.close() }
}

/// The flow thread reports twice a second; one that hasn't for this long does nothing any more.
private let silenceMillisecondsMax: Int64 = 30_000

/// What `/health` says; nil: the engine hasn't reported yet.
func health(of snapshot: EngineSnapshot?, pipeline: String, now: Instant) -> Health {
  guard let snapshot else { return Health(pipeline: pipeline, state: .starting, waits: [], stopped: nil, isAlive: true) }
  let waits = snapshot.progress.waits.map { wait in
    Health.Wait(
      Health.Subject(wait.subject), source: wait.source, sink: wait.sink, since: utcText(milliseconds: wait.since.wallMilliseconds),
      seconds: max(0, now.monotonicMilliseconds - wait.since.monotonicMilliseconds) / 1000)
  }
  let state: Health.State =
    switch snapshot.progress.phase {
    case _ where snapshot.stop != nil: .stopped
    case .stopped: .stopped
    case .stopping: .stopping
    case _ where !waits.isEmpty: .waiting
    case .starting: .starting
    case .replaying: .replaying
    case .running: .running
    }
  return Health(
    pipeline: pipeline, state: state, waits: waits,
    stopped: snapshot.stop.map { Health.Stopped(exitCode: $0.kind.rawValue, rule: $0.rule, meaning: meaning($0.kind)) },
    records: Health.Records(
      rows: snapshot.progress.outcomes.emitted,
      deadLetters: snapshot.progress.allDeadLetters.entries.map { Health.DeadLetters(reason: $0.reason, count: $0.count) },
      skipped: snapshot.progress.outcomes.skipped, filtered: snapshot.progress.outcomes.filtered),
    isAlive: now.monotonicMilliseconds - snapshot.at.monotonicMilliseconds < silenceMillisecondsMax)
}

private func meaning(_ kind: Stop.Kind) -> String {
  switch kind {
  case .done: "done"
  case .failed: "failed; the log says why"
  case .invalidPipeline: "the pipeline file doesn't fit its table or its topic; the log says why"
  case .promise: "stopped to keep the promise; the log says why and what goes on"
  case .inUse: "another instance holds the state"
  }
}

private func writeProcess(_ startedAt: Double, to page: inout MetricsText) {
  let process = ProcessFacts()
  page.process("process_cpu_seconds_total", "Processor time, user and system.", .init(process.cpuSeconds))
  page.process("process_resident_memory_bytes", "Resident memory.", .init(process.residentByteCount))
  page.process("process_virtual_memory_bytes", "Virtual memory.", .init(process.virtualByteCount))
  page.process("process_open_fds", "Open files.", .init(process.openFileCount))
  page.process("process_max_fds", "Files that may be open.", .init(process.openFileCountMax))
  page.process("process_threads", "Threads.", .init(process.threadCount))
  page.process("process_start_time_seconds", "Start of the process, seconds since 1970.", .init(startedAt))
}

extension Health.Subject {
  init(_ subject: Wait.Subject) {
    self =
      switch subject {
      case .kafka: .kafka
      case .clickhouse: .clickhouse
      case .disk: .disk
      case .deadLetters: .deadLetters
      }
  }
}
