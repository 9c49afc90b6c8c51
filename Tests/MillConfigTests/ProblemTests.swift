import Foundation
import MillConfig
import Testing

/// One wrong place in ``plain`` and all that its message must say.
struct Wrong: Sendable, CustomTestStringConvertible {
  var old: String
  var new: String
  var line: Int
  var path: String
  var value: String?
  var message: String
  var remedy: String
  var nearest: String?
  var testDescription: String { new }

  init(
    _ old: String, _ new: String, _ line: Int, _ path: String, _ value: String?, _ message: String, _ remedy: String,
    _ nearest: String? = nil
  ) {
    (self.old, self.new, self.line, self.path, self.value) = (old, new, line, path, value)
    (self.message, self.remedy, self.nearest) = (message, remedy, nearest)
  }
}

private let topLevel: [Wrong] = [
  Wrong("pipeline: payments", "pipeline: Payments", 1, "pipeline", "Payments", "no name for a pipeline", "lower-case"),
  Wrong("pipeline: payments", "pipeline: [a]", 1, "pipeline", nil, "a list stands where a name", "a name"),
  Wrong("pipeline: payments\n", "", 1, "pipeline", nil, "pipeline is missing", "pipeline: my-pipeline"),
  Wrong(
    "pipeline: payments", "pipelin: payments\npipeline: p", 1, "pipelin", nil, "unknown key \"pipelin\"", "known here: pipeline, kafka",
    "pipeline"),
  Wrong("pipeline: payments", "pipeline: p\nadmin: {listen: 1}", 2, "admin.listen", "1", "this is not ADDRESS:PORT", "127.0.0.1:8080"),
  Wrong(
    "pipeline: payments", "pipeline: p\nadmin: {listen: 127.0.0.1:0}", 2, "admin.listen", "127.0.0.1:0", "not ADDRESS:PORT", "1 to 65535"),
  Wrong("pipeline: payments", "pipeline: p\nadmin: {listen: \"::1:80\"}", 2, "admin.listen", "::1:80", "not ADDRESS:PORT", "[::1]:8080"),
  Wrong("pipeline: payments", "pipeline: p\nadmin: {listen: host:80}", 2, "admin.listen", "host:80", "not ADDRESS:PORT", "localhost"),
  Wrong("pipeline: payments", "pipeline: p\nadmin: {token: a}", 2, "admin.listen", nil, "listen is missing", "127.0.0.1:8080"),
  Wrong("pipeline: payments", "pipeline: p\nadmin: on", 2, "admin", "on", "a single value stands where a map", "indented"),
  Wrong(
    "pipeline: payments", "pipeline: p\nadmin: {listen: localhost:80, token: a b}", 2, "admin.token", "***", "this is not a token",
    "without blanks"),
  Wrong(
    "pipeline: payments", "pipeline: p\nadmin: {listen: localhost:80, path: a}", 2, "admin.path", nil, "unknown key \"path\"",
    "known here: listen, token"),
  Wrong(
    "pipeline: payments", "pipeline: p\nadmin: {listen: 0.0.0.0:80}", 2, "admin.listen", "0.0.0.0:80", "no token is set",
    "set admin.token, such as ${file:/run/secrets/millrace-admin}, or listen on 127.0.0.1:80"),
  Wrong(
    "pipeline: payments", "pipeline: p\nadmin: {listen: \"[::]:80\", token: null}", 2, "admin.listen", "[::]:80", "no token", "admin.token"),
  Wrong(
    "pipeline: payments", "pipeline: p\nadmin: {listen: 0.0.0.0:80, token: abcdefghijklmno}", 2, "admin.token", "***", "can be guessed",
    "16 characters at least"),
  Wrong("pipeline: payments", "pipeline: p\nworkers: 4", 2, "workers", "4", "more than one worker is not in this version", "auto or 1"),
  Wrong("pipeline: payments", "pipeline: p\nworkers: many", 2, "workers", "many", "neither auto nor", "auto or 1"),
  Wrong(
    "pipeline: payments", "pipeline: p\nprefetch: 64", 2, "prefetch", "64", "not a size",
    "KiB, MiB, GiB or TiB, from 1MiB to 16GiB, such as 64MiB"),
  Wrong("pipeline: payments", "pipeline: p\nlog: {unacked_max: 1KiB}", 2, "log.unacked_max", "1KiB", "out of range", "16MiB"),
  Wrong("pipeline: payments", "pipeline: p\nstate: {path: s3://b}", 2, "state.path", "s3://b", "not in this version", "directory"),
  Wrong("pipeline: payments", "pipeline: p\nstate: full", 2, "state", "full", "a single value stands where a map", "indented"),
  Wrong(
    "pipeline: payments", "pipeline: p\ndead_letters: {topic: t}", 2, "dead_letters.topic", "t", "topic is not in this version", "path"),
  Wrong(
    "pipeline: payments", "pipeline: p\ndead_letters: {retention: 7d}", 2, "dead_letters.retention", "7d", "not in this version",
    "you remove"),
  Wrong(
    "pipeline: payments", "pipeline: p\ncheckpoint: {interval: 10}", 2, "checkpoint.interval", "10", "not a duration",
    "100ms to 1h, such as 10s"),
  Wrong("pipeline: payments", "pipeline: p\ncheckpoint: {retain: 0}", 2, "checkpoint.retain", "0", "out of range", "1 to 1000"),
  Wrong(
    "pipeline: payments", "pipeline: p\nepoch: {max_rows: 99999999999999999999}", 2, "epoch.max_rows", "99999999999999999999",
    "out of range", "such as 65536"),
  Wrong("pipeline: payments", "pipeline: p\nepoch: {max_rows: 1e3}", 2, "epoch.max_rows", "1e3", "not a whole number", "such as 65536"),
  Wrong(
    "pipeline: payments", "pipeline: p\nepoch: {maxrows: 1}", 2, "epoch.maxrows", nil, "unknown key", "max_rows, max_bytes", "max_rows"),
]

private let kafka: [Wrong] = [
  Wrong("kafka:\n  brokers: localhost:9092\n", "", 1, "kafka", nil, "kafka is missing", "brokers"),
  Wrong("brokers: localhost:9092", "properties: {}", 2, "kafka.brokers", nil, "brokers is missing", "host:port"),
  Wrong("brokers: localhost:9092", "brokers: kafka://h:1", 3, "kafka.brokers", "kafka://h:1", "is not host:port", "no scheme"),
  Wrong("brokers: localhost:9092", "brokers: h:70000", 3, "kafka.brokers", "h:70000", "\"h:70000\" is not host:port", "1 to 65535"),
  Wrong("brokers: localhost:9092", "brokers: '[nonsense]'", 3, "kafka.brokers", "[nonsense]", "is not host:port", "kafka-1:9092"),
  Wrong("brokers: localhost:9092", "brokers: a;b", 3, "kafka.brokers", "a;b", "is not host:port", "kafka-1:9092"),
  Wrong("brokers: localhost:9092", "brokers: h,,i", 3, "kafka.brokers", "h,,i", "\"\" is not host:port", "kafka-1:9092"),
  Wrong(
    "brokers: localhost:9092", "brokers: localhost\n  properties: {group.id: x}", 4, "kafka.properties.group.id", nil,
    "engine sets this property",
    "millrace-<pipeline>"),
  Wrong(
    "brokers: localhost:9092", "brokers: localhost\n  properties: {isolation.level: read_uncommitted}", 4,
    "kafka.properties.isolation.level", nil, "engine sets", "read_committed"),
  Wrong(
    "brokers: localhost:9092", "brokers: localhost\n  properties: {plugin.library.paths: x.so}", 4, "kafka.properties.plugin.library.paths",
    nil,
    "engine sets", "no code is loaded"),
  Wrong(
    "brokers: localhost:9092", "brokers: localhost\n  properties: {enable.ssl.certificate.verification: false}", 4,
    "kafka.properties.enable.ssl.certificate.verification", nil, "engine sets", "certificates are always checked"),
  Wrong(
    "brokers: localhost:9092", "brokers: localhost\n  properties: {ssl.endpoint.identification.algorithm: none}", 4,
    "kafka.properties.ssl.endpoint.identification.algorithm", "none", "host names are always checked", "https"),
  Wrong(
    "brokers: localhost:9092", "brokers: localhost\n  properties: {securty.protocol: ssl}", 4, "kafka.properties.securty.protocol", nil,
    "not on the list", "security.protocol", "security.protocol"),
  Wrong(
    "brokers: localhost:9092", "brokers: localhost\n  properties: {client.id: [a]}", 4, "kafka.properties.client.id", nil,
    "a list stands where",
    "a property's value"),
]

private let source: [Wrong] = [
  Wrong("    topic: transactions-topic\n", "", 5, "sources.transactions.topic", nil, "topic is missing", "Kafka topic"),
  Wrong("topic: transactions-topic", "topic: a b", 6, "sources.transactions.topic", "a b", "no name of a Kafka topic", "249"),
  Wrong(
    "topic: transactions-topic", "topics: t\n    topic: t", 6, "sources.transactions.topics", nil, "unknown key", "known here: topic",
    "topic"),
  Wrong(
    "topic: transactions-topic", "topic: t\n    format: avro", 7, "sources.transactions.format", "avro", "avro is not in this version",
    "json"),
  Wrong(
    "topic: transactions-topic", "topic: t\n    start: earlyest", 7, "sources.transactions.start", "earlyest", "no start", "latest",
    "earliest"),
  Wrong(
    "topic: transactions-topic", "topic: t\n    start: {timestamp: 2026-02-30T00:00:00Z}", 7, "sources.transactions.start.timestamp",
    "2026-02-30T00:00:00Z", "no moment", "2026-01-01T00:00:00Z"),
  Wrong(
    "topic: transactions-topic", "topic: t\n    start: {offsets: {x: 1}}", 7, "sources.transactions.start.offsets.x", nil, "no partition",
    "{0: 42"),
  Wrong(
    "topic: transactions-topic", "topic: t\n    start: {offsets: {0: -1}}", 7, "sources.transactions.start.offsets.0", "-1", "no offset",
    "whole number"),
  Wrong(
    "topic: transactions-topic", "topic: t\n    on_error: drop", 7, "sources.transactions.on_error", "drop", "none of the choices",
    "dead_letter, skip, fail"),
  Wrong(
    "topic: transactions-topic", "topic: t\n    start: {timestamp: }", 7, "sources.transactions.start", nil, "timestamp or offsets",
    "earliest"),
  Wrong(
    "topic: transactions-topic", "topic: t\n    start: {offsets: ~}", 7, "sources.transactions.start", nil, "timestamp or offsets",
    "earliest"),
  Wrong("amount: Decimal(18, 2)", "amount:", 9, "sources.transactions.fields.amount", nil, "no type", "amount: String"),
  Wrong("amount: Decimal(18, 2)", "amount: {from: a}", 9, "sources.transactions.fields.amount.type", nil, "type is missing", "String"),
  Wrong(
    "amount: Decimal(18, 2)", "amount: {type: String, form: a}", 9, "sources.transactions.fields.amount.form", nil, "unknown key",
    "known here: type, from", "from"),
  Wrong(
    "amount: Decimal(18, 2)", "amount: {type: String, from: a..b}", 9, "sources.transactions.fields.amount.from", "a..b",
    "'a..b' has an empty part", "single dots"),
  Wrong(
    "amount: Decimal(18, 2)", "amount: {type: Int64, from: $ofset}", 9, "sources.transactions.fields.amount.from", "$ofset",
    "no metadata of a record", "$key, $timestamp"),
  Wrong(
    "amount: Decimal(18, 2)", "amount: Decmal(18, 2)", 9, "sources.transactions.fields.amount", "Decmal(18, 2)", "Decmal", "a type such as",
    "Decimal"),
  Wrong(
    "amount: Decimal(18, 2)", "amount: Tuple(String)", 9, "sources.transactions.fields.amount", "Tuple(String)",
    "give each element a field",
    "a type such as"),
  Wrong(
    "amount: Decimal(18, 2)", "amount: Int182", 9, "sources.transactions.fields.amount", "Int182", "no type", "a type such as", "Int128"),
  Wrong(
    "amount: Decimal(18, 2)", "amount: {type: Int8, default: 300}", 9, "sources.transactions.fields.amount.default", "300",
    "no value of Int8", "in a record"),
  Wrong(
    "amount: Decimal(18, 2)", "amount: {type: Int8, format: unix_s}", 9, "sources.transactions.fields.amount.format", "unix_s",
    "no meaning for Int8", "DateTime"),
  Wrong("amount: Decimal(18, 2)", "$offset: Int64", 9, "sources.transactions.fields.$offset", nil, "can't name a field", "from: $offset"),
  Wrong(
    "{field: paid_at}", "{field: amount}", 11, "sources.transactions.event_time.field", "amount", "can't be read from 'amount'",
    "DateTime64"),
  Wrong(
    "amount: Decimal(18, 2)", "amount: {type: String, coerce: yes}", 9, "sources.transactions.fields.amount.coerce", "yes",
    "neither true nor false", "true or false"),
  Wrong(
    "amount: Decimal(18, 2)", "amount: {type: DateTime, format: unix}", 9, "sources.transactions.fields.amount.format", "unix",
    "none of the choices", "iso8601, unix_s"),
  Wrong(
    "{field: paid_at}", "{field: payed_at}", 11, "sources.transactions.event_time.field", "payed_at", "no field of this name", "paid_at",
    "paid_at"),
  Wrong("{field: paid_at}", "{idle_after: 30s}", 11, "sources.transactions.event_time.field", nil, "field is missing", "own time"),
  Wrong(
    "{field: paid_at}", "{field: paid_at, idle_after: 5ms}", 11, "sources.transactions.event_time.idle_after", "5ms", "out of range",
    "from 1s to"),
  Wrong(
    "\noperators:", "\n  users: {topic: u, fields: {a: String}}\noperators:", 12, "sources.users", nil, "nothing reads this source",
    "input: users"),
  Wrong("topic: transactions-topic", "topic: t\n    kafka: localhost", 7, "sources.transactions.kafka", "localhost", "wanted", "indented"),
  Wrong(
    "topic: transactions-topic", "topic: t\n    kafka: {broker: localhost}", 7, "sources.transactions.kafka.broker", nil,
    "unknown key \"broker\"", "known here: brokers, properties", "brokers"),
]

private let operatorsAndSink: [Wrong] = [
  Wrong("deduplicate: {input", "dedupe: {input", 14, "operators.unique.dedupe", nil, "no operator \"dedupe\"", "deduplicate"),
  Wrong(
    "deduplicate: {input: transactions, key: [transaction_id], within: 24h}", "filter: {input: transactions, where: amuont > 0}", 14,
    "operators.unique.filter.where", "amuont > 0", "amuont", "millrace eval"),
  Wrong(
    "deduplicate: {input: transactions, key: [transaction_id], within: 24h}", "union: {}", 14,
    "operators.unique.union.inputs", nil,
    "inputs is missing", "such as [transactions, ...]"),
  Wrong(
    "deduplicate: {input: transactions, key: [transaction_id], within: 24h}", "join: {left: a}", 14, "operators.unique.join", nil,
    "join is not in this version", "deduplicate"),
  Wrong(
    "deduplicate: {input: transactions, key: [transaction_id], within: 24h}", "select: {input: transactions}", 14,
    "operators.unique.select.fields", nil, "fields is missing", "total"),
  Wrong(
    "input: transactions,", "input: transaction,", 14, "operators.unique.deduplicate.input", "transaction", "no source or operator",
    "transactions", "transactions"),
  Wrong(
    "key: [transaction_id]", "key: [transactoin_id]", 14, "operators.unique.deduplicate.key[0]", "transactoin_id", "no field of this name",
    "transaction_id, amount", "transaction_id"),
  Wrong("key: [transaction_id]", "key: []", 14, "operators.unique.deduplicate.key", nil, "key is empty", "at least one"),
  Wrong("key: [transaction_id]", "key: [amount, amount]", 14, "operators.unique.deduplicate.key[1]", "amount", "twice", "once"),
  Wrong(", within: 24h", "", 14, "operators.unique.deduplicate.within", nil, "within is missing", "24h"),
  Wrong("within: 24h", "within: 0s", 14, "operators.unique.deduplicate.within", "0s", "out of range", "from 1ms"),
  Wrong(
    "within: 24h", "within: 24h, time: wall", 14, "operators.unique.deduplicate.time", "wall", "none of the choices", "event, processing"),
  Wrong(
    "      input: unique", "      input: uniqe", 18, "sinks.table.clickhouse.input", "uniqe", "no source or operator",
    "unique, transactions", "unique"),
  Wrong("      input: unique", "      input: transactions", 13, "operators.unique", nil, "nothing reads this operator", "input: unique"),
  Wrong(
    "url: http://localhost:8123", "url: localhost:8123", 19, "sinks.table.clickhouse.url", "localhost:8123", "no HTTP address",
    "http://localhost:8123"),
  Wrong(
    "url: http://localhost:8123", "url: http://me:hunter2@h:1", 19, "sinks.table.clickhouse.url", "***", "credentials",
    "user and password"),
  Wrong(
    "url: http://localhost:8123", "url: [http://a:1, http://a:1/]", 19, "sinks.table.clickhouse.url[1]", "http://a:1/", "named twice",
    "each replica once"),
  Wrong(
    "url: http://localhost:8123", "url: [http://a:1, ftp://b]", 19, "sinks.table.clickhouse.url[1]", "ftp://b", "no HTTP address",
    "http://HOST:PORT"),
  Wrong("url: http://localhost:8123", "url: []", 19, "sinks.table.clickhouse.url", nil, "list is empty", "one server"),
  Wrong(
    "url: http://localhost:8123", "url: https://a:1\n      tls: {ca: /no/such/file.pem}", 20, "sinks.table.clickhouse.tls.ca",
    "/no/such/file.pem", "can't read /no/such/file.pem: No such file", "readable"),
  Wrong(
    "url: http://localhost:8123", "url: https://a:1\n      tls: {ca: /etc}", 20, "sinks.table.clickhouse.tls.ca", "/etc",
    "can't read /etc: Is a directory", "readable"),
  Wrong(
    "url: http://localhost:8123", "url: https://a:1\n      tls: {key: /etc/hostname}", 20, "sinks.table.clickhouse.tls", nil,
    "key is given without certificate", "both"),
  Wrong(
    "url: http://localhost:8123", "url: http://a:1\n      tls: {ca: /etc/hostname}", 20, "sinks.table.clickhouse.tls", nil,
    "url is http", "https://"),
  Wrong(
    "      table: payments", "      tabel: payments\n      table: t", 20, "sinks.table.clickhouse.tabel", nil, "unknown key",
    "known here: input", "table"),
  Wrong(
    "      table: payments", "      table: t\n      columns: {a: amonut}", 21, "sinks.table.clickhouse.columns.a", "amonut",
    "no field of this name", "amount", "amount"),
  Wrong(
    "      table: payments", "      table: t\n      columns: {amount: transaction_id}", 21, "sinks.table.clickhouse.columns.amount",
    "amount", "two fields", "under columns"),
  Wrong(
    "      table: payments", "      table: t\n      columns: {_millrace_batch: amount}", 21,
    "sinks.table.clickhouse.columns._millrace_batch", "amount", "each row's batch", "rename"),
  Wrong(
    "      table: payments", "      table: t\n      batch: {max_rows: 2000000}", 21, "sinks.table.clickhouse.batch.max_rows", "2000000",
    "out of range", "1 to 1000000"),
  Wrong(
    "      table: payments", "      table: t\n      delivery: exactly-once", 21, "sinks.table.clickhouse.delivery", "exactly-once",
    "none of the choices", "at_least_once", "exactly_once"),
  Wrong(
    "      table: payments", "      table: t\n      password: \"abcdefgh\\nX-Evil: 1\"", 21, "sinks.table.clickhouse.password", "***",
    "this is not a password", "without control characters"),
  Wrong("    clickhouse:", "    click_house:", 17, "sinks.table.click_house", nil, "unknown key", "clickhouse", "clickhouse"),
]

private let structure: [Wrong] = [
  Wrong("brokers: localhost:9092", "brokers: &b localhost:9092", 3, "kafka.brokers", "&b", "anchors are not taken", "remove &b"),
  Wrong("brokers: localhost:9092", "brokers: *b", 3, "kafka.brokers", "*b", "aliases are not taken", "write the value"),
  Wrong("brokers: localhost:9092", "brokers: !!str h", 3, "kafka.brokers", "tag:yaml.org,2002:str", "tags are not taken", "remove the tag"),
  Wrong("brokers: localhost:9092", "<<: {a: b}", 3, "kafka.<<", nil, "merge keys are not taken", "write the keys"),
  Wrong(
    "brokers: localhost:9092", "brokers: localhost\n  brokers: b", 4, "kafka.brokers", nil, "second time; the first is in line 3",
    "keep one"),
  Wrong("brokers: localhost:9092", "? [a]\n  : b", 3, "kafka", nil, "a key must be a name", "key: value"),
  Wrong("brokers: localhost:9092", "brokers: 'h", 3, "", nil, "this is not YAML", "quotes"),
  Wrong("brokers: localhost:9092", "brokers: h\n  properties: {client.id: ${ID}}", 4, "", nil, "this is not YAML", "stands in quotes"),
  Wrong("brokers: localhost:9092", "brokers: h\u{0}", 3, "", nil, "control characters are not allowed", "check"),
  Wrong("brokers: localhost:9092", "\tbrokers: h", 3, "", nil, "this is not YAML", "no tabs"),
  Wrong("brokers: localhost:9092", "brokers: ${KAFKA}", 3, "kafka.brokers", "${KAFKA}", "KAFKA is not set", "${KAFKA:-default}"),
  Wrong("brokers: localhost:9092", "brokers: ${1A}", 3, "kafka.brokers", "${1A}", "names no environment variable", "letters"),
  Wrong("brokers: localhost:9092", "brokers: '${A'", 3, "kafka.brokers", "${A", "${ without }", "${NAME}"),
  Wrong(
    "brokers: localhost:9092", "brokers: ${file:/no}", 3, "kafka.brokers", "${file:/no}", "can't read /no: No such file",
    "create the file"),
]

@Test(arguments: topLevel + kafka + source + operatorsAndSink + structure)
func `a wrong place is named with its line, path, value and remedy`(_ wrong: Wrong) throws {
  let found = problems(changed(wrong.old, wrong.new))
  #expect(found.count == 1 || wrong.message.contains("\"dedupe\"") || wrong.path.hasSuffix("click_house"), "\(found)")
  let problem = try #require(found.first)
  #expect(problem.path == wrong.path)
  #expect(problem.line == wrong.line && problem.column > 0)
  #expect(problem.value == wrong.value)
  #expect(problem.message.contains(wrong.message), "\(problem.message)")
  #expect(problem.remedy.contains(wrong.remedy), "\(problem.remedy)")
  #expect(problem.nearest == wrong.nearest)
}

@Test func `all problems of a file are reported at once, in the order of its lines`() {
  let text = changed("pipeline: payments", "pipeline: P").replacingOccurrences(of: "topic: transactions-topic", with: "topic: a b")
    .replacingOccurrences(of: "within: 24h", with: "within: 24").replacingOccurrences(of: "table: payments", with: "tble: payments")
  let found = problems(text)
  #expect(
    found.map(\.path) == [
      "pipeline", "sources.transactions.topic", "operators.unique.deduplicate.within", "sinks.table.clickhouse.table",
      "sinks.table.clickhouse.tble",
    ])
  #expect(found.map(\.line) == [1, 6, 14, 17, 20])
}

@Test func `a problem prints as place, path, value, message and remedy`() throws {
  let problem = try #require(problems(changed("[transaction_id]", "[transactoin_id]")).first)
  #expect(
    problem.text(file: "p.yaml") == """
      p.yaml:14:46: operators.unique.deduplicate.key[0] = "transactoin_id": there is no field of this name
          did you mean transaction_id? one of transaction_id, amount, paid_at
      """)
}

@Test func `control characters of a file don't reach the terminal, and a hint is given once`() throws {
  let text = ConfigProblems(problems: problems(changed("pipeline: payments", "pipeline: p\n\"a\\e[2J\\nb\": 1"))).text(file: "p.yaml")
  #expect(text.hasPrefix("p.yaml:2:1: a\\u{1b}[2J\\u{a}b: unknown key"), "\(text)")
  let type = ConfigProblems(problems: problems(changed("amount: Decimal(18, 2)", "amount: Strng"))).text(file: "p.yaml")
  #expect(type.components(separatedBy: "did you mean String?").count == 2, "\(type)")
}

@Test func `of thousands of names a remedy shows some, and not all are searched for the nearest`() throws {
  let fields = (0..<4000).map { "        field_\($0): String\n" }.joined()
  let keys = (0..<3000).map { "feild_\($0)" }.joined(separator: ", ")
  let text = changed(
    "      amount: Decimal(18, 2)\n", "      amount: Decimal(18, 2)\n" + fields.replacingOccurrences(of: "        ", with: "      ")
  )
  .replacingOccurrences(of: "[transaction_id]", with: "[\(keys)]")
  let found = problems(text)
  #expect(found.count == 3000 && found.allSatisfy { $0.remedy.utf8.count < 1000 }, "\(found.count)")
  #expect(found.first?.remedy.hasSuffix("field_27 and 3973 more") == true, "\(found.first?.remedy ?? "")")
}

@Test func `a byte order mark begins a file like any other`() {
  #expect(problems([0xef, 0xbb, 0xbf] + Array(plain.utf8)) == [])
  let found = problems([0xef, 0xbb, 0xbf] + Array(changed("pipeline: payments", "pipeline: P").utf8))
  #expect(found.map(\.line) == [1] && found.map(\.column) == [11])
}

@Test(arguments: ["", "~", "{}", "[]", "''", "[~]"])
func `whatever is left empty, the file is taken or something says why not`(_ empty: String) {
  let lines = Reference.render().split(separator: "\n").filter { !$0.drop(while: { $0 == " " }).hasPrefix("#") }.map(String.init)
  let more = [
    "pipeline: p", "sinks:", "  transactions_table:", "sources:", "  transactions:", "    start: {timestamp: 1}", "    start: {offsets: 1}",
  ]
  for index in lines.indices + more.indices.map({ -1 - $0 }) {
    var text = lines
    // A line of the reference, with all below it, or one in its place.
    let line = index >= 0 ? lines[index] : more[-1 - index]
    let place = index >= 0 ? index : lines.firstIndex { line.hasPrefix($0.prefix { $0 != ":" } + ":") } ?? 0
    let margin = line.prefix { $0 == " " }.count
    let below = lines[(place + 1)...].prefix { $0.prefix { $0 == " " }.count > margin }.count
    let colon = line.lastIndex(of: "{").flatMap { line[$0...].firstIndex(of: ":") } ?? line.firstIndex(of: ":")!
    let end = line.contains("{") && index < 0 ? "}" : ""
    text.replaceSubrange(place...(place + below), with: [line[...colon] + " " + empty + end])
    let found = problems(text.joined(separator: "\n"))
    #expect(!found.contains { $0.message == PipelineFile.unnamedProblem }, "\(line): \(found)")
  }
}

@Test func `a file that is no pipeline at all says so`() {
  #expect(problems("").first?.message == "the file is empty")
  #expect(problems("- a").first?.message == "a list stands where a pipeline is wanted")
  #expect(problems("pipeline: a\n---\nb: c").first?.message == "a second YAML document begins here")
  #expect(problems(String(repeating: "[", count: 100_000)).first?.message == "nested deeper than 32 levels")
  #expect(problems([UInt8](repeating: 32, count: 1 << 20 + 1)).first?.message == "the file has 1048577 bytes")
  let notText = problems(Array("pipeline: a\nkafka: ".utf8) + [0xff, 0xfe])
  #expect(notText.first?.line == 2 && notText.first?.message == "byte 19 is not valid UTF-8")
}

@Test func `a file that isn't there is named`() {
  #expect(throws: ConfigProblems.self) { try PipelineFile.load("none.yaml", workingDirectory: "/srv", environment: surroundings()) }
}

@Test func `an array or map is no part of a key`() {
  let text = changed("amount: Decimal(18, 2)", "amount: Array(String)").replacingOccurrences(of: "[transaction_id]", with: "[amount]")
  let found = problems(text)
  #expect(found.map(\.path) == ["operators.unique.deduplicate.key[0]"])
  #expect(found.first?.message == "field \"amount\" is Array(String), which can't be part of a key")
}

@Test func `time event without event_time is refused`() {
  let text = changed("    event_time: {field: paid_at}\n", "").replacingOccurrences(of: "within: 24h", with: "within: 24h, time: event")
  let found = problems(text)
  #expect(found.map(\.path) == ["operators.unique.deduplicate.time"] && found.first?.message == "the source has no event_time")
}
