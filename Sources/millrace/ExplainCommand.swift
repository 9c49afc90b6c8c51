internal import MillBase
internal import MillConfig

/// How `millrace explain` draws.
enum GraphFormat: String, CaseIterable {
  case text, mermaid, json
}

/// `millrace explain FILE`: the graph and the plan; connects to nothing.
func explainFile(_ arguments: Arguments, _ logger: Logger) throws(UsageError) -> ExitCode {
  let format = try arguments.choice("--format", default: GraphFormat.text)
  guard let pipeline = loadPipeline(arguments.positional[0]) else { return .invalidFile }
  let graph = PipelineGraph(pipeline)
  switch format {
  case .text: Output.out(graph.text())
  case .mermaid: Output.out(graph.mermaid())
  case .json: Output.json(json(graph) + "\n")
  }
  return .done
}

private func json(_ graph: PipelineGraph) -> String {
  let nodes = graph.nodes.map { node in
    let facts = node.facts.map { "\(jsonText($0.name)):\(jsonText($0.value))" }.joined(separator: ",")
    let output = node.output.map { "{\"name\":\(jsonText($0.name)),\"type\":\(jsonText($0.type))}" }
    // What reads one part has it as `input` too.
    let input = node.inputs.count == 1 ? jsonText(node.inputs[0]) : "null"
    return "{\"name\":\(jsonText(node.name)),\"kind\":\"\(node.kind.rawValue)\",\"input\":\(input),"
      + "\"inputs\":[\(node.inputs.map(jsonText).joined(separator: ","))],"
      + "\"facts\":{\(facts)},\"output\":[\(output.joined(separator: ","))]}"
  }
  let fields = graph.fields.map { field in
    "{\"field\":\(jsonText(field.field)),\"type\":\(jsonText(field.type)),\"from\":\(jsonText(field.from)),"
      + "\"column\":\(jsonText(field.column)),\"sink\":\(jsonText(field.sink))}"
  }
  return "{\"pipeline\":\(jsonText(graph.pipeline)),\"nodes\":[\(nodes.joined(separator: ","))],"
    + "\"fields\":[\(fields.joined(separator: ","))],\"plan\":\(jsonText(graph.plan)),\"plan_hash\":\"\(graph.planHash.paddedHex)\"}"
}
