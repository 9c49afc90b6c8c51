internal import MillBase

/// A map of the pipeline file while it is read: hands out typed values, fills in defaults and reports what is wrong.
///
/// Every function that returns nil for a wrong value has reported it, so that callers go on and the user sees all problems at once.
struct Section {
  let path: String
  /// Of the section's key; of the root, where the file begins.
  let mark: Mark
  /// Whether it stands in the file at all; an absent one gives defaults only.
  let isPresent: Bool
  let problems: ProblemList
  private let entries: [String: ConfigNode.Entry]
  /// In the file's order.
  let keys: [ConfigNode.Entry]

  /// A section with fixed keys. `later` are keys of the contract that this version hasn't, each with what to do instead.
  init(_ node: ConfigNode?, path: String, mark: Mark, known: [String], later: [String: String] = [:], _ problems: ProblemList) {
    self.init(anyKeys: node, path: path, mark: mark, problems)
    for entry in keys where !known.contains(entry.key) {
      if let instead = later[entry.key] {
        if entry.value.isNull { continue }
        problems.add(
          entry.keyMark, child(entry.key), value: entry.value.shownValue, "\(entry.key) is not in this version", remedy: instead)
      } else {
        let nearest = nearestKnown(to: entry.key, among: known)
        problems.add(
          entry.keyMark, child(entry.key), "unknown key \(quoted(entry.key))", remedy: "known here: \(known.joined(separator: ", "))",
          nearest: nearest)
      }
    }
  }

  /// A map whose keys are names of the user's.
  init(anyKeys node: ConfigNode?, path: String, mark: Mark, _ problems: ProblemList) {
    self.path = path
    self.mark = mark
    self.problems = problems
    var found: [ConfigNode.Entry] = []
    switch node?.content {
    case .map(let map): found = map
    case nil, .invalid: break
    case .scalar(let scalar) where scalar.isNull: break
    default:
      problems.add(node!, path, "\(node!.kindName) stands where a map is wanted", remedy: "write key: value lines below it, indented")
    }
    self.isPresent = node != nil
    self.keys = found
    self.entries = Dictionary(found.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
  }

  func child(_ key: String) -> String { path.isEmpty ? key : path + "." + key }

  /// The value of a key, nil where it is absent or null.
  func node(_ key: String) -> ConfigNode? {
    guard let value = entries[key]?.value, !value.isNull else { return nil }
    return value
  }

  /// Whether the key stands in the file, null or not.
  func has(_ key: String) -> Bool { entries[key] != nil }

  func section(_ key: String, known: [String], later: [String: String] = [:]) -> Section {
    Section(node(key), path: child(key), mark: entries[key]?.keyMark ?? mark, known: known, later: later, problems)
  }

  func map(_ key: String) -> Section {
    Section(anyKeys: node(key), path: child(key), mark: entries[key]?.keyMark ?? mark, problems)
  }

  /// Reports an absent key; true when it is there.
  func requires(_ key: String, _ remedy: String) -> Bool {
    if node(key) != nil { return true }
    problems.add(entries[key]?.keyMark ?? mark, child(key), "\(key) is missing", remedy: remedy)
    return false
  }

  /// A scalar's text; nil where absent, null, invalid, or a list or map, which is reported.
  func scalar(_ key: String, wanted: String) -> (node: ConfigNode, text: String)? {
    guard let node = node(key) else { return nil }
    return scalar(node, child(key), wanted: wanted)
  }

  func scalar(_ node: ConfigNode, _ path: String, wanted: String) -> (node: ConfigNode, text: String)? {
    switch node.content {
    case .scalar(let scalar): return (node, scalar.text)
    case .invalid: return nil
    case .list, .map:
      problems.add(node, path, "\(node.kindName) stands where \(wanted) is wanted", remedy: "write \(wanted)")
      return nil
    }
  }

  /// A text without control characters of `counts` UTF-8 bytes, or the default where absent.
  func text(_ key: String, default value: String? = nil, wanted: String, counts: ClosedRange<Int> = 1...1024) -> String? {
    guard node(key) != nil else { return value }
    guard let (node, text) = scalar(key, wanted: wanted) else { return nil }
    guard counts.contains(text.utf8.count), text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
      problems.add(
        node, child(key), "this is not \(wanted)", remedy: "\(counts.lowerBound) to \(counts.upperBound) bytes without control characters")
      return nil
    }
    return text
  }

  func choice<Choice: CaseIterable & RawRepresentable>(_ key: String, default value: Choice) -> Choice?
  where Choice.RawValue == String {
    guard node(key) != nil else { return value }
    let names = Choice.allCases.map(\.rawValue)
    guard let (node, text) = scalar(key, wanted: "one of \(names.joined(separator: ", "))") else { return nil }
    if let choice = Choice(rawValue: text) { return choice }
    problems.add(
      node, child(key), "this is none of the choices", remedy: "one of \(names.joined(separator: ", "))",
      nearest: nearestKnown(to: text, among: names))
    return nil
  }

  func flag(_ key: String, default value: Bool = false) -> Bool? {
    guard node(key) != nil else { return value }
    guard let (node, text) = scalar(key, wanted: "true or false") else { return nil }
    if case .scalar(let scalar) = node.content, scalar.isPlain, let flag = ["true": true, "false": false][text] { return flag }
    problems.add(node, child(key), "this is neither true nor false", remedy: "true or false, without quotes")
    return nil
  }

  func count(_ setting: CountSetting) -> Int? {
    guard node(setting.key) != nil else { return setting.value }
    guard let (node, text) = scalar(setting.key, wanted: "a whole number") else { return nil }
    if let number = plainInteger(text), setting.range.contains(number) { return number }
    problems.add(
      node, child(setting.key), isInteger(text) ? "this is out of range" : "this is not a whole number",
      remedy: "a whole number from \(setting.range.lowerBound) to \(setting.range.upperBound), such as \(setting.value)")
    return nil
  }

  func duration(_ setting: DurationSetting) -> Int64? {
    guard node(setting.key) != nil else { return setting.value }
    guard let (node, text) = scalar(setting.key, wanted: "a duration") else { return nil }
    let value = ScalarText.duration(text)
    if let value, setting.range.contains(value) { return value }
    let low = ScalarText.durationText(setting.range.lowerBound)
    let high = ScalarText.durationText(setting.range.upperBound)
    problems.add(
      node, child(setting.key), value == nil ? "this is not a duration" : "this is out of range",
      remedy: "a whole number with ms, s, m, h or d, from \(low) to \(high), such as \(ScalarText.durationText(setting.value))")
    return nil
  }

  func size(_ setting: SizeSetting) -> Int? {
    guard node(setting.key) != nil else { return setting.value }
    guard let (node, text) = scalar(setting.key, wanted: "a size") else { return nil }
    let value = ScalarText.size(text)
    if let value, setting.range.contains(value) { return value }
    let low = ScalarText.sizeText(setting.range.lowerBound)
    let high = ScalarText.sizeText(setting.range.upperBound)
    problems.add(
      node, child(setting.key), value == nil ? "this is not a size" : "this is out of range",
      remedy: "a whole number with B, KiB, MiB, GiB or TiB, from \(low) to \(high), such as \(ScalarText.sizeText(setting.value))")
    return nil
  }

  /// The items of a list; nil where absent or wrong. A single value stands for a list of one.
  func list(_ key: String, wanted: String) -> [ConfigNode]? {
    guard let node = node(key) else { return nil }
    switch node.content {
    case .list(let items): return items
    case .scalar: return [node]
    case .invalid: return nil
    case .map:
      problems.add(node, child(key), "a map stands where \(wanted) is wanted", remedy: "write \(wanted)")
      return nil
    }
  }
}

/// Whether `text` is written as ``plainInteger(_:)`` wants it, however large it may be.
func isInteger(_ text: String) -> Bool {
  let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
  return !digits.isEmpty && digits.allSatisfy { $0.isASCII && $0.isNumber } && (text == "0" || digits.first != "0")
}

/// A decimal integer without plus sign or leading zeros; nil for anything else.
func plainInteger(_ text: String) -> Int? {
  guard let number = Int(text), String(number) == text else { return nil }
  return number
}
