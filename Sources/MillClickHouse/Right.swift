/// A right that the engine needs, and the statement that gives it. README lists them all.
package enum Right: Hashable, Sendable, CaseIterable {
  /// Writing rows.
  case insert
  /// Reading a batch's rows: to count them, and to insert what of them is missing.
  case rows
  /// The list of what runs.
  case processes
  /// The deduplication window that tables have unless they say otherwise.
  case settings
  /// Making a replica catch up before rows are counted there; asked for only where a list of replicas is served.
  case catchUp

  package func grant(_ table: TableName, to user: String) -> String {
    switch self {
    case .insert: "GRANT INSERT ON \(table.quoted) TO \(SQL.name(user))"
    case .rows: "GRANT SELECT ON \(table.quoted) TO \(SQL.name(user))"
    case .processes: "GRANT SELECT ON system.processes TO \(SQL.name(user))"
    case .settings: "GRANT SELECT ON system.merge_tree_settings TO \(SQL.name(user))"
    case .catchUp: "GRANT SYSTEM SYNC REPLICA ON \(table.quoted) TO \(SQL.name(user))"
    }
  }

  /// What is missing, why it is needed, and the GRANT.
  package func problem(_ table: TableName, user: String) -> String {
    let what =
      switch self {
      case .insert: "insert into \(table)"
      case .rows: "read \(table), without which the rows of a batch can't be counted after a lost answer"
      case .processes: "read system.processes, without which a lost INSERT can't be settled"
      case .settings: "read system.merge_tree_settings, without which the table's deduplication window isn't known"
      case .catchUp: "make a replica of \(table) catch up, without which its rows can't be counted while another is ahead of it"
      }
    return "user \(user) may not \(what): \(grant(table, to: user))"
  }

  /// The GRANT that an error about missing privileges asks for, in the server's own words; nil for any other message.
  static func grant(askedFor message: String, user: String) -> String? {
    let opening = "necessary to have the grant "
    guard let start = message.lastRange(ofText: opening) else { return nil }
    let rest = message[start.upperBound...]
    let end = rest.indices.first { rest[$0...].hasPrefix(". (") } ?? rest.endIndex
    return rest[..<end].contains(" ON ") ? "GRANT \(rest[..<end]) TO \(SQL.name(user))" : nil
  }
}
