internal import MillBase
internal import MillLog

/// Which number each sink of the file has. A number is given once: what a state directory's batches, files of dead letters and tokens say
/// stays true when sinks come, go and change their names.
struct DestinationNumbers {
  /// Every table that ever had a number, ascending, those that the file has no more too.
  private(set) var all: [NamedDestination] = []
  /// Index: sink.
  private(set) var ofSinks: [Destination] = []
  /// Where batches go now: the sinks' tables and the dead letters, ascending.
  private(set) var live: [Destination] = []

  /// - Parameter known: as recorded last; empty at birth.
  ///
  /// A sink keeps its number by its name; where no one had that name, by the table that a sink wrote into which is gone. Any other gets a
  /// new one; nil: none is left.
  init?(known: [NamedDestination], tables: [TableOptions]) {
    all = known
    var found: [Destination?] = tables.map { table in known.first { $0.name == table.name }?.destination }
    func isFree(_ named: NamedDestination) -> Bool { !found.contains(named.destination) }
    for (index, table) in tables.enumerated() where found[index] == nil {
      found[index] = known.first { isFree($0) && $0.target == table.target }?.destination
    }
    // Older releases had one sink, and no name for it here.
    for index in tables.indices where found[index] == nil {
      found[index] = known.first { isFree($0) && $0.name.isEmpty }?.destination
    }
    for (index, table) in tables.enumerated() {
      guard let destination = found[index] ?? nextFree else { return nil }
      ofSinks.append(destination)
      let named = NamedDestination(destination: destination, name: table.name, target: table.target)
      if let known = all.firstIndex(where: { $0.destination == destination }) { all[known] = named } else { all.append(named) }
    }
    all.sort { $0.destination < $1.destination }
    live = (ofSinks + [.deadLetters]).sorted()
  }

  private var nextFree: Destination? {
    let free = (0...UInt8.max).first { number in
      number != Destination.deadLetters.rawValue && !all.contains { $0.destination.rawValue == number }
    }
    return free.map(Destination.init)
  }

  /// Of arrays that have an item for each destination.
  var count: Int { max(Destination.deadLetters.index, all.last?.destination.index ?? 0) + 1 }

  /// Tables that no sink of the file writes into.
  var gone: [NamedDestination] { all.filter { !ofSinks.contains($0.destination) } }
}
