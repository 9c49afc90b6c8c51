internal import MillBase

/// Which librdkafka properties a pipeline file may set, and why not the others.
enum KafkaProperties {
  /// Whole names.
  private static let allowedNames: Set<String> = [
    "security.protocol", "client.id", "client.rack", "client.dns.lookup", "metadata.max.age.ms", "topic.metadata.refresh.interval.ms",
    "topic.metadata.refresh.fast.interval.ms", "broker.address.ttl", "broker.address.family", "broker.version.fallback",
    "api.version.request", "api.version.request.timeout.ms", "connections.max.idle.ms", "reconnect.backoff.ms",
    "reconnect.backoff.max.ms", "receive.message.max.bytes", "retry.backoff.ms", "request.timeout.ms",
    "fetch.wait.max.ms", "fetch.message.max.bytes", "max.partition.fetch.bytes", "fetch.max.bytes", "fetch.min.bytes",
    "fetch.error.backoff.ms", "fetch.queue.backoff.ms", "socket.timeout.ms", "socket.send.buffer.bytes", "socket.receive.buffer.bytes",
    "socket.keepalive.enable", "socket.nagle.disable", "socket.max.fails", "socket.connection.setup.timeout.ms",
    "sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password", "sasl.kerberos.service.name", "sasl.kerberos.principal",
    "sasl.kerberos.keytab", "sasl.kerberos.min.time.before.relogin", "sasl.oauthbearer.config",
    "ssl.cipher.suites", "ssl.curves.list", "ssl.sigalgs.list", "ssl.key.location", "ssl.key.password", "ssl.key.pem",
    "ssl.certificate.location", "ssl.certificate.pem", "ssl.ca.location", "ssl.ca.pem", "ssl.ca.certificate.stores", "ssl.crl.location",
    "ssl.keystore.location", "ssl.keystore.password", "ssl.endpoint.identification.algorithm",
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
  ]

  /// Why `name` can't be set, with what to do; nil where it can.
  static func refusal(of name: String, value: String) -> (message: String, remedy: String, nearest: String?)? {
    if name == "ssl.endpoint.identification.algorithm", value != "https" {
      return ("host names are always checked against certificates", "https, or leave it out", nil)
    }
    if allowedNames.contains(name) { return nil }
    if let reason = owned[name] { return ("the engine sets this property itself", reason, nil) }
    return (
      "this property is not on the list of those a pipeline may set",
      "allowed: security.protocol, client.*, sasl.*, ssl.*, fetch.*, socket.*, reconnect.*, metadata.max.age.ms and the like",
      nearestKnown(to: name, among: allowedNames.sorted())
    )
  }
}
