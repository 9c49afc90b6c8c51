package import MillBase

/// How the values of a type stand in memory.
package enum ColumnLayout: Hashable, Sendable {
  /// Each value takes this many bytes, exactly as ClickHouse's Native format has them (little endian; UUID as two u64 halves).
  case fixed(byteCount: Int)
  /// Values of any length one after the other; ``Column/ends`` says where each ends. An Array or Map stands there as in ClickHouse's
  /// RowBinary: LEB128 count, then its items; in it a String has its LEB128 length before it, a Nullable a byte that is 1 for NULL and
  /// then nothing more.
  case text
}

/// The values of one field over many rows.
///
/// A NULL takes its place in `bytes` too (zero bytes of a fixed value, no bytes of a text) and has a 1 in `nulls`. LowCardinality is only a
/// matter of encoding: such a field's column is its inner type's. One owner at a time; hot loops take the buffers out into locals.
@safe package final class Column: @unchecked Sendable {
  /// The field's type as declared.
  package let type: DataType
  package let layout: ColumnLayout
  package let isNullable: Bool
  package var bytes = GrowableBytes()
  /// `UInt32` end offsets into `bytes`, one a row; empty unless the layout is text.
  package var ends = GrowableBytes()
  /// One byte a row, 1 for NULL; empty unless nullable.
  package var nulls = GrowableBytes()
  package var rowCount = 0

  package init(_ type: DataType) {
    self.type = type
    self.layout = type.layout
    self.isNullable = type.isNullable
  }

  /// Bytes of memory in use.
  package var byteCount: Int { bytes.count + ends.count + nulls.count }

  /// Forgets all rows and keeps the memory, but not where little of it was used: large texts come now in one column, now in another.
  package func removeAll() {
    if bytes.capacity > max(1 << 20, 4 * bytes.count) { bytes = GrowableBytes() }
    bytes.count = 0
    ends.count = 0
    nulls.count = 0
    rowCount = 0
  }
}

extension DataType {
  package var layout: ColumnLayout {
    switch self {
    case .bool, .int8, .uint8, .enum8: .fixed(byteCount: 1)
    case .int16, .uint16, .date, .enum16: .fixed(byteCount: 2)
    case .int32, .uint32, .float32, .date32, .dateTime, .ipv4: .fixed(byteCount: 4)
    case .int64, .uint64, .float64, .dateTime64: .fixed(byteCount: 8)
    case .int128, .uint128, .uuid, .ipv6: .fixed(byteCount: 16)
    case .int256, .uint256: .fixed(byteCount: 32)
    case .decimal(let precision, _): .fixed(byteCount: precision <= 9 ? 4 : precision <= 18 ? 8 : precision <= 38 ? 16 : 32)
    case .fixedString(let byteCount): .fixed(byteCount: byteCount)
    case .string, .array, .map: .text
    case .nullable(let inner), .lowCardinality(let inner): inner.layout
    }
  }
}

/// Rows on their way to one destination: columns in the plan's order, and of each row where it came from.
@safe package final class RowBlock: @unchecked Sendable {
  package let columns: [Column]
  /// `Int32` of each row: the partition, as a number that no other source's has.
  package var originPartitions = GrowableBytes()
  /// `Int64` offset of each row.
  package var originOffsets = GrowableBytes()
  package var rowCount = 0
  /// Of all Arrays and Maps, inner ones too. Each has a length here, mostly of one byte, and an offset of eight in a Native block.
  package var composedCount = 0

  package init(_ types: [DataType]) { columns = types.map(Column.init) }

  init(columns: [Column]) { self.columns = columns }

  /// Bytes of memory in use, or in a Native block where that takes more.
  package var byteCount: Int {
    columns.reduce(originPartitions.count + originOffsets.count + 7 * composedCount) { $0 + $1.byteCount }
  }

  package func removeAll() {
    composedCount = 0
    // Emptied already: nothing tells how much of the columns' memory is used.
    guard rowCount > 0 else { return }
    for column in columns { column.removeAll() }
    originPartitions.count = 0
    originOffsets.count = 0
    rowCount = 0
  }
}
