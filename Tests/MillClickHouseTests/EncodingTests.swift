internal import Glibc
internal import MillBase
internal import MillClickHouse
internal import MillFlow
internal import MillLog
internal import Testing

@Suite struct EncodingTests {
  /// The values behind recorded blocks, put down by hand.
  static let values: [String: [Value]] = [
    "Int8": [0, 1, -1, 127, -128].map { .int(Int8($0)) },
    "Int16": [0, 1, -1, 32767, -32768].map { .int(Int16($0)) },
    "Int32": [0, 1, -1, 2_147_483_647, -2_147_483_648].map { .int(Int32($0)) },
    "Int64": [0, 1, -1, Int64.max, Int64.min].map { .int($0) },
    "UInt8": [.int(UInt8(0)), .int(UInt8(1)), .int(UInt8.max)],
    "UInt16": [.int(UInt16(0)), .int(UInt16(1)), .int(UInt16.max)],
    "UInt32": [.int(UInt32(0)), .int(UInt32(1)), .int(UInt32.max)],
    "UInt64": [.int(UInt64(0)), .int(UInt64(1)), .int(UInt64.max)],
    "Float32": [Float(0), 1.5, -2.25, 16_777_216].map { .int($0.bitPattern) },
    "Float64": [0.0, 1.5, -2.25, 9_007_199_254_740_992].map { .int($0.bitPattern) },
    "Decimal(9, 2)": [0, 110, -110, 999_999_999, -999_999_999].map { .int(Int32($0)) },
    "Decimal(18, 4)": [0, 1, -1, 999_999_999_999_999_999].map { .int(Int64($0)) },
    "String": [
      "", "a", "é😀", "tab\tquote\"backslash\\", String(repeating: "x", count: 127), String(repeating: "y", count: 128),
      String(repeating: "z", count: 16384),
    ].map { .text($0) },
    "Date": [.int(UInt16(1)), .int(UInt16(19724)), .int(UInt16(24855))],
    "DateTime": [.int(UInt32(86400)), .int(UInt32(1_704_164_645)), .int(UInt32(4_291_747_199))],
    "DateTime('Europe/Berlin')": [.int(UInt32(1_704_161_045)), .int(UInt32(1_719_882_245))],
    "UUID": [.bytes([UInt8](repeating: 0, count: 16)), .bytes(hex("7766554433221100ffeeddccbbaa9988"))],
    "Nullable(UInt8)": [.null, .int(UInt8(0)), .int(UInt8(255)), .null],
    "Nullable(Int64)": [.int(Int64.min), .null],
    "Nullable(Decimal(18, 4))": [.null, .int(Int64(12300))],
    "Nullable(String)": [.text(""), .null, .text("a")],
    "Nullable(DateTime)": [.int(UInt32(1_704_164_645)), .null],
    "Nullable(UUID)": [.null, .bytes(hex("7766554433221100ffeeddccbbaa9988"))],
    "LowCardinality(String)": ["b", "a", "", "b", "b"].map { .text($0) },
    "LowCardinality(Nullable(String))": [.null, .text("a"), .text(""), .null, .text("a")],
  ]

  private func encoded(_ type: DataType, _ values: [Value], into text: String) throws -> [UInt8] {
    let column = TargetColumn(name: "v", type: try DataType.parse(text), typeText: text, source: 0)
    let encoder = BlockEncoder(columns: [column], provenance: nil)
    let rows = encoder.encode(makeBlock([(type, values)]), rows: 0..<values.count)
    return try Frames.decode(encoder.freeze(rows, token: ""))
  }

  @Test func `values of 18.16's types are encoded as ClickHouse writes them`() throws {
    for entry in try recorded("native-18.16.json") {
      let text = try #require(entry["type"] as? String)
      guard let values = Self.values[text] else { continue }
      #expect(try hex(encoded(DataType.parse(text), values, into: header(text))) == entry["native"] as? String, "\(text)")
    }
    #expect(try Set(recorded("native-18.16.json").compactMap { $0["type"] as? String }).isSuperset(of: Self.values.keys))
  }

  /// Servers leave DateTime's zone out of a block's header and take it with the zone, as DESCRIBE has it.
  private func header(_ text: String) -> String { text.hasPrefix("DateTime(") ? "DateTime" : text }

  @Test(arguments: ["native-18.16.json", "native-26.9.json"])
  func `records of every type become the bytes that ClickHouse writes for the same JSON`(_ file: String) throws {
    for entry in try recorded(file) {
      let text = try #require(entry["type"] as? String)
      let type = try DataType.parse(text)
      #expect(type.description == text)
      let block = try decoded([FieldPlan(name: "v", type: type)], #require(entry["rows"] as? [String]))
      let encoder = BlockEncoder(columns: [TargetColumn(name: "v", type: type, typeText: header(text), source: 0)], provenance: nil)
      let native = try Frames.decode(encoder.freeze(encoder.encode(block, rows: 0..<block.rowCount), token: ""))
      #expect(hex(native) == entry["native"] as? String, "\(text)")
    }
  }

  @Test func `texts that CityHash can't tell apart take no more work to number than any others`() throws {
    let texts = (0..<40_000).map { collidingText(UInt64($0)) }
    let hashes = texts.map { text in unsafe text.withRawBytes { unsafe cityHash128($0) } }
    try #require(Set(hashes).count == 1 && Set(texts).count == texts.count)
    // Of this thread alone, whatever else runs; in quadratic time they take some thousand times as much.
    func work(_ texts: [[UInt8]]) throws -> UInt64 {
      let before = threadNanoseconds()
      let bytes = try encoded(.string, texts.map { .bytes($0) }, into: "LowCardinality(String)")
      #expect(bytes.count > texts.count * (texts[0].count + 1))
      return threadNanoseconds() - before
    }
    let others = texts.indices.map { index in Array("\(index)".utf8) + texts[index].dropFirst("\(index)".utf8.count) }
    #expect(try work(texts) < 50 * work(others))
  }

  @Test func `a recorded LowCardinality column also comes out of a field that isn't LowCardinality`() throws {
    for entry in try recorded("native-18.16.json") {
      let text = try #require(entry["type"] as? String)
      guard text.hasPrefix("LowCardinality"), let values = Self.values[text] else { continue }
      let type = try DataType.parse(text)
      let plain: DataType = type.isNullable ? .nullable(.string) : .string
      #expect(try hex(encoded(plain, values, into: text)) == entry["native"] as? String, "\(text)")
    }
  }

  @Test func `an integer that gets wider keeps value and sign`() throws {
    let small = try encoded(.int8, [.int(Int8(-2)), .int(Int8(3))], into: "Int32")
    #expect(small.suffix(8) == [0xfe, 0xff, 0xff, 0xff, 3, 0, 0, 0])
    let unsigned = try encoded(.uint16, [.int(UInt16(0xfffe))], into: "Int64")
    #expect(unsigned.suffix(8) == [0xfe, 0xff, 0, 0, 0, 0, 0, 0])
    let nullable = try encoded(.uint8, [.int(UInt8(7))], into: "Nullable(UInt16)")
    #expect(nullable.suffix(3) == [0, 7, 0])
    let wide = try encoded(.int64, [.int(Int64.min)], into: "Int256")
    #expect(wide.suffix(32) == hex("0000000000000080" + String(repeating: "ff", count: 24)))
    let wider = try encoded(.uint128, [.int(UInt128.max)], into: "Int256")
    #expect(wider.suffix(32) == hex(String(repeating: "ff", count: 16) + String(repeating: "00", count: 16)))
    let unsigned64 = try encoded(.uint64, [.int(UInt64.max)], into: "UInt128")
    #expect(unsigned64.suffix(16) == hex(String(repeating: "ff", count: 8) + String(repeating: "00", count: 8)))
    let dictionary = try encoded(.nullable(.int8), [.int(Int8(-1)), .null, .int(Int8(-1))], into: "LowCardinality(Nullable(Int16))")
    #expect(dictionary.suffix(25) == hex("0300000000000000" + "00000000ffff" + "0300000000000000" + "020002"))
  }

  @Test func `what would change a value does not fit`() {
    #expect(DataType.int8.fit(into: .uint16) == nil)
    #expect(DataType.uint32.fit(into: .int32) == nil)
    #expect(DataType.int64.fit(into: .int32) == nil)
    #expect(DataType.nullable(.string).fit(into: .string) == nil)
    #expect(DataType.decimal(precision: 9, scale: 2).fit(into: .decimal(precision: 9, scale: 3)) == nil)
    #expect(DataType.dateTime64(precision: 3, zone: nil).fit(into: .dateTime64(precision: 6, zone: nil)) == nil)
    #expect(DataType.float32.fit(into: .float64) == nil)
    #expect(DataType.int256.fit(into: .int128) == nil)
    #expect(DataType.int128.fit(into: .uint256) == nil)
    #expect(DataType.fixedString(byteCount: 3).fit(into: .fixedString(byteCount: 4)) == nil)
    #expect(DataType.fixedString(byteCount: 3).fit(into: .string) == nil)
    #expect(DataType.array(.int8).fit(into: .array(.int16)) == nil)
    #expect(DataType.array(.string).fit(into: .array(.nullable(.string))) == nil)
    #expect(DataType.array(.string).fit(into: .array(.lowCardinality(.string))) == .same)
    #expect(DataType.ipv4.fit(into: .ipv6) == nil)
    #expect(DataType.string.fit(into: .lowCardinality(.nullable(.string))) == .same)
    #expect(DataType.dateTime(zone: nil).fit(into: .dateTime(zone: "UTC")) == .same)
  }

  @Test func `a dictionary of more keys than a byte counts uses wider indexes`() throws {
    let values = (0..<70_000).map { Value.text("k\($0)") }
    let bytes = try encoded(.string, values, into: "LowCardinality(String)")
    let indexes = bytes.suffix(70_000 * 4)
    #expect(Array(indexes.prefix(8)) == [1, 0, 0, 0, 2, 0, 0, 0])
    #expect(Array(indexes.suffix(4)) == hex("70110100"))
    let fewer = try encoded(.string, Array(values.prefix(300)), into: "LowCardinality(String)")
    #expect(Array(fewer.suffix(2)) == [0x2c, 0x01])
  }

  private func twoColumns() -> (BlockEncoder, RowBlock) {
    let columns = [
      TargetColumn(name: "id", type: .uint64, typeText: "UInt64", source: 1),
      TargetColumn(name: "name", type: .lowCardinality(.string), typeText: "LowCardinality(String)", source: 0),
    ]
    let block = makeBlock([
      (.string, (0..<500).map { .text("name \($0 % 17)") }), (.uint64, (0..<500).map { .int(UInt64($0)) }),
    ])
    return (BlockEncoder(columns: columns, provenance: BatchColumn(name: "p", type: "String")), block)
  }

  @Test func `the digest names the rows, not where they stood nor the token`() throws {
    let (encoder, block) = twoColumns()
    #expect(encoder.encode(block, rows: 10..<20).digest == encoder.encode(block, rows: 10..<20).digest)
    #expect(encoder.encode(block, rows: 10..<20).digest != encoder.encode(block, rows: 11..<21).digest)
    // The value that this binary gives today: another process, and another build, must give it too.
    let digest = encoder.encode(block, rows: 0..<500).digest.description
    #expect(digest == Self.digestOf500Rows)
  }

  static let digestOf500Rows = "78ea38621e184bf687b51eba5b01a767"

  @Test func `rows are encoded as an earlier batch was, after the table's columns have changed place and type`() throws {
    let fields = [SinkField(field: "id", type: .int32), SinkField(field: "name", type: .string)]
    let table = try #require(TableName("default.t"))
    let block = makeBlock([(.int32, [.int(Int32(7)), .int(Int32(-7))]), (.string, [.text("a"), .text("b")])])
    let then = [DescribedColumn(name: "id", type: "Int32"), DescribedColumn(name: "name", type: "String")]
    let now = [DescribedColumn(name: "name", type: "LowCardinality(String)"), DescribedColumn(name: "id", type: "Int64")]
    let matched = [then, now].map { ColumnMatching.match(fields, $0, provenance: nil, isReplicated: false, table: table).columns }
    let sealed = BlockEncoder(columns: matched[0], provenance: BatchColumn(name: "batch", type: "String"))
    let today = BlockEncoder(columns: matched[1], provenance: nil)
    let again = try ColumnMatching.encoder(of: sealed.batchColumns, fields: fields, table: table).get()
    let digest = sealed.encode(block, rows: 0..<2).digest
    #expect(again.encode(block, rows: 0..<2).digest == digest)
    #expect(again.batchColumns == sealed.batchColumns)
    #expect(today.encode(block, rows: 0..<2).digest != digest)
    #expect(throws: Refusal.self) { try ColumnMatching.encoder(of: sealed.batchColumns, fields: [fields[0]], table: table).get() }
  }

  @Test func `a field goes into each of its columns, and a column of its that the table hasn't is named`() throws {
    let fields = [SinkField(field: "id", columns: ["a", "b"], type: .int32)]
    let table = try #require(TableName("default.t"))
    let columns = ["a", "b"].map { DescribedColumn(name: $0, type: "Int32", defaultKind: $0 == "b" ? "DEFAULT" : "") }
    let both = ColumnMatching.match(fields, columns, provenance: nil, isReplicated: false, table: table)
    #expect(both.problems == [] && both.columns.map(\.name) == ["a", "b"] && both.columns.map(\.source) == [0, 0])
    let one = ColumnMatching.match(fields, [columns[0]], provenance: nil, isReplicated: false, table: table)
    #expect(one.problems.count == 1 && one.problems[0].hasPrefix("field id has no column `b` in"))
  }

  @Test func `the provenance column stands last and holds the token in every row`() throws {
    let (encoder, block) = twoColumns()
    let rows = encoder.encode(block, rows: 0..<3)
    let plain = try Frames.decode(encoder.freeze(rows, token: "mr-t"))
    #expect(plain.prefix(2) == [3, 3])
    #expect(String(decoding: plain.suffix(24), as: UTF8.self) == "\u{1}p\u{6}String" + "\u{4}mr-t\u{4}mr-t\u{4}mr-t")
    let dictionary = BlockEncoder(columns: encoder.columns, provenance: BatchColumn(name: "p", type: "LowCardinality(String)"))
    #expect(try Frames.decode(dictionary.freeze(rows, token: "mr-t")).suffix(11) == hex("0300000000000000010101"))
    #expect(dictionary.encode(block, rows: 0..<3).digest == rows.digest)
    #expect(dictionary.batchColumns.map(\.name) == ["id", "name", "p"])
  }

  @Test func `origins come back as they were`() throws {
    let block = RowBlock([])
    var origins: [Origin] = [
      Origin(partition: .max, offset: .max), Origin(partition: 0, offset: .min), Origin(partition: .min, offset: 0),
    ]
    for row in 0..<5000 { origins.append(Origin(partition: Int32((row / 7) % 5), offset: Int64(row) * (row % 11 == 0 ? 1_000_003 : 1))) }
    for origin in origins {
      block.originPartitions.append(origin.partition)
      block.originOffsets.append(origin.offset)
    }
    block.rowCount = origins.count
    #expect(try Origins.decode(Origins.encode(block, rows: 0..<origins.count)) == origins)
    #expect(try Origins.decode(Origins.encode(block, rows: 100..<103)) == Array(origins[100..<103]))
  }

  @Test func `origins that are cut are named`() throws {
    let chunks = Frames.encode([3, 2, 2, 0])
    #expect(throws: OriginsError.cut(row: 1)) { try Origins.decode(chunks) }
    #expect(throws: OriginsError.bytesLeft(1)) { try Origins.decode(Frames.encode([0, 0])) }
  }

  @Test func `a token is sorted by batch and names lineage, destination and rows`() {
    let digest = Digest128(low: 1, high: 2)
    let token = makeToken(lineage: Lineage(0xfe), destination: "events", batch: 7, digest: digest)
    #expect(token == "mr-00000000000000fe-events-00000000000000000007-00000000000000020000000000000001")
    #expect(makeToken(lineage: Lineage(0xfe), destination: "events", batch: 10, digest: digest) > token)
    #expect(token.hasPrefix(tokenPrefix(lineage: Lineage(0xfe), destination: "events")))
  }

  @Test func `no sink's tokens begin as another's do, and none is called as the dead letters are`() {
    // Every name of up to four of these, and some that go on as others, or as the dead letters.
    var names = ["a", "-", "_", "0"]
    for _ in 0..<3 { names += names.flatMap { name in ["a", "-", "_", "0"].map { name + $0 } } }
    names += ["dead-letters", "dead-letters-", "dead", "dead-", "dead_letters", "orders", "orders-eu", "orders-00000000000000000001"]
    let destinations = Set(names).map { tokenName(sink: $0) }
    #expect(Set(destinations).count == Set(names).count && !destinations.contains(deadLettersTokenName))
    let prefixes = destinations.map { tokenPrefix(lineage: Lineage(0xfe), destination: $0) }.sorted()
    // Sorted, what begins alike stands side by side.
    for (prefix, next) in zip(prefixes, prefixes.dropFirst()) { #expect(!next.hasPrefix(prefix), "\(prefix) \(next)") }
  }
}

private func threadNanoseconds() -> UInt64 {
  var time = timespec()
  unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
