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
      ("Authorization", "Basic " + Self.base64(Array(pair.utf8))),
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
      return .failure(TokenFailure("the token's type is \(fields[1]), Kafka takes bearer only"))
    }
    guard !fields[0].isEmpty, fields[0].utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
      return .failure(TokenFailure("access_token is no token: printable ASCII is wanted"))
    }
    guard let seconds = Int64(fields[2]), 1...31_536_000 ~= seconds else {
      return .failure(TokenFailure("expires_in is \(fields[2]): a number of seconds from 1 to 31536000 is wanted"))
    }
    return .success(
      AccessToken(value: fields[0], issuedAt: now, expiresAt: now + seconds * 1000, extensions: extensions, principal: clientID))
  }

  /// `: invalid_client (its description)` of an error answer (5.2); empty where it is none.
  private static func errorText(_ answer: [UInt8]) -> String {
    guard let fields = fields(answer, ["error": "String", "error_description": "String"]), !fields[0].isEmpty else { return "" }
    let words = fields.map { String($0.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7f }.prefix(200).map(Character.init)) }
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
    let hex = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "*"):
        bytes.append(byte)
      case UInt8(ascii: " "): bytes.append(UInt8(ascii: "+"))
      default: bytes += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// RFC 4648, with padding.
  static func base64(_ bytes: [UInt8]) -> String {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var result: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      let bits = (0..<3).reduce(0) { $0 << 8 | ($1 < group.count ? Int(group[start + $1]) : 0) }
      for index in 0..<4 { result.append(index <= group.count ? letters[bits >> (18 - 6 * index) & 63] : UInt8(ascii: "=")) }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
