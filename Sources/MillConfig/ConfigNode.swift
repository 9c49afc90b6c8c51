/// A place in the pipeline file.
package struct Mark: Hashable, Sendable, Comparable {
  /// From 1.
  package var line: Int
  /// From 1, in characters.
  package var column: Int

  package init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  package static func < (left: Mark, right: Mark) -> Bool { (left.line, left.column) < (right.line, right.column) }
}

/// A YAML value with the place it stands at. Scalars stay text: what they mean is decided by who reads them.
struct ConfigNode: Sendable {
  var mark: Mark
  var content: Content

  /// What a node holds.
  indirect enum Content: Sendable {
    case scalar(Scalar)
    case list([ConfigNode])
    case map([Entry])
    /// Already reported; readers pass it over.
    case invalid
  }

  /// A scalar's text.
  struct Scalar: Sendable {
    var text: String
    /// Written without quotes: only such a one can be null, a number or a truth value.
    var isPlain: Bool
    /// Part of it came from elsewhere: that is a text, whatever it holds, and never null.
    var isSubstituted = false
    var secrecy = Secrecy.open

    var isNull: Bool { isPlain && !isSubstituted && ["", "~", "null", "Null", "NULL"].contains(text) }
  }

  /// Whether and why a value prints as `***`.
  enum Secrecy: Sendable {
    case open
    /// Part of it came from a file.
    case ofFile
    /// Its key says so: no message of ours shows it.
    case ofKey
  }

  /// A key of a map with its value.
  struct Entry: Sendable {
    var key: String
    var keyMark: Mark
    var value: ConfigNode
  }

  /// What kind of value it is, for messages.
  var kindName: String {
    switch content {
    case .scalar(let scalar): scalar.isNull ? "nothing" : "a single value"
    case .list: "a list"
    case .map: "a map"
    case .invalid: "an invalid value"
    }
  }

  /// The value for a message: short, secrets masked; nil for lists and maps.
  var shownValue: String? {
    guard case .scalar(let scalar) = content else { return nil }
    return shown(scalar.text.count <= 80 ? scalar.text : scalar.text.prefix(77) + "...")
  }

  /// `text`, the value or what a message quotes of it; `***` where it is a secret or, as `http://user:password@host` and
  /// `http://host/?password=…`, may hold one.
  func shown(_ text: String) -> String {
    guard case .scalar(let scalar) = content else { return text }
    let at = scalar.text.lastIndex(of: "@")
    let mayHold = at.map { scalar.text[..<$0].contains(":") } == true || !secretsWithin(scalar.text).isEmpty
    return isSecret || mayHold ? Secret.mask : text
  }

  var isSecret: Bool {
    if case .scalar(let scalar) = content { return scalar.secrecy != .open }
    return false
  }

  /// All secrets below it.
  var secrets: Secrets {
    var found: [(text: String, secrecy: Secrecy)] = []
    gather(into: &found)
    return Secrets(hidden: found.filter { $0.secrecy == .ofKey }.map(\.text), shown: found.filter { $0.secrecy == .ofFile }.map(\.text))
  }

  private func gather(into found: inout [(text: String, secrecy: Secrecy)]) {
    switch content {
    case .scalar(let scalar):
      if scalar.secrecy != .open { found.append((scalar.text, scalar.secrecy)) }
      for secret in secretsWithin(scalar.text) { found.append((secret, .ofKey)) }
    case .list(let items): for item in items { item.gather(into: &found) }
    case .map(let entries): for entry in entries { entry.value.gather(into: &found) }
    case .invalid: break
    }
  }

  var isNull: Bool {
    if case .scalar(let scalar) = content { return scalar.isNull }
    return false
  }

  var isInvalid: Bool {
    if case .invalid = content { return true }
    return false
  }
}
