import MillBase
import MillFlow

/// A field of the name `v` for tests.
func field(
  _ type: String, name: String = "v", from: FieldSource? = nil, default value: String? = nil, format: FieldFormat = .iso8601,
  coerce: Bool = false, truncate: Bool = false
) throws -> FieldPlan {
  try FieldPlan(
    name: name, type: DataType.parse(type), source: from, defaultValue: value, format: format, coerce: coerce, truncate: truncate)
}

func source(_ fields: [FieldPlan], eventTime: EventTimePlan? = nil) throws -> SourcePlan {
  try SourcePlan(name: "s", topic: "t", fields: fields, eventTime: eventTime)
}

/// Records, for the buffer of a partition.
struct Record {
  var key: [UInt8]?
  var payload: [UInt8]?
  var headers: [UInt8] = []
  var timestamp: Int64 = 1_700_000_000_000

  init(_ payload: String) { self.payload = Array(payload.utf8) }
  init(bytes: [UInt8]?) { payload = bytes }
}

func buffer(_ records: [Record], from offset: Int64 = 0) -> RecordBuffer {
  let buffer = RecordBuffer(nextOffset: offset)
  for (index, record) in records.enumerated() {
    unsafe withOptionalBytes(record.key) { key in
      unsafe withOptionalBytes(record.payload) { payload in
        unsafe withOptionalBytes(record.headers) { headers in
          unsafe buffer.append(
            offset: offset + Int64(index), timestamp: record.timestamp, key: key, payload: payload, headers: headers)
        }
      }
    }
  }
  return buffer
}

private func withOptionalBytes(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
  guard let bytes else { return body(nil) }
  unsafe bytes.withUnsafeBytes { unsafe body($0) }
}

/// Decodes all of them.
func decode(
  _ plan: SourcePlan, _ records: [Record], partition: Int32 = 0, clock: Int64 = .max
) -> (rows: DecodedRows, failures: [DecodeFailure]) {
  let rows = DecodedRows(plan)
  var failures: [DecodeFailure] = []
  let buffer = buffer(records)
  RecordDecoder(plan: plan).decode(
    buffer, first: buffer.count, partition: partition, clockMilliseconds: clock, into: rows, failures: &failures)
  return (rows, failures)
}

/// What becomes of one value: its text in the column, or the reason's name.
func read(
  _ type: String, _ json: String, default value: String? = nil, format: FieldFormat = .iso8601, coerce: Bool = false, truncate: Bool = false
)
  throws -> String
{
  let plan = try source([field(type, default: value, format: format, coerce: coerce, truncate: truncate)])
  let (rows, failures) = decode(plan, [Record(json)])
  if let failure = failures.first { return failure.reason.rawValue }
  return text(rows.block.columns[0], 0)
}

/// A column's value as it stands there: NULL, a text, a signed or unsigned integer, a float, a UUID's 32 digits, other bytes in hex.
func text(_ column: Column, _ row: Int) -> String {
  if column.isNullable, unsafe column.nulls.raw[row] == 1 { return "NULL" }
  func load<T: BitwiseCopyable>(_ type: T.Type) -> T {
    unsafe column.bytes.raw.loadUnaligned(fromByteOffset: row * MemoryLayout<T>.size, as: type)
  }
  switch column.type.base {
  case .bool: return load(UInt8.self) == 1 ? "true" : "false"
  case .int8: return "\(load(Int8.self))"
  case .int16: return "\(load(Int16.self))"
  case .int32, .date32: return "\(load(Int32.self))"
  case .int64, .dateTime64: return "\(load(Int64.self))"
  case .uint8: return "\(load(UInt8.self))"
  case .uint16, .date: return "\(load(UInt16.self))"
  case .uint32, .dateTime, .ipv4: return "\(load(UInt32.self))"
  case .uint64: return "\(load(UInt64.self))"
  case .float32: return "\(load(Float.self))"
  case .float64: return "\(load(Double.self))"
  case .decimal(let precision, _) where precision <= 9: return "\(load(Int32.self))"
  case .decimal(let precision, _) where precision <= 18: return "\(load(Int64.self))"
  case .int128: return "\(load(Int128.self))"
  case .uint128: return "\(load(UInt128.self))"
  case .decimal, .int256, .uint256, .fixedString, .ipv6:
    guard case .fixed(let width) = column.layout else { return "no width" }
    return unsafe hex(column.bytes.raw[(row * width)..<((row + 1) * width)])
  case .enum8: return "\(load(Int8.self))"
  case .enum16: return "\(load(Int16.self))"
  case .uuid:
    let halves = (0..<2).map { unsafe column.bytes.raw.loadUnaligned(fromByteOffset: row * 16 + $0 * 8, as: UInt64.self) }
    return halves[0].paddedHex + halves[1].paddedHex
  case .string, .array, .map, .nullable, .lowCardinality:
    let ends = unsafe column.ends.raw
    let start = row == 0 ? 0 : unsafe Int(ends.loadUnaligned(fromByteOffset: row * 4 - 4, as: UInt32.self))
    let end = unsafe Int(ends.loadUnaligned(fromByteOffset: row * 4, as: UInt32.self))
    let value = unsafe column.bytes.raw[start..<end]
    return column.type.isComposed ? unsafe hex(value) : unsafe String(decoding: value, as: UTF8.self)
  }
}

/// Two digits a byte.
func hex(_ bytes: some Sequence<UInt8>) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }

extension String {
  /// As JSON's string, with as little escaped as may be.
  var quoted: String { "\"" + replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\"" }
}
