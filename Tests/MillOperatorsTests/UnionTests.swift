import MillBase
import MillFlow
import MillOperators
import Testing

private func schema(_ fields: KeyValuePairs<String, String>) throws -> Schema {
  Schema(try fields.map { Schema.Field(name: $0.key, type: try DataType.parse($0.value)) })
}

private func union(_ inputs: Schema...) throws -> UnionPlan {
  try UnionPlan(name: "u", inputs: inputs.enumerated().map { (name: "s\($0)", schema: $1) })
}

private func mismatch(_ inputs: Schema...) throws -> UnionMismatch {
  do throws(UnionMismatch) {
    _ = try UnionPlan(name: "u", inputs: inputs.enumerated().map { (name: "s\($0)", schema: $1) })
  } catch {
    return error
  }
  throw ExpectedMismatch()
}

private struct ExpectedMismatch: Error {}

@Test func `inputs of one schema go on as they are, and one of another order is taken without a copy`() throws {
  let plan = try union(
    try schema(["id": "Int64", "name": "String"]), try schema(["id": "Int64", "name": "String"]),
    try schema(["name": "String", "id": "Int64"]))
  #expect(plan.inputs == ["s0", "s1", "s2"] && plan.schema.fields.map(\.name) == ["id", "name"])
  #expect(plan.adapters[0] == nil && plan.adapters[1] == nil)
  let adapter = try #require(plan.adapters[2])
  #expect(adapter.schema == plan.schema && adapter.expressions.isEmpty)
  #expect((0..<2).map { plan.origin(of: $0, input: 2) } == [1, 0] && plan.origin(of: 1, input: 0) == 1)
  let block = RowBlock(adapter.inputSchema.types)
  block.columns[0].append(texts: ["a", "b"])
  block.columns[1].append(values: [Int64(7), 8])
  var piece = started(block, origins: 2)
  var failures: [RowFailure] = []
  #expect(try adapter.make().process(&piece, clock: 0, failures: &failures) == 0 && failures.isEmpty)
  #expect(piece.block.columns[0] === block.columns[1] && piece.block.columns[1] === block.columns[0])
}

/// Types of one field in three inputs, and of the union.
@Test(arguments: [
  ("Int64", "Int64", "Int64", "Int64"),
  ("Int8", "Int32", "Int16", "Int32"),
  ("UInt8", "Nullable(UInt256)", "UInt64", "Nullable(UInt256)"),
  ("Float32", "Float64", "Float32", "Float64"),
  ("Decimal(18, 2)", "Decimal(9, 4)", "Decimal(38, 4)", "Decimal(38, 4)"),
  ("Date", "Date32", "Date", "Date32"),
  ("DateTime", "DateTime64(3)", "DateTime", "DateTime64(3)"),
  ("DateTime('Europe/Berlin')", "DateTime64(9, 'Europe/Berlin')", "DateTime('Europe/Berlin')", "DateTime64(9, 'Europe/Berlin')"),
  ("DateTime64(3)", "DateTime64(6)", "DateTime64(8)", "DateTime64(8)"),
  ("String", "Nullable(String)", "String", "Nullable(String)"),
  ("LowCardinality(String)", "String", "LowCardinality(String)", "String"),
  ("LowCardinality(String)", "LowCardinality(Nullable(String))", "LowCardinality(String)", "LowCardinality(Nullable(String))"),
  ("LowCardinality(UInt8)", "LowCardinality(UInt16)", "LowCardinality(UInt8)", "UInt16"),
  ("Array(Int8)", "Array(Int8)", "Array(Int8)", "Array(Int8)"),
  ("Enum8('a' = 1)", "Nullable(Enum8('a' = 1))", "Enum8('a' = 1)", "Nullable(Enum8('a' = 1))"),
])
func `a field has the type that holds all inputs' values, in whatever order they stand`(
  _ a: String, _ b: String, _ c: String, _ type: String
) throws {
  let wanted = try DataType.parse(type)
  for types in [[a, b, c], [c, b, a], [b, a, c], [b, c, a]] {
    let inputs = try types.map { try schema(["f": $0]) }
    let plan = try union(inputs[0], inputs[1], inputs[2])
    #expect(plan.schema.types == [wanted], "\(types)")
    for (input, adapter) in zip(inputs, plan.adapters) {
      #expect((adapter == nil) == (input.types == [wanted]) && adapter.map { $0.schema.types == [wanted] } ?? true, "\(types)")
    }
  }
}

@Test(arguments: [
  ("Int64", "UInt32"), ("UInt64", "Int64"), ("Int64", "String"), ("Int32", "Float64"), ("Int64", "Decimal(38, 2)"),
  ("Decimal(18, 2)", "Decimal(9, 4)"), ("DateTime", "DateTime('UTC')"), ("DateTime64(3)", "DateTime64(9)"), ("Date", "DateTime"),
  ("DateTime('Europe/Berlin')", "DateTime64(3)"), ("Array(Int8)", "Array(Int16)"), ("Array(String)", "String"), ("Bool", "UInt8"),
  ("Enum8('a' = 1)", "Enum8('a' = 1, 'b' = 2)"), ("FixedString(3)", "FixedString(4)"), ("IPv4", "IPv6"), ("UUID", "String"),
])
func `types that neither hold the other's values are named with their inputs`(_ a: String, _ b: String) throws {
  let found = try mismatch(try schema(["id": "Int8", "f": a]), try schema(["f": a, "id": "Int8"]), try schema(["f": b, "id": "Int8"]))
  #expect(found.missing.allSatisfy(\.isEmpty) && found.clashes.map(\.field) == ["f"])
  let clash = try #require(found.clashes.first)
  #expect(clash.first == 0 && clash.second == 2 && "\(clash.types.first)" == a && "\(clash.types.second)" == b)
}

@Test func `each input's missing fields are named, and clashes beside them`() throws {
  let found = try mismatch(
    try schema(["a": "Int8", "b": "String", "c": "Int8"]), try schema(["b": "Int8", "d": "Int8"]), try schema(["c": "Int8", "b": "String"]))
  #expect(found.missing == [["d"], ["a", "c"], ["a", "d"]])
  #expect(found.clashes.map { [$0.first, $0.second] } == [[0, 1]])
}

@Test func `values and NULLs stay what they are in a wider type`() throws {
  let narrow = try schema(["n": "Int8", "d": "Decimal(9, 2)", "t": "DateTime", "s": "LowCardinality(String)"])
  let wide = try schema(["s": "String", "n": "Nullable(Int128)", "d": "Decimal(76, 4)", "t": "DateTime64(9)"])
  let plan = try union(wide, narrow)
  let adapter = try #require(plan.adapters[1])
  let block = RowBlock(narrow.types)
  block.columns[0].append(values: [Int8.min, -1, Int8.max])
  block.columns[1].append(values: [Int32(-999_999_999), 0, 999_999_999])
  block.columns[2].append(values: [UInt32.min, 1, UInt32.max])
  block.columns[3].append(texts: ["", "a", "é"])
  var piece = started(block, origins: 3)
  piece.keep[1] = 0
  var failures: [RowFailure] = []
  #expect(try adapter.make().process(&piece, clock: 0, failures: &failures) == 0 && failures.isEmpty)
  #expect(piece.block.columns.map(\.type) == plan.schema.types)
  let rows = (0..<2).map { row in piece.block.columns.map { $0.text(row) ?? "NULL" } }
  #expect(
    rows == [
      ["", "-128", "-9999999.99", "1970-01-01 00:00:00.000000000"], ["é", "127", "9999999.99", "2106-02-07 06:28:15.000000000"],
    ], "\(rows)")
  #expect((0..<4).map { plan.isWidened($0, input: 1) } == [true, true, true, true] && !plan.isWidened(0, input: 0))
}

@Test func `a value of an input that is Nullable in another one is there, never NULL`() throws {
  let plan = try union(try schema(["f": "Nullable(String)"]), try schema(["f": "String"]))
  let adapter = try #require(plan.adapters[1])
  let block = RowBlock([.string])
  block.columns[0].append(texts: ["x", ""])
  var piece = started(block, origins: 2)
  var failures: [RowFailure] = []
  _ = try adapter.make().process(&piece, clock: 0, failures: &failures)
  #expect((0..<2).map { piece.block.columns[0].text($0) } == ["x", ""] && piece.block.columns[0].type == .nullable(.string))
}

private func started(_ block: RowBlock, origins count: Int) -> Piece {
  for row in 0..<count {
    block.originPartitions.append(Int32(0))
    block.originOffsets.append(Int64(row))
  }
  block.rowCount = count
  for column in block.columns { column.rowCount = count }
  var piece = Piece(block)
  piece.start(block)
  piece.times = [Int64](repeating: 0, count: count)
  return piece
}

extension Column {
  fileprivate func append<T: BitwiseCopyable>(values: [T]) { for value in values { bytes.append(value) } }

  fileprivate func append(texts: [String]) {
    for text in texts {
      unsafe Array(text.utf8).withUnsafeBytes { unsafe bytes.append($0) }
      ends.append(UInt32(bytes.count))
    }
  }
}
