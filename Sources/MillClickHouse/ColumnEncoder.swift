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
    precondition(!source.isNullable || source.nulls.count >= rows.upperBound, "column \(target.name): \(source.nulls.count) null marks")
    switch target.type {
    case .array, .map: encodeComposed(&out)
    case .lowCardinality(let inner): encodeDictionary(fit, nullable: inner.isNullable, &out)
    default:
      if target.type.isNullable { encodeNulls(&out) }
      encodeValues(fit, &out)
    }
  }

  /// The values without their null marks.
  private func encodeValues(_ fit: Fit, _ out: inout GrowableBytes) {
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

  func isNull(_ row: Int) -> Bool {
    unsafe source.isNullable && source.nulls.base.load(fromByteOffset: row, as: UInt8.self) != 0
  }

  private func encodeNulls(_ out: inout GrowableBytes) {
    out.reserve(rows.count)
    if source.isNullable {
      unsafe out.append(UnsafeRawBufferPointer(rebasing: source.nulls.raw[rows]))
    } else {
      unsafe out.end.initializeMemory(as: UInt8.self, repeating: 0, count: rows.count)
      out.count += rows.count
    }
  }

  /// End offsets into `source.bytes`, checked to be ascending and inside by the loops below.
  func end(_ row: Int) -> Int {
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
}
