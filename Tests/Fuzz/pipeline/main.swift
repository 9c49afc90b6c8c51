// Feeds the reader of pipeline files whatever libFuzzer thinks of: it must neither trap nor refuse without a reason, name places in order,
// show no secret, and what it takes must have a plan and an explanation.
internal import FuzzDriver
internal import MillConfig

/// What came from a file is a secret wherever it stands; a variable is one only under a key that says so.
private let secret = "canary-6f1d0b7e94"

private let environment = ConfigEnvironment(
  variable: { ["PASSWORD": "sesame", "TOPIC": "payments", "EMPTY": ""][$0] },
  file: { path, _ in
    switch path {
    case "/run/secrets/password": .success(Array("\(secret)\n".utf8))
    case "/run/secrets": .failure(.init(reason: "Is a directory", isDirectory: true))
    default: .failure(.init(reason: "No such file or directory"))
    }
  })

private let reference = Reference.render().split(separator: "\n").filter { !$0.drop(while: { $0 == " " }).hasPrefix("#") }

private let seeds = [
  reference.joined(separator: "\n"),
  """
  pipeline: payments
  kafka: {brokers: localhost:9092}
  sources:
    transactions:
      topic: ${TOPIC}
      fields: {id: String, amount: "Decimal(18, 2)", at: DateTime64(3), tags: Map(String, Array(Nullable(UInt8)))}
      event_time: {field: at, out_of_order: 10s}
  operators:
    unique: {deduplicate: {input: transactions, key: [id], within: 24h}}
  sinks:
    table:
      clickhouse: {input: unique, url: "https://a:8443,b:8443", table: payments, user: u, password: "${PASSWORD}"}
  """,
  """
  pipeline: "p-1"
  kafka:
    brokers: broker:9093
    properties:
      security.protocol: sasl_ssl
      sasl.mechanisms: OAUTHBEARER
      sasl.oauthbearer.token.endpoint.url: https://idp/token
      sasl.oauthbearer.client.id: 'id'
      sasl.oauthbearer.client.secret: ${file:/run/secrets/password}
  sources:
    s:
      topic: t
      fields:
        a: {type: Enum8('x' = 1), from: $.n.a, default: x}
        b: {type: Nullable(DateTime('Europe/Zurich')), format: unix_seconds, truncate: true}
        o: {type: Int64, from: $offset}
      dead_letters: {limit: 5}
  operators:
    unique: {deduplicate: {input: s, key: [a, o], within: 10m}}
  sinks:
    t: {clickhouse: {input: unique, url: "http://localhost", table: d.t, delivery: at_least_once}}
  admin: {listen: "0.0.0.0:9000", token: "${PASSWORD}"}
  state: {memory: 128MiB, directory: /var/lib/p}
  """,
  """
  pipeline: u
  kafka: {brokers: localhost, properties: {client.id: c}}
  sources:
    a: {topic: t, fields: {id: Int32, v: LowCardinality(String), at: DateTime}, event_time: {field: at}}
    b:
      topic: t
      kafka: {brokers: "k:1", properties: {security.protocol: sasl_ssl, sasl.mechanism: PLAIN, sasl.username: u, sasl.password: "${file:/run/secrets/password}", client.id: null}}
      fields: {at: DateTime64(3), id: Nullable(Int64), v: String}
      event_time: {field: at}
  operators:
    f: {select: {input: b, fields: {"*": "*", v: upper(v)}}}
    all: {union: {inputs: [a, f]}}
    unique: {deduplicate: {input: all, key: [id], within: 1h}}
    more: {union: {inputs: [unique, all]}}
  sinks:
    s: {clickhouse: {input: more, url: "http://localhost", table: t}}
  """,
]

/// libFuzzer sees what is compared, and may write the secret itself.
private func demandSecrecy(_ text: String, _ bytes: [UInt8]) {
  demand(!text.contains("canary-6f1d") || String(decoding: bytes, as: UTF8.self).contains("canary"), "a secret is shown: \(text)")
}

unsafe runFuzzer(seeds: seeds.map { Array($0.utf8) }) { data in
  let bytes = unsafe Array(data)
  do throws(ConfigProblems) {
    let pipeline = try PipelineFile.parse(bytes, directory: "/srv", environment: environment)
    let graph = PipelineGraph(pipeline)
    for text in [planText(pipeline), graph.text(), graph.mermaid()] { demandSecrecy(pipeline.secrets.conceal(text), bytes) }
  } catch {
    let problems = error.problems
    demand(!problems.isEmpty, "refused without a problem")
    demand(!problems.contains { $0.message == PipelineFile.unnamedProblem }, "refused, and nothing says why")
    demand(problems == problems.sorted { ($0.line, $0.column) < ($1.line, $1.column) }, "problems out of order")
    demandSecrecy(problems.map { $0.text(file: "p.yaml") }.joined(separator: "\n"), bytes)
  }
}
