internal import Synchronization

/// What a client of Kafka shows under SASL OAUTHBEARER.
package struct AccessToken: Hashable, Sendable {
  package var value: String
  /// Milliseconds since 1970 of when it was asked for, and from which on it counts for nothing.
  package var issuedAt: Int64
  package var expiresAt: Int64
  /// Told to the broker beside it.
  package var extensions: [String: String]
  /// What the client calls itself; brokers take the token's own word.
  package var principal: String

  package init(value: String, issuedAt: Int64, expiresAt: Int64, extensions: [String: String] = [:], principal: String) {
    self.value = value
    self.issuedAt = issuedAt
    self.expiresAt = expiresAt
    self.extensions = extensions
    self.principal = principal
  }
}

/// Why there is no token, in words without secrets.
package struct TokenFailure: Error, Hashable, Sendable {
  package var reason: String

  package init(_ reason: String) { self.reason = reason }
}

/// One token for all clients of a pipeline, fetched anew before it expires. Callable from any thread; waits for the endpoint.
///
/// librdkafka asks when 80 % of a token's life have passed, each client for itself: the first one to ask fetches, the others get the same.
package final class TokenCache: Sendable {
  private let state = Mutex<AccessToken?>(nil)
  private let fetch: @Sendable () -> Result<AccessToken, TokenFailure>
  private let now: @Sendable () -> Int64

  /// - Parameters:
  ///   - now: milliseconds since 1970.
  ///   - fetch: asks the endpoint; blocks, bounded in time.
  package init(now: @escaping @Sendable () -> Int64, fetch: @escaping @Sendable () -> Result<AccessToken, TokenFailure>) {
    self.now = now
    self.fetch = fetch
  }

  /// A token with at least a quarter of its life ahead; one at a time asks the endpoint, the others wait for what it gets.
  package func token() -> Result<AccessToken, TokenFailure> {
    state.withLock { known in
      if let known, (known.expiresAt - now()) * 4 > known.expiresAt - known.issuedAt { return .success(known) }
      let answer = fetch()
      if case .success(let token) = answer { known = token }
      return answer
    }
  }
}
