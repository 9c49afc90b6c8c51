/// What one server understands, learned from `version()` and system.settings; only listed settings are sent to it.
package struct Dialect: Hashable, Sendable {
  package var major: Int
  package var minor: Int
  package var settings: Set<String>

  package init(major: Int, minor: Int, settings: Set<String>) {
    self.major = major
    self.minor = minor
    self.settings = settings
  }

  /// Reads the first two numbers of `version()`; nil where the text has none.
  package init?(version: String, settings: Set<String>) {
    let parts = version.split(separator: ".")
    guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1]) else { return nil }
    self.init(major: major, minor: minor, settings: settings)
  }

  /// What this server and `other` both understand.
  mutating func narrow(to other: Dialect) {
    let common = settings.intersection(other.settings)
    if isAtLeast(other.major, other.minor) { self = other }
    settings = common
  }

  package func isAtLeast(_ major: Int, _ minor: Int) -> Bool { (self.major, self.minor) >= (major, minor) }

  /// Structures of external tables are read with backticks and with types that hold commas; before that they were cut at both. By then
  /// throwIf() takes a text too.
  package var readsQuotedStructures: Bool { isAtLeast(21, 1) }

  /// CHECK GRANT, by which a user learns of a right without using it.
  package var checksGrants: Bool { isAtLeast(25, 1) }

  /// Bytes that a request's target may have (`http_max_uri_size`, as shipped).
  package var targetBytesMax: Int { isAtLeast(21, 10) ? 1 << 20 : 16 << 10 }
}
