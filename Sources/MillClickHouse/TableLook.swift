/// Rows of TabSeparated text.
package enum TabSeparated {
  /// Fields with their escapes undone; no rows for no bytes.
  package static func rows(_ bytes: [UInt8]) -> [[String]] {
    var rows: [[String]] = []
    var row: [String] = []
    var field: [UInt8] = []
    var escaped = false
    for byte in bytes {
      if escaped {
        field.append(SQL.unescaped(byte))
        escaped = false
        continue
      }
      switch byte {
      case UInt8(ascii: "\\"): escaped = true
      case UInt8(ascii: "\t"), UInt8(ascii: "\n"):
        row.append(String(decoding: field, as: UTF8.self))
        field.removeAll(keepingCapacity: true)
        if byte == UInt8(ascii: "\n") {
          rows.append(row)
          row = []
        }
      default: field.append(byte)
      }
    }
    if !field.isEmpty || !row.isEmpty { rows.append(row + [String(decoding: field, as: UTF8.self)]) }
    return rows
  }

  /// Elements of an array of texts, `['a','b']`, as a field has it.
  package static func texts(_ array: String) -> [String] {
    var texts: [String] = []
    var text: [UInt8]?
    var escaped = false
    for byte in array.utf8 {
      guard let open = text else {
        if byte == UInt8(ascii: "'") { text = [] }
        continue
      }
      if escaped {
        text = open + [SQL.unescaped(byte)]
        escaped = false
      } else if byte == UInt8(ascii: "\\") {
        escaped = true
      } else if byte == UInt8(ascii: "'") {
        texts.append(String(decoding: open, as: UTF8.self))
        text = nil
      } else {
        text = open + [byte]
      }
    }
    return texts
  }
}

/// A column as DESCRIBE has it.
package struct DescribedColumn: Hashable, Sendable {
  package var name: String
  package var type: String
  /// `DEFAULT`, `MATERIALIZED`, `ALIAS`, `EPHEMERAL` or empty.
  package var defaultKind: String
  package var defaultExpression: String
  /// After which the server empties it; or empty.
  package var ttl: String

  package init(name: String, type: String, defaultKind: String = "", defaultExpression: String = "", ttl: String = "") {
    self.name = name
    self.type = type
    self.defaultKind = defaultKind
    self.defaultExpression = defaultExpression
    self.ttl = ttl
  }

  /// Whether an INSERT can name it.
  package var isInsertable: Bool { !["MATERIALIZED", "ALIAS", "EPHEMERAL"].contains(defaultKind) }
}

/// All that was seen of server and table; what follows from it is ``DeliveryChoice``'s.
package struct TableLook: Hashable, Sendable {
  package var dialect: Dialect
  package var engine: String
  /// With its arguments, keys, TTL and settings, as system.tables has it.
  package var engineFull: String
  package var createQuery: String
  package var partitionKey: String
  /// nil where the server has none, or the table's database doesn't give any.
  package var uuid: String?
  /// Views that hang on the table.
  package var dependents: [TableName]
  package var columns: [DescribedColumn]
  /// Defaults for tables that don't say otherwise.
  package var mergeTreeSettings: [String: String]
  /// Rights that the user was found not to have.
  package var lacking: Set<Right>
  /// What the names of the rows' batches begin with, up to the lineage; nil where it wasn't asked for, or took too long.
  package var writers: [String]?

  package init(
    dialect: Dialect, engine: String, engineFull: String = "", createQuery: String = "", partitionKey: String = "", uuid: String? = nil,
    dependents: [TableName] = [], columns: [DescribedColumn], mergeTreeSettings: [String: String] = [:], lacking: Set<Right> = []
  ) {
    self.dialect = dialect
    self.engine = engine
    self.engineFull = engineFull
    self.createQuery = createQuery
    self.partitionKey = partitionKey
    self.uuid = uuid
    self.dependents = dependents
    self.columns = columns
    self.mergeTreeSettings = mergeTreeSettings
    self.lacking = lacking
  }

  /// Columns of system.tables that are asked for, where the server has them, in the order of their answer.
  /// - Parameter known: empty where the user may not see which there are; a server with such rights has them all.
  package static func wanted(of known: Set<String>) -> [String] {
    let all = ["engine", "engine_full", "create_table_query", "partition_key", "uuid", "dependencies_database", "dependencies_table"]
    return known.isEmpty ? all : all.filter(known.contains)
  }

  /// A table's own setting, else the server's default for all; nil where this server doesn't know it.
  package func setting(_ name: String) -> Int? {
    if let settings = engineFull.lastRange(ofText: " SETTINGS ") {
      for entry in engineFull[settings.upperBound...].split(separator: ",") {
        let parts = entry.split(separator: "=").map { $0.filter { $0 != " " && $0 != "'" } }
        if parts.count == 2, parts[0] == name { return Self.number(parts[1]) }
      }
    }
    return mergeTreeSettings[name].flatMap(Self.number)
  }

  /// A Bool may be written as a word.
  private static func number(_ value: String) -> Int? { ["true": 1, "false": 0][value] ?? Int(value) }
}

extension String {
  /// Where `text` stands last.
  func lastRange(ofText text: String) -> Range<Index>? {
    var found: Range<Index>?
    var start = startIndex
    while let place = self[start...].firstIndex(where: { $0 == text.first }) {
      if self[place...].hasPrefix(text) { found = place..<index(place, offsetBy: text.count) }
      start = index(after: place)
    }
    return found
  }
}
