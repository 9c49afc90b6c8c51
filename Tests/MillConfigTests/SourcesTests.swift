import Foundation
import MillConfig
import MillFlow
import Testing

@Test func `every key of a source is its own`() throws {
  let pipeline = try read(
    united(
      ("    topic: orders\n", "    topic: orders\n    start: latest\n    on_error: skip\n    max_record_bytes: 1MiB\n"),
      (
        "      id: String\n      amount: Decimal(18, 2)\n    event_time: {field: at}",
        "      id: {type: String, from: order.id}\n      amount: Decimal(18, 2)\n    event_time: {field: at, out_of_orderness: 7s, idle_after: 9s}"
      ),
      ("    topic: refunds\n", "    topic: refunds\n    start: {offsets: {0: 7}}\n    on_error: fail\n")))
  let (orders, refunds) = (pipeline.sources[0], pipeline.sources[1])
  #expect(orders.start == .latest && refunds.start == .offsets([0: 7]))
  #expect(orders.plan.onError == .skip && refunds.plan.onError == .fail)
  #expect(orders.plan.limits?.recordByteCountMax == 1 << 20 && refunds.plan.limits?.recordByteCountMax == 16 << 20)
  #expect(orders.plan.eventTime?.outOfOrderness == 5000 && refunds.plan.eventTime?.outOfOrderness == 7000)
  #expect(refunds.plan.eventTime?.idleAfter == 9000 && refunds.plan.fields[1].source == .path(["order", "id"]))
}

/// The file with its two sources in the other order.
private func turned(_ text: String) throws -> String {
  let first = try #require(text.firstRange(of: "  orders:\n"))
  let second = try #require(text.firstRange(of: "  refunds:\n"))
  let end = try #require(text.firstRange(of: "operators:\n"))
  return String(
    text[..<first.lowerBound] + text[second.lowerBound..<end.lowerBound] + text[first.lowerBound..<second.lowerBound]
      + text[end.lowerBound...])
}

@Test func `the plan has a part for each source, by name, and a union's fields with their types`() throws {
  let text = planText(try read(united))
  let wanted = """
    replay_version 3
    source "orders"
      topic "orders"
      start earliest
      format json
      on_error dead_letter
      field "id"
        type String
        from "id"
      field "amount"
        type Decimal(18, 2)
        from "amount"
      field "at"
        type DateTime64(3)
        from "at"
      event_time "at"
        out_of_orderness 5s
        max_ahead 10m
    source "refunds"
      topic "refunds"
      start earliest
      format json
      on_error dead_letter
      field "at"
        type DateTime64(3)
        from "at"
      field "id"
        type String
        from "id"
      field "amount"
        type Decimal(18, 2)
        from "amount"
      event_time "at"
        out_of_orderness 5s
        max_ahead 10m
    union "all"
      input "orders"
      input "refunds"
      field "id"
        type String
      field "amount"
        type Decimal(18, 2)
      field "at"
        type DateTime64(3)
    deduplicate "unique"
      input "all"
      key "id"
      within 1d
      allowed_lateness 1h
      time event
    clickhouse "table"
      input "unique"
      table "default"."payments"
      column "id" "id"
      column "amount" "amount"
      column "at" "at"
      provenance_column "_millrace_batch"

    """
  #expect(text == wanted, "\(text)")
  let other = try read(try turned(united))
  #expect(other.sources.map(\.plan.name) == ["refunds", "orders"] && planText(other) == text)
  // Where a source's records are is no part of what they are.
  #expect(planText(try read(united(("    topic: refunds\n", "    topic: refunds\n    kafka: {brokers: \"localhost:1\"}\n")))) == text)
}

@Test func `an older release's rules hold for every source`() throws {
  let old = try read(united(("{field: at}", "{field: at, max_ahead: 7m}"))).asRead(by: .two)
  #expect(old.sources.allSatisfy { $0.plan.limits == nil && $0.plan.eventTime?.measuresClock == false })
  #expect(old.sources.map { $0.plan.eventTime?.maxAhead } == [7 * 60_000, 24 * 3_600_000])
}

@Test func `a max_ahead that makes others late is warned of for each source that comes to the deduplicate`() throws {
  let both = united(("{field: at}", "{field: at, max_ahead: 2h}"), ("{field: at}\noperators", "{field: at, max_ahead: 3h}\noperators"))
  let found = try read(both).warnings
  #expect(found.count == 2 && found[0].contains("sources.orders.event_time.max_ahead is 2h") && found[1].contains("sources.refunds"))
  let one = both.replacing("unique:\n    deduplicate: {input: all", with: "unique:\n    deduplicate: {input: orders")
    .replacing("union: {inputs: [orders", with: "union: {inputs: [unique")
  #expect(try read(one.replacing("clickhouse:\n      input: unique", with: "clickhouse:\n      input: all")).warnings.count == 1)
}

@Test func `too many sources are refused, and a hundred are read`() throws {
  func file(_ count: Int) -> String {
    let names = (0..<count).map { "s\($0)" }
    return """
      pipeline: p
      kafka: {brokers: localhost}
      sources:
      \(names.map { "  \($0): {topic: \($0), fields: {id: String}}" }.joined(separator: "\n"))
      operators: {all: {union: {inputs: [\(names.joined(separator: ", "))]}}}
      sinks: {table: {clickhouse: {input: all, url: "http://localhost:8123", table: t}}}
      """
  }
  #expect(try read(file(100)).sources.count == 100)
  #expect(problems(file(101)).map(\.message) == ["the file has 101 sources"])
  #expect(problems(file(101)).first?.remedy == "at most 100")
}

@Test func `names of sources are unlike all others, whatever their case`() {
  let found = problems(united(("  refunds:\n", "  Orders:\n"), ("[orders, refunds]", "[orders, Orders]")))
  #expect(found.map(\.path) == ["sources.Orders"], "\(found)")
  #expect(found.first?.message == "a source has the name orders, which differs by its case only")
  #expect(problems(united(("  table:\n", "  Refunds:\n"))).map(\.path) == ["sinks.Refunds"])
}

@Test func `a source that nothing reads is told, but not where what would read it is wrong`() {
  let unread = united(("[orders, refunds]", "[orders, f]"), ("sinks:", "  f:\n    filter: {input: orders, where: amount > 0}\nsinks:"))
  let found = problems(unread)
  #expect(found.map(\.path) == ["sources.refunds"] && found[0].message == "nothing reads this source", "\(found)")
  #expect(found[0].remedy == "write input: refunds in sinks.table.clickhouse or in another operator, or remove it")
  for (old, new) in [("union: {", "onion: {"), ("{inputs: [orders, refunds]}", "{}"), ("[orders, refunds]", "[orders, refund]")] {
    #expect(problems(united((old, new))).count == 1, "\(new)")
  }
}

// MARK: Where values come from

@Test func `a field's origins are those of all ways, each once`() throws {
  let pipeline = try read(
    united(
      ("[orders, refunds]", "[orders, named, paid]"),
      (
        "sinks:",
        "  named:\n    select: {input: refunds, fields: {id: upper(id), amount: amount, at: at}}\n  paid:\n    filter: {input: orders, where: amount > 0}\nsinks:"
      )
    ))
  #expect(pipeline.origins(of: 1, at: "unique") == [.source(0, field: 1), .source(1, field: 2)])
  #expect(pipeline.origins(of: 0, at: "unique") == [.source(0, field: 0), .computed("named")])
  #expect(pipeline.trace(1, from: "unique", to: "all") == 1 && pipeline.trace(1, from: "unique", to: "orders") == nil)
  #expect(pipeline.trace(0, from: "paid", to: "orders") == 0 && pipeline.sources(of: "paid") == [0])
  let graph = PipelineGraph(pipeline)
  #expect(graph.fields.map(\.from) == ["orders: id, operator named", "amount", "at"])
}

@Test func `unions of unions of one source are followed once`() throws {
  var text = united(("input: all", "input: u60"))
  var operators = ""
  for number in 1...60 {
    let before = number == 1 ? "all" : "u\(number - 1)"
    operators += "  f\(number):\n    filter: {input: \(before), where: amount > \(number)}\n"
    operators += "  u\(number):\n    union: {inputs: [f\(number), \(before)]}\n"
  }
  text = text.replacing("sinks:", with: operators + "sinks:")
  let pipeline = try read(text)
  #expect(pipeline.sources(of: "unique") == [0, 1] && pipeline.origins(of: 0, at: "unique").count == 2)
  #expect(pipeline.trace(0, from: "unique", to: "all") == 0)
  let plan = planText(pipeline)
  #expect(stateChange(from: plan, to: plan.replacing("from \"id\"", with: "from \"i\""))?.contains("\"id\" from \"id\"") == true)
  #expect(PipelineGraph(pipeline).text().split(separator: "\n").count { $0.contains("(union") } == 122)
}

@Test func `the key is written as the sources have it, where all have it alike`() throws {
  let times = united(
    ("[id]", "[at]"), ("at: DateTime64(3)", "at: {type: DateTime64(3), format: unix_ms}"),
    ("      at: DateTime64(3)\n      id", "      at: {type: DateTime64(3), format: unix_ms, from: time}\n      id"))
  #expect(try read(times).keyFields.map(\.format) == [.unixMilliseconds])
  let one = try read(times.replacing("format: unix_ms, from: time", with: "from: time"))
  #expect(one.keyFields.map(\.format) == [.iso8601] && one.keyFields.map(\.name) == ["at"])
  let wider = try read(united(("id: String", "id: Int32"), ("id: String", "id: Nullable(Int64)")))
  #expect(wider.keyFields.map { "\($0.name) \($0.type)" } == ["id Nullable(Int64)"])
}

@Test func `rows are distinct only where key and time of every source reach the table`() throws {
  func areDistinct(_ changes: (String, String)...) throws -> Bool {
    let text = changes.reduce(united) { $0.replacing($1.0, with: $1.1) }
    let pipeline = try read(text)
    return pipeline.rowsAreDistinct(pipeline.sinks[0])
  }
  #expect(try areDistinct())
  #expect(try areDistinct(("      at: DateTime64(3)\n      id: String", "      at: DateTime64(6)\n      id: Nullable(String)")))
  #expect(try !areDistinct(("table: payments", "table: payments\n      omit: [at]")))
  #expect(try !areDistinct(("table: payments", "table: payments\n      omit: [id]")))
  // Each has its time in the table, in another field: two rows may be equal, and their times not.
  let two = ("      at: DateTime64(3)\n", "      at: DateTime64(3)\n      made: DateTime64(3)\n")
  #expect(try areDistinct(two))
  #expect(try !areDistinct(two, ("event_time: {field: at}\noperators", "event_time: {field: made}\noperators")))
  #expect(try !areDistinct(("event_time: {field: at}\noperators", "on_error: skip\noperators")))
  // Behind the deduplicate a union may bring a row again.
  #expect(
    try !areDistinct(
      ("      input: unique", "      input: twice"),
      ("sinks:", "  more:\n    filter: {input: unique, where: amount > 1}\n  twice:\n    union: {inputs: [unique, more]}\nsinks:")))
}

// MARK: State

private func change(_ changes: (String, String)..., from before: String = united) throws -> String? {
  stateChange(
    from: planText(try read(before)), to: planText(try read(changes.reduce(united) { $0.replacing($1.0, with: $1.1) })))
}

private let third = (
  "sources:",
  "sources:\n  gifts:\n    topic: gifts\n    fields: {id: {type: String, from: gift}, amount: \"Decimal(18, 2)\", at: DateTime64(3)}\n    event_time: {field: at}"
)

@Test func `inputs of a union come and go, and the remembered keys stay`() throws {
  #expect(try change() == nil && change(third, ("[orders, refunds]", "[orders, refunds, gifts]")) == nil)
  #expect(try change(third, ("[orders, refunds]", "[gifts, orders, refunds]")) == nil)
  let three = united.replacing(third.0, with: third.1).replacing("[orders, refunds]", with: "[orders, refunds, gifts]")
  #expect(try change(from: three) == nil)
  // A source that becomes one of several, and the other way round.
  let alone = try #require(united.firstRange(of: "  refunds:\n"))
  let end = try #require(united.firstRange(of: "operators:\n"))
  let single = (united[..<alone.lowerBound] + united[end.lowerBound...]).replacing("input: all", with: "input: orders")
    .replacing("  all:\n    union: {inputs: [orders, refunds]}\n", with: "")
  let (one, two) = (planText(try read(String(single))), planText(try read(united)))
  #expect(stateChange(from: one, to: two) == nil && stateChange(from: two, to: one) == nil)
  // Renamed, or read elsewhere, with a filter, in another order.
  #expect(try change(("refunds:\n    topic", "returns:\n    topic"), ("[orders, refunds]", "[orders, returns]")) == nil)
  #expect(try change(("topic: refunds", "topic: other")) == nil)
  #expect(
    try change(("[orders, refunds]", "[orders, f]"), ("sinks:", "  f:\n    filter: {input: refunds, where: amount > 0}\nsinks:")) == nil)
  #expect(try change(("[orders, refunds]", "[refunds, orders]"), ("amount: Decimal(18, 2)", "amount: Decimal(20, 2)")) == nil)
}

@Test func `another key, type or meaning of it is told, of whichever source`() throws {
  #expect(try change(("[id]", "[amount]"))?.contains("key \"id\" is now key \"amount\"") == true)
  #expect(try change(("id: String", "id: UUID"))?.contains("\"id\" type String is now \"id\" type UUID") == true)
  // A new input that widens the key writes other bytes.
  let wider = (third.0, third.1.replacing("{type: String, from: gift}", with: "Nullable(String)"))
  let widened = try change(wider, ("[orders, refunds]", "[orders, refunds, gifts]"))
  #expect(widened == "\"id\" type String is now \"id\" type Nullable(String)", "\(widened ?? "nil")")
  let other = try change(
    (
      "      id: String\n      amount: Decimal(18, 2)\n    event_time: {field: at}\noperators",
      "      id: {type: String, from: other}\n      amount: Decimal(18, 2)\n    event_time: {field: at}\noperators"
    ))
  #expect(other == "\"id\" from \"id\" (source \"refunds\") is now \"id\" from \"other\" (source \"refunds\")", "\(other ?? "nil")")
  // A source that was renamed is compared by its topic.
  let renamed = try change(
    ("refunds:\n    topic", "returns:\n    topic"), ("[orders, refunds]", "[orders, returns]"),
    ("      at: DateTime64(3)\n      id: String", "      at: DateTime64(3)\n      id: {type: String, from: other}"))
  #expect(renamed == other, "\(renamed ?? "nil")")
  let computed = try change(
    ("[orders, refunds]", "[orders, n]"), ("sinks:", "  n:\n    select: {input: refunds, fields: {\"*\": \"*\", id: lower(id)}}\nsinks:"))
  #expect(computed?.contains("\"id\" is \"lower(id)\" (source \"refunds\")") == true, "\(computed ?? "nil")")
  let behind = try change(
    ("input: all", "input: n"), ("sinks:", "  n:\n    select: {input: all, fields: {\"*\": \"*\", id: lower(id)}}\nsinks:"))
  #expect(behind?.contains("is now \"id\" is \"lower(id)\"") == true, "\(behind ?? "nil")")
  // Two sources that change places are two changes, not none.
  let from = united(("id: String", "id: {type: String, from: a}"), ("      id: String\n", "      id: {type: String, from: b}\n"))
  let swapped = stateChange(
    from: planText(try read(from)),
    to: planText(
      try read(from.replacing("from: a", with: "from: c").replacing("from: b", with: "from: a").replacing("from: c", with: "from: b"))))
  #expect(swapped != nil)
}

// MARK: Explain

@Test func `every source and union is drawn, a union whole below its first input`() throws {
  let pipeline = try read(
    united(
      (
        "      id: String\n      amount: Decimal(18, 2)\n    event_time: {field: at}\noperators",
        "      id: {type: String, from: order.id}\n      amount: Nullable(Decimal(18, 2))\n    event_time: {field: at}\noperators"
      )))
  let graph = PipelineGraph(pipeline)
  #expect(graph.nodes.map(\.name) == ["orders", "refunds", "all", "unique", "table", "dead letters"])
  #expect(graph.nodes.map(\.inputs) == [[], [], ["orders", "refunds"], ["all"], ["unique"], []])
  #expect(graph.nodes[2].kind.rawValue == "union")
  #expect(graph.fields.map(\.from) == ["orders: id, refunds: order.id", "amount", "at"])
  let text = graph.text()
  #expect(text.contains("orders (source)\n│  topic       orders\n") && text.contains("└─ all (union)\n"), "\(text)")
  #expect(text.contains("   │  inputs  orders, refunds\n   │  widens  orders.amount from Decimal(18, 2)\n"), "\(text)")
  #expect(text.contains("refunds (source)\n│  topic       refunds\n") && text.contains("└─ all (union, above)\n\n"), "\(text)")
  #expect(text.components(separatedBy: "unique (deduplicate)").count == 2)
  let mermaid = graph.mermaid()
  for edge in ["n0 -- \"id: String<br/>", "n1 -- \"at: DateTime64(3)<br/>"] { #expect(mermaid.contains(edge), "\(mermaid)") }
  #expect(mermaid.contains("\" --> n2\n") && mermaid.contains("n1 -. \"can't be decoded\" .-> n5\n"))
  #expect(!mermaid.contains("n2 -. "), "no row fails in a union: \(mermaid)")
}
