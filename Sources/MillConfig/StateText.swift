/// What has changed between two plans' texts (``planText(_:)``) so that the keys remembered under the one mean nothing under the other:
/// the deduplication's key, its fields' types and places, window, lateness, clock and exactness. nil: nothing of that.
///
/// Shape: `key "a" is now key "b"; within 1d is now within 2d`.
package func stateChange(from recorded: String, to current: String) -> String? {
  let old = stateLines(recorded)
  let new = stateLines(current)
  guard old != new else { return nil }
  let gone = old.filter { !new.contains($0) }
  let come = new.filter { !old.contains($0) }
  return (0..<max(gone.count, come.count)).map { index in
    let (was, now) = (index < gone.count ? gone[index] : "nothing", index < come.count ? come[index] : "nothing")
    return "\(was) is now \(now)"
  }.joined(separator: "; ")
}

/// The lines of a plan's text that shape its state, without their indentation; empty where the pipeline remembers nothing.
///
/// Those of the deduplicate itself; and what the fields of its key are made of: back through the selects in front of it, each expression
/// that isn't only another name, to the fields of the source. What filters in front of it let pass is no part of a key's meaning.
private func stateLines(_ plan: String) -> [String] {
  let parts = planParts(plan)
  guard let deduplicate = parts.first(where: { $0.kind == "deduplicate" }), let key = deduplicate.line("key ") else { return [] }
  // A remembered NULL key that nothing asks for any more does no harm.
  var lines = deduplicate.lines.filter { !$0.hasPrefix("input ") && !$0.hasPrefix("null_keys ") }
  var names = quotedNames(key)
  var input = deduplicate.line("input ")
  // A file's nodes stand behind what they read, so that this ends.
  for part in parts.reversed() where part.name == input {
    input = part.line("input ")
    guard part.kind == "select" else { continue }
    var read: [String] = []
    for field in part.fields where names.contains(field.name) {
      let reads = quotedNames(field.line("renames ") ?? field.line("reads ") ?? "")
      read += reads.filter { !read.contains($0) }
      if !field.isOtherName { lines += field.lines.map { "\(field.name) \($0)" } }
    }
    names = read
  }
  let source = parts.first { $0.kind == "source" }
  let fields = (source?.fields ?? []).filter { names.contains($0.name) }
  return lines + fields.flatMap { field in field.lines.map { "\(field.name) \($0)" } }
}

/// A part of a plan's text: a source, an operator or a sink with the lines below it.
private struct PlanPart {
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
}

private func planParts(_ plan: String) -> [PlanPart] {
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
private func quotedNames(_ text: String) -> [String] {
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
