internal import MillBase

/// What the replicas of a table have in common: its parts and the window in the keeper. One thread only.
final class TableStore {
  var table: ServerTable
  /// What a materialized view on the table has; nil: there is none.
  var view: ServerTable?
  /// Raised by each drop: what the table's uuid ends with.
  var tableNumber = 1
  var others: OtherWriters?
  /// Every replica, the first first; each knows all of them through here.
  var servers: [SimClickHouse] = []

  init(_ table: ServerTable) { self.table = table }
}

/// A replica has at once what it took itself, and what others took only after a while: it fetches their parts, from a server that is up.
extension SimClickHouse {
  /// All replicas, or the one server there is.
  var all: [SimClickHouse] { store.servers }

  func commit(_ part: ServerTable.Part) {
    let number = store.table.commit(part)
    for other in all where other !== self { other.fetch(number, from: self) }
  }

  private func fetch(_ number: Int, from source: SimClickHouse) {
    unseen.insert(number)
    if lagMilliseconds > 100 { trace.hit(.replicaLags) }
    fetch(number, from: source, after: draws.within(0...lagMilliseconds))
  }

  private func fetch(_ number: Int, from source: SimClickHouse, after milliseconds: Int64) {
    scheduler.after(milliseconds) { [self] in
      guard unseen.contains(number) else { return }
      guard isUp, !isPaused, source.isUp else { return fetch(number, from: source, after: 50) }
      unseen.remove(number)
    }
  }

  /// SYSTEM SYNC REPLICA: the answer comes when all is here that had been committed anywhere.
  func catchUp(_ exchange: Exchange) { catchUp(exchange, unseen) }

  private func catchUp(_ exchange: Exchange, _ wanted: Set<Int>) {
    guard unseen.isDisjoint(with: wanted) else {
      let boot = boot
      trace.hit(.replicaCaughtUp)
      scheduler.after(20) { [self] in
        if boot == self.boot, !exchange.isClosed { catchUp(exchange, wanted) }
      }
      return
    }
    respond(exchange, answers.success())
  }

  /// The table was dropped everywhere.
  func forgetUnseen() { unseen = [] }

  // MARK: - What this replica sees

  func count(provenance: String) -> Int {
    guard !unseen.isEmpty else { return table.count(provenance: provenance) }
    return seenParts.reduce(0) { $0 + $1.rows.count { $0.provenance == provenance } }
  }

  func partitions(provenance: String) -> [String] {
    guard !unseen.isEmpty else { return table.partitions(provenance: provenance) }
    return seenParts.filter { $0.rows.first?.provenance == provenance }.map(\.partition)
  }

  func greatest(from: String, below: String) -> UInt64 {
    guard !unseen.isEmpty else { return table.greatest(from: from, below: below) }
    return seenParts.lazy.flatMap(\.rows).map(\.provenance).filter { $0 >= from && $0 < below }.map(ServerTable.number).max() ?? 0
  }

  private var seenParts: [ServerTable.Part] { table.parts.enumerated().filter { !unseen.contains($0.offset) }.map(\.element) }
}
