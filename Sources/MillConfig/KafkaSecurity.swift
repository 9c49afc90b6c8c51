internal import MillBase

/// Whether a pipeline's Kafka properties fit together: what is encrypted, who one is, and that nothing falls back to plaintext silently.
struct KafkaSecurity {
  struct Property {
    /// As it is handed on.
    var text: String
    var node: ConfigNode
    var path: String
  }

  let brokers: [String]
  let brokersMark: Mark
  /// Each by itself is right.
  let properties: [String: Property]
  /// The `properties` that problems are told at: a source's own where it has some.
  let map: Section
  /// Names that stand in the file, right or wrong.
  let written: Set<String>
  let problems: ProblemList

  func settings() -> KafkaSettings {
    checkProtocol()
    checkMechanism()
    checkCertificates()
    let handedOn = properties.filter { KafkaProperties.tokens[$0.key] == nil }.mapValues { Secret($0.text) }
    return KafkaSettings(
      brokers: brokers.joined(separator: ","), properties: handedOn, tokens: readTokens(), warnings: warnings())
  }

  private func text(_ name: String) -> String? { properties[name]?.text }

  private func report(_ name: String, _ message: String, _ remedy: String) {
    guard let property = properties[name] else {
      return problems.add(map.isPresent ? map.mark : brokersMark, map.child(name), message, remedy: remedy + takenAway)
    }
    let isHere = property.path == map.child(name)
    problems.add(
      isHere ? property.node.mark : map.isPresent ? map.mark : brokersMark, map.child(name), value: property.node.shownValue, message,
      remedy: remedy + takenAway)
  }

  /// How a source leaves out what the file's section has; empty where it takes nothing of it.
  private var takenAway: String {
    guard let name = properties.filter({ $0.value.path != map.child($0.key) }).keys.min() else { return "" }
    return "; null leaves out what kafka.properties has, as in \(name): null"
  }

  private func first(_ prefix: String) -> String? { properties.keys.filter { $0.hasPrefix(prefix) }.min() }

  private var isLoopback: Bool { brokers.allSatisfy { MillBase.isLoopback(host: hostPart($0)) } }

  private var mechanism: String? { text("sasl.mechanism") ?? text("sasl.mechanisms") }

  // MARK: What goes over the wire

  private func checkProtocol() {
    guard let written = text("security.protocol") else {
      // Written, but wrong: reported by itself.
      if written.contains("security.protocol") { return }
      if let sasl = first("sasl.") {
        return report(
          "security.protocol", "\(sasl) is set, but without security.protocol librdkafka connects in plaintext and authenticates nowhere",
          "sasl_ssl (or sasl_plaintext, where the network is trusted)")
      }
      if let ssl = first("ssl.") {
        return report(
          "security.protocol", "\(ssl) is set, but without security.protocol librdkafka connects in plaintext", "ssl")
      }
      guard !isLoopback, !brokers.isEmpty else { return }
      let far = brokers.first { !MillBase.isLoopback(host: hostPart($0)) } ?? ""
      return report(
        "security.protocol", "\(far) is another machine, and nothing says how to talk to it",
        "set security.protocol to ssl or sasl_ssl; plaintext, where the network is trusted, must be written too")
    }
    if !written.hasPrefix("sasl_"), let sasl = first("sasl.") {
      report(
        "security.protocol", "\(sasl) is set, but \(written) doesn't authenticate with it",
        written == "ssl" ? "sasl_ssl, or remove the sasl properties" : "sasl_ssl or sasl_plaintext, or remove the sasl properties")
    }
    if !written.hasSuffix("ssl"), let ssl = first("ssl.") {
      report(
        "security.protocol", "\(ssl) is set, but \(written) doesn't encrypt",
        written == "plaintext" ? "ssl, or remove the ssl properties" : "sasl_ssl, or remove the ssl properties")
    }
  }

  /// What is legal and worth a word.
  private func warnings() -> [String] {
    guard text("security.protocol") == "sasl_plaintext", !isLoopback else { return [] }
    return ["security.protocol is sasl_plaintext: credentials and records go unencrypted to \(brokers.joined(separator: ","))"]
  }

  // MARK: Who one is

  private func checkMechanism() {
    guard text("security.protocol")?.hasPrefix("sasl_") == true else { return }
    if text("sasl.mechanism") != nil, text("sasl.mechanisms") != nil {
      report("sasl.mechanisms", "sasl.mechanism and sasl.mechanisms are the same", "keep one of them")
    }
    guard let mechanism else {
      if !written.contains("sasl.mechanism"), !written.contains("sasl.mechanisms") {
        report("sasl.mechanism", "sasl.mechanism is missing", "one of \(KafkaProperties.mechanisms.joined(separator: ", "))")
      }
      return
    }
    switch mechanism {
    case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
      requires(["sasl.username", "sasl.password"], mechanism)
    case "OAUTHBEARER":
      requires(
        ["sasl.oauthbearer.method", "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.token.endpoint.url"],
        mechanism)
    case "GSSAPI": requires(["sasl.kerberos.keytab"], mechanism)
    default: break
    }
    let foreign: (prefix: String, of: String)? =
      mechanism == "OAUTHBEARER"
      ? ("sasl.username", "PLAIN and SCRAM") : first("sasl.oauthbearer.") != nil ? ("sasl.oauthbearer.", "OAUTHBEARER") : nil
    if let foreign, let name = first(foreign.prefix) {
      report(name, "\(name) belongs to \(foreign.of), sasl.mechanism is \(mechanism)", "remove it, or take the other mechanism")
    }
  }

  private func requires(_ names: [String], _ mechanism: String) {
    for name in names where !written.contains(name) {
      let example = [
        "sasl.oauthbearer.method": "oidc (the client credentials grant)", "sasl.password": "best ${file:PATH}",
        "sasl.kerberos.keytab": "PATH",
      ][name]
      report(name, "\(name) is missing, \(mechanism) needs it", "write \(name): \(example ?? "...")")
    }
  }

  private func checkCertificates() {
    if written.contains("ssl.keystore.location"), !written.contains("ssl.keystore.password") {
      report("ssl.keystore.password", "ssl.keystore.password is missing: a key store has one", "best ${file:PATH}")
    }
    for (key, certificate) in [("ssl.key.location", "ssl.certificate.location"), ("ssl.key.pem", "ssl.certificate.pem")] {
      guard (text(key) != nil) != (text(certificate) != nil) else { continue }
      let missing = text(key) == nil ? key : certificate
      // Key and certificate may come in different ways.
      if [key, certificate].contains(where: { written.contains($0) && text($0) == nil }) || hasOther(missing) { continue }
      report(missing, "\(missing) is missing: a client certificate needs its key, and a key its certificate", "write both")
    }
  }

  private func hasOther(_ name: String) -> Bool {
    let other = name.hasSuffix(".pem") ? name.dropLast(4) + ".location" : name.dropLast(9) + ".pem"
    return written.contains(String(other))
  }

  // MARK: Tokens

  private func readTokens() -> TokenSettings? {
    guard mechanism == "OAUTHBEARER", let id = text("sasl.oauthbearer.client.id"), let secret = text("sasl.oauthbearer.client.secret"),
      let url = text("sasl.oauthbearer.token.endpoint.url")
    else { return nil }
    checkEndpoint(url)
    return TokenSettings(
      endpoint: url, clientID: id, clientSecret: Secret(secret), scope: text("sasl.oauthbearer.scope"), extensions: readExtensions(),
      authoritiesFile: text("https.ca.location"))
  }

  private func checkEndpoint(_ url: String) {
    let name = "sasl.oauthbearer.token.endpoint.url"
    let scheme = ["https://", "http://"].first { url.hasPrefix($0) }
    let rest = url.dropFirst(scheme?.count ?? 0)
    let authority = rest.prefix { !"/?#".contains($0) }
    let end = authority.lastIndex(of: "]") ?? authority.startIndex
    let port = authority[end...].firstIndex(of: ":").map { authority[authority.index(after: $0)...] }
    guard let scheme, !hostPart(String(authority)).isEmpty, !authority.contains("@"), port.map(isPort) ?? true,
      url.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value < 0x7f })
    else { return report(name, "this is no address of a token endpoint", "https://HOST/PATH, without user and password") }
    if scheme == "http://", !MillBase.isLoopback(host: hostPart(String(authority))) {
      report(name, "the client's secret would go over the network unencrypted", "https://... (http is for loopback only)")
    }
  }

  private func readExtensions() -> [String: String] {
    guard let text = text("sasl.oauthbearer.extensions") else { return [:] }
    var extensions: [String: String] = [:]
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = trimmed(pair[0])
      // RFC 7628: a name is letters, and auth is the token's own.
      guard pair.count == 2, !name.isEmpty, name.allSatisfy({ $0.isASCII && $0.isLetter }), name != "auth", extensions[name] == nil else {
        report(
          "sasl.oauthbearer.extensions", "\(quoted(String(part))) is no extension",
          "name=value, several separated by commas; names are letters"
        )
        return [:]
      }
      extensions[name] = trimmed(pair[1])
    }
    return extensions
  }
}
