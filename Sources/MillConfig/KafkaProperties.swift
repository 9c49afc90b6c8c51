internal import MillBase

/// Which librdkafka properties a pipeline file may set, with which values, and why not the others.
///
/// Names and ranges are those of librdkafka 2.0.2's CONFIGURATION.md; a test holds each against the library.
package enum KafkaProperties {
  /// What a property's value may be.
  package enum Kind: Hashable, Sendable {
    case text
    /// A text of several lines, such as a certificate.
    case lines
    /// A text that librdkafka puts into a command, kinit's, which it hands to a shell.
    case commandWord
    case flag
    case count(ClosedRange<Int>)
    case choice([String])
    /// The path of a file that is there, relative to the pipeline file.
    case file
    /// Of a file whose path stands in that command.
    case commandFile
    /// Of a file or a directory.
    case place
  }

  /// Handed on to librdkafka.
  package static let allowed: [String: Kind] = [
    "security.protocol": .choice(["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]),
    "client.id": .text, "client.rack": .text,
    "metadata.max.age.ms": .count(1...86_400_000), "topic.metadata.refresh.interval.ms": .count(-1...3_600_000),
    "topic.metadata.refresh.fast.interval.ms": .count(1...60_000), "broker.address.ttl": .count(0...86_400_000),
    "broker.address.family": .choice(["any", "v4", "v6"]), "api.version.request.timeout.ms": .count(1...300_000),
    "connections.max.idle.ms": .count(0...2_147_483_647),
    "reconnect.backoff.ms": .count(0...3_600_000), "reconnect.backoff.max.ms": .count(0...3_600_000),
    "receive.message.max.bytes": .count(1000...2_147_483_647), "fetch.wait.max.ms": .count(0...300_000),
    "fetch.message.max.bytes": .count(1...1_000_000_000), "max.partition.fetch.bytes": .count(1...1_000_000_000),
    "fetch.max.bytes": .count(0...2_147_483_135), "fetch.min.bytes": .count(1...100_000_000), "fetch.error.backoff.ms": .count(0...300_000),
    "socket.timeout.ms": .count(10...300_000), "socket.send.buffer.bytes": .count(0...100_000_000),
    "socket.receive.buffer.bytes": .count(0...100_000_000), "socket.keepalive.enable": .flag, "socket.nagle.disable": .flag,
    "socket.max.fails": .count(0...1_000_000), "socket.connection.setup.timeout.ms": .count(1000...2_147_483_647),
    "sasl.mechanism": .choice(mechanisms), "sasl.mechanisms": .choice(mechanisms), "sasl.username": .text, "sasl.password": .text,
    "sasl.kerberos.service.name": .commandWord, "sasl.kerberos.principal": .commandWord, "sasl.kerberos.keytab": .commandFile,
    "sasl.kerberos.min.time.before.relogin": .count(0...86_400_000),
    "ssl.cipher.suites": .text, "ssl.curves.list": .text, "ssl.sigalgs.list": .text, "ssl.key.location": .file, "ssl.key.password": .text,
    "ssl.key.pem": .lines, "ssl.certificate.location": .file, "ssl.certificate.pem": .lines, "ssl.ca.location": .place,
    "ssl.ca.pem": .lines,
    "ssl.crl.location": .file, "ssl.keystore.location": .file, "ssl.keystore.password": .text,
    "ssl.endpoint.identification.algorithm": .choice(["https"]),
  ]

  package static let mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"]

  /// Of the client credentials grant: names as users of newer librdkafka know them. They are ours to act on, Debian's library can't.
  package static let tokens: [String: Kind] = [
    "sasl.oauthbearer.method": .choice(["oidc"]), "sasl.oauthbearer.client.id": .text, "sasl.oauthbearer.client.secret": .text,
    "sasl.oauthbearer.token.endpoint.url": .text, "sasl.oauthbearer.scope": .text, "sasl.oauthbearer.extensions": .text,
    "https.ca.location": .file,
  ]

  /// Properties that the engine sets itself: the promise of exactly once hangs on them.
  private static let owned: [String: String] = [
    "group.id": "it is millrace-<pipeline>: the witness is committed for it",
    "group.instance.id": "partitions are assigned by the engine, not by the group",
    "bootstrap.servers": "use kafka.brokers",
    "metadata.broker.list": "use kafka.brokers",
    "enable.auto.commit": "offsets live in the checkpoint; committing others would only look right",
    "auto.commit.interval.ms": "offsets live in the checkpoint",
    "enable.auto.offset.store": "offsets live in the checkpoint",
    "isolation.level": "it is read_committed: aborted records are no input",
    "auto.offset.reset": "it is error: a lost position stops the pipeline; use start for the first one",
    "api.version.request": "it is on: what librdkafka asks of a broker whose version it doesn't know would bring aborted records too",
    "broker.version.fallback": "brokers tell their version; an older protocol would bring aborted records too",
    "check.crcs": "it is on: a damaged record must not become a row",
    "enable.partition.eof": "the engine needs it on",
    "allow.auto.create.topics": "it is off: a pipeline reads topics that are there",
    "queued.max.messages.kbytes": "use prefetch",
    "queued.min.messages": "use prefetch",
    "partition.assignment.strategy": "partitions are assigned by the engine, not by the group",
    "max.poll.interval.ms": "partitions are assigned by the engine, not by the group",
    "session.timeout.ms": "partitions are assigned by the engine, not by the group",
    "heartbeat.interval.ms": "partitions are assigned by the engine, not by the group",
    "transactional.id": "a pipeline's source writes nothing",
    "plugin.library.paths": "no code is loaded into the process from a pipeline file",
    "ssl.providers": "no code is loaded into the process from a pipeline file",
    "ssl.engine.location": "no code is loaded into the process from a pipeline file",
    "sasl.kerberos.kinit.cmd": "no command is run from a pipeline file",
    "enable.ssl.certificate.verification": "certificates are always checked; name your own authority with ssl.ca.location",
    "sasl.oauthbearer.config":
      "unsigned tokens prove nothing; write sasl.oauthbearer.method: oidc, client.id, client.secret and token.endpoint.url",
    "enable.sasl.oauthbearer.unsecure.jwt":
      "unsigned tokens prove nothing; write sasl.oauthbearer.method: oidc, client.id, client.secret and token.endpoint.url",
  ]

  /// What is wrong with a property, and what to do.
  package struct Refusal: Hashable, Sendable {
    package var message: String
    package var remedy: String
    package var nearest: String?
  }

  /// Whether a pipeline file may set it, to one value or another.
  static func isKnown(_ name: String) -> Bool { allowed[name] != nil || tokens[name] != nil }

  /// Why `name` can't be set, or not to this value; nil where it can. Whether files are there is not looked at.
  static func refusal(of name: String, value: String) -> Refusal? {
    if name == "ssl.endpoint.identification.algorithm", value != "https" {
      return Refusal(message: "host names are always checked against certificates", remedy: "https, or leave it out")
    }
    if let kind = allowed[name] ?? tokens[name] { return refusal(of: value, kind: kind) }
    if let reason = owned[name] { return Refusal(message: "the engine sets this property itself", remedy: reason) }
    return Refusal(
      message: "this property is not on the list of those a pipeline may set",
      remedy: "allowed: security.protocol, client.*, sasl.*, ssl.*, fetch.*, socket.*, reconnect.*, metadata.max.age.ms and the like",
      nearest: nearestKnown(to: name, among: (Array(allowed.keys) + Array(tokens.keys)).sorted()))
  }

  /// Why a value can't be one of this kind.
  static func refusal(of value: String, kind: Kind) -> Refusal? {
    switch kind {
    case .text, .lines, .commandWord, .file, .commandFile, .place:
      if value.isEmpty { return Refusal(message: "the value is empty", remedy: "write a value, or leave the property out") }
      // A zero byte ends a text for librdkafka: the rest would be lost silently.
      let breaks: [Unicode.Scalar] = kind == .lines ? ["\n", "\r", "\t"] : []
      guard value.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f || breaks.contains($0) }) else {
        return Refusal(message: "the value has control characters", remedy: "a text without them")
      }
      guard kind == .commandWord || kind == .commandFile else { return nil }
      // Nothing that a shell takes for more than a letter, and no option of kinit.
      let isPlain = value.utf8.allSatisfy { byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
          || "._/@-".utf8.contains(byte)
      }
      if isPlain, !value.hasPrefix("-") { return nil }
      return Refusal(message: "a shell could run a part of this value", remedy: "letters, digits and . _ / @ - only, no - in front")
    case .flag:
      if ["true", "false"].contains(value) { return nil }
      return Refusal(message: "this is neither true nor false", remedy: "true or false")
    case .count(let range):
      if let number = plainInteger(value), range.contains(number) { return nil }
      return Refusal(
        message: isInteger(value) ? "this is out of range" : "this is not a whole number",
        remedy: "a whole number from \(range.lowerBound) to \(range.upperBound)")
    case .choice(let choices):
      if choices.contains(value) { return nil }
      return Refusal(
        message: "this is none of the choices", remedy: "one of \(choices.joined(separator: ", "))",
        nearest: choices.first { $0.lowercased() == value.lowercased() } ?? nearestKnown(to: value, among: choices))
    }
  }
}
