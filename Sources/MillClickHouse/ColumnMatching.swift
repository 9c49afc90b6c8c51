package import MillFlow
package import MillLog

/// A field of the rows and the columns it is meant for; in the order of the RowBlock's columns.
package struct SinkField: Hashable, Sendable {
  /// The field's name in the pipeline file.
  package var field: String
  /// The columns that it goes into, each; none: it isn't inserted.
  package var columns: [String]
  package var type: DataType

  package init(field: String, columns: [String]? = nil, type: DataType) {
    self.field = field
    self.columns = columns ?? [field]
    self.type = type
  }
}

/// Which field feeds which column (pipeline format §1.3).
package enum ColumnMatching {
  /// The columns to send, in the table's order, all problems, and what is to be told; without problems every column gets a value.
  /// - Parameter provenance: the provenance column's name, fed by nobody.
  package static func match(
    _ fields: [SinkField], _ columns: [DescribedColumn], provenance: String?, isReplicated: Bool, isStrict: Bool = false, table: TableName
  ) -> (columns: [TargetColumn], problems: [String], warnings: [String]) {
    var matched: [TargetColumn] = []
    var problems: [String] = []
    var warnings: [String] = []
    for (field, name) in fields.flatMap({ field in field.columns.map { (field, $0) } }) {
      guard let column = columns.first(where: { $0.name == name }) else {
        problems.append(
          "field \(field.field) has no column \(SQL.name(name)) in \(table): "
            + "ALTER TABLE \(table.quoted) ADD COLUMN \(SQL.name(name)) \(field.type), or name it under omit in the sink")
        continue
      }
      if !column.isInsertable {
        problems.append(
          "column \(SQL.name(column.name)) of \(table) is \(column.defaultKind), the server computes it: leave field \(field.field) out")
      } else if column.name == provenance {
        problems.append("column \(SQL.name(column.name)) of \(table) is the provenance column: field \(field.field) needs another one")
      }
    }
    for column in columns where column.isInsertable && column.name != provenance {
      let feeding = fields.indices.filter { fields[$0].columns.contains(column.name) }
      if feeding.count > 1 {
        problems.append(
          "column \(SQL.name(column.name)) of \(table) is fed by \(feeding.map { fields[$0].field }.joined(separator: " and ")): one field each"
        )
        continue
      }
      guard let source = feeding.first else {
        if column.defaultKind.isEmpty {
          let text = lacksField(column, isStrict: isStrict, table)
          if isStrict { problems.append(text) } else { warnings.append(text) }
        } else if isReplicated, let problem = unrepeatable(column, table) {
          problems.append(problem)
        }
        continue
      }
      let field = fields[source]
      let type: DataType
      do throws(TypeProblem) { type = try DataType.parse(column.type) } catch {
        problems.append(
          "field \(field.field) is \(field.type), column \(SQL.name(column.name)) of \(table) is \(column.type), which no field can feed: "
            + error.message)
        continue
      }
      guard field.type.fit(into: type) != nil else {
        problems.append(
          "field \(field.field) is \(field.type), column \(SQL.name(column.name)) of \(table) is \(column.type): "
            + remedy(field, column, type, table))
        continue
      }
      matched.append(TargetColumn(name: column.name, type: type, typeText: column.type, source: source))
    }
    return (matched, problems, warnings)
  }

  /// What encodes today's fields as a batch of these columns was encoded, also where the table has been altered since.
  package static func encoder(of sealed: [BatchColumn], fields: [SinkField], table: TableName) -> Result<BlockEncoder, Refusal> {
    // Where there is one it stands last, and no field feeds it.
    let provenance = sealed.last.flatMap { last in fields.contains { $0.columns.contains(last.name) } ? nil : last }
    let columns = sealed.dropLast(provenance == nil ? 0 : 1).map { DescribedColumn(name: $0.name, type: $0.type) }
    let (matched, problems, _) = match(fields, columns, provenance: nil, isReplicated: false, isStrict: true, table: table)
    guard problems.isEmpty else { return .failure(Refusal(problems: problems)) }
    return .success(BlockEncoder(columns: matched, provenance: provenance))
  }

  private static func lacksField(_ column: DescribedColumn, isStrict: Bool, _ table: TableName) -> String {
    let name = SQL.name(column.name)
    let what = "column \(name) of \(table) has no field and no DEFAULT"
    let remedy = "give it a field of type \(column.type), or ALTER TABLE \(table.quoted) MODIFY COLUMN \(name) DEFAULT …"
    return isStrict
      ? "\(what), which strict_columns refuses: \(remedy)" : "\(what): each row gets the default of \(column.type). Else \(remedy)"
  }

  /// Whether a retry on another replica would store another value than the first try.
  private static func unrepeatable(_ column: DescribedColumn, _ table: TableName) -> String? {
    guard let call = chance.first(where: { column.defaultExpression.lowercased().contains($0.lowercased() + "(") }) else { return nil }
    return
      "column \(SQL.name(column.name)) of \(table) has DEFAULT \(column.defaultExpression): a retry on another replica would store another "
      + "value of \(call)(); give it a field"
  }

  /// Functions whose value differs from one call or replica to the next.
  private static let chance = [
    "now", "now64", "today", "yesterday", "rand", "rand32", "rand64", "randConstant", "canonicalRand", "randomString", "generateUUIDv4",
    "generateUUIDv7", "generateSnowflakeID", "generateULID", "hostName", "fqdn", "uptime", "utcTimestamp", "current_timestamp",
    "serverUUID",
    "nowInBlock", "rowNumberInAllBlocks", "queryID", "currentUser", "randUniform", "randNormal", "fuzzBits", "blockNumber",
  ]

  private static func remedy(_ field: SinkField, _ column: DescribedColumn, _ type: DataType, _ table: TableName) -> String {
    if field.type.isNullable, !type.isNullable {
      return "declare the field \(type) with a default, or "
        + "ALTER TABLE \(table.quoted) MODIFY COLUMN \(SQL.name(column.name)) Nullable(\(type.base))"
    }
    return
      "declare the field \(type.base), or ALTER TABLE \(table.quoted) MODIFY COLUMN \(SQL.name(column.name)) \(field.type)"
  }
}
