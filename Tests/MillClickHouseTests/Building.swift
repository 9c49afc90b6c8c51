internal import Foundation
internal import Testing
internal import MillBase
internal import MillFlow
internal import MillLog
internal import MillClickHouse

/// A value of a row, for tests.
enum Value {
  case null
  case text(String)
  /// Exactly the bytes of a fixed type.
  case bytes([UInt8])

  static func int(_ value: some FixedWidthInteger) -> Value {
    var little = value.littleEndian
    return .bytes(unsafe withUnsafeBytes(of: &little) { unsafe Array($0) })
  }
}

/// A block out of columns of values.
func makeBlock(_ columns: [(type: DataType, values: [Value])]) -> RowBlock {
  let block = RowBlock(columns.map(\.type))
  for (column, values) in zip(block.columns, columns.map(\.values)) {
    for value in values { append(value, to: column) }
  }
  block.rowCount = columns.first?.values.count ?? 0
  for row in 0..<block.rowCount {
    block.originPartitions.append(Int32(row % 3))
    block.originOffsets.append(Int64(1000 + row))
  }
  return block
}

private func append(_ value: Value, to column: Column) {
  var isNull: UInt8 = 0
  switch value {
  case .null:
    isNull = 1
    if case .fixed(let count) = column.layout { for _ in 0..<count { column.bytes.append(UInt8(0)) } }
  case .text(let text): for byte in text.utf8 { column.bytes.append(byte) }
  case .bytes(let bytes): for byte in bytes { column.bytes.append(byte) }
  }
  if column.layout == .text { column.ends.append(UInt32(column.bytes.count)) }
  if column.isNullable { column.nulls.append(isNull) }
  column.rowCount += 1
}

func hex(_ text: String) -> [UInt8] {
  let digits = Array(text.utf8)
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(String(decoding: digits[$0..<($0 + 2)], as: UTF8.self), radix: 16)! }
}

func hex(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// Entries of a file of recorded bytes.
func recorded(_ name: String) throws -> [[String: Any]] {
  let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures/\(name)")
  return try #require(JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [[String: Any]])
}

func sealed(
  _ encoder: BlockEncoder, _ rows: EncodedRows, target: String, number: BatchNumber = 1, destination: String = "events"
) -> SealedBatch {
  SealedBatch(
    destination: .table, number: number, rowStart: 0, rowCount: UInt64(rows.rowCount), digest: rows.digest,
    token: makeToken(lineage: Lineage(0xabc), destination: destination, batch: number, digest: rows.digest), chunks: [0],
    originChunkCount: 0,
    byteCount: 0, target: target, columns: encoder.batchColumns)
}

/// Rows out of records as their source would read them; every one must be good.
func decoded(_ fields: [FieldPlan], _ records: [String]) throws -> RowBlock {
  let plan = try SourcePlan(name: "s", topic: "t", fields: fields)
  let decoder = RecordDecoder(plan: plan)
  let rows = DecodedRows(plan)
  let buffer = RecordBuffer(nextOffset: 0, capacity: 1 << 16)
  for (offset, record) in records.enumerated() {
    let bytes = Array(record.utf8)
    unsafe bytes.withRawBytes { unsafe buffer.append(offset: Int64(offset), timestamp: 0, key: nil, payload: $0, headers: nil) }
  }
  var failures: [DecodeFailure] = []
  decoder.decode(buffer, first: records.count, partition: 0, into: rows, failures: &failures)
  try #require(failures.isEmpty, "\(failures.map(\.detail))")
  return rows.block
}
