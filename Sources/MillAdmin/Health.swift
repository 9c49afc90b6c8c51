/// How a pipeline is, as `/health` tells it. Nothing here stems from the pipeline file but its name and those of
/// its sinks: no address, path, table or secret.
package struct Health: Hashable, Sendable {
  package enum State: String, CaseIterable, Sendable {
    /// Looking at Kafka, ClickHouse and the state directory; nothing is processed yet.
    case starting
    /// Epochs that an earlier process has recorded are processed again.
    case replaying
    case running
    /// What it needs isn't there; ``Health/waits`` has what. It goes on by itself.
    case waiting
    /// Asked to stop: sealing and taking a checkpoint.
    case stopping
    case stopped
  }

  /// What can be waited for.
  package enum Subject: String, CaseIterable, Sendable {
    case kafka, clickhouse, disk
    case deadLetters = "dead_letters"
  }

  package struct Wait: Hashable, Sendable {
    package var subject: Subject
    /// Whose brokers they are, where there are several sources.
    package var source: String?
    /// Whose server it is, where there are several sinks.
    package var sink: String?
    /// ISO 8601, UTC.
    package var since: String
    package var seconds: Int64

    package init(_ subject: Subject, source: String? = nil, sink: String? = nil, since: String, seconds: Int64) {
      self.subject = subject
      self.source = source
      self.sink = sink
      self.since = since
      self.seconds = seconds
    }
  }

  /// Why it has stopped; the process ends soon after. The log has the whole message.
  package struct Stopped: Hashable, Sendable {
    /// The exit code that the process will have.
    package var exitCode: Int32
    /// The protocol's rule, such as R15; may be empty.
    package var rule: String
    /// What that exit code means, in a fixed sentence.
    package var meaning: String

    package init(exitCode: Int32, rule: String, meaning: String) {
      self.exitCode = exitCode
      self.rule = rule
      self.meaning = meaning
    }
  }

  /// How many there are of a reason, which is a name of ours.
  package struct DeadLetters: Hashable, Sendable {
    package var reason: String
    package var count: UInt64

    package init(reason: String, count: UInt64) {
      self.reason = reason
      self.count = count
    }
  }

  /// What came of the records since the process began.
  package struct Records: Hashable, Sendable {
    /// Rows on their way to the table, or in it.
    package var rows: UInt64
    /// By reason; those that never came up aren't here.
    package var deadLetters: [DeadLetters]
    /// `on_error: skip`.
    package var skipped: UInt64
    /// A filter's condition wasn't true.
    package var filtered: UInt64

    package init(rows: UInt64 = 0, deadLetters: [DeadLetters] = [], skipped: UInt64 = 0, filtered: UInt64 = 0) {
      self.rows = rows
      self.deadLetters = deadLetters
      self.skipped = skipped
      self.filtered = filtered
    }

    fileprivate var json: String {
      let reasons = deadLetters.map { "\"\($0.reason)\":\($0.count)" }.joined(separator: ",")
      let total = deadLetters.reduce(0) { $0 + $1.count }
      return "{\"rows\":\(rows),\"dead_letters\":\(total),\"dead_letters_by_reason\":{\(reasons)},\"skipped\":\(skipped),"
        + "\"filtered\":\(filtered)}"
    }
  }

  package var pipeline: String
  package var state: State
  /// In the order of ``Subject``.
  package var waits: [Wait]
  package var stopped: Stopped?
  /// No reason not to be ready: what is wrong with records is a matter of alerts.
  package var records: Records
  /// Whether the thread that processes records has been seen lately.
  package var isAlive: Bool

  package init(pipeline: String, state: State, waits: [Wait], stopped: Stopped?, records: Records = Records(), isAlive: Bool) {
    self.pipeline = pipeline
    self.state = state
    self.waits = waits
    self.stopped = stopped
    self.records = records
    self.isAlive = isAlive
  }

  /// Records go all the way from Kafka into the table.
  package var isReady: Bool { state == .running && isAlive }

  /// One JSON object. Every text in it is a name of ours, a moment or a pipeline's, source's or sink's name, none of which needs escapes.
  var json: String {
    let waits = waits.map { wait in
      let sink = wait.source.map { "\"source\":\"\($0)\"," } ?? wait.sink.map { "\"sink\":\"\($0)\"," } ?? ""
      return "{\"for\":\"\(wait.subject.rawValue)\",\(sink)\"since\":\"\(wait.since)\",\"seconds\":\(wait.seconds)}"
    }
    let stopped = stopped.map { "{\"exit_code\":\($0.exitCode),\"rule\":\"\($0.rule)\",\"meaning\":\"\($0.meaning)\"}" }
    return "{\"ready\":\(isReady),\"alive\":\(isAlive),\"pipeline\":\"\(pipeline)\",\"state\":\"\(state.rawValue)\","
      + "\"records\":\(records.json),\"waiting\":[\(waits.joined(separator: ","))],\"stopped\":\(stopped ?? "null")}\n"
  }
}
