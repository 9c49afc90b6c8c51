internal import MillBase

/// The graph as indented text: each part below the one it reads; a union whole below the first, with what comes behind it, and by its name
/// below the others.
extension PipelineGraph {
  package func text() -> String {
    var lines = ["pipeline \(pipeline)", ""]
    var drawn: Set<String> = []
    for root in nodes where root.inputs.isEmpty && root.kind != .deadLetters { append(root, depth: 0, &drawn, to: &lines) }
    for letters in nodes where letters.kind == .deadLetters { append(letters, depth: 0, &drawn, to: &lines) }
    let sinks = nodes.filter { $0.kind == .clickhouse }.map(\.name)
    for sink in sinks {
      lines.append(sinks.count == 1 ? "fields" : "fields of \(sink)")
      append(fields.filter { $0.sink == sink }, to: &lines)
      lines.append("")
    }
    lines += ["plan \(planHash.paddedHex): what decides the rows; a change of it is recorded with the state"]
    lines += plan.split(separator: "\n").map { "  " + $0 }
    return lines.joined(separator: "\n") + "\n"
  }

  private func append(_ fields: [FieldPath], to lines: inout [String]) {
    let rows = [["FIELD", "TYPE", "FROM", "COLUMN"]] + fields.map { [$0.field, $0.type, $0.from, $0.column] }
    let widths = (0..<4).map { column in rows.map { $0[column].count }.max() ?? 0 }
    for row in rows {
      let cells = row.enumerated().map { index, cell in
        index == 3 ? cell : cell + String(repeating: " ", count: widths[index] - cell.count + 2)
      }
      lines.append("  " + cells.joined())
    }
  }

  private func shown(_ fields: [Node.Field]) -> String { fields.map { "\($0.name) \($0.type)" }.joined(separator: ", ") }

  private func append(_ node: Node, depth: Int, _ drawn: inout Set<String>, to lines: inout [String]) {
    let margin = String(repeating: "   ", count: depth)
    let head = "\(depth == 0 ? "" : String(repeating: "   ", count: depth - 1) + "└─ ")\(node.name) (\(node.kind.rawValue)"
    guard drawn.insert(node.name).inserted else {
      lines += [head + ", above)", ""]
      return
    }
    lines.append(head + ")")
    let next = nodes.filter { $0.inputs.contains(node.name) }
    let bar = next.isEmpty ? "  " : "│ "
    let width = node.facts.map(\.name.count).max() ?? 0
    for fact in node.facts {
      lines.append("\(margin)\(bar) \(fact.name)\(String(repeating: " ", count: width - fact.name.count + 2))\(fact.value)")
    }
    if case .operator = node.kind {
      lines.append("\(margin)\(bar) gives\(String(repeating: " ", count: max(1, width - 3)))\(shown(node.output))")
    }
    if next.isEmpty { lines.append("") }
    for node in next { append(node, depth: depth + 1, &drawn, to: &lines) }
  }
}
