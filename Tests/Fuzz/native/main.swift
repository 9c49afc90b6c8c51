// Feeds the slicer of Native blocks whatever libFuzzer thinks of: it must end in a block or a named error. The rows of what it accepts must
// survive slicing, at one piece and at two.
internal import FuzzDriver
internal import MillBase
internal import MillClickHouse
internal import MillFlow

private func rows(_ block: NativeBlock) -> [[String]] { (0..<block.rowCount).map { block.row($0).map(\.json) } }

private func reread(_ bytes: [UInt8], _ what: String) -> NativeBlock {
  do {
    return try NativeBlock(bytes)
  } catch {
    fail("\(what) is no block: \(error)")
  }
}

private func check(_ bytes: [UInt8]) {
  // What is refused is no finding.
  guard let block = try? NativeBlock(bytes) else { return }
  let count = block.rowCount
  let all = rows(block)
  let whole = block.slice([0..<count])
  let again = reread(whole, "the slice of all rows")
  demand(again.rowCount == count && again.columns == block.columns, "\(again.rowCount) rows of \(count)")
  demand(rows(again) == all, "the rows have changed")
  demand(again.slice([0..<count]) == whole, "a slice of a slice has other bytes")
  let middle = count / 3
  let parts = [block.slice([0..<middle]), block.slice([middle..<count])].map { reread($0, "a part") }
  demand(parts.flatMap(rows) == all, "the rows of the parts aren't those of the whole")
  let half = again.encodedRows([middle..<count], columnCount: 1)
  demand(half.digest == block.encodedRows([middle..<count], columnCount: 1).digest, "the same rows have another digest")
}

/// Blocks out of records, so that there is something right to begin with.
private func seeds() -> [[UInt8]] {
  let types = [
    "Bool", "Int256", "Decimal(76, 30)", "String", "FixedString(3)", "Date32", "DateTime64(9, 'UTC')", "UUID", "IPv6",
    "Enum8('a' = -1, 'b' = 2)", "Nullable(Float32)", "LowCardinality(Nullable(String))", "LowCardinality(UInt16)",
    "Array(Array(LowCardinality(String)))", "Map(LowCardinality(String), Array(Nullable(Int8)))",
  ]
  let values = [
    [
      "true", "-5", "\"1.5\"", "\"é\"", "\"ab\"", "\"1960-02-29\"", "0", "\"00112233-4455-6677-8899-aabbccddeeff\"", "\"::1\"", "\"b\"",
      "null",
      "\"x\"", "7", "[[\"a\"], []]", "{\"k\": [null, 1]}",
    ],
    [
      "false", "5", "-1", "\"\"", "\"\"", "\"2024-02-29\"", "1", "\"ffffffff-4455-6677-8899-aabbccddeeff\"", "\"1.2.3.4\"", "-1", "0.5",
      "null",
      "65535", "[]", "{}",
    ],
  ]
  do {
    let fields = try types.enumerated().map { index, type in
      try FieldPlan(name: "c\(index)", type: DataType.parse(type), format: type.hasPrefix("DateTime") ? .unixSeconds : .iso8601)
    }
    let columns = fields.enumerated().map { index, field in
      TargetColumn(name: field.name, type: field.type, typeText: types[index], source: index)
    }
    let rows = try decoded(SourcePlan(name: "s", topic: "t", fields: fields), values)
    let encode = { (columns: [TargetColumn]) in
      let encoder = BlockEncoder(columns: columns, provenance: nil)
      return try Frames.decode(encoder.freeze(encoder.encode(rows, rows: 0..<rows.rowCount), token: ""))
    }
    return try [encode(columns)] + columns.map { try encode([$0]) }
  } catch {
    fail("the seeds can't be made: \(error)")
  }
}

private func decoded(_ plan: SourcePlan, _ values: [[String]]) -> RowBlock {
  let rows = DecodedRows(plan)
  let buffer = RecordBuffer(nextOffset: 0, capacity: 1 << 16)
  for (offset, record) in values.enumerated() {
    let text = "{" + record.enumerated().map { "\"c\($0.offset)\":\($0.element)" }.joined(separator: ",") + "}"
    unsafe Array(text.utf8).withRawBytes { payload in
      unsafe buffer.append(offset: Int64(offset), timestamp: 0, key: nil, payload: payload, headers: nil)
    }
  }
  var failures: [DecodeFailure] = []
  RecordDecoder(plan: plan).decode(buffer, first: values.count, partition: 0, into: rows, failures: &failures)
  demand(failures.isEmpty, "a seed's record is refused: \(failures.map(\.detail))")
  return rows.block
}

unsafe runFuzzer(seeds: lasting { seeds() }) { data in check(unsafe Array(data)) }
