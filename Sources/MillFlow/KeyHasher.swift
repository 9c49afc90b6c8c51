package import MillBase

/// Turns the key fields of rows into bytes that are equal exactly where the keys are, and those into 128-bit keyed hashes.
///
/// A row's key is, for each field in order: a tag byte of the field's type (0xFF for NULL, then nothing more); then a fixed value's bytes
/// as the column has them, or a text's byte count as u32 and its bytes. Tags differ between types, so the String "1" isn't the Int 1, and
/// what a Nullable or LowCardinality wraps keeps its tag. -0.0 is equal to 0.0 and written as it (JSON has no NaN). DateTimes are equal
/// where
/// the ticks are: two precisions are two types, zones don't count.
package struct KeyHasher: Sendable {
  private let fields: [Field]
  private let seed: Digest128
  private let fixedByteCount: Int

  private struct Field: Hashable, Sendable {
    var index: Int
    var tag: UInt8
    /// Bytes of a value; 0: a text.
    var width: Int
    var isFloat: Bool
  }

  /// `fieldIndexes` into `types` (those of the blocks to come), at least one; `seed` is the lineage's.
  package init(fieldIndexes: [Int], types: [DataType], seed: Digest128) {
    precondition(!fieldIndexes.isEmpty && fieldIndexes.allSatisfy(types.indices.contains), "key fields \(fieldIndexes) of \(types.count)")
    fields = fieldIndexes.map { index in
      let type = types[index]
      let width = if case .fixed(let byteCount) = type.layout { byteCount } else { 0 }
      return Field(index: index, tag: Self.tag(type.base), width: width, isFloat: type.base == .float32 || type.base == .float64)
    }
    self.seed = seed
    fixedByteCount = fields.reduce(0) { $0 + 1 + ($1.width == 0 ? 4 : $1.width) }
  }

  /// Never changed: stored keys depend on it. Decimals by scale, DateTime64 by precision.
  private static func tag(_ type: DataType) -> UInt8 {
    switch type {
    case .bool: 1
    case .int8: 2
    case .int16: 3
    case .int32: 4
    case .int64: 5
    case .uint8: 6
    case .uint16: 7
    case .uint32: 8
    case .uint64: 9
    case .float32: 10
    case .float64: 11
    case .string: 12
    case .date: 13
    case .dateTime: 14
    case .uuid: 15
    case .int128: 16
    case .int256: 17
    case .uint128: 18
    case .uint256: 19
    case .fixedString: 20
    case .date32: 21
    case .ipv4: 22
    case .ipv6: 23
    case .enum8: 24
    case .enum16: 25
    case .decimal(let precision, let scale):
      UInt8((precision <= 9 ? 0x20 : precision <= 18 ? 0x40 : precision <= 38 ? 0x80 : 0xB0) + scale)
    case .dateTime64(let precision, _): UInt8(0x60 + precision)
    case .array, .map: preconditionFailure("\(type) as a key")
    case .nullable(let inner), .lowCardinality(let inner): tag(inner)
    }
  }

  /// Hash of each row's key; `hashes` gets one a row, its old content goes.
  package func hash(_ block: RowBlock, into hashes: inout [Digest128]) {
    hashes.removeAll(keepingCapacity: true)
    hashes.reserveCapacity(block.rowCount)
    var scratch = GrowableBytes(capacity: 256)
    unsafe forEachKey(block, &scratch, keepsAll: false) { key in unsafe hashes.append(siphash128(key: seed, key)) }
  }

  /// The keys themselves, one after the other in `bytes`, and where each ends as `UInt32` in `ends`; old content goes.
  package func keyBytes(_ block: RowBlock, into bytes: inout GrowableBytes, ends: inout GrowableBytes) {
    bytes.count = 0
    ends.count = 0
    ends.reserve(block.rowCount * 4)
    var end = 0
    unsafe forEachKey(block, &bytes, keepsAll: true) { key in
      end += key.count
      precondition(end <= Int(UInt32.max), "keys of a block pass 4 GiB")
      ends.append(UInt32(truncatingIfNeeded: end))
    }
  }

  /// What a column's memory is, taken out before the loop.
  @safe private struct View {
    let bytes: UnsafeRawPointer
    let ends: UnsafePointer<UInt32>
    let nulls: UnsafePointer<UInt8>?
  }

  @inline(__always)
  private func forEachKey(
    _ block: RowBlock, _ out: inout GrowableBytes, keepsAll: Bool, _ body: (UnsafeRawBufferPointer) -> Void
  ) {
    let views = fields.map { field in
      let column = block.columns[field.index]
      return unsafe View(
        bytes: UnsafeRawPointer(column.bytes.base), ends: UnsafePointer(column.ends.base.assumingMemoryBound(to: UInt32.self)),
        nulls: column.isNullable ? UnsafePointer(column.nulls.base.assumingMemoryBound(to: UInt8.self)) : nil)
    }
    unsafe fields.withUnsafeBufferPointer { fields in
      unsafe views.withUnsafeBufferPointer { views in
        for row in 0..<block.rowCount {
          if !keepsAll { out.count = 0 }
          let start = out.count
          for index in 0..<fields.count { unsafe Self.append(fields[index], views[index], row, &out) }
          unsafe body(UnsafeRawBufferPointer(start: out.base + start, count: out.count &- start))
        }
      }
    }
  }

  @inline(__always)
  private static func append(_ field: Field, _ view: View, _ row: Int, _ out: inout GrowableBytes) {
    if let nulls = unsafe view.nulls, unsafe nulls[row] != 0 {
      out.append(UInt8(0xFF))
      return
    }
    if field.width > 0 {
      out.reserve(field.width &+ 1)
      let to = unsafe out.end
      unsafe to.storeBytes(of: field.tag, as: UInt8.self)
      unsafe (to + 1).copyMemory(from: view.bytes + row &* field.width, byteCount: field.width)
      if field.isFloat { unsafe clearNegativeZero(to + 1, field.width) }
      out.count &+= field.width &+ 1
      return
    }
    let start = row == 0 ? 0 : unsafe Int(view.ends[row &- 1])
    let count = unsafe Int(view.ends[row]) &- start
    out.reserve(count &+ 5)
    let to = unsafe out.end
    unsafe to.storeBytes(of: field.tag, as: UInt8.self)
    unsafe (to + 1).storeBytes(of: UInt32(truncatingIfNeeded: count).littleEndian, as: UInt32.self)
    unsafe (to + 5).copyMemory(from: view.bytes + start, byteCount: count)
    out.count &+= count &+ 5
  }

  private static func clearNegativeZero(_ value: UnsafeMutableRawPointer, _ width: Int) {
    if width == 4 {
      if unsafe value.loadUnaligned(as: UInt32.self) == 1 << 31 { unsafe value.storeBytes(of: 0, as: UInt32.self) }
    } else if unsafe value.loadUnaligned(as: UInt64.self) == 1 << 63 {
      unsafe value.storeBytes(of: 0, as: UInt64.self)
    }
  }
}
