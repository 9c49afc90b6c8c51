internal import MillBase
package import MillCore
package import MillLog

/// A table that rows can be sent to, as it was found.
package struct ChosenTable: Hashable, Sendable {
  package var facts: TableFacts
  /// What the fields feed, in the table's order.
  package var columns: [TargetColumn]
  package var provenance: BatchColumn?
  /// In the server's own words.
  package var partitionKey: String
  var family: DeliveryChoice.Family

  var isShared: Bool { family == .shared }
  /// Whether rows of one block are one part.
  package var isOnePart: Bool { !Statements.hasPartitions(key: partitionKey) }
  package var encoder: BlockEncoder { BlockEncoder(columns: columns, provenance: provenance) }
}

/// What makes a table unusable as the pipeline asks; each text says what and how to mend it.
package struct Refusal: Error, Hashable, Sendable {
  package var problems: [String]
}

/// From what was looked at to how exactly once is kept (R9, R10), or why it can't be. Pure.
package enum DeliveryChoice {
  package static func choose(
    _ look: TableLook, options: SinkOptions, fields: [SinkField], pending: [SealedBatch]
  ) -> Result<ChosenTable, Refusal> {
    let table = options.table
    let provenanceColumn = options.provenanceColumn.flatMap { name in look.columns.first { $0.name == name } }
    var problems: [String] = []
    let (columns, unmatched, unfed) = ColumnMatching.match(
      fields, look.columns, provenance: provenanceColumn?.name, isReplicated: family(of: look.engine) != .plain,
      isStrict: options.strictColumns, table: table)
    problems += unmatched
    if let provenanceColumn, !(provenanceColumn.isInsertable && ["String", "LowCardinality(String)"].contains(provenanceColumn.type)) {
      problems.append(
        "provenance column \(SQL.name(provenanceColumn.name)) of \(table) is \(provenanceColumn.defaultKind) \(provenanceColumn.type): "
          + "it must be a plain String or LowCardinality(String)")
    }
    let provenance = provenanceColumn.map { BatchColumn(name: $0.name, type: $0.type) }
    let batchColumns = columns.map(\.batchColumn) + (provenance.map { [$0] } ?? [])
    problems += unfitPending(pending, look, table, options)
    var choice = ModeChoice(look: look, options: options, hasProvenance: provenance != nil)
    choice.decide()
    problems += choice.problems
    if options.delivery == .exactlyOnce { problems += ColumnTTL.problems(look, provenance: provenance?.name, table) }
    if choice.mode != .atLeastOnce { problems += keyProblems(look, sent: Set(batchColumns.map(\.name)), table) }
    if provenance != nil || choice.mode == .readBack { problems += nameProblems(batchColumns, look.dialect, table) }
    problems += lengthProblems(batchColumns, look, options, mode: choice.mode)
    guard problems.isEmpty else { return .failure(Refusal(problems: problems)) }
    let facts = TableFacts(
      mode: choice.mode, window: choice.window, partitionsMax: choice.partitionsMax, reserve: choice.reserve,
      windowSeconds: choice.windowSeconds,
      identity: namesOneTable(options) ? identity(look) : "",
      hasProvenance: provenance != nil && look.lacking.isDisjoint(with: [.rows, .catchUp]),
      warnings: choice.warnings + unfed + ColumnTTL.warnings(look, sent: batchColumns.map(\.name), provenance: provenance?.name, table),
      notes: choice.notes, writers: look.writers ?? [])
    return .success(
      ChosenTable(
        facts: facts, columns: columns, provenance: provenance, partitionKey: look.partitionKey, family: family(of: look.engine)))
  }

  /// Whether part and token are committed in one step.
  enum Family { case plain, replicated, shared }

  static func family(of engine: String) -> Family {
    engine.hasPrefix("Replicated") ? .replicated : engine.hasPrefix("Shared") ? .shared : .plain
  }

  /// Several servers that need not be replicas: rows go into whichever answers.
  private static func namesOneTable(_ options: SinkOptions) -> Bool { options.urls.count == 1 || options.delivery == .exactlyOnce }

  /// False of the one that all tables of an Ordinary database have.
  static func isOwn(uuid: String) -> Bool { uuid.contains { $0 != "0" && $0 != "-" } }

  static func identity(_ look: TableLook) -> String {
    if let uuid = look.uuid, isOwn(uuid: uuid) { return uuid }
    return unsafe "create-\(Array(look.createQuery.utf8).withRawBytes { unsafe cityHash128($0) })"
  }

  /// R6: frozen rows are sent as they are, so the table must still take them.
  private static func unfitPending(
    _ pending: [SealedBatch], _ look: TableLook, _ table: TableName, _ options: SinkOptions
  ) -> [String] {
    var problems: [String] = []
    for batch in pending where batch.destination == .table {
      guard batch.target == table.description else {
        problems.append(
          "batch \(batch.number) was sealed for \(batch.target), the pipeline now names \(table): start once with \(batch.target)")
        continue
      }
      // Its rows could not be counted: the doubt that every restart leaves would end in a second copy of them.
      if options.delivery == .exactlyOnce, let provenance = options.provenanceColumn,
        look.columns.contains(where: { $0.name == provenance }),
        !batch.columns.contains(where: { $0.name == provenance })
      {
        problems.append(
          "batch \(batch.number) was sealed without the provenance column \(SQL.name(provenance)): "
            + "start once with provenance_column as it was until the batch is in, then with \(SQL.name(provenance))")
      }
      for frozen in batch.columns {
        let now = look.columns.first { $0.name == frozen.name }
        if let now, now.isInsertable, now.type == frozen.type { continue }
        let found = now.map { "is \($0.defaultKind.isEmpty ? "" : $0.defaultKind + " ")\($0.type)" } ?? "is gone"
        problems.append(
          "batch \(batch.number) was sealed with column \(SQL.name(frozen.name)) \(frozen.type), which in \(table) \(found): "
            + "give the table that column back until the batch is in")
      }
    }
    return problems
  }

  /// R8 computes the partition key over the rows that are sent.
  private static func keyProblems(_ look: TableLook, sent: Set<String>, _ table: TableName) -> [String] {
    let names = KeyColumns.used(by: look.partitionKey, among: look.columns.map(\.name))
    var problems: [String] = []
    for column in look.columns where names.contains(column.name) {
      if !sent.contains(column.name) {
        problems.append(
          "the partition key \(look.partitionKey) of \(table) needs column \(SQL.name(column.name)), which isn't sent "
            + "(\(column.defaultKind.isEmpty ? "no field" : column.defaultKind)): give it a field, or use a table whose key needs none")
      } else if column.type.contains("Nullable("), !look.dialect.settings.contains("transform_null_in") {
        problems.append(
          "the partition key \(look.partitionKey) of \(table) can be NULL, and this server has no transform_null_in: "
            + "use a table whose key isn't Nullable")
      }
    }
    return problems
  }

  private static func nameProblems(_ columns: [BatchColumn], _ dialect: Dialect, _ table: TableName) -> [String] {
    columns.filter { !ExternalTable.canName($0, dialect) }.map {
      "column \(SQL.name($0.name)) \($0.type) of \(table): ClickHouse \(dialect.major).\(dialect.minor) takes no such column in an external table; "
        + (SQL.isPlainWord($0.name)
          ? "make it a String, or take ClickHouse 21.1 or newer; or delivery: at_least_once with provenance_column: null"
          : "rename it to letters, digits and _")
    }
  }

  /// A statement stands in the request's target, whose length servers bound.
  private static func lengthProblems(
    _ columns: [BatchColumn], _ look: TableLook, _ options: SinkOptions, mode: DeliveryMode
  ) -> [String] {
    let batch = SealedBatch(
      destination: .table, number: 1, rowStart: 0, rowCount: 1, digest: Digest128(low: 0, high: 0),
      token: String(repeating: "x", count: 128),
      chunks: [], originChunkCount: 0, byteCount: 0, target: "", columns: columns)
    let requests = Requests(options: options, dialect: look.dialect)
    // The longest one that the mode ever sends.
    let request =
      switch mode {
      case .atLeastOnce, .tokenOnly:
        requests.insert(
          batch, into: options.table, attempt: 1_000_000, token: mode == .tokenOnly, partitionsMax: options.partitionsMax, frames: [])
      case .tokenAndProvenance, .readBack:
        requests.guardedInsert(
          batch, into: options.table, attempt: 1_000_000, deadline: 4_102_444_800, looks: true, partitionsMax: options.partitionsMax,
          partitionKey: look.partitionKey, provenance: options.provenanceColumn ?? "", block: [])
      }
    let length = request.target.utf8.count
    guard length > look.dialect.targetBytesMax else { return [] }
    return [
      "the INSERT for \(columns.count) columns of \(options.table) has \(length) bytes, this server takes \(look.dialect.targetBytesMax): "
        + "send fewer columns, or use a newer server"
    ]
  }
}
