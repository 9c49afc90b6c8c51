import MillClickHouse
import MillCore
import MillFlow
import Testing

@Suite struct ColumnTTLTests {
  private let table = TableName(database: "db", table: "t")
  private let ttl = "d + toIntervalDay(30)"

  private func look(_ columns: [(name: String, type: String)], emptied: [String], key: String = "") -> TableLook {
    TableLook(
      dialect: Dialect(major: 26, minor: 9, settings: ["insert_deduplication_token", "transform_null_in"]), engine: "MergeTree",
      engineFull: "MergeTree ORDER BY id", createQuery: "CREATE", partitionKey: key,
      columns: (columns + [("_millrace_batch", "LowCardinality(String)")]).map { name, type in
        DescribedColumn(name: name, type: type, ttl: emptied.contains(name) ? ttl : "")
      },
      mergeTreeSettings: ["non_replicated_deduplication_window": "1000"])
  }

  private func choose(_ look: TableLook, _ delivery: Delivery = .exactlyOnce) -> Result<ChosenTable, Refusal> {
    let fields = look.columns.dropLast().map { column in
      SinkField(field: column.name, type: (try? DataType.parse(column.type)) ?? .string)
    }
    return DeliveryChoice.choose(look, options: SinkOptions(urls: ["u"], table: table, delivery: delivery), fields: fields, pending: [])
  }

  private func problems(_ look: TableLook) -> [String] {
    if case .failure(let refusal) = choose(look) { refusal.problems } else { [] }
  }

  @Test func `a TTL on the provenance column is refused with the ALTER, and taken for at least once with a word`() throws {
    let look = look([("id", "UInt64"), ("d", "DateTime")], emptied: ["_millrace_batch"])
    #expect(
      problems(look) == [
        "column `_millrace_batch` of db.t has TTL d + toIntervalDay(30), which empties it: the rows of a batch could not be counted, and "
          + "would be inserted again. Run: ALTER TABLE `db`.`t` MODIFY COLUMN `_millrace_batch` REMOVE TTL"
      ])
    let facts = try choose(look, .atLeastOnce).get().facts
    #expect(facts.warnings.contains { $0.contains("`_millrace_batch`") && $0.contains("verify can't count") })
  }

  @Test func `a TTL on another column is told, and goes`() throws {
    let facts = try choose(look([("id", "UInt64"), ("d", "DateTime"), ("email", "String")], emptied: ["email"], key: "toYYYYMM(d)")).get()
      .facts
    #expect(facts.mode == .tokenAndProvenance)
    #expect(
      facts.warnings == ["column `email` of db.t has TTL d + toIntervalDay(30), which empties it: verify doesn't compare what it holds"])
  }

  /// Each key as ClickHouse 26.9 words it; it takes a TTL on all of these columns.
  @Test(arguments: [
    ("r.`null`", "r", "Nullable(UInt32)"), ("r.size0", "r", "Array(UInt32)"), ("t.1", "t", "UInt32"), ("(t.a, toYYYYMM(d))", "t", "UInt32"),
    ("length(m.keys)", "m", "Map(String, UInt32)"), ("j.a.b", "j", "String"), ("(id, j.^a)", "j", "String"), ("j.a.:Int64", "j", "String"),
    ("`n.a`.size0", "n.a", "Array(UInt32)"), ("n.a.size0", "n.a", "Array(UInt32)"), ("n.size0", "n.a", "Array(UInt32)"),
    ("`we ird\\`x`.`null`", "we ird`x", "Nullable(UInt32)"), ("`t.a.null`", "t", "UInt32"), ("toDate(`it's`)", "it's", "UInt32"),
    ("(id % 4, 'r', r)", "r", "UInt32"), ("if(id = 1, r, 0)", "r", "UInt32"), ("`r`", "r", "UInt32"), ("cityHash64(id,r)", "r", "UInt32"),
  ])
  func `a TTL on a column that the partition key uses is refused`(key: String, column: String, type: String) {
    let found = problems(look([("id", "UInt64"), ("d", "DateTime"), (column, type)], emptied: [column], key: key))
    #expect(
      found.filter { $0.hasPrefix("column \(SQL.name(column)) of db.t has TTL") && $0.contains("the partition key \(key) uses it") }.count
        == 1)
    #expect(found.allSatisfy { $0.hasSuffix("MODIFY COLUMN \(SQL.name(column)) REMOVE TTL") })
  }

  @Test(arguments: [
    ("toYYYYMM(d)", "toYYYYMM"), ("(id, 'r')", "r"), ("j.r", "r"), ("j.^r", "r"), ("j.a.:r", "r"), ("rr", "r"), ("r2.`null`", "r"),
    ("concat(toString(id), 'it''s r')", "r"), ("", "r"), ("tuple()", "tuple"),
  ])
  func `a name that only looks like the column's doesn't count`(key: String, column: String) {
    #expect(!KeyColumns.used(by: key, among: ["id", "d", "j", "rr", "r2", "n.a", column]).contains(column))
  }

  @Test func `a key over a nested column that isn't sent is refused like any other`() {
    var look = look([("id", "UInt64")], emptied: [], key: "length(n.a)")
    look.columns.append(DescribedColumn(name: "n.a", type: "Array(UInt8)", defaultKind: "DEFAULT", defaultExpression: "[]"))
    let fields = [SinkField(field: "id", type: .uint64)]
    let result = DeliveryChoice.choose(look, options: SinkOptions(urls: ["u"], table: table), fields: fields, pending: [])
    guard case .failure(let refusal) = result else { return #expect(Bool(false), "it was taken") }
    #expect(refusal.problems.contains { $0.contains("needs column `n.a`, which isn't sent") })
  }
}
