/// Whether a table keeps every row that is put into it. Pure.
extension TableLook {
  /// MergeTree's kind without Replicated or Shared before it.
  var bareEngine: String {
    for prefix in ["Replicated", "Shared"] where engine.hasPrefix(prefix) { return String(engine.dropFirst(prefix.count)) }
    return engine
  }

  /// Why rows that were written may be gone by right, so that their number proves nothing; nil: they stay.
  func rowsLeave(_ table: TableName, provenance: String) -> String? {
    let name = "\(table) is \(engine)"
    switch bareEngine {
    case "ReplacingMergeTree", "CollapsingMergeTree", "VersionedCollapsingMergeTree", "CoalescingMergeTree", "SummingMergeTree",
      "AggregatingMergeTree", "GraphiteMergeTree":
      return "\(name), which merges rows away"
    case "Null": return "\(name), which keeps nothing"
    case "Memory", "Buffer", "Set", "Join": return "\(name), which keeps its rows in memory only"
    default: break
    }
    if let deletingTTL { return "\(table) has TTL \(deletingTTL), which takes rows away" }
    guard let column = columns.first(where: { $0.name == provenance }), !column.ttl.isEmpty else { return nil }
    return "column \(SQL.name(provenance)) of \(table) has TTL \(column.ttl), which takes the rows' names away"
  }

  /// The first element of the table's TTL that deletes or merges rows; moves and recompression don't matter.
  var deletingTTL: String? {
    guard let start = engineFull.lastRange(ofText: " TTL ") else { return nil }
    let end = engineFull.lastRange(ofText: " SETTINGS ")?.lowerBound ?? engineFull.endIndex
    guard start.upperBound < end else { return nil }
    var elements = [""]
    var depth = 0
    for character in engineFull[start.upperBound..<end] {
      depth += character == "(" ? 1 : character == ")" ? -1 : 0
      if character == ",", depth == 0 { elements.append("") } else { elements[elements.count - 1].append(character) }
    }
    return elements.first { !$0.contains(" TO DISK ") && !$0.contains(" TO VOLUME ") && !$0.contains(" RECOMPRESS ") }
  }
}
