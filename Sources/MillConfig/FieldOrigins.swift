package import MillFlow
internal import MillOperators

/// Where the values of a field come from, back through the nodes.
package enum FieldOrigin: Hashable, Sendable {
  /// A field of a source: indexes into ``Pipeline/sources`` and its fields. The values are its own, perhaps in a wider type.
  case source(Int, field: Int)
  /// The operator of this name computes them.
  case computed(String)
}

extension Pipeline {
  /// Where the values of a field of the rows of `name`, a source or node, come from: each origin once, those of a union in the order of its
  /// inputs.
  package func origins(of field: Int, at name: String) -> [FieldOrigin] {
    var found: [FieldOrigin] = []
    eachWay(field, from: name) { name, field, node in
      guard let node else {
        if let index = sourceIndex(name) { found.append(.source(index, field: field)) }
        return
      }
      if case .operator(let plan) = node, plan.origin(of: field) == nil { found.append(.computed(name)) }
    }
    return found
  }

  /// The field of the rows of `target` that a field of the rows of `name` has the values of, whichever way the rows came; nil: none, or
  /// another one by another way.
  package func trace(_ field: Int, from name: String, to target: String) -> Int? {
    var found: Set<Int?> = []
    eachWay(field, from: name) { name, field, node in
      if name == target {
        found.insert(field)
      } else if case .operator(let plan) = node {
        if plan.origin(of: field) == nil { found.insert(nil) }
      } else if node == nil {
        found.insert(nil)
      }
    } isEnd: {
      $0 == target
    }
    return found.count == 1 ? found.first ?? nil : nil
  }

  /// Calls `body` for the field and all that it has its values of, each node and field once.
  private func eachWay(
    _ field: Int, from name: String, _ body: (String, Int, PipelineNode?) -> Void, isEnd: (String) -> Bool = { _ in false }
  ) {
    let nodes = Dictionary(nodes.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    var seen: [String: Set<Int>] = [:]
    var open = [(name, field)]
    while let (name, field) = open.popLast() {
      guard seen[name, default: []].insert(field).inserted else { continue }
      let node = nodes[name]
      body(name, field, node)
      if isEnd(name) { continue }
      switch node {
      case nil: break
      case .operator(let plan): if let origin = plan.origin(of: field) { open.append((plan.input, origin)) }
      case .deduplicate(_, let input): open.append((input, field))
      case .union(let plan):
        for (index, input) in plan.inputs.enumerated().reversed() { open.append((input, plan.origin(of: field, input: index))) }
      }
    }
  }

  /// The key of the deduplicate: how values of its fields are written. A field that all sources read alike is read as it is there.
  package var keyFields: [FieldPlan] {
    guard let deduplicate else { return [] }
    let schema = schema(of: deduplicate.input)
    return deduplicate.key.map { index in
      let field = schema.fields[index]
      let plans = origins(of: index, at: deduplicate.input).map { origin -> FieldPlan? in
        guard case .source(let source, let field) = origin else { return nil }
        return sources[source].plan.fields[field]
      }
      if let plan = plans.first ?? nil, plan.name == field.name, plan.type == field.type,
        plans.allSatisfy({ $0.map { plan.isWritten(as: $0) } ?? false })
      {
        return plan
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
  /// must be in the table as they were when the row was kept. A union behind the deduplicate may bring a row twice.
  package func rowsAreDistinct(_ sink: ClickHouseSettings) -> Bool {
    guard let deduplicate, deduplicate.time == .event else { return false }
    var name = sink.input
    while name != deduplicate.name {
      guard case .operator(let plan) = node(name) else { return false }
      name = plan.input
    }
    let times = sources(of: deduplicate.input).map { index in
      sources[index].plan.eventTime.map { FieldOrigin.source(index, field: $0.fieldIndex) }
    }
    let fields = Set(sink.columns.map(\.field)).compactMap { trace($0, from: sink.input, to: deduplicate.input) }
    // One field that is the time of every source: with another one for each, rows of two sources may be equal and their times not.
    let hasTime = fields.contains { field in Set(origins(of: field, at: deduplicate.input).map(Optional.some)) == Set(times) }
    return hasTime && Set(fields).isSuperset(of: deduplicate.key)
  }
}

extension FieldPlan {
  /// Whether the same text is the same value for another source's field.
  fileprivate func isWritten(as other: FieldPlan) -> Bool {
    type == other.type && format == other.format && coerce == other.coerce && truncate == other.truncate
  }
}
