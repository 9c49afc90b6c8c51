/// Records that gave no row, by reason, in the order in which the reasons came up. Reasons are those of the dead letters.
package struct ReasonTally: Hashable, Sendable {
  package struct Entry: Hashable, Sendable {
    package var reason: String
    package var count: UInt64
    /// For people: where the first of them stands, what is wrong with it and what mends it.
    package var example: String
  }

  package private(set) var entries: [Entry] = []

  package init() {}

  package var total: UInt64 { entries.reduce(0) { $0 + $1.count } }
  package var isEmpty: Bool { entries.isEmpty }

  package subscript(_ reason: String) -> UInt64 { entries.first { $0.reason == reason }?.count ?? 0 }

  /// `example` is asked for only where the reason is new.
  package mutating func add(_ reason: String, count: UInt64 = 1, example: @autoclosure () -> String) {
    if let index = entries.firstIndex(where: { $0.reason == reason }) {
      entries[index].count += count
    } else {
      entries.append(Entry(reason: reason, count: count, example: example()))
    }
  }

  package mutating func add(_ other: ReasonTally) {
    for entry in other.entries { add(entry.reason, count: entry.count, example: entry.example) }
  }

  /// `wrong_type 2200, late 3`: the most frequent first.
  package var text: String {
    entries.enumerated().sorted { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }.map {
      "\($0.element.reason) \($0.element.count)"
    }.joined(separator: ", ")
  }
}
