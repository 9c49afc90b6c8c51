internal import Glibc
internal import MillBase

extension PipelineReader {
  /// Nil where there is no `admin`, or after a problem.
  func readAdmin(_ top: Section) -> AdminSettings? {
    let section = top.section("admin", known: PipelineKeys.admin.map(\.name))
    guard case .map = top.node("admin")?.content else { return nil }
    let hasListen = section.requires("listen", "the address to serve at: listen: 127.0.0.1:8080")
    let token = readToken(section)
    guard hasListen, let (node, text) = section.scalar("listen", wanted: "ADDRESS:PORT") else { return nil }
    guard let (host, port) = Self.address(text) else {
      problems.add(
        node, section.child("listen"), "this is not ADDRESS:PORT",
        remedy:
          "an IPv4 address, an IPv6 address in brackets or localhost, and a port from 1 to 65535, such as 127.0.0.1:8080 or [::1]:8080")
      return nil
    }
    if section.node("token") == nil, !Self.isLoopback(host) {
      problems.add(
        node, section.child("listen"), "this address can be reached from elsewhere, and no token is set",
        remedy: "set admin.token, such as ${file:/run/secrets/millrace-admin}, or listen on 127.0.0.1:\(port)")
    }
    if let token, !Self.isLoopback(host), token.revealed.utf8.count < Self.tokenByteCountMin, let node = section.node("token") {
      problems.add(
        node, section.child("token"), "this token can be guessed, and \(host) can be reached from elsewhere",
        remedy: "\(Self.tokenByteCountMin) characters at least, such as what openssl rand -hex 32 prints")
    }
    return AdminSettings(host: host, port: port, token: token)
  }

  /// Of a token that others may try; there is no delay on wrong ones.
  private static let tokenByteCountMin = 16

  /// What a header can carry as it stands.
  private func readToken(_ section: Section) -> Secret? {
    guard let (node, text) = section.scalar("token", wanted: "a token") else { return nil }
    guard 1...1024 ~= text.utf8.count, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
      problems.add(node, section.child("token"), "this is not a token", remedy: "1 to 1024 visible ASCII characters without blanks")
      return nil
    }
    return Secret(text)
  }

  /// The parts of `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`; nil for anything else. The host comes out as an address.
  private static func address(_ text: String) -> (host: String, port: UInt16)? {
    guard let colon = text.lastIndex(of: ":"), let port = plainInteger(String(text[text.index(after: colon)...])), 1...65_535 ~= port else {
      return nil
    }
    let host = String(text[..<colon])
    if host == "localhost" { return ("127.0.0.1", UInt16(port)) }
    if host.hasPrefix("["), host.hasSuffix("]") {
      let inside = String(host.dropFirst().dropLast())
      return addressBytes(inside, AF_INET6) == nil ? nil : (inside, UInt16(port))
    }
    return addressBytes(host, AF_INET) == nil ? nil : (host, UInt16(port))
  }

  private static func isLoopback(_ host: String) -> Bool {
    if let four = addressBytes(host, AF_INET) { return four[0] == 127 }
    return addressBytes(host, AF_INET6) == Array(repeating: 0, count: 15) + [1]
  }
}

/// An address in network order; nil where the text is none of the family.
func addressBytes(_ text: some StringProtocol, _ family: Int32) -> [UInt8]? {
  var bytes = [UInt8](repeating: 0, count: family == AF_INET ? 4 : 16)
  return unsafe bytes.withUnsafeMutableBytes { unsafe inet_pton(family, String(text), $0.baseAddress) } == 1 ? bytes : nil
}
