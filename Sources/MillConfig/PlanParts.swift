/// A part of a plan's text: a source, an operator or a sink with the lines below it.
struct PlanPart {
  struct Field {
    /// In quotes, as all names here.
    var name: String
    var lines: [String] = []

    func line(_ prefix: String) -> String? { lines.first { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) } }

    /// Whether it is a field of the input and nothing else.
    var isOtherName: Bool { line("renames ") != nil }
  }

  var kind: String
  var name: String
  /// Of two spaces' indentation, but for fields.
  var lines: [String] = []
  var fields: [Field] = []

  func line(_ prefix: String) -> String? { lines.first { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) } }

  /// What it reads; several of a union.
  var inputs: [String] { lines.filter { $0.hasPrefix("input ") }.map { String($0.dropFirst("input ".count)) } }
}

/// The parts of a plan's text (``planText(_:)``), in its order: each behind what it reads.
func planParts(_ plan: String) -> [PlanPart] {
  var parts: [PlanPart] = []
  var isField = false
  for line in plan.split(separator: "\n") {
    let text = line.drop { $0 == " " }
    let depth = line.count - text.count
    if depth == 0 {
      let words = text.split(separator: " ", maxSplits: 1)
      parts.append(PlanPart(kind: String(words[0]), name: words.count > 1 ? String(words[1]) : ""))
    } else if depth == 2, text.hasPrefix("field ") {
      parts[parts.count - 1].fields.append(PlanPart.Field(name: String(text.dropFirst("field ".count))))
      isField = true
    } else if depth == 2 {
      parts[parts.count - 1].lines.append(String(text))
      isField = false
    } else if isField {
      parts[parts.count - 1].fields[parts[parts.count - 1].fields.count - 1].lines.append(String(text))
    }
  }
  return parts
}

/// `"a", "b"` as its names, each in its quotes.
func quotedNames(_ text: String) -> [String] {
  var names: [String] = []
  var name = ""
  var (isInside, isEscaped) = (false, false)
  for character in text {
    if !isInside, character != "\"" { continue }
    name.append(character)
    if isInside, !isEscaped, character == "\"" {
      names.append(name)
      name = ""
      isInside = false
    } else if !isInside {
      isInside = true
    }
    isEscaped = isInside && !isEscaped && character == "\\"
  }
  return names
}
