internal import MillFlow
internal import MillOperators

/// What stands in front of the deduplicate and behind it: filters and selects, drawn apart from all else of the scenario.
///
/// Each step says what it does twice: as a text for the engine, and in the plainest Swift for the oracle. No code is shared.
package struct Shaping: Hashable, Sendable {
  package enum Errors: String, Hashable, Sendable {
    case deadLetter = "dead_letter"
    case skip
  }

  package struct Step: Hashable, Sendable {
    package var work: Work
    package var errors: Errors

    package init(work: Work, errors: Errors) {
      self.work = work
      self.errors = errors
    }
  }

  package enum Work: Hashable, Sendable {
    case filter(Condition)
    case select(Change)
  }

  package enum Condition: Hashable, Sendable {
    case amountAbove(Int64)
    /// NULL where the group is 0.
    case groupIsNot0
    /// Fails where the group is 0.
    case quotientAbove(Int64)
    /// Fails for the greatest amounts.
    case sumFits(Int64)
    case always, never
  }

  package enum Change: Hashable, Sendable {
    /// Only in another order.
    case order
    /// Fails where the group is 0.
    case amountByGroup
    case amountLess(Int64)
    /// The key's text is cut: keys become one. In front only, and of one text.
    case shortID
    /// Seconds on the field; the event time is the record's still.
    case later(Int64)
  }

  package var before: [Step] = []
  package var behind: [Step] = []

  package init(seed: UInt64, hasTwoKeys: Bool) {
    let draws = Draws.stream(seed: seed, "shaping")
    guard draws.chance(0.4) else { return }
    before = Self.steps(draws, hasTwoKeys: hasTwoKeys, isBehind: false)
    behind = Self.steps(draws, hasTwoKeys: hasTwoKeys, isBehind: true)
  }

  /// None.
  package init() {}

  private static func steps(_ draws: Draws, hasTwoKeys: Bool, isBehind: Bool) -> [Step] {
    (0..<draws.pick([0, 1, 1, 2, 3])).map { _ in
      let errors = draws.pick([Errors.deadLetter, .skip])
      guard draws.chance(0.5) else { return Step(work: .filter(condition(draws)), errors: errors) }
      let change = draws.pick([
        Change.order, .amountByGroup, .amountLess(draws.within(Int64(0)...9)), .shortID, .later(draws.within(Int64(1)...90)),
      ])
      return Step(work: .select(change == .shortID && (hasTwoKeys || isBehind) ? .order : change), errors: errors)
    }
  }

  private static func condition(_ draws: Draws) -> Condition {
    draws.pick([
      .amountAbove(draws.within(Int64(-400_000)...300_000)), .groupIsNot0, .quotientAbove(draws.within(Int64(0)...60)),
      .sumFits(draws.within(Int64(0)...400_000)), .always, draws.chance(0.1) ? .never : .always,
    ])
  }

  /// Whether a record may be lost to an expression that fails.
  package var mayFail: Bool {
    (before + behind).contains { step in
      switch step.work {
      case .filter(.quotientAbove), .filter(.sumFits), .select(.amountByGroup): true
      default: false
      }
    }
  }
}

/// For the engine.
extension Shaping {
  /// What the source's rows go through; the deduplicate and the sink in their places.
  func graph(_ source: SourcePlan) -> (nodes: [any OperatorPlan], deduplicateAt: Int, schema: Schema) {
    var schema = source.schema
    var input = source.name
    var plans: [any OperatorPlan] = []
    for (number, step) in (before + behind).enumerated() {
      let plan = Self.plan(step, name: "step-\(number)", input: input, schema)
      (schema, input) = (plan.schema, plan.name)
      plans.append(plan)
    }
    return (plans, before.count, schema)
  }

  private static func plan(_ step: Step, name: String, input: String, _ schema: Schema) -> any OperatorPlan {
    let onError = OnError(rawValue: step.errors.rawValue) ?? .fail
    func parsed(_ text: String) -> Expression {
      do throws(ExpressionProblem) { return try Expression.parse(text, schema) } catch { preconditionFailure("\(text): \(error)") }
    }
    switch step.work {
    case .filter(let condition):
      return FilterPlan(name: name, input: input, schema: schema, condition: parsed(text(condition)), onError: onError)
    case .select(let change):
      var fields = schema.fields.map { (name: $0.name, expression: parsed($0.name)) }
      func replace(_ field: String, _ text: String) {
        if let index = fields.firstIndex(where: { $0.name == field }) { fields[index].expression = parsed(text) }
      }
      switch change {
      // The key's fields stay where the deduplicate's plan has them.
      case .order:
        fields =
          fields.filter { $0.name.hasPrefix("event") || $0.name == "sub" }
          + fields.filter { !$0.name.hasPrefix("event") && $0.name != "sub" }.reversed()
      case .amountByGroup: replace("amount", "intDiv(amount, k)")
      case .amountLess(let number): replace("amount", "amount - \(number)")
      case .shortID: replace("event_id", "substring(event_id, 1, 2)")
      case .later(let seconds): replace("at", "addSeconds(at, \(seconds))")
      }
      return SelectPlan(name: name, input: input, inputSchema: schema, fields: fields, onError: onError)
    }
  }

  private static func text(_ condition: Condition) -> String {
    switch condition {
    case .amountAbove(let number): "amount > \(number)"
    case .groupIsNot0: "nullIf(k, 0) > 0"
    case .quotientAbove(let number): "intDiv(100, k) > \(number)"
    case .sumFits(let number): "amount + \(Int64.max - number) != 0"
    case .always: "event_id != ''"
    case .never: "event_id = ''"
    }
  }
}

/// For the oracle.
extension Shaping {
  enum Verdict {
    case passes(LogicalRecord.Event)
    case filtered
    case failed(Errors)
  }

  static func judge(_ steps: [Step], _ event: LogicalRecord.Event) -> Verdict {
    var event = event
    for step in steps {
      switch step.work {
      case .filter(let condition):
        guard let isTrue = holds(condition, event) else { return .failed(step.errors) }
        if !isTrue { return .filtered }
      case .select(let change):
        guard apply(change, to: &event) else { return .failed(step.errors) }
      }
    }
    return .passes(event)
  }

  /// Nil where it fails.
  private static func holds(_ condition: Condition, _ event: LogicalRecord.Event) -> Bool? {
    switch condition {
    case .amountAbove(let number): return event.amount > number
    case .groupIsNot0: return event.group > 0
    case .quotientAbove(let number): return event.group == 0 ? nil : 100 / Int64(event.group) > number
    case .sumFits(let number): return event.amount > number ? nil : event.amount != number - Int64.max
    case .always: return true
    case .never: return false
    }
  }

  /// False where it fails.
  private static func apply(_ change: Change, to event: inout LogicalRecord.Event) -> Bool {
    switch change {
    case .order: break
    case .amountByGroup:
      if event.group == 0 { return false }
      // The sign is the amount's, what is left over goes.
      let magnitude = Int64(event.amount.magnitude) / Int64(event.group)
      event.amount = event.amount < 0 ? -magnitude : magnitude
    case .amountLess(let number): event.amount -= number
    case .shortID:
      event.text = String(event.eventID.prefix(2))
      event.id = 0
    case .later(let seconds): event.atShift += seconds * 1000
    }
    return true
  }
}
