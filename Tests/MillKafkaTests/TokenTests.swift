import MillKafka
import Synchronization
import Testing

private let grant = TokenGrant(clientID: "ä:b", clientSecret: "p w%", scope: "read write", extensions: ["pool": "x"])

private func read(_ json: String, status: Int = 200) -> Result<AccessToken, TokenFailure> {
  grant.read(status: status, answer: Array(json.utf8), now: 1_000_000)
}

@Test func `a token is asked for as RFC 6749 says, its secret in the Authorization header only`() {
  // base64 of %C3%A4%3Ab:p+w%25
  #expect(grant.headers.first { $0.name == "Authorization" }?.value == "Basic JUMzJUE0JTNBYjpwK3clMjU=")
  #expect(String(decoding: grant.body, as: UTF8.self) == "grant_type=client_credentials&scope=read+write")
}

@Test(arguments: [
  #"{"access_token":"abc.def","token_type":"Bearer","expires_in":60}"#,
  #"{"expires_in":"60","token_type":"bearer","access_token":"abc.def","x":[]}"#,
])
func `a token is read with its life`(_ json: String) {
  #expect(
    read(json)
      == .success(
        AccessToken(value: "abc.def", issuedAt: 1_000_000, expiresAt: 1_060_000, extensions: ["pool": "x"], principal: "ä:b")))
}

@Test(arguments: [
  (200, "", "no JSON object"), (200, "[]", "no JSON object"), (200, #"{"access_token":5}"#, "no JSON object"),
  (200, #"{"access_token":"a","token_type":"mac","expires_in":60}"#, "type is mac"),
  (200, #"{"access_token":"a","expires_in":60}"#, "type is "),
  (200, #"{"token_type":"bearer","expires_in":60}"#, "no token"),
  (200, #"{"access_token":"a b","token_type":"bearer","expires_in":60}"#, "no token"),
  (200, #"{"access_token":"a","token_type":"bearer"}"#, "expires_in is 0"),
  (200, #"{"access_token":"a","token_type":"bearer","expires_in":-5}"#, "expires_in is -5"),
  (401, #"{"error":"invalid_client","error_description":"wrong\nsecret"}"#, "HTTP 401: invalid_client (wrong\nsecret)"),
  (500, "<html>oops</html>", "HTTP 500"), (302, "", "HTTP 302"),
])
func `an answer without a token says why`(_ status: Int, _ json: String, _ reason: String) {
  guard case .failure(let failure) = read(json, status: status) else {
    Issue.record("a token out of \(json)")
    return
  }
  #expect(failure.reason.contains(reason), "\(failure.reason)")
}

@Test func `one token serves all clients until three quarters of its life have passed`() {
  let state = Mutex((now: Int64(0), asked: 0))
  let cache = TokenCache(now: { state.withLock { $0.now } }) {
    state.withLock {
      $0.asked += 1
      return .success(AccessToken(value: "t\($0.asked)", issuedAt: $0.now, expiresAt: $0.now + 1000, principal: "p"))
    }
  }
  func value(at now: Int64) -> String? {
    state.withLock { $0.now = now }
    return try? cache.token().get().value
  }
  #expect([0, 1, 749].map(value) == ["t1", "t1", "t1"])
  #expect([751, 1700].map(value) == ["t2", "t3"])
}

@Test func `an endpoint that fails is asked again the next time`() {
  let asked = Mutex(0)
  let cache = TokenCache(now: { 0 }) {
    asked.withLock { $0 += 1 }
    return .failure(TokenFailure("down"))
  }
  for _ in 0..<2 { #expect(cache.token() == .failure(TokenFailure("down"))) }
  #expect(asked.withLock { $0 } == 2)
}
