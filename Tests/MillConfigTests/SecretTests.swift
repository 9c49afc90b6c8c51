import Foundation
import MillBase
import MillConfig
import Testing

@Test func `a secret prints as stars, in a pipeline and in a problem`() throws {
  let text = changed(
    "brokers: localhost:9092",
    "brokers: h\n  properties: {security.protocol: sasl_ssl, sasl.mechanism: PLAIN, sasl.username: u, sasl.password: hunter2}"
  )
  .replacingOccurrences(of: "table: payments", with: "table: t\n      password: hunter2")
  let pipeline = try read(text)
  var dumped = ""
  dump(pipeline, to: &dumped)
  #expect(!dumped.contains("hunter2") && !"\(pipeline)".contains("hunter2") && !String(reflecting: pipeline).contains("hunter2"))
  #expect(pipeline.kafka.properties["sasl.password"]?.revealed == "hunter2")

  let wrong = changed("brokers: localhost:9092", "brokers: localhost\n  properties: {api.token: hunter2}")
    .replacingOccurrences(of: "within: 24h", with: "within: \"${file:/secret}\"")
  let found = problems(wrong, surroundings(files: ["/secret": "hunter2"]))
  #expect(found.map(\.value) == [nil, "***"])
  #expect(!ConfigProblems(problems: found).text(file: "p.yaml").contains("hunter2"))
}

private let key = "-----BEGIN PRIVATE KEY-----\nMIIhunter2//secret\n-----END PRIVATE KEY-----\n"
private let plaintext = "security.protocol: plaintext"

/// Files that are wrong, and whose problems would be glad to quote the secret hunter2secret.
@Test(arguments: [
  ("brokers: localhost:9092", "brokers: h\n  properties: {sasl.pasword: hunter2secret}"),
  ("brokers: localhost:9092", "brokers: h\n  properties: {sasl.jaas.config: 'PlainLoginModule required password=hunter2secret;'}"),
  ("brokers: localhost:9092", "brokers: h\n  properties: {security.protocol: ssl, ssl.key.location: '${file:/key.pem}'}"),
  ("brokers: localhost:9092", "brokers: h\n  properties: {security.protocol: ssl, ssl.ca.location: '${file:/key.pem}'}"),
  ("brokers: localhost:9092", "brokers: 'sasl_ssl://me:hunter2secret@kafka:9092'"),
  ("brokers: localhost:9092", "brokers: '${file:/brokers}'"),
  (
    "brokers: localhost:9092",
    "brokers: h\n  properties: {security.protocol: sasl_ssl, sasl.mechanism: OAUTHBEARER, sasl.oauthbearer.method: oidc, "
      + "sasl.oauthbearer.client.id: me, sasl.oauthbearer.client.secret: x, "
      + "sasl.oauthbearer.token.endpoint.url: 'https://me:hunter2secret@idp/token'}"
  ),
  (
    "brokers: localhost:9092",
    "brokers: h\n  properties: {security.protocol: sasl_ssl, sasl.mechanism: OAUTHBEARER, sasl.oauthbearer.method: oidc, "
      + "sasl.oauthbearer.client.id: me, sasl.oauthbearer.client.secret: x, sasl.oauthbearer.extensions: '${file:/brokers}', "
      + "sasl.oauthbearer.token.endpoint.url: 'https://idp/token'}"
  ),
  ("url: http://localhost:8123", "url: clickhouse://default:hunter2secret@ch:9000/db"),
  ("url: http://localhost:8123", "url: http://default:hunter2secret/er2@ch"),
  ("url: http://localhost:8123", "url: http://default:1/hunter2secret@ch"),
  ("url: http://localhost:8123", "url: http://ch:8123/?user=loader&password=hunter2secret"),
  ("url: http://localhost:8123", "url: 'http://ch:8123?PASSWORD=hunter2secret;user=x'"),
  ("url: http://localhost:8123", "url: jdbc:clickhouse://ch:8123/db?user=a&password=hunter2secret&ssl=true"),
  ("url: http://localhost:8123", "url: http://ch:8123/?access_key=hunter2secret"),
  ("brokers: localhost:9092", "brokers: 'kafka:9092?sasl_password=hunter2secret'"),
  ("table: payments", "table: t\n      password: ${my-pass:-hunter2secret}"),
  ("table: payments", "table: t\n      password: hunter2secret${"),
  ("table: payments", "table: t\n      password: !hunter2secret"),
  ("table: payments", "table: t\n      password: *hunter2secret"),
  ("table: payments", "table: t\n      password: &hunter2secret x"),
  ("amount: Decimal(18, 2)", "amount: {type: Int8, default: '${file:/secret}'}"),
  ("amount: Decimal(18, 2)", "amount: {type: '${file:/secret}'}"),
  ("amount: Decimal(18, 2)", "amount: {type: String, from: '${file:/secret}..'}"),
  ("[transaction_id]", "['${file:/secret}']"),
  ("topic: transactions-topic", "topic: '${file:/secret} '"),
])
func `no problem of a wrong file quotes a secret`(_ old: String, _ new: String) {
  let files = ["/key.pem": key, "/secret": "hunter2secret", "/brokers": "kafka-1:9092,hunter2secret/x"]
  let found = problems(changed(old, new), surroundings(files: files))
  #expect(!found.isEmpty)
  let text = ConfigProblems(problems: found).text(file: "p.yaml")
  #expect(!text.contains("hunter2"), "\(text)")
}

@Test func `a pipeline knows what must be concealed in texts of others, and short passwords are left alone`() throws {
  let text = changed("localhost:9092", "${file:/hosts}\n  properties: {\(plaintext)}")
    .replacingOccurrences(of: "table: payments", with: "table: t\n      password: rows")
  let pipeline = try read(text, surroundings(files: ["/hosts": "broker-of-ours:9092"]))
  #expect(pipeline.secrets == Secrets(hidden: ["rows"], shown: ["broker-of-ours:9092"]))
  #expect(pipeline.secrets.conceal("broker-of-ours:9092: 7 rows") == "***: 7 rows")
}

@Test func `what came from a file is concealed as a word where it is short, and each item of a list`() {
  let secrets = Secrets(hidden: ["a", "pass1234"], shown: ["payroll", "5", "kafka-1,kafka-2\nkafka-3"])
  #expect(secrets.conceal("payroll.t of \"payroll\"") == "***.t of \"***\"")
  #expect(secrets.conceal("payrolls, my_payroll, 5 rows can't") == "payrolls, my_payroll, 5 rows can't")
  #expect(secrets.conceal("kafka-2:9092, kafka-3") == "***:9092, ***")
  #expect(secrets.conceal("xpass1234x") == "x***x")
}

@Test func `a secret that begins another leaves no tail, and one with quotes is known in quotes`() {
  let secrets = Secrets(hidden: ["hunter22", "hunter22\"tail\n"])
  #expect(secrets.conceal("hunter22\"tail\n hunter22") == "*** ***")
  #expect(secrets.conceal(quoted("hunter22\"tail\n")) == "\"***\"")
}

@Test func `names of the user's make nothing secret, keys of the format do`() throws {
  let text = changed("transactions:", "token_events:").replacingOccurrences(of: "input: transactions", with: "input: token_events")
    .replacingOccurrences(of: "  table:\n", with: "  token_out:\n").replacingOccurrences(of: "  unique:", with: "  secret:")
    .replacingOccurrences(of: "input: unique", with: "input: secret")
    .replacingOccurrences(of: "amount: Decimal(18, 2)", with: "token: LowCardinality(String)\n      password: {type: 'FixedString(100)'}")
    .replacingOccurrences(of: "table: payments", with: "table: t\n      columns: {user_password: password}\n      password: hunter2secret")
  let pipeline = try read(text)
  #expect(pipeline.secrets == Secrets(hidden: ["hunter2secret"]))
  let graph = PipelineGraph(pipeline).text()
  #expect(graph.contains("transactions-topic") && graph.contains("http://localhost:8123") && graph.contains("LowCardinality(String)"))
  #expect(!graph.contains("***"))
}

@Test func `a text out of a file is never null: a token that says null is one`() throws {
  let text = changed("pipeline: payments", "pipeline: p\nadmin:\n  listen: 127.0.0.1:80\n  token: ${file:/n}")
  #expect(try read(text, surroundings(files: ["/n": "null\n"])).admin?.token?.revealed == "null")
}

@Test func `a graph shows nothing that came from a file, however it is drawn`() throws {
  let text = changed("table: payments", "table: ${file:/t}\n      database: ${file:/d}")
  let graph = PipelineGraph(try read(text, surroundings(files: ["/t": "se\"cret#table", "/d": "payroll"])))
  for drawn in [graph.text(), graph.mermaid(), graph.plan] {
    #expect(!drawn.contains("payroll") && !drawn.contains("cret") && drawn.contains("***"), "\(drawn)")
  }
}

@Test func `a secret is concealed in the forms that URLs, forms and Basic headers give it`() {
  let secrets = Secrets(hidden: ["pa/ss wörd+9", "hunter2secret"])
  for text in ["pa%2Fss%20w%C3%B6rd%2B9", "pa%2fss%20w%c3%b6rd%2b9", "pa%2Fss+w%C3%B6rd%2B9"] {
    #expect(secrets.conceal("q=\(text)&x") == "q=***&x", "\(text)")
  }
  for before in ["", "a", "me:", "user:"] {
    for after in ["", "x", "xy"] {
      let shown = secrets.conceal("Basic " + Data((before + "hunter2secret" + after).utf8).base64EncodedString())
      let middle = Data("unter2secre".utf8)
      #expect(shown.contains("***"), "\(shown)")
      // What is left doesn't hold the secret's middle in any alignment.
      for pad in 0..<3 {
        let form = (Data(repeating: 0, count: pad) + middle).base64EncodedString().dropFirst(4).prefix(8)
        #expect(!shown.contains(form), "\(shown)")
      }
    }
  }
}

@Test func `what a cut leaves of a secret is concealed too, wherever it falls`() {
  let secrets = Secrets(hidden: ["hunter2secret"])
  for shift in 0..<40 {
    let long = String(repeating: "x", count: 320 + shift) + "hunter2secret" + String(repeating: "y", count: 300)
    let ending = String(repeating: "x", count: 400) + "hunter2secret" + String(repeating: "y", count: 140 + shift)
    for text in [long, ending] {
      let shown = secrets.conceal(ForeignText.cut(text))
      for count in 4...13 {
        for start in 0...(13 - count) where start == 0 || start + count == 13 {
          #expect(!shown.contains("hunter2secret".dropFirst(start).prefix(count)), "\(shift): \(shown)")
        }
      }
    }
  }
}

@Test func `a password within an address is a secret of the file`() throws {
  let text = changed("brokers: localhost:9092", "brokers: h\n  properties: {\(plaintext), client.id: 'x?password=hunter2secret'}")
  #expect(try read(text).secrets.conceal("says hunter2secret") == "says ***")
}
