internal import MillBase
internal import MillClickHouse
internal import MillConfig
internal import MillKafka

/// Asks a token endpoint for access tokens, by the one HTTP client that there is.
final class TokenClient: Sendable {
  /// How long one asking may take; librdkafka asks again 10 s after a failure.
  private static let timeoutMilliseconds = 10_000

  private let transport: CurlTransport
  /// For every client of Kafka.
  let cache: TokenCache

  init(_ settings: TokenSettings) {
    let pathStart = settings.endpoint.firstRange(of: "://").flatMap { scheme in
      settings.endpoint[scheme.upperBound...].firstIndex { "/?".contains($0) }
    }
    let target = pathStart.map { String(settings.endpoint[$0...]) } ?? "/"
    let host = pathStart.map { String(settings.endpoint[..<$0]) } ?? settings.endpoint
    let transport = CurlTransport(
      TransportOptions(url: host, connections: 1, answerBytesMax: 1 << 20, tls: TLSFiles(authorities: settings.authoritiesFile)))
    self.transport = transport
    let grant = TokenGrant(
      clientID: settings.clientID, clientSecret: settings.clientSecret.revealed, scope: settings.scope, extensions: settings.extensions)
    let clock = SystemClock()
    cache = TokenCache(now: { clock.now().wallMilliseconds }) {
      let answers = BlockingQueue<Result<HTTPResponse, TransportError>>()
      let request = HTTPRequest(
        target: target.hasPrefix("/") ? target : "/" + target, headers: grant.headers, body: grant.body, freshConnection: true,
        timeoutMilliseconds: Self.timeoutMilliseconds)
      transport.send(request) { answers.put($0) }
      let place = "token endpoint \(settings.endpoint)"
      switch answers.takeAll(waitingMilliseconds: Int64(Self.timeoutMilliseconds + 5_000)).first {
      case .success(let response):
        return grant.read(status: response.status, answer: response.body, now: clock.now().wallMilliseconds)
          .mapError { TokenFailure("\(place): \($0.reason)") }
      case .failure(let error): return .failure(TokenFailure("\(place): \(error.reason)"))
      case nil: return .failure(TokenFailure("\(place): no answer"))
      }
    }
  }

  /// Ends a request that is under way; later ones fail.
  func close() { transport.close() }
}
