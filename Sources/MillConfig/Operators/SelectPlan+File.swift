internal import MillFlow
package import MillOperators

extension SelectPlan: FileOperator {
  package static let word = "select"
  package static let comment = "select: rows of other fields. The event time goes along, named or not."
  package static let keys = [
    ConfigKey(
      "fields", keys: [ConfigKey("\"*\"", "\"*\""), ConfigKey("vat", "round(amount * 0.19, 2)")],
      "Required. name: expression for each field of the new rows, in this order; \"*\": \"*\" stands for all fields of the input that have",
      "no expression of their own here.")
  ]

  package static func read(_ reading: OperatorReading) -> SelectPlan? {
    let section = reading.section
    guard section.requires("fields", "name: expression for each field, such as {id: id, total: price * count}") else { return nil }
    let map = section.map("fields")
    if map.isPresent, map.keys.isEmpty, section.node("fields")?.isInvalid == false {
      map.problems.add(map.mark, map.path, "no field is named", remedy: "name: expression for each field, such as {total: price * count}")
    }
    let written = Set(map.keys.map(\.key))
    var fields: [(name: String, expression: Expression)] = []
    var isWhole = true
    for entry in map.keys {
      if entry.key == "*" {
        isWhole = isStar(entry, map) && isWhole
        guard let schema = reading.schema else { continue }
        for (index, field) in schema.fields.enumerated() where !written.contains(field.name) {
          fields.append((field.name, Expression(field: index, of: schema)))
        }
      } else if let expression = self.field(entry, map, reading) {
        fields.append((entry.key, expression))
      } else {
        isWhole = false
      }
    }
    guard isWhole, let schema = reading.schema, !fields.isEmpty else { return nil }
    guard fields.count <= 4096 else {
      map.problems.add(map.mark, map.path, "the select has \(fields.count) fields", remedy: "at most 4096 fields")
      return nil
    }
    return SelectPlan(name: reading.name, input: reading.input, inputSchema: schema, fields: fields, onError: reading.onError)
  }

  private static func isStar(_ entry: ConfigNode.Entry, _ map: Section) -> Bool {
    guard let (node, text) = map.scalar(entry.value, map.child("*"), wanted: "\"*\"") else { return false }
    if text == "*" { return true }
    map.problems.add(node, map.child("*"), "no field can be called *", remedy: "\"*\": \"*\" for all fields that have no expression here")
    return false
  }

  private static func field(_ entry: ConfigNode.Entry, _ map: Section, _ reading: OperatorReading) -> Expression? {
    let path = map.child(entry.key)
    if entry.value.isNull {
      map.problems.add(entry.keyMark, path, "the field has no expression", remedy: "name: expression, such as total: price * count")
      return nil
    }
    guard let (node, text) = map.scalar(entry.value, path, wanted: "an expression"), let expression = reading.expression(node, text, path)
    else { return nil }
    // The rules of a source's fields hold for names and types here too.
    do throws(PlanProblem) { _ = try FieldPlan(name: entry.key, type: expression.type, source: .path(["x"])) } catch {
      map.problems.add(entry.keyMark, path, error.message, remedy: error.remedy)
      return nil
    }
    return expression
  }

  package var planLines: [String] {
    zip(schema.fields, fields).flatMap { field, expression in
      if let origin = expression.field {
        return ["field \(quoted(field.name))", "  type \(field.type)", "  renames \(quoted(inputSchema.fields[origin].name))"]
      }
      let reads = expression.fields.map { quoted(inputSchema.fields[$0].name) }.joined(separator: ", ")
      return ["field \(quoted(field.name))", "  type \(field.type)", "  is \(quoted(expression.normalised))"]
        + (reads.isEmpty ? [] : ["  reads \(reads)"])
    }
  }

  package var facts: [PipelineGraph.Fact] {
    zip(schema.fields, fields).map { field, expression in
      PipelineGraph.Fact(name: field.name, value: "\(expression.text): \(field.type)")
    }
  }
}
