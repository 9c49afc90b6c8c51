import Foundation
import MillConfig
import Testing

@Test func `the graph names every part once, each with what it reads`() throws {
  let graph = PipelineGraph(try read(plain))
  #expect(graph.nodes.map(\.name) == ["transactions", "unique", "table", "dead letters"])
  #expect(graph.nodes.map(\.inputs) == [[], ["transactions"], ["unique"], []])
  let alone = changed("input: unique", "input: transactions")
    .replacingOccurrences(
      of: "operators:\n  unique:\n    deduplicate: {input: transactions, key: [transaction_id], within: 24h}\n", with: "")
  #expect(PipelineGraph(try read(alone)).nodes.map(\.kind) == [.source, .clickhouse, .deadLetters])
}

@Test func `the text shows each field's way, the facts of each part and the plan`() throws {
  let pipeline = try read(changed("amount: Decimal(18, 2)", "amount: {type: \"Decimal(18, 2)\", from: pay.amount}"))
  let text = PipelineGraph(pipeline).text()
  #expect(text.contains("transactions (source)\n│  topic       transactions-topic\n"))
  #expect(text.contains("└─ unique (deduplicate)\n   │  key               transaction_id\n"))
  #expect(text.contains("   └─ table (clickhouse)\n         table              default.payments\n"))
  #expect(text.contains("  amount          Decimal(18, 2)  pay.amount      amount\n"))
  for line in planText(pipeline).split(separator: "\n") { #expect(text.contains("  \(line)\n")) }
}

@Test(arguments: ["unique", "transactions"])
func `a sink can't have the name of a source or operator: the graph would run in a circle`(_ name: String) {
  let found = problems(changed("  table:\n", "  \(name):\n"))
  #expect(found.map(\.path) == ["sinks.\(name)"] && found.first?.message.contains("has this name already") == true, "\(found)")
}

@Test func `a field that feeds two columns has a way to each`() throws {
  let graph = PipelineGraph(try read(changed("table: payments", "table: t\n      columns: {a: amount, b: amount}")))
  #expect(graph.fields.map(\.field) == ["transaction_id", "amount", "amount", "paid_at"])
  #expect(graph.fields.map(\.column) == ["transaction_id", "a", "b", "paid_at"])
}

@Test func `Mermaid gets every edge, and no name can end a label`() throws {
  let mermaid = PipelineGraph(try read(changed("topic: transactions-topic", "topic: a.b_c-d"))).mermaid()
  #expect(mermaid.hasPrefix("flowchart LR\n"))
  for edge in [
    "n0 --> n1", "n1 --> n2", "n0 -. \"can't be decoded\" .-> n3", "n1 -. \"late\" .-> n3", "n2 -. \"refused by the server\" .-> n3",
  ] {
    #expect(mermaid.contains("  \(edge)\n"), "\(edge)")
  }
  let odd = try read(changed("table: payments", "table: \"a\\\"]<b>#\""))
  let label = try #require(PipelineGraph(odd).mermaid().split(separator: "\n").first { $0.contains("n2[(") })
  #expect(label.filter { $0 == "\"" }.count == 2 && label.contains("default.a#34;]#60;b#62;#35;"))
}
