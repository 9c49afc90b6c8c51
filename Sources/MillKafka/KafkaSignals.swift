internal import MillBase
internal import Synchronization

/// What librdkafka's callbacks tell, some from its own threads: log lines, errors of the whole client, failed deliveries.
final class KafkaSignals: Sendable {
  /// An error of the whole client.
  enum News { case allDown, fatal, trouble }

  private struct State {
    var certificateProblem: String?
    var allDown = false
    var lastReason: String?
    var failedCount = 0
    var firstFailure: KafkaFailure?
    var fatal: KafkaFailure?
  }

  private let state = Mutex(State())
  private let sink: KafkaLog

  /// What the client shows under SASL OAUTHBEARER; nil under another mechanism.
  let tokens: TokenCache?

  init(tokens: TokenCache? = nil, log: @escaping KafkaLog) {
    self.tokens = tokens
    sink = log
  }

  /// A reason as it is handed on: without what differs from try to try, and with what is wrong with a certificate.
  func told(_ reason: String) -> String {
    var text = ForeignText.cut(reason)
    // librdkafka adds "(after 3ms in state CONNECT, 4 identical error(s) suppressed)".
    if text.hasSuffix(")"), let start = text.firstRange(of: " (after ") { text.removeSubrange(start.lowerBound...) }
    // "ssl://host:9093/bootstrap: ..." and "ssl://host:9093/1: ..." are the same broker.
    if let scheme = text.firstRange(of: "://"), let slash = text[scheme.upperBound...].firstIndex(of: "/"),
      let colon = text[slash...].firstIndex(of: ":"), text[slash..<colon] == "/bootstrap" || Int(text[slash..<colon].dropFirst()) != nil
    {
      text.removeSubrange(slash..<colon)
    }
    if text.contains("certificate verify failed"), let problem = state.withLock({ $0.certificateProblem }) {
      return "\(problem) (SSL: certificate verify failed)"
    }
    if let problem = CertificateProblem.ofClient(text) { text += "; \(problem)" }
    // Its nonce is wrong (librdkafka's #4895), and Kafka looks at it since 4.0.
    if text.contains("invalid credentials with SASL mechanism SCRAM"), KafkaClient.libraryVersion < 0x0206_0100 {
      text += "; librdkafka before 2.6.1, as this one is, can't do SCRAM with Kafka 4.0 and later: take PLAIN, OAUTHBEARER or a certificate"
    }
    return text
  }

  func refuseCertificate(_ problem: String) { state.withLock { $0.certificateProblem = problem } }

  /// The reason of the last error, until the news that all brokers are down has been taken.
  var lastReason: String? { state.withLock { $0.lastReason } }

  /// Takes the news that all brokers are down, with the last reason that was given; nil when there are none.
  func takeAllDown() -> String? {
    state.withLock { state in
      guard state.allDown else { return nil }
      let reason = state.lastReason ?? "all brokers are down"
      state.allDown = false
      state.lastReason = nil
      return reason
    }
  }

  /// How many messages could not be delivered, and why the first could not.
  var failures: (count: Int, first: KafkaFailure?) { state.withLock { ($0.failedCount, $0.fatal ?? $0.firstFailure) } }

  func log(_ level: Int, _ line: String) { sink(level, line) }

  func report(_ news: News, _ failure: KafkaFailure) {
    state.withLock {
      switch news {
      case .allDown:
        $0.allDown = true
        $0.lastReason = $0.lastReason ?? failure.text
      case .fatal: $0.fatal = failure
      case .trouble: $0.lastReason = failure.text
      }
    }
  }

  /// One message could not be delivered.
  func addFailure(_ failure: KafkaFailure) {
    state.withLock {
      $0.failedCount += 1
      $0.firstFailure = $0.firstFailure ?? failure
    }
  }
}
