package import MillBase

extension TableFacts {
  /// That the table has rows of others than these lineages, and what follows; nil: none were seen, or it doesn't matter.
  package func othersWarning(_ lineages: [Lineage], table: String) -> String? {
    guard mode == .tokenAndProvenance else { return nil }
    let ours = lineages.map { "mr-\($0)" }
    let others = writers.filter { !ours.contains($0) }
    guard !others.isEmpty else { return nil }
    let lineages = others.filter { $0.hasPrefix("mr-") }.sorted()
    var who: [String] = []
    if lineages.count < others.count { who.append("other writers") }
    if !lineages.isEmpty { who.append("other lineages (\(lineages.joined(separator: ", ")))") }
    let reserved =
      reserve.map {
        "window_reserve lets them take \($0) while a lost answer is settled; where they may take more, raise the window or write "
          + "window_reserve: unlimited"
      } ?? "window_reserve is unlimited: a lost answer takes `settle` until it is settled"
    return
      "\(table) has rows of \(who.joined(separator: " and of ")): if they still write, each of their INSERTs takes an entry for each table "
      + "partition of the deduplication window of \(window); \(reserved)"
  }
}
