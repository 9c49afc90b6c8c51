internal import MillBase

/// One thing wrong with a pipeline file: where it stands, which value, what is allowed.
package struct ConfigProblem: Hashable, Sendable {
  /// From 1; 0 where the file as a whole is meant.
  package var line: Int
  /// From 1; 0 where the file as a whole is meant.
  package var column: Int
  /// `sources.transactions.fields.amount`; empty where the file as a whole is meant.
  package var path: String
  /// The value found, shortened, secrets as `***`; nil where there is none.
  package var value: String?
  /// What is wrong.
  package var message: String
  /// What is allowed, or what to do.
  package var remedy: String
  /// The nearest known name, where a name is unknown.
  package var nearest: String?
  /// Lines that show the place within the value; nil: none.
  package var picture: String?

  package init(
    line: Int, column: Int, path: String, value: String? = nil, message: String, remedy: String, nearest: String? = nil,
    picture: String? = nil
  ) {
    self.line = line
    self.column = column
    self.path = path
    self.value = value
    self.message = message
    self.remedy = remedy
    self.nearest = nearest
    self.picture = picture
  }

  /// Two lines: `file:line:column: path = "value": message`, then the remedy, indented; between them the picture, where there is one.
  package func text(file: String) -> String {
    var head = line > 0 ? "\(file):\(line):\(column): " : "\(file): "
    if !path.isEmpty { head += path }
    if let value { head += " = \(quoted(value))" }
    if !path.isEmpty || value != nil { head += ": " }
    // A type's message has it already.
    let hint = message.contains("did you mean") ? "" : nearest.map { "did you mean \($0)? " } ?? ""
    let shown = picture.map { $0.split(separator: "\n", omittingEmptySubsequences: false).map { "\n    " + harmless(String($0)) }.joined() }
    return harmless(head + message) + (shown ?? "") + "\n    " + harmless(hint + remedy)
  }

  func concealing(_ secrets: Secrets) -> ConfigProblem {
    var problem = self
    problem.path = secrets.conceal(path)
    problem.value = value.map(secrets.conceal)
    problem.message = secrets.conceal(message)
    problem.remedy = secrets.conceal(remedy)
    problem.nearest = nearest.map(secrets.conceal)
    problem.picture = picture.map(secrets.conceal)
    return problem
  }
}

/// All problems of one file: what a failed reading throws.
package struct ConfigProblems: Error, Hashable, Sendable {
  /// Sorted by line and column; never empty.
  package var problems: [ConfigProblem]

  package init(problems: [ConfigProblem]) { self.problems = problems }

  /// Every problem as text, a line each plus its remedy, and how many there are.
  package func text(file: String) -> String {
    let count = problems.count == 1 ? "1 problem" : "\(problems.count) problems"
    return problems.map { $0.text(file: file) + "\n" }.joined() + harmless("\(file): \(count)") + "\n"
  }
}

/// Collects problems while a file is read; one owner.
final class ProblemList {
  private(set) var problems: [ConfigProblem] = []

  var isEmpty: Bool { problems.isEmpty }
  var count: Int { problems.count }

  /// By line and column, none of them quoting a secret.
  func sorted(concealing secrets: Secrets) -> [ConfigProblem] {
    problems.enumerated().sorted { ($0.element.line, $0.element.column, $0.offset) < ($1.element.line, $1.element.column, $1.offset) }
      .map { $0.element.concealing(secrets) }
  }

  func add(
    _ mark: Mark, _ path: String, value: String? = nil, _ message: String, remedy: String, nearest: String? = nil, picture: String? = nil
  ) {
    problems.append(
      ConfigProblem(
        line: mark.line, column: mark.column, path: path, value: value, message: message, remedy: remedy, nearest: nearest,
        picture: picture))
  }

  /// A problem of a node's own value.
  func add(_ node: ConfigNode, _ path: String, _ message: String, remedy: String, nearest: String? = nil, picture: String? = nil) {
    add(node.mark, path, value: node.shownValue, message, remedy: remedy, nearest: nearest, picture: picture)
  }
}

/// `text` in double quotes on one line: quotes, backslashes and control characters escaped.
package func quoted(_ text: String) -> String { "\"" + escaped(text) + "\"" }

/// The inside of ``quoted(_:)``. Plans kept with a state are written by it: it never changes.
func escaped(_ text: String) -> String {
  text.unicodeScalars.map { scalar in
    switch scalar {
    case "\"": "\\\""
    case "\\": "\\\\"
    case _ where scalar.value < 0x20 || scalar.value == 0x7f: shownControl(scalar)
    default: String(scalar)
    }
  }.joined()
}

private func shownControl(_ scalar: Unicode.Scalar) -> String {
  switch scalar {
  case "\n": "\\n"
  case "\r": "\\r"
  case "\t": "\\t"
  default: "\\u{\(String(scalar.value, radix: 16))}"
  }
}
