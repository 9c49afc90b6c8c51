import MillConfig
import Testing

/// ``plain`` with these brokers and properties (`name: value` of YAML's flow style).
private func kafka(_ brokers: String = "kafka-1:9093", _ properties: String...) -> String {
  changed("brokers: localhost:9092", "brokers: \(brokers)\n  properties: {\(properties.joined(separator: ", "))}")
}

private let sasl = "security.protocol: sasl_ssl"
private let scram = ["sasl.mechanism: SCRAM-SHA-512", "sasl.username: u", "sasl.password: hunter2"].joined(separator: ", ")
private let tokens = [
  "sasl.mechanism: OAUTHBEARER", "sasl.oauthbearer.method: oidc", "sasl.oauthbearer.client.id: me",
  "sasl.oauthbearer.client.secret: hunter2", "sasl.oauthbearer.token.endpoint.url: \"https://idp.example/token?x=1\"",
].joined(separator: ", ")

@Test(arguments: [
  "localhost", "localhost:9093", "127.0.0.1:1", "127.8.9.1", "\"[::1]:9092\"", "\"127.0.0.1,localhost:2\"",
])
func `plaintext is free on loopback`(_ brokers: String) {
  #expect(problems(changed("localhost:9092", brokers)) == [])
}

@Test(arguments: [
  "kafka-1:9092", "10.0.0.1", "127.0.0.1.example:1", "\"localhost,kafka-1:9092\"", "\"[fe80::1]:9092\"", "1270.0.0.1", "127.0.0",
  "a.localhost:1",
])
func `another machine is not talked to in plaintext unless the file says so`(_ brokers: String) {
  let found = problems(changed("localhost:9092", brokers))
  #expect(found.map(\.path) == ["kafka.properties.security.protocol"])
  #expect(found.first?.message.contains("is another machine") == true && found.first?.remedy.contains("plaintext") == true)
  #expect(problems(kafka(brokers, "security.protocol: plaintext")) == [])
}

@Test(arguments: [
  ([scram], "security.protocol", "without security.protocol librdkafka connects in plaintext and authenticates nowhere", "sasl_ssl"),
  (["ssl.ca.pem: x"], "security.protocol", "without security.protocol librdkafka connects in plaintext", "ssl"),
  (["security.protocol: ssl", scram], "security.protocol", "ssl doesn't authenticate", "sasl_ssl"),
  (["security.protocol: plaintext", scram], "security.protocol", "plaintext doesn't authenticate", "sasl_plaintext"),
  (["security.protocol: plaintext", "ssl.ca.pem: x"], "security.protocol", "plaintext doesn't encrypt", "ssl"),
  (["security.protocol: sasl_plaintext", scram, "ssl.ca.pem: x"], "security.protocol", "sasl_plaintext doesn't encrypt", "sasl_ssl"),
  (["security.protocol: SSL"], "security.protocol", "none of the choices", "one of plaintext, ssl"),
  ([sasl], "sasl.mechanism", "sasl.mechanism is missing", "SCRAM-SHA-512"),
  ([sasl, "sasl.mechanism: SCRAM"], "sasl.mechanism", "none of the choices", "SCRAM-SHA-256"),
  ([sasl, scram, "sasl.mechanisms: PLAIN"], "sasl.mechanisms", "are the same", "keep one"),
  ([sasl, "sasl.mechanism: PLAIN, sasl.username: u"], "sasl.password", "is missing, PLAIN needs it", "${file:PATH}"),
  ([sasl, tokens, "sasl.username: u"], "sasl.username", "belongs to PLAIN and SCRAM", "remove it"),
  ([sasl, scram, "sasl.oauthbearer.scope: s"], "sasl.oauthbearer.scope", "belongs to OAUTHBEARER", "remove it"),
  ([sasl, "sasl.mechanism: OAUTHBEARER", "sasl.oauthbearer.config: principal=x"], "sasl.oauthbearer.config", "engine sets", "oidc"),
  (["security.protocol: ssl", "ssl.keystore.location: k.p12"], "ssl.keystore.password", "is missing: a key store has one", "${file:PATH}"),
  (["security.protocol: ssl", "ssl.certificate.pem: x"], "ssl.key.pem", "is missing: a client certificate needs its key", "both"),
  (["security.protocol: ssl", "ssl.ca.location: ca.pem"], "ssl.ca.location", "can't read /srv/pipelines/ca.pem: No such file", "readable"),
  (
    ["security.protocol: ssl", "ssl.endpoint.identification.algorithm: none"], "ssl.endpoint.identification.algorithm", "always checked",
    "https"
  ),
  ([sasl, "sasl.mechanism: GSSAPI"], "sasl.kerberos.keytab", "is missing, GSSAPI needs it", "write sasl.kerberos.keytab"),
  (["security.protocol: plaintext", "socket.timeout.ms: 5"], "socket.timeout.ms", "out of range", "10 to 300000"),
  (["security.protocol: plaintext", "socket.timeout.ms: 5s"], "socket.timeout.ms", "not a whole number", "10 to 300000"),
  (["security.protocol: plaintext", "socket.keepalive.enable: yes"], "socket.keepalive.enable", "neither true nor false", "true or false"),
  ([sasl, "sasl.mechanism: PLAIN, sasl.username: u, sasl.password: \"hunter2\\0x\""], "sasl.password", "control characters", "without"),
  (["security.protocol: plaintext", "client.id: \"a\\nb\""], "client.id", "control characters", "without"),
  (["security.protocol: plaintext", "client.id: ''"], "client.id", "is empty", "leave the property out"),
])
func `properties that don't fit together are named, with what would be right`(
  _ properties: [String], _ name: String, _ message: String, _ remedy: String
) {
  let found = problems(kafka("kafka-1:9093", properties.joined(separator: ", ")))
  let match = found.first { $0.path == "kafka.properties." + name }
  #expect(match?.message.contains(message) == true && match?.remedy.contains(remedy) == true, "\(found)")
  #expect(!"\(found)".contains("hunter2"))
}

@Test(arguments: [
  "x; touch PWNED #", "a$(id)", "a`id`", "a|b", "a&b", "a b", "a\"b", "a'b", "a\nb", "a>b", "a*", "a\\b", "%{client.id}", "-c", "ä",
])
func `no value can run a command: principal, service name and key table go into one`(_ value: String) {
  let files = ["/srv/pipelines/kt": "", "/srv/pipelines/\(value)": ""]
  let gssapi = "\(sasl), sasl.mechanism: GSSAPI"
  for name in ["principal", "service.name", "keytab"] {
    let keytab = name == "keytab" ? "" : "sasl.kerberos.keytab: kt, "
    let found = problems(kafka("h", gssapi, keytab + "sasl.kerberos.\(name): \(quoted(value))"), surroundings(files: files))
    #expect(found.map(\.path) == ["kafka.properties.sasl.kerberos.\(name)"], "\(found)")
    #expect(found.first.map { $0.message.contains("shell") || $0.message.contains("control characters") } == true)
  }
}

@Test func `plain principals and key tables are taken, but for a directory that a shell would read`() throws {
  let text = kafka(
    "h", sasl, "sasl.mechanism: GSSAPI, sasl.kerberos.keytab: kt, sasl.kerberos.principal: mill-race/host_1.a@REALM.EXAMPLE",
    "sasl.kerberos.service.name: kafka")
  let files = surroundings(files: ["/srv/pipelines/kt": "", "/srv/a b/kt": ""])
  #expect(try read(text, files).kafka.properties["sasl.kerberos.keytab"]?.revealed == "/srv/pipelines/kt")
  #expect(throws: ConfigProblems.self) { try PipelineFile.parse(Array(text.utf8), directory: "/srv/a b", environment: files) }
}

@Test(arguments: ["api.version.request: false", "api.version.request: true", "broker.version.fallback: 0.9.0"])
func `no property brings in a protocol that knows nothing of aborted records`(_ property: String) {
  let found = problems(kafka("h", "security.protocol: plaintext", property))
  #expect(found.count == 1 && found[0].message.contains("engine sets") && found[0].remedy.contains("aborted records"), "\(found)")
}

@Test func `all problems of the properties are reported at once`() {
  let found = problems(kafka("kafka-1", "sasl.mechanism: SCRAM", "fetch.min.bytes: 0", "ssl.ca.location: nowhere", "grup.id: x"))
  #expect(
    Set(found.map(\.path)) == [
      "kafka.properties.security.protocol", "kafka.properties.sasl.mechanism", "kafka.properties.fetch.min.bytes",
      "kafka.properties.ssl.ca.location", "kafka.properties.grup.id",
    ])
}

@Test func `paths of certificates are relative to the pipeline file`() throws {
  let text = kafka("h", "security.protocol: ssl, ssl.ca.location: tls/ca.pem, ssl.certificate.location: ../c.pem, ssl.key.location: /k.pem")
  let files = ["/srv/pipelines/tls/ca.pem": "a", "/srv/c.pem": "b", "/k.pem": "c"]
  let settings = try read(text, surroundings(files: files)).kafka
  #expect(settings.properties["ssl.ca.location"]?.revealed == "/srv/pipelines/tls/ca.pem")
  #expect(settings.properties["ssl.certificate.location"]?.revealed == "/srv/c.pem")
  #expect(settings.properties["ssl.key.location"]?.revealed == "/k.pem" && settings.warnings == [])
}

@Test func `a token endpoint's settings are taken out of the properties`() throws {
  let more = "sasl.oauthbearer.scope: \"a b\", sasl.oauthbearer.extensions: \"logicalCluster=lkc-1, pool=x=y\""
  let settings = try read(kafka("h", sasl, tokens, more)).kafka
  #expect(Set(settings.properties.keys) == ["security.protocol", "sasl.mechanism"])
  let found = try #require(settings.tokens)
  #expect(found.endpoint == "https://idp.example/token?x=1" && found.clientID == "me" && found.clientSecret.revealed == "hunter2")
  #expect(found.scope == "a b" && found.extensions == ["logicalCluster": "lkc-1", "pool": "x=y"])
  #expect(!"\(settings)".contains("hunter2"))
}

@Test(arguments: [
  ("http://idp.example/token", "unencrypted"), ("idp.example/token", "no address"), ("https:///token", "no address"),
  ("https://me:secret@idp.example/token", "no address"), ("ftp://idp.example", "no address"),
  ("https://idp.example:99999/token", "no address"),
])
func `a token endpoint that would give the secret away is refused`(_ url: String, _ message: String) {
  let found = problems(kafka("h", sasl, tokens.replacing("https://idp.example/token?x=1", with: url)))
  #expect(found.map(\.path) == ["kafka.properties.sasl.oauthbearer.token.endpoint.url"] && found[0].message.contains(message), "\(found)")
}

@Test(arguments: ["http://127.0.0.1:8080/token", "http://localhost/t", "http://[::1]:1/t"])
func `a token endpoint on loopback may be plain http`(_ url: String) {
  #expect(problems(kafka("h", sasl, tokens.replacing("https://idp.example/token?x=1", with: url))) == [])
}

@Test(arguments: ["x", "a=1,a=2", "auth=1", "a1=2", "=2", "a=1,"])
func `an extension that the protocol can't carry is named`(_ extensions: String) {
  let found = problems(kafka("h", sasl, tokens, "sasl.oauthbearer.extensions: \"\(extensions)\""))
  #expect(found.map(\.path) == ["kafka.properties.sasl.oauthbearer.extensions"])
}

@Test func `credentials that go unencrypted to another machine are warned of`() throws {
  let far = try read(kafka("kafka-1", "security.protocol: sasl_plaintext", scram)).kafka
  #expect(far.warnings.count == 1 && far.warnings[0].contains("unencrypted to kafka-1:9092") && !far.warnings[0].contains("hunter2"))
  #expect(try read(kafka("localhost", "security.protocol: sasl_plaintext", scram)).kafka.warnings == [])
  #expect(try read(kafka("kafka-1", sasl, scram)).kafka.warnings == [])
}
