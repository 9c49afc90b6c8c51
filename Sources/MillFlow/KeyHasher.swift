internal import CPlatform
package import MillBase

/// Turns the key fields of rows into bytes that are equal exactly where the keys are, and those into 128-bit keyed hashes.
///
/// A row's key is, for each field in order: a tag byte of the field's type (0xFF for NULL, then nothing more); then a fixed value's bytes
/// as the column has them, or a text's byte count as u32 and its bytes. Tags differ between types, so the String "1" isn't the Int 1, and
/// what a Nullable or LowCardinality wraps keeps its tag. -0.0 is equal to 0.0 and written as it (JSON has no NaN). DateTimes are equal
/// where the ticks are: two precisions are two types, zones don't count.
package struct KeyHasher: Sendable {
  private let fields: [Field]
  private let seed: Digest128
  private let fixedByteCount: Int
  /// All key fields are Nullable.
  private let mayBeNull: Bool

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
    mayBeNull = fieldIndexes.allSatisfy { types[$0].isNullable }
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

  /// The rows all of whose key fields are NULL, ascending; `rows` loses its old content. Costs nothing where a key field can't be NULL.
  package func nullKeys(_ block: RowBlock, into rows: inout [Int32]) {
    rows.removeAll(keepingCapacity: true)
    guard mayBeNull else { return }
    let views = views(block)
    unsafe views.withUnsafeBufferPointer { views in
      for row in 0..<block.rowCount {
        var isNull = true
        for index in 0..<views.count where isNull { isNull = unsafe views[index].nulls.map { unsafe $0[row] != 0 } ?? false }
        if isNull { rows.append(Int32(truncatingIfNeeded: row)) }
      }
    }
  }

  /// Hash of each row's key; `hashes` gets one a row, its old content goes.
  package func hash(_ block: RowBlock, into hashes: inout [Digest128]) {
    let count = block.rowCount
    hashes.removeAll(keepingCapacity: true)
    hashes.append(contentsOf: repeatElement(Digest128(low: 0, high: 0), count: count))
    var scratch = GrowableBytes(capacity: 256)
    let views = views(block)
    let hasFour = mr_has_siphash128_four() != 0
    unsafe fields.withUnsafeBufferPointer { fields in
      unsafe views.withUnsafeBufferPointer { views in
        unsafe hashes.withUnsafeMutableBufferPointer { hashes in
          var row = 0
          while row < count {
            let some = min(4, count &- row)
            scratch.count = 0
            var ends = SIMD4<Int>(repeating: 0)
            for next in 0..<some {
              for index in 0..<fields.count { unsafe Self.append(fields[index], views[index], row &+ next, &scratch) }
              ends[next] = scratch.count
            }
            unsafe hashKeys(scratch.base, ends, some, hasFour, to: hashes.baseAddress! + row)
            row &+= some
          }
        }
      }
    }
  }

  /// Hashes the keys, up to four, that stand one behind the other; four of one length at once where the processor can.
  @inline(__always)
  private func hashKeys(
    _ keys: UnsafeRawPointer, _ ends: SIMD4<Int>, _ count: Int, _ hasFour: Bool, to out: UnsafeMutablePointer<Digest128>
  ) {
    let size = ends[0]
    if hasFour && count == 4 && ends == SIMD4(size, 2 &* size, 3 &* size, 4 &* size) {
      unsafe out.withMemoryRebound(to: UInt64.self, capacity: 8) {
        unsafe mr_siphash128_four(seed.low, seed.high, keys, size, size, $0)
      }
      return
    }
    var start = 0
    for next in 0..<count {
      unsafe out[next] = siphash128(key: seed, UnsafeRawBufferPointer(start: keys + start, count: ends[next] &- start))
      start = ends[next]
    }
  }

  /// The keys themselves, one after the other in `bytes`, and where each ends as `UInt32` in `ends`; old content goes.
  package func keyBytes(_ block: RowBlock, into bytes: inout GrowableBytes, ends: inout GrowableBytes) {
    bytes.count = 0
    ends.count = 0
    ends.reserve(block.rowCount * 4)
    var end = 0
    let views = views(block)
    unsafe fields.withUnsafeBufferPointer { fields in
      unsafe views.withUnsafeBufferPointer { views in
        for row in 0..<block.rowCount {
          for index in 0..<fields.count { unsafe Self.append(fields[index], views[index], row, &bytes) }
          end = bytes.count
          precondition(end <= Int(UInt32.max), "keys of a block pass 4 GiB")
          ends.append(UInt32(truncatingIfNeeded: end))
        }
      }
    }
  }

  /// What a column's memory is, taken out before the loop.
  @safe private struct View {
    let bytes: UnsafeRawPointer
    let ends: UnsafePointer<UInt32>
    let nulls: UnsafePointer<UInt8>?
  }

  private func views(_ block: RowBlock) -> [View] {
    fields.map { field in
      let column = block.columns[field.index]
      return unsafe View(
        bytes: UnsafeRawPointer(column.bytes.base), ends: UnsafePointer(column.ends.base.assumingMemoryBound(to: UInt32.self)),
        nulls: column.isNullable ? UnsafePointer(column.nulls.base.assumingMemoryBound(to: UInt8.self)) : nil)
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
