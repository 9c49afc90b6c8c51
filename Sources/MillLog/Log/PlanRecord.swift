/// What decides rows, as text the code can compare (MillConfig renders it), and what it hashes to.
package struct PlanRecord: Hashable, Sendable {
  package var hash: UInt64
  /// Raised when output could change with the code.
  package var replayVersion: UInt32
  package var text: String
  /// Whose numbers batches bear from here on, ascending; empty in records of older releases.
  package var destinations: [NamedDestination]
  /// Whose numbers slots bear from here on, by number, without a hole; empty in records of older releases.
  package var sources: [NamedSource]

  package init(
    hash: UInt64, replayVersion: UInt32, text: String, destinations: [NamedDestination] = [], sources: [NamedSource] = []
  ) {
    self.hash = hash
    self.replayVersion = replayVersion
    self.text = text
    self.destinations = destinations
    self.sources = sources
  }

  /// Names, quoted, of zones whose rules are noted both here and in `other`, and differ.
  package func changedZones(since other: PlanRecord) -> [String] {
    let before = other.zones
    return zones.filter { name, rules in before[name].map { $0 != rules } ?? false }.map(\.key).sorted()
  }

  /// Of the lines `zone "NAME" FINGERPRINT` below the plan itself, which the hash doesn't cover.
  private var zones: [String: Substring] {
    var zones: [String: Substring] = [:]
    for line in text.split(separator: "\n") where line.hasPrefix("zone ") {
      let words = line.split(separator: " ")
      if words.count == 3 { zones[String(words[1])] = words[2] }
    }
    return zones
  }
}
