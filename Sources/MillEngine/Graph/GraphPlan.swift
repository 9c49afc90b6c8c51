package import MillFlow
package import MillOperators

/// How rows go from the sources to the sinks: nodes, each reading sources or nodes before it.
package struct GraphPlan: Sendable {
  /// Where rows come from: one of the sources, or a node, by its number.
  package enum Input: Hashable, Sendable { case source(Int), node(Int) }

  package struct Node: Sendable {
    /// One, but of a union.
    package var inputs: [Input]
    package var kind: Kind

    package init(inputs: [Input], kind: Kind) {
      self.inputs = inputs
      self.kind = kind
    }
  }

  package enum Kind: Sendable {
    case `operator`(any OperatorPlan)
    /// The one whose plan and state the engine has.
    case deduplicate
    /// Rows of all inputs. Index: input; what brings its rows to the union's fields; nil: they have them.
    case union(adapters: [(any OperatorPlan)?])
  }

  enum Reader {
    /// `input`: which of the node's.
    case node(Int, input: Int)
    case sink(Int)
  }

  package let nodes: [Node]
  /// What each sink reads.
  package let sinks: [Input]
  /// Of the rows that each sink gets.
  package let sinkTypes: [[DataType]]
  /// Of the rows that enter the deduplicate; empty without one.
  let deduplicateTypes: [DataType]
  /// Sources whose rows reach the deduplicate, ascending; without one all. They have one watermark.
  let deduplicateSources: [Int]
  /// Who reads each source.
  let sourceReaders: [[Reader]]
  /// Who reads each node.
  let nodeReaders: [[Reader]]
  /// Whether no node makes anything of its own.
  let isPlain: Bool

  /// - Parameter sources: types of each source's rows.
  package init(sources: [[DataType]], nodes: [Node], sinks: [Input]) {
    self.nodes = nodes
    self.sinks = sinks
    var outputs: [[DataType]] = []
    var origins: [Set<Int>] = []
    var sourceReaders = [[Reader]](repeating: [], count: sources.count)
    var nodeReaders = [[Reader]](repeating: [], count: nodes.count)
    var deduplicateTypes: [DataType] = []
    var deduplicateSources = Array(sources.indices)
    func types(_ input: Input) -> [DataType] {
      switch input {
      case .source(let source): sources[source]
      case .node(let node): outputs[node]
      }
    }
    func add(_ reader: Reader, to input: Input) {
      switch input {
      case .source(let source): sourceReaders[source].append(reader)
      case .node(let node): nodeReaders[node].append(reader)
      }
    }
    for (number, node) in nodes.enumerated() {
      for (index, input) in node.inputs.enumerated() {
        if case .node(let before) = input { precondition(before < number, "node \(number) reads \(before)") }
        add(.node(number, input: index), to: input)
      }
      let its = node.inputs.map(types)
      outputs.append(Self.output(node, its))
      origins.append(
        node.inputs.reduce(into: []) { all, input in
          switch input {
          case .source(let source): all.insert(source)
          case .node(let node): all.formUnion(origins[node])
          }
        })
      if case .deduplicate = node.kind { (deduplicateTypes, deduplicateSources) = (its[0], origins[number].sorted()) }
    }
    for (number, input) in sinks.enumerated() { add(.sink(number), to: input) }
    sinkTypes = sinks.map(types)
    self.sourceReaders = sourceReaders
    self.nodeReaders = nodeReaders
    self.deduplicateTypes = deduplicateTypes
    self.deduplicateSources = deduplicateSources
    isPlain = nodes.allSatisfy { node in
      switch node.kind {
      case .deduplicate: true
      case .operator: false
      case .union(let adapters): adapters.allSatisfy { $0 == nil }
      }
    }
  }

  private static func output(_ node: Node, _ inputs: [[DataType]]) -> [DataType] {
    switch node.kind {
    case .deduplicate: return inputs[0]
    case .operator(let plan):
      precondition(plan.inputSchema.types == inputs[0], "operator \(plan.name) is for other rows than those it gets")
      return plan.schema.types
    case .union(let adapters):
      precondition(adapters.count == inputs.count, "\(adapters.count) adapters for \(inputs.count) inputs")
      let outputs = zip(adapters, inputs).map { adapter, types in
        precondition(adapter == nil || adapter?.inputSchema.types == types, "a union's adapter is for other rows than those it gets")
        return adapter?.schema.types ?? types
      }
      precondition(outputs.allSatisfy { $0 == outputs[0] }, "the inputs of a union have rows of different types")
      return outputs[0]
    }
  }

  /// A source, perhaps a deduplicate, and sinks that each get all rows.
  package static func chain(_ source: SourcePlan, deduplicates: Bool, sinkCount: Int) -> GraphPlan {
    GraphPlan(
      sources: [source.types], nodes: deduplicates ? [Node(inputs: [.source(0)], kind: .deduplicate)] : [],
      sinks: Array(repeating: deduplicates ? .node(0) : .source(0), count: sinkCount))
  }
}
