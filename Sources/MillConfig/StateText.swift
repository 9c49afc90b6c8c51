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
private func stateLines(_ plan: String) -> [String] {
  var lines: [String] = []
  var isDeduplicate = false
  /// A source's field and what stands below it, until its type and place are known to matter.
  var field = ""
  var fields: [(name: String, line: String)] = []
  for line in plan.split(separator: "\n") {
    let text = line.drop { $0 == " " }
    switch line.count - text.count {
    case 0: isDeduplicate = text.hasPrefix("deduplicate ")
    case 2 where isDeduplicate:
      // A remembered NULL key that nothing asks for any more does no harm.
      if !text.hasPrefix("input "), !text.hasPrefix("null_keys ") { lines.append(String(text)) }
    case 2: field = text.hasPrefix("field ") ? String(text.dropFirst("field ".count)) : ""
    default:
      if !field.isEmpty { fields.append((field, "\(field) \(text)")) }
    }
  }
  guard let key = lines.first(where: { $0.hasPrefix("key ") }) else { return [] }
  return lines + fields.filter { key.contains($0.name) }.map(\.line)
}
