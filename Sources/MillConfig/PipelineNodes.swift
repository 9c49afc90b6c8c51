package import MillFlow
internal import MillOperators

/// What stands between the source and the sinks, each reading the source or one before it.
package enum PipelineNode: Sendable {
  case `operator`(any FileOperator)
  /// ``Pipeline/deduplicate``.
  case deduplicate(name: String, input: String)

  package var name: String {
    switch self {
    case .operator(let plan): plan.name
    case .deduplicate(let name, _): name
    }
  }

  package var input: String {
    switch self {
    case .operator(let plan): plan.input
    case .deduplicate(_, let input): input
    }
  }
}

extension PipelineNode: Hashable {
  /// What decides its rows, and how they are called.
  private var text: [String] {
    switch self {
    case .operator(let plan): [plan.name, plan.input, plan.onError.rawValue] + plan.planLines
    case .deduplicate(let name, let input): [name, input]
    }
  }

  package static func == (left: PipelineNode, right: PipelineNode) -> Bool { left.text == right.text }
  package func hash(into hasher: inout Hasher) { hasher.combine(text) }
}

extension Pipeline {
  private func node(_ name: String) -> PipelineNode? { nodes.first { $0.name == name } }

  /// Names and types of the rows that the source or node of this name gives.
  package func schema(of name: String) -> Schema {
    var name = name
    while let node = node(name) {
      if case .operator(let plan) = node { return plan.schema }
      name = node.input
    }
    precondition(name == source.plan.name, "there is no source or operator \(name)")
    return source.plan.schema
  }

  /// The field at `target`, the source or a node, that a field at `name` is without any change; nil: none, or `name` doesn't come from it.
  package func trace(_ field: Int, from name: String, to target: String) -> Int? {
    var (field, name) = (field, name)
    while name != target {
      guard let node = node(name) else { return nil }
      if case .operator(let plan) = node {
        guard let origin = plan.origin(of: field) else { return nil }
        field = origin
      }
      name = node.input
    }
    return field
  }

  /// The key of the deduplicate: how values of its fields are written. A field of the source is read as it is there.
  package var keyFields: [FieldPlan] {
    guard let deduplicate else { return [] }
    let schema = schema(of: deduplicate.input)
    return deduplicate.key.map { index in
      let field = schema.fields[index]
      if let origin = trace(index, from: deduplicate.input, to: source.plan.name), source.plan.fields[origin].name == field.name {
        return source.plan.fields[origin]
      }
      return Self.plan(field)
    }
  }

  /// A field that a node has made, as one of a source: what a select takes has been checked so.
  static func plan(_ field: Schema.Field) -> FieldPlan {
    do throws(PlanProblem) { return try FieldPlan(name: field.name, type: field.type, source: .path([field.name])) } catch {
      preconditionFailure("a select let field \(field.name) pass: \(error.message)")
    }
  }

  /// Whether no two rows of a sink's table can be equal. A key that is kept again once its window has passed has another event time; both
  /// must be in the table as they were when the row was kept.
  package func rowsAreDistinct(_ sink: ClickHouseSettings) -> Bool {
    guard let deduplicate, deduplicate.time == .event, let time = source.plan.eventTime?.fieldIndex else { return false }
    let fields = Set(sink.columns.map(\.field))
    let hasTime = fields.contains { trace($0, from: sink.input, to: source.plan.name) == time }
    let keys = Set(fields.compactMap { trace($0, from: sink.input, to: deduplicate.input) })
    return hasTime && keys.isSuperset(of: deduplicate.key)
  }
}
