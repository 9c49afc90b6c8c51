/// Where rows go: the table of one sink, or the dead letters. Batches are numbered within one.
///
/// A number is given once and means the same for the life of a state directory (``NamedDestination``).
package struct Destination: RawRepresentable, Hashable, Comparable, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Of the sink that was there first; the only one in states of older releases.
  package static let table = Destination(rawValue: 0)
  package static let deadLetters = Destination(rawValue: 1)

  package var isTable: Bool { self != .deadLetters }
  /// Of arrays that have an item for each destination.
  package var index: Int { Int(rawValue) }

  package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

extension Destination: CustomStringConvertible {
  package var description: String {
    switch self {
    case .table: "table"
    case .deadLetters: "deadLetters"
    default: "table\(rawValue)"
    }
  }
}

/// A table's number, and the sink that it was given to.
package struct NamedDestination: Hashable, Sendable {
  package var destination: Destination
  /// The sink's, as the file had it.
  package var name: String
  /// `database.table`.
  package var target: String

  package init(destination: Destination, name: String, target: String) {
    self.destination = destination
    self.name = name
    self.target = target
  }
}
