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
    /// Prints as `***`.
    var isSecret: Bool

    var isNull: Bool { isPlain && ["", "~", "null", "Null", "NULL"].contains(text) }
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
    if scalar.isSecret { return Secret.mask }
    return scalar.text.count <= 80 ? scalar.text : scalar.text.prefix(77) + "..."
  }

  /// The texts of all secrets below it, those alone that are long enough not to stand in other texts by chance.
  var secrets: [Secret] {
    switch content {
    case .scalar(let scalar): scalar.isSecret && scalar.text.utf8.count >= Secret.byteCountToConceal ? [Secret(scalar.text)] : []
    case .list(let items): items.flatMap(\.secrets)
    case .map(let entries): entries.flatMap(\.value.secrets)
    case .invalid: []
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
