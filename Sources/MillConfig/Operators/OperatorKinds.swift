internal import MillFlow
package import MillOperators

/// An operator as the pipeline file has it: how it is read, and what plan and explain say of it.
package protocol FileOperator: OperatorPlan {
  /// What stands before it in the file: `filter`.
  static var word: String { get }
  /// Beside `input` and `on_error`, which every kind has.
  static var keys: [ConfigKey] { get }
  /// How the reference introduces it.
  static var comment: String { get }
  /// Reports what is wrong; nil then. `input.schema` is nil where what it reads is wrong already.
  static func read(_ reading: OperatorReading) -> Self?
  /// What decides its rows, below its name and input: kept with the state, so that it never changes for the same file.
  var planLines: [String] { get }
  /// What explain shows.
  var facts: [PipelineGraph.Fact] { get }
}

/// The kinds of operators of one input, without state. Another one is a folder in MillOperators, a file in this folder and a line here.
let operatorKinds: [any FileOperator.Type] = [FilterPlan.self, SelectPlan.self]

/// Words of kinds that the contract has and this version hasn't.
let laterOperatorWords = ["join", "lookup"]

/// Every word that can stand before an operator, those with state first, then those of one input.
let operatorWords = ["deduplicate"] + operatorKinds.map { $0.word } + [UnionPlan.word]

/// What an operator is read from.
package struct OperatorReading {
  let name: String
  let input: String
  /// Of the rows of what it reads; nil where that is wrong.
  let schema: Schema?
  let onError: OnError
  let section: Section
  let reader: PipelineReader

  /// The keys that every kind has.
  static let commonKeys = ["input", "on_error"]

  /// An expression that stands in the file; nil where it is wrong, or the input is.
  func expression(_ node: ConfigNode, _ text: String, _ path: String) -> Expression? {
    let problems = section.problems
    if node.isSecret {
      problems.add(
        node, path, "an expression shows in plan, logs and dead letters, so that no part of it can be a secret",
        remedy: "write the value itself, or take it from an environment variable")
      return nil
    }
    guard let schema else { return nil }
    do throws(ExpressionProblem) { return try Expression.parse(text, schema) } catch {
      problems.add(
        node, path, error.message, remedy: "millrace eval tries an expression on values; its names are in docs/expressions.md",
        picture: error.picture)
      return nil
    }
  }
}
