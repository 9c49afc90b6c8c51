package import MillBase
package import MillFlow
package import MillLog

/// Rows in the table's plain encoding, and what names them.
@safe package final class EncodedRows: @unchecked Sendable {
  package let rowCount: Int
  /// Of the columns' bytes, without the provenance column. The same rows give the same digest in every process.
  package let digest: Digest128
  /// Name, type and values of each column, as they stand in the Native block. Changed only by ``takeMemory()``: until then any thread may
  /// read.
  private(set) var columns: GrowableBytes

  init(rowCount: Int, columns: consuming GrowableBytes) {
    self.rowCount = rowCount
    self.digest = unsafe cityHash128(columns.raw)
    self.columns = columns
  }

  /// The memory of the bytes, for ``BlockEncoder/encode(_:rows:memory:)`` to fill again; what it held is gone. Only once nobody reads
  /// any more.
  package func takeMemory() -> GrowableBytes {
    var memory = GrowableBytes()
    swap(&memory, &columns)
    memory.count = 0
    return memory
  }

  /// Plain bytes.
  package var byteCount: Int { columns.count }
}

/// Turns rows into one Native block with exactly the table's types.
///
/// A block: LEB128 number of columns | LEB128 number of rows | per column: name, type, values. The order is that of ``columns``, then the
/// provenance column. Nothing of it depends on hash order or addresses. One owner.
@safe package struct BlockEncoder: Sendable {
  package let columns: [TargetColumn]
  /// The column that names each row's batch, String or LowCardinality(String); nil: the table has none.
  package let provenance: BatchColumn?

  package init(columns: [TargetColumn], provenance: BatchColumn?) {
    self.columns = columns
    self.provenance = provenance
  }

  /// Columns of a frozen block, as its seal lists them.
  package var batchColumns: [BatchColumn] { columns.map(\.batchColumn) + (provenance.map { [$0] } ?? []) }

  /// - Parameters:
  ///   - rows: within the block, at least one.
  ///   - memory: what to write into; the pages of a batch's size cost more to get than to fill.
  package func encode(_ block: RowBlock, rows: Range<Int>, memory: consuming GrowableBytes = GrowableBytes()) -> EncodedRows {
    precondition(!rows.isEmpty && rows.lowerBound >= 0 && rows.upperBound <= block.rowCount, "rows \(rows) of \(block.rowCount)")
    let share = block.byteCount / max(block.rowCount, 1) * rows.count
    var out = memory
    out.count = 0
    out.reserve(share + share / 8 + 4096)
    for column in columns {
      Native.text(column.name, &out)
      Native.text(column.typeText, &out)
      ColumnEncoder(target: column, source: block.columns[column.source], rows: rows).encode(&out)
    }
    return EncodedRows(rowCount: rows.count, columns: out)
  }

  /// The whole block in compressed frames, cut into chunks of the epoch log.
  package func freeze(_ rows: EncodedRows, token: String) -> [[UInt8]] {
    Self.freeze(rows, columnCount: columns.count, provenance: provenance, token: token)
  }

  /// The same for rows of `columnCount` columns whose encoder is gone, such as those of a ``NativeBlock``.
  package static func freeze(_ rows: EncodedRows, columnCount: Int, provenance: BatchColumn?, token: String) -> [[UInt8]] {
    var head = GrowableBytes()
    Native.length(UInt64(columnCount + (provenance == nil ? 0 : 1)), &head)
    Native.length(UInt64(rows.rowCount), &head)
    var writer = FrameWriter()
    unsafe writer.append(head.raw)
    unsafe writer.append(rows.columns.raw)
    if let provenance {
      var constant = GrowableBytes()
      Native.text(provenance.name, &constant)
      Native.text(provenance.type, &constant)
      Native.constant(token, type: provenance.type, rowCount: rows.rowCount, &constant)
      unsafe writer.append(constant.raw)
    }
    return writer.finish()
  }
}

/// The pieces that a Native block is made of.
enum Native {
  /// LEB128.
  @inline(__always)
  static func length(_ value: UInt64, _ out: inout GrowableBytes) {
    out.reserve(10)
    var rest = value
    while rest >= 0x80 {
      unsafe out.end.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
      out.count += 1
      rest >>= 7
    }
    unsafe out.end.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
    out.count += 1
  }

  static func text(_ text: String, _ out: inout GrowableBytes) {
    let bytes = Array(text.utf8)
    length(UInt64(bytes.count), &out)
    unsafe bytes.withRawBytes { unsafe out.append($0) }
  }

  /// What stands first in a LowCardinality column, before everything else of a column that holds one.
  static func dictionaryVersion(_ out: inout GrowableBytes) { out.append(UInt64(1).littleEndian) }

  /// What stands before the keys of a LowCardinality column.
  static func dictionaryHead(keyCount: Int, _ out: inout GrowableBytes) {
    out.append((0x600 | indexCode(keyCount)).littleEndian)
    out.append(UInt64(keyCount).littleEndian)
  }

  /// The number of each value's key, as wide as `keyCount` needs, behind the keys.
  static func indexes(_ indexes: [UInt32], keyCount: Int, _ out: inout GrowableBytes) {
    out.append(UInt64(indexes.count).littleEndian)
    out.reserve(indexes.count * 4)
    switch indexCode(keyCount) {
    case 0: for index in indexes { out.append(UInt8(truncatingIfNeeded: index)) }
    case 1: for index in indexes { out.append(UInt16(truncatingIfNeeded: index).littleEndian) }
    default: for index in indexes { out.append(index.littleEndian) }
    }
  }

  /// 0, 1 or 2 for indexes of 1, 2 or 4 bytes.
  private static func indexCode(_ keyCount: Int) -> UInt64 { keyCount <= 256 ? 0 : keyCount <= 65536 ? 1 : 2 }

  /// The values of a column that holds `token` in every row.
  static func constant(_ token: String, type: String, rowCount: Int, _ out: inout GrowableBytes) {
    guard type == "LowCardinality(String)" else {
      let start = out.count
      text(token, &out)
      let size = out.count - start
      out.reserve(size * (rowCount - 1))
      for _ in 1..<max(rowCount, 1) {
        unsafe out.end.copyMemory(from: out.base + start, byteCount: size)
        out.count += size
      }
      return
    }
    dictionaryVersion(&out)
    dictionaryHead(keyCount: 2, &out)
    text("", &out)
    text(token, &out)
    out.append(UInt64(rowCount).littleEndian)
    out.reserve(rowCount)
    unsafe out.end.initializeMemory(as: UInt8.self, repeating: 1, count: rowCount)
    out.count += rowCount
  }
}
