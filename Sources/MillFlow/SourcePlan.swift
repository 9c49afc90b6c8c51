/// What becomes of a record that can't be decoded.
package enum OnError: String, Hashable, Sendable, CaseIterable {
  case deadLetter = "dead_letter"
  /// Counted and dropped, as the user asked for.
  case skip
  /// The pipeline stops with the record's place and reason.
  case fail
}

/// Where a record's own time comes from and how far it is trusted. All times in milliseconds.
package struct EventTimePlan: Hashable, Sendable {
  /// Index into ``SourcePlan/fields``.
  package let fieldIndex: Int
  package let outOfOrderness: Int64
  /// A partition without records for so long doesn't hold the watermark back.
  package let idleAfter: Int64
  /// An event time further ahead of the record's timestamp is an error of the record.
  package let maxAhead: Int64
  /// Ahead of the epoch's clock as well.
  package let measuresClock: Bool

  package init(fieldIndex: Int, outOfOrderness: Int64, idleAfter: Int64, maxAhead: Int64 = 10 * 60_000, measuresClock: Bool = true) {
    self.fieldIndex = fieldIndex
    self.outOfOrderness = outOfOrderness
    self.idleAfter = idleAfter
    self.maxAhead = maxAhead
    self.measuresClock = measuresClock
  }
}

/// One topic and how its records become rows.
package struct SourcePlan: Hashable, Sendable {
  package let name: String
  package let topic: String
  /// In the order of the columns.
  package let fields: [FieldPlan]
  /// nil: records have no time of their own, the epoch's clock counts.
  package private(set) var eventTime: EventTimePlan?
  package let onError: OnError
  /// nil: none, as in releases before replay version 3.
  package var limits: RecordLimits?

  /// Throws the first thing that doesn't fit.
  package init(name: String, topic: String, fields: [FieldPlan], eventTime: EventTimePlan? = nil, onError: OnError = .deadLetter)
    throws(PlanProblem)
  {
    self.name = name
    self.topic = topic
    self.fields = fields
    self.eventTime = eventTime
    self.onError = onError
    guard !fields.isEmpty else {
      throw PlanProblem(
        field: nil, setting: "fields", message: "source '\(name)' has no fields", remedy: "at least one field, as in user_id: String")
    }
    guard fields.count <= 4096 else {
      throw PlanProblem(
        field: nil, setting: "fields", message: "source '\(name)' has \(fields.count) fields", remedy: "at most 4096 fields")
    }
    var names: Set<String> = []
    for field in fields where !names.insert(field.name).inserted {
      throw PlanProblem(field: field.name, setting: "name", message: "field '\(field.name)' is named twice", remedy: "each field once")
    }
    if let eventTime { try checkEventTime(eventTime) }
  }

  /// The same records and fields, with other bounds of event time; of the same field, so that it can't fail.
  package func replacing(eventTime: EventTimePlan) -> SourcePlan {
    precondition(eventTime.fieldIndex == self.eventTime?.fieldIndex, "event time of another field")
    var plan = self
    plan.eventTime = eventTime
    return plan
  }

  /// Types of the fields, in their order: what a ``RowBlock`` for this source is made of.
  package var types: [DataType] { fields.map(\.type) }

  /// Of its rows.
  package var schema: Schema { Schema(fields.map { Schema.Field(name: $0.name, type: $0.type) }) }

  /// Whether a field takes its value from a record's headers.
  package var readsHeaders: Bool {
    fields.contains { if case .metadata(.header) = $0.source { true } else { false } }
  }

  /// Index of the field with this name.
  package func fieldIndex(named name: String) -> Int? { fields.firstIndex { $0.name == name } }

  private func checkEventTime(_ eventTime: EventTimePlan) throws(PlanProblem) {
    guard fields.indices.contains(eventTime.fieldIndex) else {
      throw PlanProblem(
        field: nil, setting: "event_time", message: "event_time names field number \(eventTime.fieldIndex) of \(fields.count)",
        remedy: "one of the source's fields")
    }
    let field = fields[eventTime.fieldIndex]
    guard field.isTime else {
      throw PlanProblem(
        field: field.name, setting: "event_time", message: "event_time can't be read from '\(field.name)' of type \(field.type)",
        remedy: "a field of type Date, Date32, DateTime or DateTime64")
    }
    guard !field.type.isNullable else {
      throw PlanProblem(
        field: field.name, setting: "event_time",
        message: "event_time can't be read from '\(field.name)' of type \(field.type): NULL is no time",
        remedy: "make it \(field.type.base)")
    }
    for (setting, value) in [
      ("out_of_orderness", eventTime.outOfOrderness), ("idle_after", eventTime.idleAfter), ("max_ahead", eventTime.maxAhead),
    ] where value < 0 || value > Self.durationMax {
      throw PlanProblem(
        field: field.name, setting: "event_time.\(setting)", message: "\(setting) is \(value) ms", remedy: "0 ms to 100 years")
    }
  }

  /// 100 years in ms: keeps every sum of times and durations inside Int64.
  private static let durationMax: Int64 = 36_525 * 86_400_000
}
