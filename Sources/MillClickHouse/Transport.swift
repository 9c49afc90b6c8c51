/// One HTTP request to the destination. The body is sent with its exact Content-Length.
package struct HTTPRequest: Sendable {
  /// Path and query, percent-encoded: `/?database=…`.
  package var target: String
  package var headers: [(name: String, value: String)]
  package var body: [UInt8]
  /// On a connection of its own (probes of protocol R7).
  package var freshConnection: Bool
  package var timeoutMilliseconds: Int

  package init(
    target: String, headers: [(name: String, value: String)] = [], body: [UInt8] = [], freshConnection: Bool = false,
    timeoutMilliseconds: Int
  ) {
    self.target = target
    self.headers = headers
    self.body = body
    self.freshConnection = freshConnection
    self.timeoutMilliseconds = timeoutMilliseconds
  }
}

package struct HTTPResponse: Sendable, Equatable {
  package var status: Int
  /// Names in lower case.
  package var headers: [String: String]
  package var body: [UInt8]

  package init(status: Int, headers: [String: String], body: [UInt8]) {
    self.status = status
    self.headers = headers
    self.body = body
  }
}

/// No whole answer came.
package struct TransportError: Error, Sendable, Equatable {
  /// Whether it is certain that no byte of the request was handed to a socket (name not found, connection refused).
  package var nothingSent: Bool
  package var reason: String

  package init(nothingSent: Bool, reason: String) {
    self.nothingSent = nothingSent
    self.reason = reason
  }
}

/// The seam to HTTP. `send` returns at once; `done` is called exactly once, on any thread. The real end is libcurl in one file, the
/// simulated one lives in MillSim. When a request times out its connection is closed.
package protocol Transport: AnyObject, Sendable {
  func send(_ request: HTTPRequest, done: @escaping @Sendable (Result<HTTPResponse, TransportError>) -> Void)
}
