package import MillBase

/// What the pages are made of: the seam to whoever runs the pipeline. Each is asked on the server's thread and must not block.
package struct AdminViews: Sendable {
  package var health: @Sendable () -> Health
  package var metrics: @Sendable () -> MetricsText

  package init(health: @escaping @Sendable () -> Health, metrics: @escaping @Sendable () -> MetricsText) {
    self.health = health
    self.metrics = metrics
  }
}

/// One answer, whole.
struct AdminAnswer: Sendable {
  var status: Int
  var contentType: String
  var body: String
  /// A header beside the content type.
  var header: (name: String, value: String)?
}

/// Which request gets which answer. Any thread.
package struct AdminPages: Sendable {
  private let views: AdminViews
  /// SHA-256 of the token that every request must bear; nil: none is asked for.
  private let tokenDigest: [UInt8]?

  package init(views: AdminViews, token: String?) {
    self.views = views
    tokenDigest = token.map { Self.digest($0.utf8) }
  }

  /// - Parameters:
  ///   - path: without the query.
  ///   - authorization, host: the headers of those names, where there are any.
  func answer(method: String, path: String, authorization: String?, host: String?) -> AdminAnswer {
    guard tokenDigest != nil || host.map(Self.isLoopback) ?? true else {
      return text(421, "without a token only localhost is answered: ask for http://localhost, or set admin.token")
    }
    guard isAllowed(authorization) else {
      return text(401, "a token is asked for: Authorization: Bearer TOKEN", header: ("WWW-Authenticate", "Bearer"))
    }
    let page: () -> AdminAnswer
    switch path {
    case "/metrics": page = { AdminAnswer(status: 200, contentType: MetricsText.contentType, body: views.metrics().text) }
    case "/health": page = { json(views.health()) { $0.isReady } }
    case "/health/live": page = { json(views.health()) { $0.isAlive } }
    default: return text(404, "there are /metrics, /health and /health/live")
    }
    guard method == "GET" || method == "HEAD" else { return text(405, "only GET and HEAD", header: ("Allow", "GET, HEAD")) }
    return page()
  }

  private func json(_ health: Health, _ isWell: (Health) -> Bool) -> AdminAnswer {
    AdminAnswer(status: isWell(health) ? 200 : 503, contentType: "application/json", body: health.json)
  }

  private func text(_ status: Int, _ text: String, header: (name: String, value: String)? = nil) -> AdminAnswer {
    AdminAnswer(status: status, contentType: "text/plain; charset=utf-8", body: text + "\n", header: header)
  }

  /// Without a token only this machine is listened to. A page in a browser here can have a name of its own point to it (DNS rebinding), but
  /// not keep that name out of the request.
  private static func isLoopback(_ authority: String) -> Bool { MillBase.isLoopback(host: hostPart(authority.lowercased())) }

  /// Compares digests, all of their bytes: how long it takes says nothing about the token.
  private func isAllowed(_ authorization: String?) -> Bool {
    guard let tokenDigest else { return true }
    guard let authorization else { return false }
    let scheme = authorization.utf8.prefix(7)
    guard String(Substring(scheme)).lowercased() == "bearer " else { return false }
    let given = Self.digest(authorization.utf8.dropFirst(7).drop { $0 == UInt8(ascii: " ") })
    return zip(given, tokenDigest).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }

  private static func digest(_ text: some Sequence<UInt8>) -> [UInt8] {
    var hash = SHA256()
    unsafe Array(text).withRawBytes { unsafe hash.update($0) }
    return hash.digest()
  }
}
