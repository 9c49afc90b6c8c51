/// The functions of expressions, as docs/expressions.md lists them.
package enum FunctionReference {
  /// Markdown: a line a group.
  package static var text: String {
    Function.groups.map { group in
      "- " + group.title + ": " + group.functions.filter { !isVariant($0, group.functions) }.map(entry).joined(separator: ", ")
    }.joined(separator: "\n") + "\n"
  }

  /// Names of all functions.
  package static var names: [String] { Function.names }

  private static func entry(_ function: Function) -> String { "`\(function.name)\(function.signature)`" }

  /// Those that stand for another one's: with `OrNull`, which every conversion has, and `subtract…` beside `add…`.
  private static func isVariant(_ function: Function, _ group: [Function]) -> Bool {
    let name = function.name
    if name.hasSuffix("OrNull") { return group.contains { $0.name + "OrNull" == name } }
    return name.hasPrefix("subtract") && group.contains { "add" + $0.name.dropFirst(3) == "add" + name.dropFirst(8) }
  }
}
