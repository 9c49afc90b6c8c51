internal import MillFlow
package import MillOperators

extension FilterPlan: FileOperator {
  package static let word = "filter"
  package static let comment = "filter: the rows for which a condition is true go on; NULL is not true."
  package static let keys = [
    ConfigKey("where", "\"amount > 0 and user_id != ''\"", "Required. An expression that is true or false, over the fields of the input.")
  ]

  package static func read(_ reading: OperatorReading) -> FilterPlan? {
    let section = reading.section
    guard section.requires("where", "a condition, such as where: amount > 0"),
      let (node, text) = section.scalar("where", wanted: "a condition"),
      let condition = reading.expression(node, text, section.child("where")), let schema = reading.schema
    else { return nil }
    guard condition.type.base == .bool else {
      section.problems.add(
        node, section.child("where"), "this is \(condition.type), not a condition", remedy: "a comparison, such as \(text) = 1")
      return nil
    }
    return FilterPlan(name: reading.name, input: reading.input, schema: schema, condition: condition, onError: reading.onError)
  }

  package var planLines: [String] { ["where \(quoted(condition.normalised))"] }
  package var facts: [PipelineGraph.Fact] { [PipelineGraph.Fact(name: "where", value: condition.text)] }
}
