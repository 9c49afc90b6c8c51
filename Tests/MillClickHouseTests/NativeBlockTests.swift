internal import MillBase
internal import MillClickHouse
internal import MillFlow
internal import MillLog
internal import Testing

@Suite struct NativeBlockTests {
  /// One column per type, 23 rows of values that repeat and differ, NULLs among them where the type has them.
  static let types = [
    "Bool", "Int8", "Int16", "Int32", "Int64", "Nullable(Int32)", "UInt256", "Float64", "Decimal(9, 2)", "Decimal(76, 30)", "String",
    "FixedString(5)", "Date32", "DateTime('UTC')", "DateTime64(9)", "UUID", "IPv4", "IPv6", "Enum8('a' = -1, 'b' = 2)",
    "Enum16('it\\'s' = 300, 'b' = 2)", "Nullable(String)",
    "Nullable(Int128)", "Nullable(Enum8('a' = -1, 'b' = 2))", "LowCardinality(String)", "LowCardinality(Nullable(String))",
    "LowCardinality(UInt16)", "LowCardinality(Nullable(FixedString(2)))", "Array(UInt8)", "Array(Array(LowCardinality(Nullable(String))))",
    "Array(Nullable(Enum16('it\\'s' = 300, 'b' = 2)))", "Map(String, Decimal(38, 5))",
    "Map(LowCardinality(String), Array(LowCardinality(String)))", "Array(Map(String, Nullable(Bool)))",
  ]

  /// A value of a type as JSON; `seed` draws it.
  private func json(_ type: DataType, _ seed: Int) -> String {
    switch type {
    case .bool: seed % 2 == 0 ? "true" : "false"
    case .float32, .float64: "\(Double(seed) / 8 - 1)"
    case .decimal(_, let scale): "\"\(seed % 3 == 0 ? "-" : "")\(seed).\(String(repeating: "7", count: scale))\""
    case .string: "\"\(String(repeating: "é\(seed % 5)", count: seed % 4))\""
    case .fixedString(let count): "\"\(String(repeating: "\(seed % 4)", count: count - seed % 2))\""
    case .date, .date32, .dateTime, .dateTime64: "\"20\(10 + seed)-02-2\(seed % 9)\""
    case .uuid: "\"00112233-4455-6677-8899-aabbccddee\(10 + seed)\""
    case .ipv4: "\"10.0.\(seed).255\""
    case .ipv6: seed % 2 == 0 ? "\"2001:db8::\(seed)\"" : "\"::ffff:1.2.3.\(seed)\""
    case .enum8(let names), .enum16(let names): "\"\(String(decoding: names.elements[seed % 2].name, as: UTF8.self))\""
    case .nullable(let inner): seed % 3 == 1 ? "null" : json(inner, seed)
    case .lowCardinality(let inner): json(inner, seed % 7)
    case .array(let element): "[\((0..<(seed % 4)).map { json(element, seed * 3 + $0) }.joined(separator: ", "))]"
    case .map(_, let value): "{\((0..<(seed % 4)).map { "\"k\($0 * seed % 5)\": \(json(value, seed + $0))" }.joined(separator: ", "))}"
    default: "\(seed)"
    }
  }

  private func everyType(_ rows: [Int] = Array(0..<23)) throws -> (BlockEncoder, RowBlock) {
    var fields: [FieldPlan] = []
    var columns: [TargetColumn] = []
    for (index, text) in Self.types.enumerated() {
      let type = try DataType.parse(text)
      fields.append(try FieldPlan(name: "c\(index)", type: type))
      columns.append(TargetColumn(name: "c\(index)", type: type, typeText: text, source: index))
    }
    let records = rows.map { row in
      "{" + fields.enumerated().map { "\"c\($0.offset)\": \(json($0.element.type, row + $0.offset % 3))" }.joined(separator: ", ") + "}"
    }
    let block = try decoded(fields, records)
    return (BlockEncoder(columns: columns, provenance: BatchColumn(name: "p", type: "LowCardinality(String)")), block)
  }

  private func plain(_ encoder: BlockEncoder, _ block: RowBlock, _ rows: Range<Int>) throws -> [UInt8] {
    try Frames.decode(encoder.freeze(encoder.encode(block, rows: rows), token: "mr-token"))
  }

  @Test func `a slice has the bytes that the encoder makes of its rows, for every type`() throws {
    let (encoder, block) = try everyType()
    let whole = try NativeBlock(plain(encoder, block, 0..<23))
    #expect(whole.rowCount == 23)
    #expect(whole.columns == encoder.batchColumns)
    for rows in [0..<23, 0..<1, 22..<23, 3..<11, 11..<23, 1..<2] {
      #expect(try whole.slice([rows]) == plain(encoder, block, rows), "\(rows)")
    }
  }

  @Test(arguments: [[0], [22], [0, 22], [1, 2, 3, 9, 11, 12, 22], [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22], Array(5..<23)])
  func `rows from here and there give the bytes, the digest and the sum that the encoder gives them`(rows: [Int]) throws {
    let (encoder, block) = try everyType()
    let whole = try NativeBlock(plain(encoder, block, 0..<23))
    let (_, picked) = try everyType(rows)
    var runs: [Range<Int>] = []
    for row in rows {
      if runs.last?.upperBound == row { runs[runs.count - 1] = runs.last!.lowerBound..<(row + 1) } else { runs.append(row..<(row + 1)) }
    }
    let all = 0..<rows.count
    #expect(try whole.slice(runs) == plain(encoder, picked, all))
    let encoded = whole.encodedRows(runs, columnCount: encoder.columns.count)
    #expect(encoded.rowCount == rows.count && encoded.digest == encoder.encode(picked, rows: all).digest)
    #expect(whole.contentSum(runs, columnCount: encoder.columns.count) == ContentSum.sum(encoder.columns, picked, rows: all))
  }

  @Test func `rows of a slice give the digest that the encoder gives them, and freeze under a token of their own`() throws {
    let (encoder, block) = try everyType()
    let whole = try NativeBlock(plain(encoder, block, 0..<23))
    let half = whole.encodedRows([5..<14], columnCount: encoder.columns.count)
    let alone = encoder.encode(block, rows: 5..<14)
    #expect(half.digest == alone.digest)
    let frozen = BlockEncoder.freeze(half, columnCount: encoder.columns.count, provenance: encoder.provenance, token: "mr-half")
    #expect(frozen == encoder.freeze(alone, token: "mr-half"))
  }

  @Test func `rows of a block add up to what the rows that it was made of do, for every type`() throws {
    let (encoder, block) = try everyType()
    let whole = try NativeBlock(plain(encoder, block, 0..<23))
    var sums: Set<UInt64?> = []
    for rows in [0..<23, 0..<1, 22..<23, 3..<11, 11..<23, 1..<2] {
      let sum = whole.contentSum([rows], columnCount: encoder.columns.count)
      #expect(sum == ContentSum.sum(encoder.columns, block, rows: rows), "\(rows)")
      sums.insert(sum)
    }
    #expect(sums.count == 6 && !sums.contains(nil))
    // Column 0 is a Bool.
    #expect(whole.contentSum([0..<23], columnCount: 1) == nil)
  }

  @Test func `a slice of a slice is the slice, and an empty one has columns but no rows`() throws {
    let (encoder, block) = try everyType()
    let half = try NativeBlock(NativeBlock(plain(encoder, block, 0..<23)).slice([4..<16]))
    #expect(try half.slice([2..<7]) == plain(encoder, block, 6..<11))
    let none = try NativeBlock(half.slice([5..<5]))
    #expect(none.rowCount == 0 && none.columns == encoder.batchColumns)
  }

  @Test func `a row's text reads as the same row again`() throws {
    let (encoder, block) = try everyType()
    let bytes = try plain(encoder, block, 0..<23)
    let whole = try NativeBlock(bytes)
    let records = (0..<23).map { row in
      "{" + whole.row(row).map { "\"\($0.name)\":\($0.json)" }.joined(separator: ",") + "}"
    }
    let fields = try encoder.columns.map { try FieldPlan(name: $0.name, type: $0.type) }
    #expect(try plain(encoder, decoded(fields, records), 0..<23) == bytes)
    #expect(whole.row(0).last?.json == "\"mr-token\"")
  }

  @Test(arguments: [
    ("Int8", "-128", "-128"), ("UInt64", "18446744073709551615", "\"18446744073709551615\""),
    (
      "Int256", "\"-57896044618658097711785492504343953926634992332820282019728792003956564819968\"",
      "\"-57896044618658097711785492504343953926634992332820282019728792003956564819968\""
    ),
    ("Decimal(76, 76)", "\"-0.\(String(repeating: "9", count: 76))\"", "\"-0.\(String(repeating: "9", count: 76))\""),
    ("Decimal(9, 3)", "-0.5", "\"-0.500\""), ("Float64", "0.1", "0.1"), ("Float32", "1e-7", "1e-07"), ("Float64", "-0", "-0.0"),
    ("Date32", "\"1900-01-01\"", "\"1900-01-01\""),
    ("DateTime64(9)", "\"1969-12-31T23:59:59.999999999Z\"", "\"1969-12-31T23:59:59.999999999Z\""),
    ("DateTime('Europe/Berlin')", "\"2024-07-02 03:04:05\"", "\"2024-07-02T01:04:05Z\""),
    ("IPv6", "\"1:0:0:2::\"", "\"1:0:0:2::\""), ("IPv6", "\"0:0:1:0:0:0:0:1\"", "\"0:0:1::1\""), ("IPv6", "\"::\"", "\"::\""),
    ("IPv6", "\"1:0:2:3:4:5:6:7\"", "\"1:0:2:3:4:5:6:7\""), ("IPv6", "\"10.1.2.3\"", "\"::ffff:10.1.2.3\""),
    ("FixedString(4)", "\"a\"", "\"a\""), ("String", #""\u0001\"\\é""#, #""\u0001\"\\é""#), ("Array(UInt8)", "[ 1 , 2 ]", "[1,2]"),
    ("Map(String, Array(Nullable(Int64)))", #"{"a":[null,1],"b":[]}"#, #"{"a":[null,"1"],"b":[]}"#),
  ])
  func `a value is printed with all that it is`(_ type: String, _ json: String, _ printed: String) throws {
    let field = try FieldPlan(name: "v", type: DataType.parse(type))
    let block = try decoded([field], ["{\"v\":\(json)}"])
    let encoder = BlockEncoder(columns: [TargetColumn(name: "v", type: field.type, typeText: type, source: 0)], provenance: nil)
    #expect(try NativeBlock(plain(encoder, block, 0..<1)).row(0)[0].json == printed)
  }

  @Test(arguments: ["native-18.16.json", "native-26.9.json"])
  func `every recorded block is read, and its slice of all rows reads as the same rows`(_ file: String) throws {
    for entry in try recorded(file) {
      let block = try NativeBlock(hex(try #require(entry["native"] as? String)))
      let rows = try #require(entry["rows"] as? [String])
      #expect(block.rowCount == rows.count)
      let again = try NativeBlock(block.slice([0..<rows.count]))
      for row in rows.indices { #expect(again.row(row)[0].json == block.row(row)[0].json) }
    }
  }

  @Test func `a block that is cut anywhere, or goes on behind its end, is refused`() throws {
    let (encoder, block) = try everyType()
    let bytes = try plain(encoder, block, 0..<4)
    for end in 0..<bytes.count { #expect(throws: ByteReaderError.self, "cut at \(end)") { try NativeBlock(Array(bytes[..<end])) } }
    #expect(throws: ByteReaderError.self) { try NativeBlock(bytes + [0]) }
  }

  @Test func `counts that can't be are refused before memory is taken for them`() throws {
    let name: [UInt8] = [1, 0x76]
    let text = { (type: String) in [UInt8(type.utf8.count)] + Array(type.utf8) }
    let huge: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]
    let word = [UInt8](repeating: 0xff, count: 8)
    #expect(throws: ByteReaderError.self) { try NativeBlock([1] + huge + name + text("UInt8")) }
    #expect(throws: ByteReaderError.self) { try NativeBlock(huge + [1] + name + text("UInt8")) }
    #expect(throws: ByteReaderError.self) { try NativeBlock([1, 1] + name + text("Array(UInt8)") + word + [1]) }
    #expect(throws: ByteReaderError.self) {
      try NativeBlock([1, 2] + name + text("Array(UInt8)") + [2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1])
    }
    #expect(throws: ByteReaderError.self) { try NativeBlock([1, 1] + name + text("Tuple(UInt8)") + [1]) }
    #expect(throws: ByteReaderError.self) { try NativeBlock([1, 1] + name + text("Nullable(UInt8)") + [2, 1]) }
    let head = [1, 0, 0, 0, 0, 0, 0, 0] + [0, 6, 0, 0, 0, 0, 0, 0] as [UInt8]
    #expect(throws: ByteReaderError.self) { try NativeBlock([1, 1] + name + text("LowCardinality(String)") + head + word + [0]) }
    let one = [1, 0, 0, 0, 0, 0, 0, 0] as [UInt8]
    #expect(throws: ByteReaderError.self) {
      try NativeBlock([1, 1] + name + text("LowCardinality(String)") + head + one + [0] + one + [1])
    }
    #expect(try NativeBlock([1, 1] + name + text("LowCardinality(String)") + head + one + [0] + one + [0]).row(0)[0].json == "\"\"")
  }
}
