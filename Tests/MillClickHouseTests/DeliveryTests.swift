internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillFlow
internal import MillLog
internal import Testing

@Suite struct DeliveryTests {
  private let table = TableName(database: "db", table: "t")
  private let new = Dialect(major: 26, minor: 9, settings: ["insert_deduplication_token", "transform_null_in"])
  private let old = Dialect(major: 18, minor: 16, settings: [])
  private let fields = [SinkField(field: "id", type: .uint64), SinkField(field: "name", type: .string)]
  private let columns = [
    DescribedColumn(name: "id", type: "UInt64"), DescribedColumn(name: "name", type: "LowCardinality(Nullable(String))"),
    DescribedColumn(name: "_millrace_batch", type: "String"),
  ]

  private func look(_ engine: String = "MergeTree", window: Int = 1000, key: String = "", dialect: Dialect? = nil) -> TableLook {
    let settings = [
      "non_replicated_deduplication_window": "\(window)", "replicated_deduplication_window": "\(window)",
      "replicated_deduplication_window_seconds": "3600",
    ]
    return TableLook(
      dialect: dialect ?? new, engine: engine, engineFull: "\(engine) ORDER BY id SETTINGS index_granularity = 8192", createQuery: "CREATE",
      partitionKey: key, columns: columns, mergeTreeSettings: settings)
  }

  private func choose(
    _ look: TableLook, _ options: SinkOptions? = nil, _ fields: [SinkField]? = nil, pending: [SealedBatch] = []
  ) -> Result<ChosenTable, Refusal> {
    DeliveryChoice.choose(look, options: options ?? SinkOptions(urls: ["u"], table: table), fields: fields ?? self.fields, pending: pending)
  }

  private func problems(_ result: Result<ChosenTable, Refusal>) -> [String] {
    if case .failure(let refusal) = result { refusal.problems } else { [] }
  }

  @Test func `token and provenance needs version, window and column`() throws {
    #expect(try choose(look()).get().facts.mode == .tokenAndProvenance)
    #expect(try choose(look(window: 0)).get().facts.mode == .readBack)
    #expect(try choose(look(dialect: old)).get().facts.mode == .readBack)
    #expect(try choose(look(dialect: Dialect(major: 22, minor: 1, settings: new.settings))).get().facts.mode == .readBack)
    let facts = try choose(look("ReplicatedMergeTree", window: 10_000, key: "toYYYYMM(d)")).get().facts
    #expect(facts.mode == .tokenAndProvenance && facts.windowSeconds == 3600 && facts.partitionsMax == 100 && facts.window == 10_000)
  }

  @Test func `a window too small for three batches and the reserve is read back, with the ALTER`() throws {
    #expect(try choose(look(window: 300, key: "k")).get().facts.mode == .tokenAndProvenance)
    let facts = try choose(look(window: 299, key: "k")).get().facts
    #expect(facts.mode == .readBack && facts.window == 0)
    #expect(facts.warnings.contains { $0.contains("ALTER TABLE `db`.`t` MODIFY SETTING non_replicated_deduplication_window = 10000") })
    let reserve = SinkOptions(urls: ["u"], table: table, windowReserve: .entries(998))
    #expect(try choose(look(), reserve).get().facts.mode == .readBack)
  }

  @Test func `the table's own window counts before the server's`() throws {
    var own = look(window: 0)
    own.engineFull = "MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 500, index_granularity = 8192"
    #expect(try choose(own).get().facts.window == 500)
  }

  @Test func `without the column a MergeTree is refused with the ALTER, a Replicated one is token only`() throws {
    var bare = look()
    bare.columns.removeLast()
    #expect(problems(choose(bare)).contains { $0.contains("ADD COLUMN `_millrace_batch` LowCardinality(String)") })
    bare.engine = "ReplicatedMergeTree"
    let facts = try choose(bare).get().facts
    #expect(facts.mode == .tokenOnly && !facts.hasProvenance)
    bare.mergeTreeSettings = [:]
    #expect(problems(choose(bare)).count == 1)
  }

  @Test(arguments: [
    "ReplacingMergeTree", "SummingMergeTree", "ReplicatedAggregatingMergeTree", "SharedReplacingMergeTree", "Null", "Distributed", "Buffer",
    "Log",
    "View", "MaterializedView", "Memory", "Kafka",
  ])
  func `an engine that can't keep exactly once is refused by name and taken at least once`(engine: String) throws {
    #expect(problems(choose(look(engine))).contains { $0.contains("db.t is \(engine)") })
    let loose = SinkOptions(urls: ["u"], table: table, delivery: .atLeastOnce)
    #expect(try choose(look(engine), loose).get().facts.mode == .atLeastOnce)
  }

  @Test func `a TTL that deletes is refused, one that moves is not`() {
    var ttl = look()
    ttl.engineFull = "MergeTree ORDER BY id TTL d + toIntervalDay(1) SETTINGS index_granularity = 8192"
    #expect(problems(choose(ttl)).contains { $0.contains("TTL d + toIntervalDay(1)") })
    ttl.engineFull = "MergeTree ORDER BY id TTL d + toIntervalDay(1) TO VOLUME 'cold', d + f(1, 2) RECOMPRESS CODEC(ZSTD(3)) SETTINGS x = 1"
    #expect(problems(choose(ttl)).isEmpty)
  }

  @Test(arguments: [
    (Right.insert, "GRANT INSERT ON `db`.`t` TO `default`"), (.rows, "GRANT SELECT ON `db`.`t` TO `default`"),
    (.processes, "GRANT SELECT ON system.processes TO `default`"),
    (.settings, "GRANT SELECT ON system.merge_tree_settings TO `default`"),
    (.catchUp, "GRANT SYSTEM SYNC REPLICA ON `db`.`t` TO `default`"),
  ])
  func `each right that is missing is named with its GRANT`(right: Right, grant: String) {
    var look = look()
    look.lacking = [right]
    #expect(problems(choose(look)).filter { $0.hasSuffix(grant) }.count == 1)
    let loose = SinkOptions(urls: ["u"], table: table, delivery: .atLeastOnce)
    #expect(problems(choose(look, loose)).isEmpty == (right != .insert))
  }

  @Test func `a list of servers is one table only where the table is replicated`() throws {
    let list = SinkOptions(urls: ["http://a:1", "http://b:1"], table: table)
    #expect(problems(choose(look(), list)).contains { $0.contains("MergeTree on 2 servers") })
    #expect(try choose(look("ReplicatedMergeTree"), list).get().facts.mode == .tokenAndProvenance)
    #expect(try choose(look("SharedMergeTree"), list).get().facts.mode == .tokenAndProvenance)
    var loose = list
    loose.delivery = .atLeastOnce
    #expect(try choose(look(), loose).get().facts.identity == "")
  }

  @Test func `a password that leaves the machine unencrypted is warned of`() throws {
    func warnings(_ url: String, _ password: String = "secret") throws -> [String] {
      try choose(look(), SinkOptions(urls: [url], user: "u", password: password, table: table)).get().facts.warnings
    }
    for url in [
      "http://db.example:8123", "http://10.0.0.1:8123/x", "http://localhost.example:1", "http://127.evil.example:1",
      "http://[2001:db8::1]:8123",
    ] {
      #expect(try warnings(url).contains { $0.contains("unencrypted") && $0.contains(url) && !$0.contains("secret") }, "\(url)")
    }
    for url in ["https://db.example:8443", "http://localhost:8123", "http://127.0.0.1:8123", "http://[::1]:8123"] {
      #expect(try warnings(url).isEmpty, "\(url)")
    }
    #expect(try warnings("http://db.example:8123", "").isEmpty)
  }

  @Test func `only an INSERT that is ever sent has to fit the server's requests`() throws {
    func wide(_ count: Int, _ engine: String, _ dialect: Dialect, hasProvenance: Bool) -> (look: TableLook, fields: [SinkField]) {
      var look = self.look(engine, dialect: dialect)
      let names = (0..<count).map { "a_column_of_some_length_\($0)" }
      look.columns = names.map { DescribedColumn(name: $0, type: "UInt64") }
      if hasProvenance { look.columns.append(DescribedColumn(name: "_millrace_batch", type: "String")) }
      return (look, names.map { SinkField(field: $0, type: .uint64) })
    }
    func found(_ count: Int, delivery: Delivery = .exactlyOnce, hasProvenance: Bool = true) -> [String] {
      let (look, fields) = wide(count, "MergeTree", old, hasProvenance: hasProvenance)
      return problems(choose(look, SinkOptions(urls: ["u"], table: table, delivery: delivery), fields))
    }
    #expect(found(200).contains { $0.contains("this server takes 16384") })
    #expect(found(200, delivery: .atLeastOnce) == [])
    #expect(found(200, delivery: .atLeastOnce, hasProvenance: false) == [])
    #expect(found(600, delivery: .atLeastOnce).contains { $0.contains("the INSERT for 601 columns") })
    // Token only, which an old server never is: as many columns as its plain INSERT takes.
    let new = Dialect(major: 22, minor: 2, settings: new.settings)
    let (look, fields) = wide(12_000, "ReplicatedMergeTree", new, hasProvenance: false)
    #expect(try choose(look, nil, fields).get().facts.mode == .tokenOnly)
  }

  @Test func `a partition key over a column that isn't sent is refused`() {
    var keyed = look(key: "toYYYYMM(`d d`), name")
    keyed.columns.append(DescribedColumn(name: "d d", type: "Date", defaultKind: "MATERIALIZED", defaultExpression: "today()"))
    #expect(problems(choose(keyed)).contains { $0.contains("needs column `d d`") })
    var null = look(key: "name", dialect: Dialect(major: 26, minor: 9, settings: ["insert_deduplication_token"]))
    null.mergeTreeSettings["non_replicated_deduplication_window"] = "1000"
    #expect(problems(choose(null)).contains { $0.contains("transform_null_in") })
  }

  @Test func `all that doesn't match between fields and columns is listed at once`() {
    var other = look()
    other.columns = [
      DescribedColumn(name: "id", type: "UInt32"), DescribedColumn(name: "tags", type: "Array(String)"),
      DescribedColumn(name: "m", type: "UInt8", defaultKind: "MATERIALIZED"),
      DescribedColumn(name: "d", type: "UInt8", defaultKind: "DEFAULT"),
      DescribedColumn(name: "_millrace_batch", type: "Nullable(String)"),
    ]
    let found = problems(
      choose(other, nil, fields + [SinkField(field: "m", type: .uint8), SinkField(field: "x", columns: ["tags"], type: .string)]))
    #expect(found.contains { $0.contains("field id is UInt64") && $0.contains("UInt32") })
    #expect(found.contains { $0.contains("field name has no column `name`") })
    #expect(found.contains { $0.contains("`m`") && $0.contains("MATERIALIZED") })
    #expect(found.contains { $0.contains("Array(String)") })
    #expect(found.contains { $0.contains("provenance column") })
    #expect(!found.contains { $0.contains("column `d`") })
  }

  @Test func `a column without field and DEFAULT is told, and refused where the file is strict`() throws {
    let text = "column `name` of db.t has no field and no DEFAULT"
    let chosen = try choose(look(), nil, [fields[0]]).get()
    #expect(chosen.columns.map(\.name) == ["id"])
    #expect(chosen.facts.warnings.contains { $0.hasPrefix("\(text): each row gets the default of LowCardinality(Nullable(String))") })
    let strict = SinkOptions(urls: ["u"], table: table, strictColumns: true)
    #expect(problems(choose(look(), strict, [fields[0]])).contains { $0.hasPrefix("\(text), which strict_columns refuses") })
    // R8 works the key out of the rows that are sent.
    #expect(
      problems(choose(look(key: "name"), nil, [fields[0]])).contains { $0.contains("needs column `name`, which isn't sent (no field)") })
  }

  @Test func `what a power cut takes of a table that isn't replicated is noted with the ALTER`() throws {
    func notes(_ engine: String, _ settings: [String: String], own: String = "") throws -> [String] {
      var look = look(engine)
      look.mergeTreeSettings.merge(settings) { $1 }
      look.engineFull += own
      return try choose(look).get().facts.notes
    }
    let off = ["fsync_after_insert": "0", "fsync_part_directory": "0"]
    let both = try notes("MergeTree", off)
    #expect(both.count == 1 && both[0].contains("power cut"))
    #expect(both[0].hasSuffix("ALTER TABLE `db`.`t` MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1"))
    #expect(
      try notes("MergeTree", off, own: ", fsync_after_insert = true").first?.hasSuffix("MODIFY SETTING fsync_part_directory = 1") == true)
    #expect(try notes("MergeTree", off, own: ", fsync_after_insert = true, fsync_part_directory = 1").isEmpty)
    #expect(try notes("MergeTree", ["fsync_after_insert": "1", "fsync_part_directory": "1"]).isEmpty)
    #expect(try notes("ReplicatedMergeTree", off).isEmpty)
    #expect(try notes("MergeTree", [:]).first?.contains("can't sync parts") == true)
  }

  @Test func `the window that is needed and proposed goes by the partitions of one INSERT`() throws {
    func choice(_ partitions: Int, window: Int) throws -> TableFacts {
      try choose(look(window: window, key: "k"), SinkOptions(urls: ["u"], table: table, partitionsMax: partitions)).get().facts
    }
    let narrow = try choice(1000, window: 2999)
    #expect(narrow.mode == .readBack && narrow.warnings.contains { $0.contains("3000 are needed") && $0.hasSuffix("= 100000") })
    let wide = try choice(1000, window: 3000)
    #expect(wide.mode == .tokenAndProvenance && wide.partitionsMax == 1000)
  }

  @Test func `columns are sent in the table's order, each from its field`() throws {
    let chosen = try choose(look(), nil, fields.reversed()).get()
    #expect(chosen.columns.map(\.name) == ["id", "name"])
    #expect(chosen.columns.map(\.source) == [1, 0])
    #expect(chosen.provenance == BatchColumn(name: "_millrace_batch", type: "String"))
  }

  @Test func `a sealed batch whose frozen columns no longer fit is named with the column`() {
    var batch = SealedBatch(
      destination: .table, number: 7, rowStart: 0, rowCount: 1, digest: Digest128(low: 0, high: 0), token: "", chunks: [],
      originChunkCount: 0,
      byteCount: 0, target: "db.t", columns: [BatchColumn(name: "id", type: "UInt32"), BatchColumn(name: "gone", type: "String")])
    let found = problems(choose(look(), pending: [batch]))
    #expect(found.contains { $0.contains("batch 7") && $0.contains("`id` UInt32") && $0.contains("UInt64") })
    #expect(found.contains { $0.contains("`gone`") && $0.contains("is gone") })
    #expect(found.contains { $0.contains("without the provenance column") })
    batch.columns = [BatchColumn(name: "id", type: "UInt64"), BatchColumn(name: "_millrace_batch", type: "String")]
    #expect(problems(choose(look(), pending: [batch])).isEmpty)
    batch.target = "db.other"
    #expect(problems(choose(look(), pending: [batch])).contains { $0.contains("db.other") })
  }

  @Test func `a table is known by its uuid, else by its create statement`() throws {
    var one = look()
    one.uuid = "0b4c1b1e-0000-4000-8000-000000000001"
    #expect(try choose(one).get().facts.identity == one.uuid)
    one.uuid = "00000000-0000-0000-0000-000000000000"
    let identity = try choose(one).get().facts.identity
    one.createQuery += " "
    #expect(try identity.hasPrefix("create-") && choose(one).get().facts.identity != identity)
  }

  @Test func `views that hang on the table are warned of`() throws {
    var viewed = look()
    viewed.dependents = [TableName(database: "db", table: "mv")]
    #expect(try choose(viewed).get().facts.warnings.contains { $0.contains("db.mv") })
  }
}
