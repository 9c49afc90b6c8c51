import Foundation
import MillConfig
import MillFlow
import Testing

@Test func `what a file leaves out has the contract's defaults`() throws {
  let pipeline = try read(plain)
  #expect(pipeline.name == "payments" && pipeline.consumerGroup == "millrace-payments")
  #expect(pipeline.kafka == KafkaSettings(brokers: "localhost:9092", properties: [:]))
  #expect(pipeline.source.start == .earliest && pipeline.source.plan.onError == .deadLetter)
  #expect(pipeline.source.plan.eventTime == EventTimePlan(fieldIndex: 2, outOfOrderness: 5000, idleAfter: 30_000, maxAhead: 600_000))
  let deduplicate = try #require(pipeline.deduplicate)
  #expect(deduplicate.withinMilliseconds == 86_400_000 && deduplicate.allowedLatenessMilliseconds == 3_600_000)
  #expect(!deduplicate.isExact && deduplicate.time == .event && deduplicate.key == [0])
  let sink = pipeline.sinks[0]
  #expect(sink.user == "default" && sink.password.revealed.isEmpty && sink.database == "default" && sink.delivery == .exactlyOnce)
  #expect(sink.batchRowCountMax == 500_000 && sink.batchByteCountMax == 64 << 20 && sink.batchDelayMaxMilliseconds == 1000)
  #expect(sink.settleMilliseconds == 5000 && sink.windowReserve == .auto && sink.provenanceColumn == "_millrace_batch")
  #expect(
    pipeline.deadLetters
      == DeadLetterSettings(
        directory: "/srv/pipelines/dead-letters", delayMaxMilliseconds: 10_000, byteCountMax: 10 << 30))
  #expect(pipeline.source.plan.limits == RecordLimits(recordByteCountMax: 16 << 20, letterByteCountMax: 64 << 10))
  let checkpoint = CheckpointSettings(intervalMilliseconds: 10_000, directory: "/srv/pipelines/state/checkpoints", retainCount: 3)
  #expect(pipeline.checkpoint == checkpoint)
  #expect(pipeline.state == StateSettings(directory: "/srv/pipelines/state", memoryByteCount: 512 << 20))
  #expect(pipeline.unackedByteCountMax == 4 << 30 && pipeline.prefetchByteCount == 64 << 20 && pipeline.workerCount == 1)
  #expect(pipeline.admin == nil)
  #expect(pipeline.epoch == EpochSettings(rowCountMax: 65_536, byteCountMax: 32 << 20, delayMaxMilliseconds: 20))
}

@Test func `the reference in the repository is the one the code renders, and reads as the defaults`() throws {
  let text = try String(contentsOf: root.appendingPathComponent("config/reference.yaml"), encoding: .utf8)
  #expect(text == Reference.render(), "write it anew: millrace reference > config/reference.yaml")
  var pipeline = try read(text)
  let defaults = try read(plain)
  #expect(pipeline.checkpoint == defaults.checkpoint && pipeline.state == defaults.state && pipeline.epoch == defaults.epoch)
  #expect(
    pipeline.deadLetters == defaults.deadLetters
      && pipeline.source.plan.eventTime?.outOfOrderness == defaults.source.plan.eventTime?.outOfOrderness)
  #expect(pipeline.unackedByteCountMax == defaults.unackedByteCountMax && pipeline.prefetchByteCount == defaults.prefetchByteCount)
  pipeline.sinks[0].columns = defaults.sinks[0].columns
  pipeline.sinks[0].name = defaults.sinks[0].name
  (pipeline.sinks[0].input, pipeline.sinks[0].table) = (defaults.sinks[0].input, defaults.sinks[0].table)
  #expect(pipeline.sinks[0] == defaults.sinks[0])
  #expect(pipeline.source.plan.fields.last?.source == .metadata(.offset))
  #expect(pipeline.source.plan.fields[3].source == .path(["payment", "currency"]) && pipeline.source.plan.fields[3].defaultValue == "EUR")
}

@Test func `every example reads without a problem`() throws {
  let directory = root.appendingPathComponent("config/examples")
  let names = try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0.hasSuffix(".yaml") }
  #expect(
    names.contains("deduplicate.yaml") && names.contains("secured.yaml") && names.contains("filter-select.yaml")
      && names.contains("fan-out.yaml") && names.contains("union.yaml"))
  // What they say has to be there beside them.
  let files = ["/srv/pipelines/tls/ca.pem": "authority", "/srv/pipelines/secrets/kafka-password": "password"]
  for name in names {
    let bytes = [UInt8](try Data(contentsOf: directory.appendingPathComponent(name)))
    #expect(problems(bytes, surroundings(files: files)) == [], "\(name)")
  }
}

@Test func `a processing-time pipeline without operators is one`() throws {
  let text = """
    pipeline: p
    kafka: {brokers: [a, "b:9093", "[::1]:9094"], properties: {security.protocol: plaintext}}
    sources: {s: {topic: t, fields: {n: {type: Int64, from: $offset}, v: {type: String, from: $headers.trace.id}},
      start: {offsets: {0: 42, 3: 7}}}}
    sinks: {k: {clickhouse: {input: s, url: "https://ch:8443/proxy/", table: t, columns: {o: n}, provenance_column: null}}}
    state: {path: /var/lib/p}
    """
  let pipeline = try read(text)
  #expect(pipeline.kafka.brokers == "a:9092,b:9093,[::1]:9094")
  #expect(pipeline.source.start == .offsets([0: 42, 3: 7]) && pipeline.source.plan.eventTime == nil && pipeline.deduplicate == nil)
  #expect(pipeline.source.plan.fields.map(\.source) == [.metadata(.offset), .metadata(.header("trace.id"))])
  #expect(pipeline.sinks[0].columns == [ColumnMapping(column: "o", field: 0), ColumnMapping(column: "v", field: 1)])
  #expect(pipeline.sinks[0].url == "https://ch:8443/proxy" && pipeline.sinks[0].provenanceColumn == nil)
  #expect(pipeline.checkpoint.directory == "/var/lib/p/checkpoints")
}

@Test func `replicas are kept in the file's order, certificates as absolute paths`() throws {
  let list = "url: [http://a:1, https://b:2/]\n      tls: {ca: /etc/hostname}"
  let pipeline = try read(changed("url: http://localhost:8123", list))
  #expect(pipeline.sinks[0].urls == ["http://a:1", "https://b:2"])
  #expect(pipeline.sinks[0].tls == TLSSettings(authorities: "/etc/hostname"))
}

@Test(
  arguments: [
    ("{listen: 127.0.0.1:8080}", "127.0.0.1", 8080, nil), ("{listen: localhost:1}", "127.0.0.1", 1, nil),
    ("{listen: \"[::1]:65535\"}", "::1", 65_535, nil), ("{listen: 127.9.9.9:80, token: null}", "127.9.9.9", 80, nil),
    ("{listen: 0.0.0.0:80, token: \"${file:/t}\"}", "0.0.0.0", 80, "s3cret-of-16-cha"),
    ("{listen: \"[2001:db8::7]:80\", token: abcdefghijklmnop}", "2001:db8::7", 80, "abcdefghijklmnop"),
    ("{listen: \"[::1]:80\", token: a}", "::1", 80, "a"),
  ] as [(String, String, UInt16, String?)])
func `admin takes loopback addresses as they are and others with a token`(text: String, host: String, port: UInt16, token: String?) throws {
  let pipeline = try read(changed("pipeline: payments", "pipeline: p\nadmin: \(text)"), surroundings(files: ["/t": "s3cret-of-16-cha\n"]))
  let admin = try #require(pipeline.admin)
  #expect(admin.host == host && admin.port == port && admin.token?.revealed == token)
  #expect(!"\(pipeline)".contains("s3cret"))
}

@Test func `without event_time deduplicate runs on processing time`() throws {
  let pipeline = try read(changed("    event_time: {field: paid_at}\n", ""))
  #expect(pipeline.deduplicate?.time == .processing)
}

@Test(arguments: [
  ("2026-01-01T00:00:00Z", 1_767_225_600_000), ("1970-01-01T00:00:00Z", 0), ("2024-02-29T23:59:59.250+02:00", 1_709_243_999_250),
  ("2000-03-01 00:00:00Z", 951_868_800_000),
])
func `start takes a moment`(text: String, milliseconds: Int64) throws {
  let pipeline = try read(changed("topic: transactions-topic", "topic: t\n    start: {timestamp: \"\(text)\"}"))
  #expect(pipeline.source.start == .timestamp(milliseconds: milliseconds))
}

@Test func `durations and sizes are written as they are read`() {
  for milliseconds: Int64 in [0, 1, 250, 1000, 90_000, 3_600_000, 86_400_000, 7 * 86_400_000, 1_234_567] {
    #expect(ScalarText.duration(ScalarText.durationText(milliseconds)) == milliseconds)
  }
  for byteCount in [0, 1, 1024, 1 << 20, 3 << 30, 1 << 40, 1_000_001] {
    #expect(ScalarText.size(ScalarText.sizeText(byteCount)) == byteCount)
  }
  for wrong in ["", "5", "s", "-5s", "1.5h", "5 s", "05s", "99999999999999999999s", "9223372036854775807d", "5S", "٥s"] {
    #expect(ScalarText.duration(wrong) == nil, "\(wrong)")
  }
  for wrong in ["64", "64MB", "64mib", "9223372036854775807KiB", "1.5GiB"] { #expect(ScalarText.size(wrong) == nil, "\(wrong)") }
}

// MARK: Substitution

@Test func `variables, defaults and files are put into scalars`() throws {
  let text = changed("localhost:9092", "${HOST}:${PORT:-9093},${NONE:-b}:1\n  properties: {security.protocol: plaintext}")
    .replacingOccurrences(of: "table: payments", with: "table: t\n      password: ${file:secrets/ch}\n      user: ${EMPTY:-me}")
  let pipeline = try read(text, surroundings(["HOST": "kafka", "EMPTY": ""], files: ["/srv/pipelines/secrets/ch": "pa:ss #1\n"]))
  #expect(pipeline.kafka.brokers == "kafka:9093,b:1" && pipeline.sinks[0].user == "me")
  #expect(pipeline.sinks[0].password.revealed == "pa:ss #1")
}

// MARK: Plan

@Test func `the plan changes with what decides rows and with nothing else`() throws {
  let before = planText(try read(plain))
  let same = [
    ("localhost:9092", "elsewhere:1\n  properties: {security.protocol: plaintext}"), ("localhost:8123", "elsewhere:1"),
    ("pipeline: payments", "pipeline: p"),
    ("{field: paid_at}", "{field: paid_at, idle_after: 9s}"), ("table: payments", "table: payments\n      batch: {max_rows: 7}"),
    ("pipeline: payments", "pipeline: payments\nepoch: {max_rows: 3}\nstate: {path: /x, memory: 1GiB}\ncheckpoint: {interval: 1s}"),
  ]
  for (old, new) in same {
    let after = planText(try read(changed(old, new)))
    #expect(after == before && planHash(after) == planHash(before), "\(new)")
  }
  let other = [
    ("transactions-topic", "t"), ("topic: transactions-topic", "topic: transactions-topic\n    start: latest"),
    ("Decimal(18, 2)", "Decimal(18, 3)"), ("amount:", "sum:"), ("{field: paid_at}", "{field: paid_at, max_ahead: 1h}"),
    ("{field: paid_at}", "{field: paid_at, out_of_orderness: 1h}"), ("within: 24h", "within: 23h"),
    ("within: 24h", "within: 24h, exact: true"), ("within: 24h", "within: 24h, time: processing"),
    ("within: 24h", "within: 24h, allowed_lateness: 2h"), ("[transaction_id]", "[transaction_id, amount]"),
    ("within: 24h", "within: 24h, null_keys: equal"), ("table: payments", "table: other"),
    ("table: payments", "table: payments\n      database: d"),
    ("table: payments", "table: payments\n      columns: {a: amount}"), ("table: payments", "table: payments\n      provenance_column: b"),
    ("amount: Decimal(18, 2)", "amount: {type: \"Decimal(18, 2)\", default: 0}"),
    ("topic: transactions-topic", "topic: transactions-topic\n    on_error: skip"),
  ]
  for (old, new) in other {
    let after = planText(try read(changed(old, new)))
    #expect(after != before && planHash(after) != planHash(before), "\(new)")
  }
}

/// What release 0.1 up to 9090ffc wrote for ``plain``: states have it.
private let versionTwo = """
  source "transactions"
    topic "transactions-topic"
    start earliest
    format json
    on_error dead_letter
    field "transaction_id"
      type String
      from "transaction_id"
    field "amount"
      type Decimal(18, 2)
      from "amount"
    field "paid_at"
      type DateTime64(3)
      from "paid_at"
    event_time "paid_at"
      out_of_orderness 5s
      max_ahead 1d
  deduplicate "unique"
    input "transactions"
    key "transaction_id"
    within 1d
    allowed_lateness 1h
    time event
  clickhouse "table"
    input "unique"
    table "default"."payments"
    column "transaction_id" "transaction_id"
    column "amount" "amount"
    column "paid_at" "paid_at"
    provenance_column "_millrace_batch"

  """

@Test func `the plan's text and hash are the same in every release of a replay version`() throws {
  #expect(planHash("") == 0xcbf2_9ce4_8422_2325 && planHash("foobar") == 0x8594_4171_f739_67e8)
  let pipeline = try read(plain)
  #expect(planText(pipeline.asRead(by: .two)) == versionTwo)
  #expect(planText(pipeline) == "replay_version 3\n" + versionTwo.replacing("max_ahead 1d", with: "max_ahead 10m"))
  #expect(pipeline.asRead(by: .current) == pipeline)
}

@Test func `a max_ahead wider than what lateness forgives is worth a warning`() throws {
  func warnings(_ max: String, _ rest: String = "") throws -> [String] {
    try read(changed("{field: paid_at}", "{field: paid_at, max_ahead: \(max)\(rest)}")).warnings
  }
  #expect(try read(plain).warnings == [] && warnings("3605s") == [] && warnings("2h", ", out_of_orderness: 1h") == [])
  let found = try warnings("3606s")
  #expect(found.count == 1 && found.first?.contains("max_ahead is 3606s") == true, "\(found)")
  #expect(found.first?.contains("forgive together (3605s)") == true, "\(found)")
  #expect(try read(changed("within: 24h", "within: 24h, time: processing")).warnings == [])
  #expect(try read(changed("within: 24h", "within: 24h, allowed_lateness: 1m")).warnings.count == 1)
}

@Test func `the rules of each time zone are noted below the plan, and are no part of it`() throws {
  #expect(zoneNotes(try read(plain)) == "")
  let pipeline = try read(
    changed("amount: Decimal(18, 2)", "a: DateTime('Europe/Berlin')\n      b: DateTime('Asia/Tokyo')\n      c: DateTime('Europe/Berlin')"))
  let lines = zoneNotes(pipeline).split(separator: "\n")
  #expect(lines.count == 2 && lines[0].hasPrefix("zone \"Asia/Tokyo\" ") && lines[1].hasPrefix("zone \"Europe/Berlin\" "))
  #expect(Set(lines.compactMap { $0.split(separator: " ").last }).count == 2)
  #expect(stateChange(from: planText(pipeline), to: planText(pipeline) + zoneNotes(pipeline)) == nil)
}

@Test func `what came later doesn't change how an older release read the file`() throws {
  let later = [
    ("within: 24h", "within: 24h, null_keys: equal"), ("within: 24h", "within: 24h, null_keys: pass"),
  ]
  for (old, new) in later {
    let old = try read(changed(old, new)).asRead(by: .two)
    #expect(planText(old) == versionTwo && old.deduplicate?.nullKeys == .equal, "\(new)")
  }
  let written = try read(changed("{field: paid_at}", "{field: paid_at, max_ahead: 10m}")).asRead(by: .two)
  #expect(planText(written) == versionTwo.replacing("max_ahead 1d", with: "max_ahead 10m"))
  #expect(written.source.plan.eventTime?.measuresClock == false && written.source.plan.eventTime?.maxAhead == 600_000)
  #expect(try read(plain).source.plan.eventTime?.measuresClock == true)
}

@Test func `a plan under which remembered keys mean nothing is told from one that may take over`() throws {
  let before = planText(try read(plain))
  let harmless = [
    ("table: payments", "table: other"), ("Decimal(18, 2)", "Decimal(18, 3)"), ("topic: transactions-topic", "topic: t"),
    ("{field: paid_at}", "{field: paid_at, out_of_orderness: 1h}"), ("within: 24h", "within: 24h, null_keys: equal"),
  ]
  #expect(stateChange(from: versionTwo, to: before) == nil)
  for (old, new) in harmless { #expect(stateChange(from: before, to: planText(try read(changed(old, new)))) == nil, "\(new)") }
  let others = [
    ("[transaction_id]", "[amount]", "key \"transaction_id\" is now key \"amount\""),
    ("within: 24h", "within: 48h", "within 1d is now within 2d"),
    ("within: 24h", "within: 24h, exact: true", "nothing is now exact true"),
    ("within: 24h", "within: 24h, time: processing", "time event is now time processing"),
    ("within: 24h", "within: 24h, allowed_lateness: 2h", "allowed_lateness 1h is now allowed_lateness 2h"),
    ("transaction_id: String", "transaction_id: UUID", "\"transaction_id\" type String is now \"transaction_id\" type UUID"),
  ]
  for (old, new, words) in others {
    let change = stateChange(from: before, to: planText(try read(changed(old, new))))
    #expect(change?.contains(words) == true, "\(new): \(change ?? "nil")")
  }
}
