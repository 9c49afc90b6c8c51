package import MillFlow
package import MillOperators

/// What stands between the sources and the sinks, each reading sources or nodes before it.
package enum PipelineNode: Sendable {
  case `operator`(any FileOperator)
  /// ``Pipeline/deduplicate``.
  case deduplicate(name: String, input: String)
  case union(UnionPlan)

  package var name: String {
    switch self {
    case .operator(let plan): plan.name
    case .deduplicate(let name, _): name
    case .union(let plan): plan.name
    }
  }

  /// What it reads, in the file's order; one but for a union.
  package var inputs: [String] {
    switch self {
    case .operator(let plan): [plan.input]
    case .deduplicate(_, let input): [input]
    case .union(let plan): plan.inputs
    }
  }
}

extension PipelineNode: Hashable {
  /// What decides its rows, and how they are called.
  private var text: [String] {
    switch self {
    case .operator(let plan): [plan.name, plan.input, plan.onError.rawValue] + plan.planLines
    case .deduplicate(let name, let input): [name, input]
    case .union(let plan): [plan.name] + plan.inputs + plan.schema.fields.map { "\($0.name) \($0.type)" }
    }
  }

  package static func == (left: PipelineNode, right: PipelineNode) -> Bool { left.text == right.text }
  package func hash(into hasher: inout Hasher) { hasher.combine(text) }
}

extension Pipeline {
  func node(_ name: String) -> PipelineNode? { nodes.first { $0.name == name } }

  /// Index into ``sources``; nil where no source has the name.
  package func sourceIndex(_ name: String) -> Int? { sources.firstIndex { $0.plan.name == name } }

  /// Names and types of the rows that the source or node of this name gives.
  package func schema(of name: String) -> Schema {
    var name = name
    while let node = node(name) {
      switch node {
      case .operator(let plan): return plan.schema
      case .union(let plan): return plan.schema
      case .deduplicate(_, let input): name = input
      }
    }
    guard let index = sourceIndex(name) else { preconditionFailure("there is no source or operator \(name)") }
    return sources[index].plan.schema
  }

  /// Indexes of the sources whose rows come to the source or node of this name, rising.
  package func sources(of name: String) -> [Int] {
    var seen: Set<String> = []
    var open = [name]
    var found: [Int] = []
    while let name = open.popLast() {
      guard seen.insert(name).inserted else { continue }
      if let node = node(name) { open += node.inputs } else if let index = sourceIndex(name) { found.append(index) }
    }
    return found.sorted()
  }

  /// The deduplicate's settings of a pipeline that has the node.
  var deduplicateSettings: DeduplicateSettings {
    guard let deduplicate else { preconditionFailure("a node without its deduplicate") }
    return deduplicate
  }
}
