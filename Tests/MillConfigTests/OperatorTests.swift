import Foundation
import MillConfig
import MillFlow
import MillOperators
import Testing

/// ``plain`` with operators in front of the deduplicate and behind it; the sink reads `input`.
private func graph(_ operators: String, input: String, sink: String = "") -> String {
  let lines = operators.split(separator: "\n").map { "  " + $0 + "\n" }.joined()
  return changed("  unique:\n    deduplicate: {input: transactions, key: [transaction_id], within: 24h}\n", lines)
    .replacingOccurrences(of: "      input: unique", with: "      input: \(input)")
    .replacingOccurrences(of: "      table: payments", with: "      table: payments" + (sink.isEmpty ? "" : "\n      " + sink))
}

private let chain = """
  priced:
    select: {input: unique, fields: {id: transaction_id, gross: "amount * 2", paid_at: paid_at}, on_error: skip}
  unique:
    deduplicate: {input: big, key: [transaction_id], within: 24h}
  big:
    filter: {input: transactions, where: "amount > 0 and transaction_id != ''"}
  """

@Test func `operators stand in the order of what they read, whatever the file's, each with names and types`() throws {
  let pipeline = try read(graph(chain, input: "priced", sink: "omit: [paid_at]"))
  #expect(pipeline.nodes.map(\.name) == ["big", "unique", "priced"])
  #expect(pipeline.schema(of: "unique").fields.map(\.name) == ["transaction_id", "amount", "paid_at"])
  #expect(
    pipeline.schema(of: pipeline.sinks[0].input).fields.map { "\($0.name) \($0.type)" } == [
      "id String", "gross Decimal(18, 4)", "paid_at DateTime64(3)",
    ])
  #expect(pipeline.sinks[0].columns.map(\.column) == ["id", "gross"] && pipeline.sinks[0].columns.map(\.field) == [0, 1])
  #expect(pipeline.deduplicate?.time == .event && pipeline.keyFields.map(\.name) == ["transaction_id"])
  #expect(pipeline.trace(0, from: "priced", to: "transactions") == 0 && pipeline.trace(1, from: "priced", to: "unique") == nil)
}

@Test func `the plan has a part for each node, of its text without blanks, and what isn't set adds no line`() throws {
  let text = planText(try read(graph(chain, input: "priced", sink: "omit: [paid_at]")))
  let nodes = """
    filter "big"
      input "transactions"
      where "amount > 0 and transaction_id != ''"
    deduplicate "unique"
      input "big"
      key "transaction_id"
      within 1d
      allowed_lateness 1h
      time event
    select "priced"
      input "unique"
      field "id"
        type String
        renames "transaction_id"
      field "gross"
        type Decimal(18, 4)
        is "amount * 2"
        reads "amount"
      field "paid_at"
        type DateTime64(3)
        renames "paid_at"
      on_error skip
    clickhouse "table"
      input "priced"
      table "default"."payments"
      column "id" "id"
      column "gross" "gross"
      provenance_column "_millrace_batch"

    """
  #expect(text.hasSuffix(nodes), "\(text)")
  let other = chain.replacingOccurrences(of: "amount > 0 and", with: "amount>0    and")
  #expect(planText(try read(graph(other, input: "priced", sink: "omit: [paid_at]"))) == text)
}

@Test func `a star is every field that has no expression, where it stands`() throws {
  let star = "priced:\n  select: {input: transactions, fields: {first: \"1\", '*': '*', amount: amount * 2}}"
  let pipeline = try read(graph(star, input: "priced"))
  #expect(pipeline.schema(of: pipeline.sinks[0].input).fields.map(\.name) == ["first", "transaction_id", "paid_at", "amount"])
  #expect(pipeline.trace(1, from: "priced", to: "transactions") == 0 && pipeline.trace(3, from: "priced", to: "transactions") == nil)
  let found = problems(graph("priced:\n  select: {input: transactions, fields: {'*': amount}}", input: "priced"))
  #expect(found.map(\.path) == ["operators.priced.select.fields.*"], "\(found)")
}

/// Operators, what the sink reads and has besides, then the place, a part of the message and of the remedy or nearest name.
private let wrong: [(operators: String, input: String, sink: String, path: String, message: String, help: String)] = [
  (
    "a:\n  filter: {input: b, where: 'true'}\nb:\n  filter: {input: a, where: 'true'}", "a", "", "operators.b.filter.input",
    "in a circle: b -> a -> b", "read a source"
  ),
  ("a:\n  filter: {input: a, where: 'true'}", "a", "", "operators.a.filter.input", "can't read itself", "read a source"),
  ("a:\n  filter: {input: transactoins, where: 'true'}", "a", "", "operators.a.filter.input", "no source or operator", "transactions"),
  (
    "a:\n  filter: {input: transactions, where: 'true'}\nb:\n  filter: {input: transactions, where: 'true'}", "a", "", "operators.b",
    "nothing reads this operator", "input: b"
  ),
  (
    "Transactions:\n  filter: {input: transactions, where: 'true'}", "Transactions", "", "operators.Transactions",
    "differs by its case only", "name of its own"
  ),
  ("a:\n  filter: {input: transactions, where: amonut > 0}", "a", "", "operators.a.filter.where", "did you mean amount", "millrace eval"),
  (
    "a:\n  filter: {input: transactions, where: amount}", "a", "", "operators.a.filter.where", "Decimal(18, 2), not a condition",
    "comparison"
  ),
  ("a:\n  filter: {input: transactions, where: (amount > 0}", "a", "", "operators.a.filter.where", ")", "millrace eval"),
  (
    "a:\n  filter: {input: transactions, where: 'lowr(transaction_id) = ''x'''}", "a", "", "operators.a.filter.where", "lower",
    "millrace eval"
  ),
  ("a:\n  filter: {input: transactions, where: \"amount = 'x'\"}", "a", "", "operators.a.filter.where", "Decimal(18, 2)", "millrace eval"),
  ("a:\n  filter: {input: transactions}", "a", "", "operators.a.filter.where", "where is missing", "amount > 0"),
  (
    "a:\n  filter: {input: transactions, where: 'true', on_error: ignore}", "a", "", "operators.a.filter.on_error", "none of the choices",
    "dead_letter, skip, fail"
  ),
  ("a:\n  filter: {input: transactions, were: 'true', where: 'true'}", "a", "", "operators.a.filter.were", "unknown key", "where"),
  (
    "a:\n  filter: {input: transactions, where: \"transaction_id = '${file:/etc/hostname}'\"}", "a", "", "operators.a.filter.where",
    "no part of it can be a secret", "environment"
  ),
  ("a:\n  select: {input: transactions, fields: {}}", "a", "", "operators.a.select.fields", "no field is named", "total"),
  ("a:\n  select: {input: transactions, fields: {x: }}", "a", "", "operators.a.select.fields.x", "no expression", "total"),
  ("a:\n  select: {input: transactions, fields: {x: 'null'}}", "a", "", "operators.a.select.fields.x", "NULL alone", "millrace eval"),
  ("a:\n  select: {input: transactions, fields: {x: missing + 1}}", "a", "", "operators.a.select.fields.x", "missing", "millrace eval"),
  (
    "a:\n  select: {input: transactions, fields: {x: amount}}\nunique:\n  deduplicate: {input: a, key: [transaction_id], within: 1h}",
    "unique", "", "operators.unique.deduplicate.key[0]", "no field of this name", "one of x"
  ),
  (
    "a:\n  deduplicate: {input: transactions, key: [amount], within: 1h}\nb:\n  deduplicate: {input: a, key: [amount], within: 1h}", "b",
    "",
    "operators.b", "several deduplicate operators are not in this version", "one deduplicate"
  ),
  (
    "a:\n  filter: {input: transactions, where: 'true'}", "a", "omit: [amuont]", "sinks.table.clickhouse.omit[0]", "no field of this name",
    "amount"
  ),
  (
    "a:\n  filter: {input: transactions, where: 'true'}", "a", "omit: [amount, amount]", "sinks.table.clickhouse.omit[1]", "omitted twice",
    "once"
  ),
  (
    "a:\n  filter: {input: transactions, where: 'true'}", "a", "omit: [amount, transaction_id, paid_at]", "sinks.table.clickhouse.omit",
    "every field is omitted", "one field"
  ),
  (
    "a:\n  filter: {input: transactions, where: 'true'}", "a", "omit: [amount]\n      columns: {c: amount}",
    "sinks.table.clickhouse.columns.c", "is omitted", "take it out"
  ),
  (
    "a:\n  select: {input: transactions, fields: {x: amount}}", "a", "columns: {c: amount}", "sinks.table.clickhouse.columns.c",
    "no field of this name", "one of x"
  ),
]

@Test(arguments: wrong.indices) func `what is wrong with an operator is told once, with its place and a remedy`(_ index: Int) throws {
  let wrong = wrong[index]
  let found = problems(graph(wrong.operators, input: wrong.input, sink: wrong.sink))
  #expect(found.count == 1, "\(found)")
  let problem = try #require(found.first)
  #expect(problem.path == wrong.path && problem.message.contains(wrong.message), "\(problem)")
  #expect(problem.remedy.contains(wrong.help) || problem.nearest == wrong.help, "\(problem)")
}

@Test func `an expression that is wrong is shown with a caret under the place`() throws {
  let found = problems(graph("a:\n  filter: {input: transactions, where: amount > 0 and amonut < 5}", input: "a"))
  let text = try #require(found.first).text(file: "p.yaml")
  #expect(text.contains("\n    amount > 0 and amonut < 5\n                   ^\n    millrace eval"), "\(text)")
  #expect(text.hasPrefix("p.yaml:14:42: operators.a.filter.where = \"amount > 0 and amonut < 5\": "), "\(text)")
}

@Test func `two hundred operators are read, and too many are refused`() throws {
  func file(_ count: Int) -> String {
    graph(
      (0..<count).reversed().map { "n\($0):\n  filter: {input: \($0 == 0 ? "transactions" : "n\($0 - 1)"), where: amount > \($0)}" }
        .joined(separator: "\n"), input: "n\(count - 1)")
  }
  #expect(try read(file(200)).nodes.map(\.name) == (0..<200).map { "n\($0)" })
  #expect(problems(file(257)).map(\.message) == ["the file has 257 operators"])
}

@Test func `what remembered keys mean hangs on what their fields are made of, not on other operators`() throws {
  func plan(_ operators: String, input: String = "unique", _ change: (String, String)? = nil) throws -> String {
    var text = graph(operators, input: input)
    if let change { text = text.replacingOccurrences(of: change.0, with: change.1) }
    return planText(try read(text))
  }
  let unique = "unique:\n  deduplicate: {input: named, key: [id], within: 24h}\n"
  func named(_ id: String) -> String { "named:\n  select: {input: transactions, fields: {id: \(id), amount: amount}}\n" }
  let before = try plan(unique + named("lower(transaction_id)"))
  let harmless = [
    unique
      + "named:\n  select: {input: f, fields: {id: lower(transaction_id), amount: amount * 2, new: '1'}}\nf:\n  filter: {input: transactions, where: amount > 0}",
    unique
      + "named:\n  select: {input: f, fields: {id: lower( transaction_id ), amount: amount}, on_error: skip}\nf:\n  select: {input: transactions, fields: {'*': '*'}}",
  ]
  for file in harmless { #expect(stateChange(from: before, to: try plan(file)) == nil, "\(file)") }
  let behind = "out:\n  select: {input: unique, fields: {id: id}}\n"
  #expect(stateChange(from: before, to: try plan(behind + unique + named("lower(transaction_id)"), input: "out")) == nil)
  let change = stateChange(from: before, to: try plan(unique + named("upper(transaction_id)")))
  #expect(change == "\"id\" is \"lower(transaction_id)\" is now \"id\" is \"upper(transaction_id)\"", "\(change ?? "nil")")
  let type = stateChange(
    from: before,
    to: try plan(unique + named("lower(transaction_id)"), ("transaction_id: String", "transaction_id: {type: String, from: t}")))
  #expect(type?.contains("\"transaction_id\" from") == true, "\(type ?? "nil")")
  // Only another name for a field of the source: the same values.
  let renamed = try plan(unique + named("transaction_id"))
  let through = try plan(
    unique
      + "named:\n  select: {input: f, fields: {id: t, amount: amount}}\nf:\n  select: {input: transactions, fields: {t: transaction_id, amount: amount}}"
  )
  #expect(stateChange(from: renamed, to: through) == nil && stateChange(from: renamed, to: before) != nil)
}

@Test func `rows are distinct only where key and time reach the table unchanged`() throws {
  func areDistinct(_ fields: String, omit: String = "") throws -> Bool {
    let pipeline = try read(
      graph(
        "unique:\n  deduplicate: {input: transactions, key: [transaction_id], within: 24h}\nout:\n  select: {input: unique, fields: {\(fields)}}",
        input: "out", sink: omit))
    return pipeline.rowsAreDistinct(pipeline.sinks[0])
  }
  #expect(try areDistinct("i: transaction_id, t: paid_at"))
  #expect(try !areDistinct("i: lower(transaction_id), t: paid_at") && !areDistinct("i: transaction_id, t: toDateTime(paid_at)"))
  #expect(try !areDistinct("i: transaction_id, t: paid_at", omit: "omit: [t]") && !areDistinct("t: paid_at"))
  let chain = try read(plain)
  #expect(chain.rowsAreDistinct(chain.sinks[0]))
}

@Test func `the graph shows each node's expressions, and the types of its rows`() throws {
  let graph = PipelineGraph(try read(graph(chain, input: "priced", sink: "omit: [paid_at]")))
  #expect(graph.nodes.map(\.kind.rawValue) == ["source", "filter", "deduplicate", "select", "clickhouse", "dead_letters"])
  #expect(graph.fields.map(\.from) == ["transaction_id", "operator priced"])
  let text = graph.text()
  #expect(text.contains("where     amount > 0 and transaction_id != ''\n"), "\(text)")
  #expect(text.contains("gives") && text.contains("id String, gross Decimal(18, 4), paid_at DateTime64(3)\n"), "\(text)")
  let mermaid = graph.mermaid()
  #expect(
    mermaid.contains("  n2 -- \"transaction_id: String<br/>amount: Decimal(18, 2)<br/>paid_at: DateTime64(3)\" --> n3\n"), "\(mermaid)")
  #expect(mermaid.contains("n1 -. \"an expression fails\" .-> n5"))
}
