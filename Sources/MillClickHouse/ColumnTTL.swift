/// Columns that the server empties some time after their rows were written (R10). Pure.
enum ColumnTTL {
  /// Without its name, or in another partition by its key, a row counts as missing: it would be inserted again.
  static func problems(_ look: TableLook, provenance: String?, _ table: TableName) -> [String] {
    let key = KeyColumns.used(by: look.partitionKey, among: look.columns.map(\.name))
    return look.columns.filter { !$0.ttl.isEmpty }.compactMap { column in
      let why: String
      if column.name == provenance {
        why = "the rows of a batch could not be counted"
      } else if key.contains(column.name) {
        why = "the partition key \(look.partitionKey) uses it, so that the rows of a batch could not be found"
      } else {
        return nil
      }
      let name = SQL.name(column.name)
      return "column \(name) of \(table) has TTL \(column.ttl), which empties it: \(why), and would be inserted again. "
        + "Run: ALTER TABLE \(table.quoted) MODIFY COLUMN \(name) REMOVE TTL"
    }
  }

  /// What `verify` can't prove. `sent`: the columns that an INSERT names.
  static func warnings(_ look: TableLook, sent: [String], provenance: String?, _ table: TableName) -> [String] {
    look.columns.filter { !$0.ttl.isEmpty && sent.contains($0.name) }.map { column in
      let lost = column.name == provenance ? "verify can't count the rows of a batch" : "verify doesn't compare what it holds"
      return "column \(SQL.name(column.name)) of \(table) has TTL \(column.ttl), which empties it: \(lost)"
    }
  }
}
