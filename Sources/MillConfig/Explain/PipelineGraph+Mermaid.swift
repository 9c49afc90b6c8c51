internal import MillOperators

/// The graph as a Mermaid flowchart, as Markdown renderers draw it.
extension PipelineGraph {
  package func mermaid() -> String {
    var lines = ["flowchart LR"]
    for (index, node) in nodes.enumerated() {
      let label = ([node.name, node.kind.rawValue] + node.facts.prefix(3).map { "\($0.name): \($0.value)" }).map(escaped)
      let (open, close) =
        node.kind == .source || node.kind == .deadLetters ? ("([", "])") : node.kind == .clickhouse ? ("[(", ")]") : ("[", "]")
      lines.append("  n\(index)\(open)\"\(label.joined(separator: "<br/>"))\"\(close)")
    }
    // Types change on the way only where something is computed.
    let hasOperators = nodes.contains { if case .operator = $0.kind { true } else { false } }
    let letters = nodes.firstIndex { $0.kind == .deadLetters }
    for (index, node) in nodes.enumerated() {
      for input in node.inputs {
        guard let from = nodes.firstIndex(where: { $0.name == input && $0.kind != .deadLetters }) else { continue }
        // A label of many fields would be wider than the graph.
        let fields = nodes[from].output.prefix(6).map { "\($0.name): \($0.type)" } + (nodes[from].output.count > 6 ? ["…"] : [])
        let label = fields.map(escaped).joined(separator: "<br/>")
        lines.append(hasOperators ? "  n\(from) -- \"\(label)\" --> n\(index)" : "  n\(from) --> n\(index)")
      }
      if let letters, let reason = refuses(node.kind) { lines.append("  n\(index) -. \"\(reason)\" .-> n\(letters)") }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// What of a part's input goes to the dead letters.
  private func refuses(_ kind: Node.Kind) -> String? {
    switch kind {
    case .source: "can't be decoded"
    case .deduplicate: "late"
    case .operator(UnionPlan.word): nil
    case .operator: "an expression fails"
    case .clickhouse: "refused by the server"
    case .deadLetters: nil
    }
  }

  /// Mermaid takes entity codes in quoted labels; everything else that could end one is written so.
  private func escaped(_ text: String) -> String {
    text.unicodeScalars.map { scalar in
      switch scalar {
      case "\"", "#", "<", ">", "&", "\\", "`": "#\(scalar.value);"
      case _ where scalar.value < 0x20: "#\(scalar.value);"
      default: String(scalar)
      }
    }.joined()
  }
}
