package import MillFlow
package import MillOperators

/// How rows go from the source to the sinks: a tree of nodes.
package struct GraphPlan: Sendable {
  package struct Node: Sendable {
    /// The number of the node that it reads, less than its own; nil: the source.
    package var input: Int?
    package var kind: Kind

    package init(input: Int?, kind: Kind) {
      self.input = input
      self.kind = kind
    }
  }

  package enum Kind: Sendable {
    case `operator`(any OperatorPlan)
    /// The one whose plan and state the engine has.
    case deduplicate
  }

  enum Reader {
    case node(Int)
    case sink(Int)
  }

  package let nodes: [Node]
  /// Of each sink the node that it reads; nil: the source.
  package let sinks: [Int?]
  /// Of the rows that each sink gets.
  package let sinkTypes: [[DataType]]
  /// Of the rows that enter the deduplicate; without one, the source's.
  let deduplicateTypes: [DataType]
  /// Who reads what: first of the source, then of each node.
  let readers: [[Reader]]
  /// Whether no node makes anything of its own.
  let isPlain: Bool

  /// - Parameter types: of the source's rows.
  package init(source types: [DataType], nodes: [Node], sinks: [Int?]) {
    self.nodes = nodes
    self.sinks = sinks
    var outputs: [[DataType]] = [types]
    var readers = [[Reader]](repeating: [], count: nodes.count + 1)
    var deduplicateTypes = types
    for (number, node) in nodes.enumerated() {
      precondition(node.input ?? -1 < number, "node \(number) reads \(node.input ?? -1)")
      let input = node.input.map { $0 + 1 } ?? 0
      readers[input].append(.node(number))
      switch node.kind {
      case .deduplicate:
        deduplicateTypes = outputs[input]
        outputs.append(outputs[input])
      case .operator(let plan):
        precondition(plan.inputSchema.types == outputs[input], "operator \(plan.name) is for other rows than those it gets")
        outputs.append(plan.schema.types)
      }
    }
    for (number, sink) in sinks.enumerated() { readers[sink.map { $0 + 1 } ?? 0].append(.sink(number)) }
    sinkTypes = sinks.map { outputs[$0.map { $0 + 1 } ?? 0] }
    self.readers = readers
    self.deduplicateTypes = deduplicateTypes
    isPlain = nodes.allSatisfy { if case .deduplicate = $0.kind { true } else { false } }
  }

  /// A source, perhaps a deduplicate, and sinks that each get all rows.
  package static func chain(_ source: SourcePlan, deduplicates: Bool, sinkCount: Int) -> GraphPlan {
    GraphPlan(
      source: source.types, nodes: deduplicates ? [Node(input: nil, kind: .deduplicate)] : [],
      sinks: Array(repeating: deduplicates ? 0 : nil, count: sinkCount))
  }
}
