import Foundation
import MillConfig
import Testing

/// ``plain`` with a filter and a second sink behind it.
private let two =
  plain.replacingOccurrences(of: "sinks:\n", with: "  large:\n    filter: {input: unique, where: amount > 5}\nsinks:\n")
  + "\n  large_table:\n    clickhouse: {input: large, url: \"http://localhost:8124\", table: large_payments, omit: [paid_at], "
  + "batch: {max_rows: 7}}\n"

private func two(_ old: String, _ new: String) -> String {
  precondition(two.contains(old), "the file has no \(old)")
  return two.replacingOccurrences(of: old, with: new)
}

@Test func `each sink has what it reads, its columns and its bounds`() throws {
  let pipeline = try read(two)
  #expect(pipeline.sinks.map(\.name) == ["table", "large_table"] && pipeline.sinks.map(\.input) == ["unique", "large"])
  #expect(pipeline.sinks[1].columns.map(\.column) == ["transaction_id", "amount"] && pipeline.sinks[1].batchRowCountMax == 7)
  #expect(pipeline.sinks[0].columns.count == 3 && pipeline.sinks[0].batchRowCountMax != 7)
}

@Test func `every sink is in the plan, and another order is another plan`() throws {
  let text = planText(try read(two))
  #expect(text.contains("clickhouse \"table\"\n  input \"unique\"\n") && text.contains("clickhouse \"large_table\"\n  input \"large\"\n"))
  // What one sink adds says nothing of the others.
  #expect(text.hasPrefix(planText(try read(plain)).components(before: "clickhouse")))
}

@Test func `the graph has an edge to each sink and a table of fields for each`() throws {
  let graph = PipelineGraph(try read(two))
  #expect(graph.nodes.filter { $0.kind == .clickhouse }.map(\.inputs) == [["unique"], ["large"]])
  #expect(graph.fields.map(\.sink) == ["table", "table", "table", "large_table", "large_table"])
  let text = graph.text()
  #expect(text.contains("fields of table\n") && text.contains("fields of large_table\n"))
  #expect(!PipelineGraph(try read(plain)).text().contains("fields of"))
}

@Test(arguments: [
  (
    "table: large_payments", "table: payments", "http://localhost:8124", "http://localhost:8123", "sinks.large_table",
    "two sinks into one table"
  ),
  ("  large_table:", "  Table:", "large_table", "Table", "sinks.Table", "differs by its case only"),
  ("input: large, url", "input: lrge, url", "x", "x", "sinks.large_table.clickhouse.input", "no source or operator"),
  ("input: large, url", "input: unique, url", "x", "x", "operators.large", "nothing reads this operator"),
  ("omit: [paid_at]", "omit: [paid]", "x", "x", "sinks.large_table.clickhouse.omit[0]", "no field of this name"),
])
func `what is wrong with one of two sinks is said at its place`(
  _ old: String, _ new: String, _ more: String, _ other: String, _ path: String, _ message: String
) {
  let found = problems(two(old, new).replacingOccurrences(of: more, with: other))
  #expect(found.map(\.path) == [path] && found.first?.message.contains(message) == true, "\(found)")
}

@Test func `one table at two servers is two tables, and one server by two names in a list is one`() throws {
  let same = two("table: large_payments", "table: payments")
  #expect(problems(same).isEmpty)
  let listed = same.replacingOccurrences(of: "\"http://localhost:8124\"", with: "[\"http://localhost:8124\", \"http://localhost:8123\"]")
  #expect(problems(listed).first?.message.contains("two sinks into one table") == true)
}

extension String {
  fileprivate func components(before word: String) -> String { firstRange(of: word).map { String(self[..<$0.lowerBound]) } ?? self }
}
