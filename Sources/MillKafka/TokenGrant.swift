internal import MillBase
internal import MillFlow

/// The client credentials grant of OAuth 2 (RFC 6749, 4.4) as bytes: what is asked of the endpoint, and what its answer means. Pure.
package struct TokenGrant: Sendable {
  private let clientID: String
  private let clientSecret: String
  private let scope: String?
  private let extensions: [String: String]

  package init(clientID: String, clientSecret: String, scope: String?, extensions: [String: String]) {
    self.clientID = clientID
    self.clientSecret = clientSecret
    self.scope = scope
    self.extensions = extensions
  }

  /// HTTP headers of the request, a POST. The secret goes in the Authorization header (2.3.1), so that no log of bodies has it.
  package var headers: [(name: String, value: String)] {
    let pair = Self.formEncoded(clientID) + ":" + Self.formEncoded(clientSecret)
    return [
      ("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json"),
      ("Authorization", "Basic " + base64Text(pair.utf8)),
    ]
  }

  package var body: [UInt8] {
    Array(("grant_type=client_credentials" + (scope.map { "&scope=" + Self.formEncoded($0) } ?? "")).utf8)
  }

  /// The token in an answer that came at `now` (milliseconds since 1970), or why there is none. No word of the answer but its error
  /// code and description comes into a reason.
  package func read(status: Int, answer: [UInt8], now: Int64) -> Result<AccessToken, TokenFailure> {
    guard status == 200 else { return .failure(TokenFailure("answered with HTTP \(status)" + Self.errorText(answer))) }
    guard let fields = Self.fields(answer, ["access_token": "String", "token_type": "String", "expires_in": "Int64"]) else {
      return .failure(TokenFailure("the answer is no JSON object with texts access_token and token_type and a number expires_in"))
    }
    guard fields[1].lowercased() == "bearer" else {
      return .failure(TokenFailure("the token's type is \(ForeignText.cut(fields[1])), Kafka takes bearer only"))
    }
    guard !fields[0].isEmpty, fields[0].utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
      return .failure(TokenFailure("access_token is no token: printable ASCII is wanted"))
    }
    guard let seconds = Int64(fields[2]), 1...31_536_000 ~= seconds else {
      return .failure(TokenFailure("expires_in is \(ForeignText.cut(fields[2])): a number of seconds from 1 to 31536000 is wanted"))
    }
    return .success(
      AccessToken(value: fields[0], issuedAt: now, expiresAt: now + seconds * 1000, extensions: extensions, principal: clientID))
  }

  /// `: invalid_client (its description)` of an error answer (5.2); empty where it is none.
  private static func errorText(_ answer: [UInt8]) -> String {
    guard let fields = fields(answer, ["error": "String", "error_description": "String"]), !fields[0].isEmpty else { return "" }
    let words = fields.map { ForeignText.cut($0, to: 200) }
    return ": " + words[0] + (words[1].isEmpty ? "" : " (\(words[1]))")
  }

  /// Members of a JSON object, in the order of the names; a text that isn't there is empty, a number 0. Nil where it is no such object.
  private static func fields(_ json: [UInt8], _ types: KeyValuePairs<String, String>) -> [String]? {
    do {
      // The reader of records is strict, and there already.
      let fields = try types.map { name, type in
        try FieldPlan(name: name, type: DataType.parse(type), defaultValue: type == "String" ? "" : "0")
      }
      let plan = try SourcePlan(name: "token", topic: "token", fields: fields)
      let buffer = RecordBuffer(nextOffset: 0)
      unsafe json.withRawBytes { unsafe buffer.append(offset: 0, timestamp: 0, key: nil, payload: $0, headers: nil) }
      let rows = DecodedRows(plan)
      var failures: [DecodeFailure] = []
      RecordDecoder(plan: plan).decode(buffer, first: 1, partition: 0, into: rows, failures: &failures)
      guard rows.rowCount == 1 else { return nil }
      return rows.block.columns.map { column in
        if case .text = column.layout { return unsafe String(decoding: column.bytes.raw, as: UTF8.self) }
        return unsafe String(column.bytes.base.loadUnaligned(as: Int64.self))
      }
    } catch { preconditionFailure("a plan of the token's own: \(error)") }
  }

  // MARK: Encodings

  /// `application/x-www-form-urlencoded`.
  static func formEncoded(_ text: String) -> String {
    percentEncoded(text, keeping: "-._* ").replacing(" ", with: "+")
  }
}
