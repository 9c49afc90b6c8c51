internal import MillBase

/// A column's memory taken out into a local while rows are written: no class is touched per value.
///
/// Room for fixed values, ends and nulls of all rows to come is made at once; texts grow on the way.
@safe struct ColumnWriter {
  private var bytes: UnsafeMutableRawPointer
  private var byteCount: Int
  private var capacity: Int
  private var ends: UnsafeMutablePointer<UInt32>
  private var nulls: UnsafeMutablePointer<UInt8>
  private let width: Int
  private let isText: Bool
  private let isNullable: Bool
  private let column: Unmanaged<Column>

  /// The column must live until ``finish(rowCount:)``.
  init(_ column: Column, rowsToCome: Int) {
    switch column.layout {
    case .fixed(let byteCount):
      width = byteCount
      isText = false
      column.bytes.reserve(rowsToCome * byteCount + 16)
    case .text:
      width = 0
      isText = true
      column.ends.reserve(rowsToCome * 4)
    }
    isNullable = column.isNullable
    if isNullable { column.nulls.reserve(rowsToCome) }
    unsafe bytes = column.bytes.base
    byteCount = column.bytes.count
    capacity = column.bytes.capacity
    unsafe ends = column.ends.base.assumingMemoryBound(to: UInt32.self)
    unsafe nulls = column.nulls.base.assumingMemoryBound(to: UInt8.self)
    unsafe self.column = Unmanaged.passUnretained(column)
  }

  /// Hands the rows `0 ..< rowCount` to the column.
  func finish(rowCount: Int) {
    let column = unsafe column.takeUnretainedValue()
    column.bytes.count = isText ? byteCount : rowCount * width
    if isText { column.ends.count = rowCount * 4 }
    if isNullable { column.nulls.count = rowCount }
    column.rowCount = rowCount
  }

  /// Forgets what of a failed row has been written; `row` is the number of rows that stay.
  mutating func rollBack(to row: Int) {
    if isText { byteCount = row == 0 ? 0 : unsafe Int(ends[row - 1]) }
  }

  /// A value of the column's width (1, 2, 4 or 8 bytes), its low bytes.
  @inline(__always)
  mutating func store(_ value: UInt64, row: Int) {
    let place = unsafe bytes + row &* width
    switch width {
    case 1: unsafe place.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    case 2: unsafe place.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
    case 4: unsafe place.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
    default: unsafe place.storeBytes(of: value, as: UInt64.self)
    }
    if isNullable { unsafe nulls[row] = 0 }
  }

  /// A value of 16 bytes.
  @inline(__always)
  mutating func store(_ first: UInt64, _ second: UInt64, row: Int) {
    unsafe (bytes + row &* 16).storeBytes(of: first, as: UInt64.self)
    unsafe (bytes + row &* 16).storeBytes(of: second, toByteOffset: 8, as: UInt64.self)
    if isNullable { unsafe nulls[row] = 0 }
  }

  /// A value of 16 or 32 bytes.
  mutating func store(_ value: UInt256, row: Int) {
    let place = unsafe bytes + row * width
    unsafe place.storeBytes(of: value.low.littleEndian, as: UInt128.self)
    if width == 32 { unsafe place.storeBytes(of: value.high.littleEndian, toByteOffset: 16, as: UInt128.self) }
    if isNullable { unsafe nulls[row] = 0 }
  }

  /// A text in a column of fixed width, filled up with zero bytes. False where it is too long.
  mutating func storePadded(_ from: UnsafePointer<UInt8>, count: Int, row: Int) -> Bool {
    guard count <= width else { return false }
    let place = unsafe bytes + row * width
    unsafe place.copyMemory(from: from, byteCount: count)
    unsafe (place + count).initializeMemory(as: UInt8.self, repeating: 0, count: width - count)
    if isNullable { unsafe nulls[row] = 0 }
    return true
  }

  /// Shows the value of row 0 and whether it is a text, and forgets it.
  mutating func takeFirst(_ body: (UnsafeRawBufferPointer, Bool) -> Void) {
    unsafe body(UnsafeRawBufferPointer(start: bytes, count: isText ? byteCount : width), isText)
    rollBack(to: 0)
  }

  mutating func storeNull(row: Int) {
    unsafe nulls[row] = 1
    if isText {
      unsafe ends[row] = UInt32(truncatingIfNeeded: byteCount)
    } else {
      unsafe (bytes + row * width).initializeMemory(as: UInt8.self, repeating: 0, count: width)
    }
  }

  /// Bytes as they stand in another column of this type. False where a text column would pass 4 GiB.
  mutating func storeBytes(_ from: UnsafePointer<UInt8>, count: Int, row: Int) -> Bool {
    if isText { return unsafe storeText(from, count: count, row: row) }
    unsafe (bytes + row * width).copyMemory(from: from, byteCount: width)
    if isNullable { unsafe nulls[row] = 0 }
    return true
  }

  /// A text; ``RecordBuffer/slack`` bytes behind it must be readable. False where the column would pass 4 GiB.
  @inline(__always)
  mutating func storeText(_ from: UnsafePointer<UInt8>, count: Int, row: Int) -> Bool {
    guard room(count) else { return false }
    let to = unsafe bytes + byteCount
    if count <= 64 {
      // Two blocks or four, whatever the length: what is too much is written over by the next text.
      unsafe Self.copyBlocks(from, to)
      if count > 32 { unsafe Self.copyBlocks(from + 32, to + 32) }
    } else {
      unsafe to.copyMemory(from: from, byteCount: count)
    }
    endText(count, row: row)
    return true
  }

  @inline(__always)
  private static func copyBlocks(_ from: UnsafePointer<UInt8>, _ to: UnsafeMutableRawPointer) {
    unsafe to.storeBytes(of: UnsafeRawPointer(from).loadUnaligned(as: SIMD16<UInt8>.self), as: SIMD16<UInt8>.self)
    unsafe (to + 16).storeBytes(of: UnsafeRawPointer(from + 16).loadUnaligned(as: SIMD16<UInt8>.self), as: SIMD16<UInt8>.self)
  }

  /// An escaped text of a record, as what it stands for.
  mutating func storeUnescaped(_ from: ByteView, _ start: Int, _ end: Int, row: Int) -> Bool {
    guard room(end - start) else { return false }
    let count = unsafe unescape(from, start, end, to: (bytes + byteCount).assumingMemoryBound(to: UInt8.self))
    endText(count, row: row)
    return true
  }

  @inline(__always)
  private mutating func endText(_ count: Int, row: Int) {
    byteCount &+= count
    unsafe ends[row] = UInt32(truncatingIfNeeded: byteCount)
    if isNullable { unsafe nulls[row] = 0 }
  }

  @inline(__always)
  private mutating func room(_ count: Int) -> Bool {
    if capacity &- byteCount >= count &+ 64 { return true }
    return grow(count + 64)
  }

  @inline(never)
  private mutating func grow(_ more: Int) -> Bool {
    guard byteCount + more <= Int(UInt32.max) else { return false }
    let column = unsafe column.takeUnretainedValue()
    column.bytes.count = byteCount
    column.bytes.reserve(more)
    unsafe bytes = column.bytes.base
    capacity = column.bytes.capacity
    return true
  }

  /// The value that stands in `row`, of 8 bytes at most, not extended by its sign.
  @inline(__always)
  func load(row: Int) -> UInt64 {
    let place = unsafe UnsafeRawPointer(bytes + row &* width)
    switch width {
    case 1: return unsafe UInt64(place.load(as: UInt8.self))
    case 2: return unsafe UInt64(place.loadUnaligned(as: UInt16.self))
    case 4: return unsafe UInt64(place.loadUnaligned(as: UInt32.self))
    default: return unsafe place.loadUnaligned(as: UInt64.self)
    }
  }
}
