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
    return "\(table) has rows of \(who.joined(separator: " and of ")): if they still write, each of their INSERTs takes up to an entry a "
      + "partition of the deduplication window of \(window). window_reserve says how many they may take while a doubt is settled; "
      + "unlimited trusts in none"
  }
}
