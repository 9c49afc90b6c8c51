internal import MillBase
internal import MillFlow

/// The values of one column, of some rows, in Native. Loops run over raw buffers; what they may read is checked once, before.
@safe struct ColumnEncoder {
  let target: TargetColumn
  let source: Column
  let rows: Range<Int>

  func encode(_ out: inout GrowableBytes) {
    precondition(rows.upperBound <= source.rowCount, "column \(target.name): rows \(rows) of \(source.rowCount)")
    guard let fit = source.type.fit(into: target.type) else {
      preconditionFailure("column \(target.name): \(source.type) does not fit into \(target.typeText)")
    }
    if case .lowCardinality(let inner) = target.type { return encodeDictionary(nullable: inner.isNullable, &out) }
    if target.type.isNullable { encodeNulls(&out) }
    switch (source.layout, fit) {
    case (.text, _): encodeTexts(&out)
    case (.fixed(let width), .same):
      precondition(source.bytes.count >= rows.upperBound * width, "column \(target.name): \(source.bytes.count) bytes")
      unsafe out.append(UnsafeRawBufferPointer(rebasing: source.bytes.raw[(rows.lowerBound * width)..<(rows.upperBound * width)]))
    case (.fixed(let width), .widened(let from, let to)):
      precondition(source.bytes.count >= rows.upperBound * width, "column \(target.name): \(source.bytes.count) bytes")
      widen(from, to, &out)
    }
  }

  private func encodeNulls(_ out: inout GrowableBytes) {
    out.reserve(rows.count)
    if source.isNullable {
      precondition(source.nulls.count >= rows.upperBound, "column \(target.name): \(source.nulls.count) null marks")
      unsafe out.append(UnsafeRawBufferPointer(rebasing: source.nulls.raw[rows]))
    } else {
      unsafe out.end.initializeMemory(as: UInt8.self, repeating: 0, count: rows.count)
      out.count += rows.count
    }
  }

  /// End offsets into `source.bytes`, checked to be ascending and inside by the loops below.
  private func end(_ row: Int) -> Int {
    row < 0 ? 0 : unsafe Int(source.ends.base.load(fromByteOffset: row * 4, as: UInt32.self))
  }

  private func encodeTexts(_ out: inout GrowableBytes) {
    precondition(source.ends.count >= rows.upperBound * 4, "column \(target.name): \(source.ends.count) bytes of ends")
    var start = end(rows.lowerBound - 1)
    let last = end(rows.upperBound - 1)
    precondition(start <= last && last <= source.bytes.count, "column \(target.name): text ends at \(last) of \(source.bytes.count)")
    // Room for everything at once: the texts, a length of at most five bytes each, and what a step writes too much.
    out.reserve(last - start + rows.count * 5 + Self.step)
    let bytes = unsafe UnsafeRawPointer(source.bytes.base)
    let ends = unsafe UnsafeRawPointer(source.ends.base)
    let stepsEnd = source.bytes.count - Self.step
    var to = unsafe out.end
    for row in rows {
      let stop = unsafe Int(ends.load(fromByteOffset: row &* 4, as: UInt32.self))
      precondition(start <= stop && stop <= last, "column \(target.name), row \(row): text ends at \(stop)")
      let count = stop &- start
      var rest = count
      while rest >= 0x80 {
        unsafe to.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
        unsafe to += 1
        rest >>= 7
      }
      unsafe to.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
      unsafe to += 1
      // Short texts go over in one step of which the next text overwrites what is too much: a call of memcpy costs more.
      if count <= Self.step, start <= stepsEnd {
        unsafe to.storeBytes(of: (bytes + start).loadUnaligned(as: SIMD32<UInt8>.self), as: SIMD32<UInt8>.self)
      } else {
        unsafe to.copyMemory(from: bytes + start, byteCount: count)
      }
      unsafe to += count
      start = stop
    }
    out.count = unsafe to - out.base
  }

  /// Bytes that are copied at once.
  private static let step = 32

  private func widen(_ from: IntegerShape, _ to: IntegerShape, _ out: inout GrowableBytes) {
    switch (from.isSigned, from.byteCount) {
    case (true, 1): widen(Int8.self, to, &out)
    case (true, 2): widen(Int16.self, to, &out)
    case (true, _): widen(Int32.self, to, &out)
    case (false, 1): widen(UInt8.self, to, &out)
    case (false, 2): widen(UInt16.self, to, &out)
    case (false, _): widen(UInt32.self, to, &out)
    }
  }

  /// Sign and value survive; a target's own sign doesn't matter to its bytes, as it is wider.
  private func widen<From: FixedWidthInteger & BitwiseCopyable>(_: From.Type, _ to: IntegerShape, _ out: inout GrowableBytes) {
    switch to.byteCount {
    case 2: widen(From.self, as: UInt16.self, &out)
    case 4: widen(From.self, as: UInt32.self, &out)
    default: widen(From.self, as: UInt64.self, &out)
    }
  }

  private func widen<From: FixedWidthInteger & BitwiseCopyable, To: FixedWidthInteger & BitwiseCopyable>(
    _: From.Type, as _: To.Type, _ out: inout GrowableBytes
  ) {
    out.reserve(rows.count * MemoryLayout<To>.size)
    for row in rows {
      let value = unsafe source.bytes.base.loadUnaligned(fromByteOffset: row * MemoryLayout<From>.size, as: From.self)
      unsafe out.end.storeBytes(of: To(truncatingIfNeeded: value), as: To.self)
      out.count += MemoryLayout<To>.size
    }
  }

  /// LowCardinality: the keys in the order in which they first appear, after the default key (and the place of NULL), then an index a row.
  private func encodeDictionary(nullable: Bool, _ out: inout GrowableBytes) {
    precondition(source.ends.count >= rows.upperBound * 4, "column \(target.name): \(source.ends.count) bytes of ends")
    precondition(!source.isNullable || source.nulls.count >= rows.upperBound, "column \(target.name): \(source.nulls.count) null marks")
    var keys = KeyTable(firstIndex: nullable ? 1 : 0)
    var indexes = [UInt32](repeating: 0, count: rows.count)
    var start = end(rows.lowerBound - 1)
    for (place, row) in rows.enumerated() {
      let stop = end(row)
      precondition(start <= stop && stop <= source.bytes.count, "column \(target.name), row \(row): text ends at \(stop)")
      let isNull = unsafe source.isNullable && source.nulls.base.load(fromByteOffset: row, as: UInt8.self) != 0
      if !isNull { indexes[place] = unsafe keys.index(of: UnsafeRawBufferPointer(start: source.bytes.base + start, count: stop - start)) }
      start = stop
    }
    let keyCount = keys.count + (nullable ? 1 : 0)
    let width: UInt64 = keyCount <= 256 ? 0 : keyCount <= 65536 ? 1 : 2
    Native.lowCardinalityHead(keyCount: keyCount, indexWidth: width, &out)
    if nullable { Native.length(0, &out) }
    unsafe out.append(keys.encoded.raw)
    out.append(UInt64(rows.count).littleEndian)
    out.reserve(rows.count * 4)
    switch width {
    case 0: for index in indexes { out.append(UInt8(truncatingIfNeeded: index)) }
    case 1: for index in indexes { out.append(UInt16(truncatingIfNeeded: index).littleEndian) }
    default: for index in indexes { out.append(index.littleEndian) }
    }
  }
}

/// The distinct texts of a column, numbered as they come; the empty text is the first.
@safe private struct KeyTable: ~Copyable {
  /// The keys so far, each LEB128 length and bytes.
  var encoded = GrowableBytes()
  private(set) var count = 0
  private let firstIndex: UInt32
  /// Open addressing; 0 is free, else key number + 1.
  private var slots = [UInt32](repeating: 0, count: 1024)
  private var hashes: [UInt64] = []
  private var starts: [Int] = []
  private var lengths: [Int] = []

  init(firstIndex: UInt32) {
    self.firstIndex = firstIndex
    _ = unsafe index(of: UnsafeRawBufferPointer(start: nil, count: 0))
  }

  mutating func index(of key: UnsafeRawBufferPointer) -> UInt32 {
    let hash = unsafe cityHash128(key).low
    var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[slot] != 0 {
      let number = Int(slots[slot]) - 1
      if hashes[number] == hash, unsafe isEqual(number, key) { return firstIndex + UInt32(number) }
      slot = (slot + 1) & (slots.count - 1)
    }
    Native.length(UInt64(key.count), &encoded)
    starts.append(encoded.count)
    lengths.append(key.count)
    hashes.append(hash)
    unsafe encoded.append(key)
    count += 1
    slots[slot] = UInt32(count)
    if count * 2 > slots.count { grow() }
    return firstIndex + UInt32(count - 1)
  }

  private func isEqual(_ number: Int, _ key: UnsafeRawBufferPointer) -> Bool {
    guard lengths[number] == key.count else { return false }
    let known = unsafe UnsafeRawBufferPointer(rebasing: encoded.raw[starts[number]..<(starts[number] + key.count)])
    return unsafe known.elementsEqual(key)
  }

  private mutating func grow() {
    slots = [UInt32](repeating: 0, count: slots.count * 4)
    for number in 0..<count {
      var slot = Int(truncatingIfNeeded: hashes[number]) & (slots.count - 1)
      while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = UInt32(number + 1)
    }
  }
}
