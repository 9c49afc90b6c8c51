import MillBase
import MillFlow
import MillOperators
import Testing

/// Rows of `id` Int64, `n` Nullable(Int64) and `name` String.
private let schema = Schema([
  .init(name: "id", type: .int64), .init(name: "n", type: .nullable(.int64)), .init(name: "name", type: .string),
])

private func block(_ rows: [(id: Int64, n: Int64?, name: String)]) -> RowBlock {
  let block = RowBlock(schema.types)
  for (index, row) in rows.enumerated() {
    block.columns[0].bytes.append(row.id)
    block.columns[1].bytes.append(row.n ?? 0)
    block.columns[1].nulls.append(UInt8(row.n == nil ? 1 : 0))
    unsafe Array(row.name.utf8).withUnsafeBytes { unsafe block.columns[2].bytes.append($0) }
    block.columns[2].ends.append(UInt32(block.columns[2].bytes.count))
    block.originPartitions.append(Int32(7))
    block.originOffsets.append(Int64(100 + index))
  }
  block.rowCount = rows.count
  for column in block.columns { column.rowCount = rows.count }
  return block
}

private func piece(_ block: RowBlock, gone: Set<Int> = []) -> Piece {
  var piece = Piece(block)
  piece.start(block)
  piece.times = (0..<block.rowCount).map { Int64(1000 + $0) }
  for row in gone { piece.keep[row] = 0 }
  return piece
}

private func filter(_ condition: String) throws -> any Operator {
  FilterPlan(name: "f", input: "s", schema: schema, condition: try Expression.parse(condition, schema)).make()
}

private func select(_ fields: [(String, String)]) throws -> SelectPlan {
  SelectPlan(name: "s", input: "x", inputSchema: schema, fields: try fields.map { ($0.0, try Expression.parse($0.1, schema)) })
}

private func texts(_ block: RowBlock) -> [[String?]] {
  (0..<block.rowCount).map { row in block.columns.map { $0.text(row) } }
}

private func offsets(_ block: RowBlock) -> [Int64] {
  (0..<block.rowCount).map { unsafe block.originOffsets.base.load(fromByteOffset: $0 * 8, as: Int64.self) }
}

@Test func `a filter lets rows pass for which the condition is true, and neither false nor NULL ones`() throws {
  var piece = piece(block([(1, 5, ""), (2, nil, ""), (3, -5, ""), (4, 1, "")]), gone: [3])
  var failures: [RowFailure] = []
  let filtered = try filter("n > 0").process(&piece, clock: 0, failures: &failures)
  #expect(piece.keep == [1, 0, 0, 0] && filtered == 2 && failures.isEmpty)
}

@Test func `a row whose condition fails leaves, isn't counted as filtered, and one that has left isn't asked`() throws {
  var piece = piece(block([(1, 0, ""), (2, 0, ""), (3, 5, ""), (4, 1, "")]), gone: [1])
  var failures: [RowFailure] = []
  let filtered = try filter("intDiv(10, n) < 5").process(&piece, clock: 0, failures: &failures)
  #expect(piece.keep == [0, 0, 1, 0] && filtered == 1)
  #expect(failures.map(\.row) == [0] && failures.first?.code == .divisionByZero)
}

@Test func `a select makes its fields of the rows that are there, times and origins go along`() throws {
  let plan = try select([("twice", "id * 2"), ("name", "name"), ("n", "n")])
  #expect(plan.schema.fields.map(\.name) == ["twice", "name", "n"] && plan.schema.types[2] == .nullable(.int64))
  #expect((0..<3).map { plan.origin(of: $0) } == [nil, 2, 1] && plan.expressions.map(\.place) == ["fields.twice"])
  let node = plan.make()
  var failures: [RowFailure] = []
  let whole = block([(1, 5, "a"), (2, nil, "bc"), (3, 7, "")])
  var piece = piece(whole)
  #expect(try node.process(&piece, clock: 0, failures: &failures) == 0 && failures.isEmpty)
  #expect(texts(piece.block) == [["2", "a", "5"], ["4", "bc", nil], ["6", "", "7"]])
  // No copy of a field that only has its name again.
  #expect(piece.block.columns[1] === whole.columns[2] && piece.block.columns[2] === whole.columns[1])
  #expect(offsets(piece.block) == [100, 101, 102] && piece.times == [1000, 1001, 1002] && piece.decodedRow(2) == 2)
  // The same node again, with rows that have left: what it had before is gone.
  piece = Piece(whole)
  piece.start(whole)
  piece.times = [10, 11, 12]
  piece.keep = [0, 1, 1]
  #expect(try node.process(&piece, clock: 0, failures: &failures) == 0 && failures.isEmpty)
  #expect(texts(piece.block) == [["4", "bc", nil], ["6", "", "7"]])
  #expect(offsets(piece.block) == [101, 102] && piece.times == [11, 12] && piece.keep == [1, 1])
  #expect(piece.decodedRow(0) == 1 && piece.decodedRow(1) == 2)
}

@Test func `a row that fails in any field leaves all of them, and a second select counts from the decoded rows still`() throws {
  let first = try select([("q", "intDiv(id, n)"), ("name", "name")])
  var failures: [RowFailure] = []
  var piece = piece(block([(10, 0, "zero"), (10, 5, "five"), (10, nil, "none"), (10, 0, "again"), (9, 3, "three")]))
  _ = try first.make().process(&piece, clock: 0, failures: &failures)
  #expect(failures.map(\.row) == [0, 3] && texts(piece.block) == [["2", "five"], [nil, "none"], ["3", "three"]])
  let condition = try Expression.parse("q = 3", first.schema)
  let behind = FilterPlan(name: "f", input: "s", schema: first.schema, condition: condition)
  failures = []
  #expect(try behind.make().process(&piece, clock: 0, failures: &failures) == 2 && piece.keep == [0, 0, 1])
  let last = SelectPlan(
    name: "l", input: "f", inputSchema: first.schema, fields: [("name", try Expression.parse("upper(name)", first.schema))])
  _ = try last.make().process(&piece, clock: 0, failures: &failures)
  #expect(texts(piece.block) == [["THREE"]] && piece.decodedRow(0) == 4 && offsets(piece.block) == [104] && piece.times == [1004])
}

@Test func `a piece that nothing of is left stays a piece of the new fields`() throws {
  var piece = piece(block([(1, 0, "a")]), gone: [0])
  var failures: [RowFailure] = []
  _ = try select([("x", "intDiv(id, n)"), ("name", "name")]).make().process(&piece, clock: 0, failures: &failures)
  #expect(failures.isEmpty && piece.block.rowCount == 0 && piece.block.columns.count == 2 && piece.keep == [])
}

@Test func `texts that pass a select's bound are told, not made`() throws {
  var piece = piece(block((0..<80).map { (Int64($0), 1, "abc") }))
  var failures: [RowFailure] = []
  let node = try select([("t", "repeat(name, 1000)")]).make(byteCountMax: 100_000)
  #expect(throws: OperatorError.self) { try node.process(&piece, clock: 0, failures: &failures) }
}

@Test func `two texts of the same tokens are one when they are compared`() throws {
  func normal(_ text: String) throws -> String { try Expression.parse(text, schema).normalised }
  #expect(try normal("id>0\n  and  name!='a  b'") == normal("id > 0 and name != 'a  b'"))
  #expect(try normal("id > 0 and name != 'a b'") != normal("id > 0 and name != 'a  b'"))
  #expect(try normal("lower( name )") == "lower(name)" && normal("`id`+1") == "`id` + 1")
}
