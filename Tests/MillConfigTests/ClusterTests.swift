import MillConfig
import MillFlow
import Testing

/// ``united`` with a cluster for all and one of the second source's own, each as lines below `kafka`; nil: none.
private func clusters(_ main: [String]?, _ own: [String]?) -> String {
  let lines = { (lines: [String], margin: String) in lines.map { margin + "  " + $0 + "\n" }.joined() }
  return united(
    ("kafka:\n  brokers: localhost:9092\n", main.map { "kafka:\n" + lines($0, "") } ?? ""),
    ("    topic: refunds\n", "    topic: refunds\n" + (own.map { "    kafka:\n" + lines($0, "    ") } ?? "")))
}

private let secured = [
  "brokers: kafka-1:9093", "properties:", "  security.protocol: sasl_ssl", "  sasl.mechanism: PLAIN", "  sasl.username: u",
  "  sasl.password: hunter2secret", "  client.id: main",
]

@Test func `a source without a cluster of its own has the file's`() throws {
  let pipeline = try read(clusters(secured, nil))
  #expect(pipeline.sources[0].kafka == pipeline.sources[1].kafka && pipeline.sources[1].kafka.brokers == "kafka-1:9093")
  #expect(try read(clusters(["brokers: localhost"], ["{}"])).sources.map(\.kafka.brokers) == ["localhost:9092", "localhost:9092"])
}

@Test func `what a source has of its own stands in the place of the file's, key by key, property by property`() throws {
  let pipeline = try read(
    clusters(
      secured, ["brokers: [kafka-7, \"kafka-8:1\"]", "properties: {sasl.username: other, sasl.password: hunter3secret, client.rack: r}"]))
  let (main, own) = (pipeline.sources[0].kafka, pipeline.sources[1].kafka)
  #expect(main.brokers == "kafka-1:9093" && own.brokers == "kafka-7:9092,kafka-8:1")
  #expect(main.properties["sasl.username"]?.revealed == "u" && main.properties["client.rack"] == nil)
  #expect(own.properties["sasl.username"]?.revealed == "other" && own.properties["sasl.password"]?.revealed == "hunter3secret")
  #expect(own.properties["security.protocol"]?.revealed == "sasl_ssl" && own.properties["client.id"]?.revealed == "main")
  #expect(own.properties["client.rack"]?.revealed == "r")
  #expect(!"\(pipeline)".contains("hunter"))
  #expect(pipeline.secrets.conceal("hunter2secret hunter3secret") == "*** ***")
  // Only the brokers, or only properties.
  let brokers = try read(clusters(secured, ["brokers: kafka-7:1"])).sources[1].kafka
  #expect(brokers.brokers == "kafka-7:1" && brokers.properties == main.properties)
  let properties = try read(clusters(secured, ["properties: {client.id: c}"])).sources[1].kafka
  #expect(properties.brokers == "kafka-1:9093" && properties.properties["client.id"]?.revealed == "c")
}

@Test func `null takes a property of the file's away`() throws {
  let none = "properties: {security.protocol: plaintext, sasl.mechanism: null, sasl.username: null, sasl.password: ~}"
  let own = try read(clusters(secured, ["brokers: kafka-7:1", none])).sources[1].kafka
  #expect(own.properties.mapValues(\.revealed) == ["security.protocol": "plaintext", "client.id": "main"])
  let found = problems(clusters(secured, ["brokers: kafka-7:1", "properties: {security.protocol: plaintext}"]))
  #expect(found.map(\.path) == ["sources.refunds.kafka.properties.security.protocol"], "\(found)")
  #expect(found.first?.message == "sasl.mechanism is set, but plaintext doesn't authenticate with it")
  #expect(found.first?.remedy.hasSuffix("null leaves out what kafka.properties has, as in client.id: null") == true, "\(found)")
  let gone = problems(clusters(secured, ["properties: {sasl.password: null}"]))
  #expect(gone.map(\.path) == ["sources.refunds.kafka.properties.sasl.password"] && gone[0].message.contains("is missing"), "\(gone)")
  // In the file's own section there is nothing to take away.
  #expect(problems(clusters(["brokers: localhost", "properties: {client.id: null}"], nil)).first?.message == "the value is empty")
}

@Test func `tokens are of the source's own endpoint`() throws {
  let oauth = [
    "brokers: kafka-1:9093", "properties:", "  security.protocol: sasl_ssl", "  sasl.mechanism: OAUTHBEARER",
    "  sasl.oauthbearer.method: oidc", "  sasl.oauthbearer.client.id: me", "  sasl.oauthbearer.client.secret: hunter2secret",
    "  sasl.oauthbearer.token.endpoint.url: https://idp.example/token",
  ]
  let other = "properties: {sasl.oauthbearer.client.id: you, sasl.oauthbearer.client.secret: hunter3secret, sasl.oauthbearer.scope: s}"
  let pipeline = try read(clusters(oauth, ["brokers: kafka-7:1", other]))
  let (main, own) = (try #require(pipeline.sources[0].kafka.tokens), try #require(pipeline.sources[1].kafka.tokens))
  #expect(main.clientID == "me" && own.clientID == "you" && own.clientSecret.revealed == "hunter3secret")
  #expect(own.endpoint == main.endpoint && own.scope == "s" && main.scope == nil)
  let plain = problems(clusters(oauth, ["properties: {sasl.oauthbearer.token.endpoint.url: \"http://idp.example\"}"]))
  #expect(plain.map(\.path) == ["sources.refunds.kafka.properties.sasl.oauthbearer.token.endpoint.url"], "\(plain)")
}

@Test func `where every source names its brokers, the file needs none`() throws {
  let both = clusters(nil, ["brokers: \"localhost:2\""]).replacing(
    "    topic: orders\n", with: "    topic: orders\n    kafka: {brokers: \"localhost:1\"}\n")
  #expect(try read(both).sources.map(\.kafka.brokers) == ["localhost:1", "localhost:2"])
  let shared = clusters(["properties: {client.id: c}"], ["brokers: \"localhost:2\""]).replacing(
    "    topic: orders\n", with: "    topic: orders\n    kafka: {brokers: \"localhost:1\"}\n")
  #expect(try read(shared).sources.map { $0.kafka.properties["client.id"]?.revealed } == ["c", "c"])
  let missing = problems(clusters(nil, ["brokers: \"localhost:2\""]))
  #expect(missing.map(\.path) == ["kafka"] && missing[0].remedy.hasSuffix("or sources.orders.kafka.brokers"), "\(missing)")
  let brokers = problems(clusters(["properties: {client.id: c}"], ["brokers: \"localhost:2\""]))
  #expect(brokers.map(\.path) == ["kafka.brokers"] && brokers[0].remedy.hasSuffix("or sources.orders.kafka.brokers"), "\(brokers)")
  let own = problems(
    clusters(nil, ["properties: {client.id: c}"]).replacing(
      "    topic: orders\n", with: "    topic: orders\n    kafka: {brokers: \"localhost:1\"}\n"))
  #expect(own.map(\.path) == ["sources.refunds.kafka.brokers"] && own[0].message.contains("and kafka.brokers too"), "\(own)")
}

/// Lines of the file's section and the source's own, then place, message and remedy.
@Test(arguments: [
  (["brokers: localhost"], ["brokers: \"kafka://h:1\""], "brokers", "is not host:port", "no scheme"),
  (["brokers: localhost"], ["brokers: []"], "brokers", "no broker is named", "host:port"),
  (["brokers: localhost"], ["brokers: kafka-7"], "properties.security.protocol", "kafka-7:9092 is another machine", "sasl_ssl"),
  (["brokers: localhost"], ["properties: {group.id: x}"], "properties.group.id", "engine sets", "millrace-<pipeline>"),
  (["brokers: localhost"], ["properties: {securty.protocol: ssl}"], "properties.securty.protocol", "not on the list", "allowed"),
  (["brokers: localhost"], ["properties: {securty.protocol: null}"], "properties.securty.protocol", "not on the list", "allowed"),
  (["brokers: localhost"], ["properties: {client.id: [a]}"], "properties.client.id", "a list stands where", "a property's value"),
  (["brokers: localhost"], ["properties: {fetch.min.bytes: 0}"], "properties.fetch.min.bytes", "out of range", "1 to"),
  (
    ["brokers: localhost"], ["properties: {security.protocol: ssl, ssl.ca.location: nowhere}"], "properties.ssl.ca.location",
    "can't read /srv/pipelines/nowhere", "readable"
  ),
  (["brokers: localhost"], ["properties: {sasl.password: hunter2secret}"], "properties.security.protocol", "authenticates nowhere", "sasl"),
  (secured, ["properties: {sasl.mechanism: OAUTHBEARER}"], "properties.sasl.username", "belongs to PLAIN", "null leaves out"),
  (secured, ["properties: {sasl.mechanisms: PLAIN}"], "properties.sasl.mechanisms", "are the same", "keep one"),
])
func `a source's own cluster is checked as the file's is, at its own place`(
  _ main: [String], _ own: [String], _ place: String, _ message: String, _ remedy: String
) {
  let found = problems(clusters(main, own))
  let match = found.first { $0.path == "sources.refunds.kafka." + place }
  #expect(match?.message.contains(message) == true && match?.remedy.contains(remedy) == true, "\(found)")
  #expect(found.allSatisfy { $0.path.hasPrefix("sources.refunds.kafka.") } && !"\(found)".contains("hunter"), "\(found)")
}

@Test func `what is wrong with the file's cluster is told once, not for each source`() {
  let found = problems(clusters(["brokers: kafka-1"], ["brokers: kafka-7"]))
  #expect(found.map(\.path) == ["kafka.properties.security.protocol"], "\(found)")
}

@Test func `one topic of one cluster is read by one source, of another one by another`() throws {
  let same = clusters(["brokers: [localhost, \"localhost:1\"]"], nil).replacing("topic: refunds", with: "topic: orders")
  let found = problems(same)
  #expect(found.map(\.path) == ["sources.refunds.topic"] && found[0].value == "orders", "\(found)")
  #expect(found.first?.message == "source orders reads this topic at localhost:9092 already")
  #expect(found.first?.remedy == "read it once: several operators and sinks can read one source")
  let own = clusters(["brokers: [localhost, \"localhost:1\"]"], ["brokers: [\"localhost:2\", \"localhost:1\"]"])
    .replacing("topic: refunds", with: "topic: orders")
  #expect(problems(own).first?.message == "source orders reads this topic at localhost:1 already")
  let other = clusters(["brokers: localhost"], ["brokers: \"localhost:2\""]).replacing("topic: refunds", with: "topic: orders")
  #expect(try read(other).sources.map(\.plan.topic) == ["orders", "orders"])
}

@Test func `a secret of a source's own cluster is shown nowhere`() throws {
  let own = [
    "brokers: \"${file:/hosts}\"",
    "properties: {security.protocol: sasl_ssl, sasl.mechanism: PLAIN, sasl.username: u, sasl.password: hunter3secret}",
  ]
  let pipeline = try read(clusters(["brokers: localhost"], own), surroundings(files: ["/hosts": "broker-of-ours:9092"]))
  #expect(pipeline.sources[1].kafka.brokers == "broker-of-ours:9092")
  let graph = PipelineGraph(pipeline)
  for drawn in [graph.text(), graph.mermaid()] { #expect(!drawn.contains("hunter3") && !drawn.contains("broker-of-ours"), "\(drawn)") }
  #expect(!"\(pipeline)".contains("hunter3"))
  #expect(pipeline.secrets.conceal("hunter3secret at broker-of-ours:9092") == "*** at ***")
}
