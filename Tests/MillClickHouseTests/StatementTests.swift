internal import MillBase
internal import MillClickHouse
internal import MillLog
internal import Testing

@Suite struct StatementTests {
  private let table = TableName(database: "db", table: "t")
  private let columns = [BatchColumn(name: "a", type: "Decimal(9, 2)"), BatchColumn(name: "p", type: "String")]
  private let old = Dialect(major: 18, minor: 16, settings: ["max_block_size", "max_insert_block_size"])
  private let new = Dialect(
    major: 26, minor: 9,
    settings: ["async_insert", "insert_deduplication_token", "deduplicate_insert", "insert_deduplicate", "transform_null_in"])

  private var batch: SealedBatch {
    SealedBatch(
      destination: .table, number: 1, rowStart: 0, rowCount: 1, digest: Digest128(low: 0, high: 0), token: "mr-x", chunks: [0],
      originChunkCount: 0, byteCount: 3, target: "db.t", columns: columns)
  }

  @Test func `a name or text comes back out of its quotes, whatever is in it`() {
    #expect(SQL.name("a`b\\c\n") == "`a\\`b\\\\c\\n`")
    #expect(SQL.text("it's \\ \t") == "'it\\'s \\\\ \\t'")
    for nasty in ["a.b", "we`ird", "back\\slash", "tab\t", "new\nline", "", "1st", "é", "'", "\"", "nul\0"] {
      let name = TableName(database: nasty, table: "x" + nasty)
      #expect(TableName(name.description) == name, "\(nasty)")
    }
    #expect(TableName("plain.words")?.description == "plain.words")
    for wrong in ["", "a", "a.", ".b", "a.b.c", "`a.b", "`a`b.c", "a b.c"] { #expect(TableName(wrong) == nil, "\(wrong)") }
  }

  @Test func `the statements have the shapes that a simulated server knows them by`() {
    #expect(Statements.insert(into: table, columns: columns) == "INSERT INTO `db`.`t` (`a`, `p`) FORMAT Native")
    func guarded(_ key: String, looks: Bool = true, checksTypes: Bool = false) -> String {
      Statements.guardedInsert(
        into: table, columns: columns, deadline: 99, looks: looks, checksTypes: checksTypes, partitionKey: key, provenance: "p",
        token: "mr-x")
    }
    let head = "INSERT INTO `db`.`t` (`a`, `p`) SELECT `a`, `p` FROM batch WHERE now() < toDateTime(99)"
    #expect(guarded("toYYYYMM(d)") == head + " AND (toYYYYMM(d)) NOT IN (SELECT DISTINCT (toYYYYMM(d)) FROM `db`.`t` WHERE `p` = 'mr-x')")
    #expect(guarded("") == head + " AND (SELECT count() FROM `db`.`t` WHERE `p` = 'mr-x') = 0")
    #expect(guarded("tuple()") == guarded(""))
    #expect(guarded("toYYYYMM(d)", looks: false) == head)
    let types = columns.map { "('\($0.name)', '\($0.type)')" }.joined(separator: ", ")
    let same = "(SELECT count() FROM system.columns WHERE database = 'db' AND table = 't' AND (name, type) IN (\(types))) != 2"
    #expect(guarded("", looks: false, checksTypes: true) == head + " AND throwIf(\(same), '\(Statements.alteredText)') = 0")
    #expect(
      Statements.count(table: table, provenance: "p", token: "mr-x")
        == "SELECT count() FROM `db`.`t` WHERE `p` = 'mr-x' FORMAT TabSeparated")
    #expect(Statements.running(prefix: "mr-").hasPrefix("SELECT query_id FROM system.processes WHERE"))
    #expect(Statements.kill(prefix: "mr-").hasPrefix("KILL QUERY WHERE startsWith(query_id, 'mr-') SYNC"))
    #expect(
      Statements.greatestBatch(table: table, provenance: "p", lineage: Lineage(0xa))
        == "SELECT max(toUInt64OrZero(substring(`p`, -53, 20))) FROM `db`.`t` WHERE `p` >= 'mr-000000000000000a-' "
        + "AND `p` < 'mr-000000000000000a.' FORMAT TabSeparated")
  }

  @Test func `only settings that the server lists are sent`() {
    let modern = Requests(options: SinkOptions(urls: [], table: table), dialect: new)
      .insert(batch, into: table, attempt: 3, token: true, partitionsMax: 100, frames: [1, 2, 3])
    #expect(
      modern.target.hasPrefix(
        "/?query=INSERT%20INTO%20%60db%60.%60t%60%20%28%60a%60%2C%20%60p%60%29%20FORMAT%20Native&decompress=1&query_id=mr-x-3&"))
    for part in ["async_insert=0", "wait_end_of_query=1", "insert_deduplication_token=mr-x", "deduplicate_insert=enable"] {
      #expect(modern.target.contains("&" + part), "\(part)")
    }
    #expect(!modern.target.contains("max_insert_block_size"))
    #expect(modern.body == [1, 2, 3])
    let ancient = Requests(options: SinkOptions(urls: [], table: table), dialect: old)
      .insert(batch, into: table, attempt: 3, token: true, partitionsMax: 100, frames: [])
    #expect(!ancient.target.contains("token") && !ancient.target.contains("async_insert"))
    let plain = Requests(options: SinkOptions(urls: [], table: table), dialect: new)
      .insert(batch, into: table, attempt: 3, token: false, partitionsMax: 100, frames: [])
    #expect(!plain.target.contains("insert_deduplication_token"))
  }

  @Test func `a guarded insert carries the block as one part whose boundary isn't in it`() {
    let clash = Array("\r\n--batch-0-mr-x".utf8)
    let request = Requests(options: SinkOptions(urls: [], user: "u", password: "secret", table: table), dialect: new).guardedInsert(
      batch, into: table, attempt: 1, deadline: 9, looks: true, partitionsMax: 5, partitionKey: "", provenance: "p", block: clash)
    let boundary = "batch-1-mr-x"
    #expect(request.headers.contains { $0 == ("Content-Type", "multipart/form-data; boundary=\(boundary)") })
    #expect(
      request.headers.contains { $0 == ("X-ClickHouse-User", "u") } && request.headers.contains { $0 == ("X-ClickHouse-Key", "secret") })
    #expect(request.body == ExternalTable.body(clash, boundary: boundary))
    #expect(request.target.contains("&batch_structure=%60a%60%20Decimal%289%2C%202%29%2C%20%60p%60%20String&"))
    #expect(request.target.contains("&insert_deduplicate=0&deduplicate_insert=disable&transform_null_in=1"))
    #expect(!request.target.contains("insert_deduplication_token") && !request.target.contains("secret"))
  }

  @Test func `an old server gets a structure without commas and quotes`() {
    #expect(ExternalTable.structure(columns, old) == "a Decimal32(2), p String")
    let nested = BatchColumn(name: "x", type: "Nullable(Decimal(18, 4))")
    #expect(ExternalTable.structure([nested], old) == "x Nullable(Decimal64(4))")
    #expect(!ExternalTable.canName(BatchColumn(name: "a b", type: "UInt8"), old))
    #expect(ExternalTable.canName(BatchColumn(name: "a b", type: "UInt8"), new))
  }
}
