package import MillBase
package import MillLog

/// The exact SQL of each order and question. Pure: the same input always gives the same text.
///
/// Each statement is one line that begins with a shape of its own:
///
///     INSERT INTO `db`.`t` (`a`, `p`) FORMAT Native
///     INSERT INTO `db`.`t` (`a`, `p`) SELECT `a`, `p` FROM batch WHERE now() < toDateTime(D)
///         [AND throwIf((SELECT count() FROM system.columns WHERE database = 'db' AND table = 't'
///              AND (name, type) IN (('a', 'T'), …)) != N, 'TEXT') = 0]
///         [AND (K) NOT IN (SELECT DISTINCT (K) FROM `db`.`t` WHERE `p` = 'TOKEN')]  or, without a partition key,
///         [AND (SELECT count() FROM `db`.`t` WHERE `p` = 'TOKEN') = 0]
///     SELECT groupArray(toUInt32(rowNumberInAllBlocks())) FROM batch GROUP BY (K) FORMAT TabSeparated
///     SELECT toUInt32(now()), uptime() FORMAT TabSeparated
///     SELECT count() FROM `db`.`t` WHERE `p` = 'TOKEN' FORMAT TabSeparated
///     SELECT query_id FROM system.processes WHERE startsWith(query_id, 'PREFIX') FORMAT TabSeparated
///     KILL QUERY WHERE startsWith(query_id, 'PREFIX') SYNC FORMAT TabSeparated
///     SELECT max(`p`) FROM `db`.`t` WHERE `p` >= 'PREFIX' AND `p` < 'BEHIND' FORMAT TabSeparated
///     SELECT version() FORMAT TabSeparated, and the rest of what ``Look`` asks
package enum Statements {
  /// The frozen block as it is; its bytes are the request's body.
  package static func insert(into table: TableName, columns: [BatchColumn]) -> String {
    "INSERT INTO \(table.quoted) (\(names(columns))) FORMAT Native"
  }

  /// R8: the rows of the external table `batch`, if the server's clock is below `deadline`; with `looks` only those of table partitions
  /// that have none of the batch yet.
  /// - Parameters:
  ///   - partitionKey: in the server's own words; empty or `tuple()`: none.
  ///   - checksTypes: fail with ``alteredText`` where the table's columns are no longer of the batch's types (R6). A plain INSERT is
  ///     refused then, INSERT SELECT would convert.
  package static func guardedInsert(
    into table: TableName, columns: [BatchColumn], deadline: Int64, looks: Bool, checksTypes: Bool, partitionKey: String,
    provenance: String, token: String
  ) -> String {
    let list = names(columns)
    let insert =
      "INSERT INTO \(table.quoted) (\(list)) SELECT \(list) FROM batch WHERE now() < toDateTime(\(deadline))"
      + (checksTypes ? " AND \(areUnaltered(columns, of: table))" : "")
    guard looks else { return insert }
    let present = "FROM \(table.quoted) WHERE \(SQL.name(provenance)) = \(SQL.text(token))"
    guard hasPartitions(key: partitionKey) else { return "\(insert) AND (SELECT count() \(present)) = 0" }
    return "\(insert) AND (\(partitionKey)) NOT IN (SELECT DISTINCT (\(partitionKey)) \(present))"
  }

  /// Read while the INSERT holds the table's structure, so that no ALTER comes in between.
  private static func areUnaltered(_ columns: [BatchColumn], of table: TableName) -> String {
    let which = "database = \(SQL.text(table.database)) AND table = \(SQL.text(table.table))"
    let types = columns.map { "(\(SQL.text($0.name)), \(SQL.text($0.type)))" }.joined(separator: ", ")
    let found = "(SELECT count() FROM system.columns WHERE \(which) AND (name, type) IN (\(types)))"
    return "throwIf(\(found) != \(columns.count), \(SQL.text(alteredText))) = 0"
  }

  /// What a guarded INSERT fails with where the table was altered.
  package static let alteredText = "millrace: the columns are not those of the batch"

  /// Whether a partition key, as system.tables has it, cuts the table into partitions at all.
  package static func hasPartitions(key: String) -> Bool { !["", "tuple()", "()"].contains(key) }

  /// The rows of the external table `batch`, numbered from 0 in its order, by table partition.
  package static func rowsByPartition(key: String) -> String {
    "SELECT groupArray(toUInt32(rowNumberInAllBlocks())) FROM batch GROUP BY (\(key)) FORMAT TabSeparated"
  }

  package static let serverTime = "SELECT toUInt32(now()), uptime() FORMAT TabSeparated"

  package static func count(table: TableName, provenance: String, token: String) -> String {
    "SELECT count() FROM \(table.quoted) WHERE \(SQL.name(provenance)) = \(SQL.text(token)) FORMAT TabSeparated"
  }

  package static func running(prefix: String) -> String {
    "SELECT query_id FROM system.processes WHERE startsWith(query_id, \(SQL.text(prefix))) FORMAT TabSeparated"
  }

  package static func kill(prefix: String) -> String {
    "KILL QUERY WHERE startsWith(query_id, \(SQL.text(prefix))) SYNC FORMAT TabSeparated"
  }

  /// Ends when the replica has all that had been committed anywhere.
  package static func catchUp(_ table: TableName) -> String { "SYSTEM SYNC REPLICA \(table.quoted)" }

  /// The greatest number among the tokens of a lineage, whatever the sink was called when they were made; 0 where there is none.
  ///
  /// A range, not a LIKE, so that an index on the column can answer it.
  package static func greatestBatch(table: TableName, provenance: String, lineage: Lineage) -> String {
    let column = SQL.name(provenance)
    let prefix = tokenPrefix(lineage: lineage)
    let range = "\(column) >= \(SQL.text(prefix)) AND \(column) < \(SQL.text(behind(prefix)))"
    let number = "substring(\(column), -\(TokenParts.tailByteCount), \(TokenParts.numberByteCount))"
    return "SELECT max(toUInt64OrZero(\(number))) FROM \(table.quoted) WHERE \(range) FORMAT TabSeparated"
  }

  /// The least text that is greater than all that begin with `prefix`.
  package static func behind(_ prefix: String) -> String {
    var bytes = Array(prefix.utf8)
    precondition((bytes.last ?? 127) < 127, "prefix of a token: ASCII and not empty, is \(prefix)")
    bytes[bytes.count - 1] += 1
    return String(decoding: bytes, as: UTF8.self)
  }

  /// What the server is asked about itself and the table before the first row is sent.
  package enum Look {
    package static let version = "SELECT version() FORMAT TabSeparated"
    package static let settings = "SELECT name FROM system.settings FORMAT TabSeparated"
    /// Which columns system.tables has differs by version.
    package static let tablesColumns = "SELECT name FROM system.columns WHERE database = 'system' AND table = 'tables' FORMAT TabSeparated"
    package static let windows = "SELECT name, value FROM system.merge_tree_settings FORMAT TabSeparated"
    /// Fails where the user may not read system.processes.
    package static let processes = "SELECT count() FROM system.processes FORMAT TabSeparated"

    /// What the names of batches begin with, up to the lineage: a row for each writer, ``writersMax`` at most. It reads one column of all
    /// rows, so that its time is bounded.
    package static func writers(_ table: TableName, provenance: String) -> String {
      let head = "substring(\(SQL.name(provenance)), 1, \(headByteCount))"
      return "SELECT DISTINCT \(head) FROM \(table.quoted) LIMIT \(writersMax) FORMAT TabSeparated"
    }

    /// Of `mr-` and a lineage.
    package static let headByteCount = 19
    package static let writersMax = 16

    /// No row; fails where the user may not read the columns.
    package static func readable(_ table: TableName, columns: [String]) -> String {
      "SELECT \(columns.map(SQL.name).joined(separator: ", ")) FROM \(table.quoted) LIMIT 0 FORMAT TabSeparated"
    }

    /// 1, or 0 where the user may not. It takes no FORMAT.
    package static func mayInsert(_ table: TableName) -> String { "CHECK GRANT INSERT ON \(table.quoted)" }

    /// The same of ``Statements/catchUp(_:)``.
    package static func mayCatchUp(_ table: TableName) -> String { "CHECK GRANT SYSTEM SYNC REPLICA ON \(table.quoted)" }

    /// One row, or none where there is no such table. `columns`: out of ``tablesColumns``.
    package static func table(_ table: TableName, columns: [String]) -> String {
      let list = columns.map(SQL.name).joined(separator: ", ")
      let which = "database = \(SQL.text(table.database)) AND name = \(SQL.text(table.table))"
      return "SELECT \(list) FROM system.tables WHERE \(which) FORMAT TabSeparated"
    }

    /// A row a column: name, type, kind of default, its expression, and more that differs by version.
    package static func describe(_ table: TableName) -> String { "DESCRIBE TABLE \(table.quoted) FORMAT TabSeparated" }
  }

  private static func names(_ columns: [BatchColumn]) -> String { columns.map { SQL.name($0.name) }.joined(separator: ", ") }
}
