import Foundation
import MillConfig
import Testing

@Test func `the graph names every part once, each with what it reads`() throws {
  let graph = PipelineGraph(try read(plain))
  #expect(graph.nodes.map(\.name) == ["transactions", "unique", "table", "dead letters"])
  #expect(graph.nodes.map(\.input) == [nil, "transactions", "unique", nil])
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
