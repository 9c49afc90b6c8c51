internal import MillBase
internal import MillFlow

extension ColumnEncoder {
  /// Arrays and maps: from RowBinary, value by value, to Native, part by part.
  func encodeComposed(_ out: inout GrowableBytes) {
    precondition(source.ends.count >= rows.upperBound * 4, "column \(target.name): \(source.ends.count) bytes of ends")
    let part = ComposedPart(target.type)
    var start = end(rows.lowerBound - 1)
    for row in rows {
      let stop = end(row)
      precondition(start <= stop && stop <= source.bytes.count, "column \(target.name), row \(row): value ends at \(stop)")
      var value = unsafe RowBinary(UnsafeRawBufferPointer(start: source.bytes.base + start, count: stop - start))
      part.append(&value)
      precondition(value.isAtEnd, "column \(target.name), row \(row): bytes behind the value")
      start = stop
    }
    part.writePrefix(&out)
    part.write(&out)
  }
}

/// A value in RowBinary, read from left to right; what a ``RecordDecoder`` wrote is whole, so that anything else traps.
@safe private struct RowBinary {
  private let bytes: UnsafeRawBufferPointer
  private let end: Int
  private var index = 0

  init(_ bytes: UnsafeRawBufferPointer) {
    unsafe self.bytes = bytes
    end = bytes.count
  }

  var isAtEnd: Bool { index == end }

  mutating func raw(_ count: Int) -> UnsafeRawBufferPointer {
    precondition(count >= 0 && count <= end - index, "\(count) bytes of a value, \(end - index) are left")
    defer { index += count }
    return unsafe UnsafeRawBufferPointer(rebasing: bytes[index..<(index + count)])
  }

  mutating func byte() -> UInt8 { unsafe raw(1)[0] }

  mutating func length() -> Int {
    var length = 0
    var shift = 0
    while true {
      let byte = byte()
      length |= Int(byte & 0x7F) << shift
      if byte < 0x80 { return length }
      shift += 7
    }
  }
}

/// The values of one part of a column (its items, its keys, …) as they are gathered. One owner.
private final class ComposedPart {
  private let type: DataType
  private let isNullable: Bool
  /// Bytes of a value; 0: a text, or parts.
  private let width: Int
  /// What stands at the place of a NULL; an empty text is one zero byte too.
  private let filler: [UInt8]
  /// Array: the items, Map: keys and values.
  private let parts: [ComposedPart]
  private var keys: KeyTable?
  private var indexes: [UInt32] = []
  private var nulls = GrowableBytes()
  /// Values, or of a list the u64 ends.
  private var values = GrowableBytes()
  private var itemCount: UInt64 = 0

  init(_ type: DataType) {
    self.type = type
    isNullable = type.isNullable
    width = if case .fixed(let byteCount) = type.layout { byteCount } else { 0 }
    filler = [UInt8](repeating: 0, count: max(width, 1))
    keys = if case .lowCardinality = type { KeyTable(type.layout, nullable: type.isNullable) } else { nil }
    parts =
      switch type {
      case .array(let element): [ComposedPart(element)]
      case .map(let key, let value): [ComposedPart(key), ComposedPart(value)]
      default: []
      }
  }

  /// Takes one value.
  func append(_ value: inout RowBinary) {
    if !parts.isEmpty { return appendList(&value) }
    let isNull = isNullable && value.byte() != 0
    if keys != nil {
      indexes.append(isNull ? 0 : unsafe keys!.index(of: value.raw(width > 0 ? width : value.length())))
      return
    }
    if isNullable { nulls.append(UInt8(isNull ? 1 : 0)) }
    if isNull {
      unsafe filler.withRawBytes { unsafe values.append($0) }
    } else if width > 0 {
      unsafe values.append(value.raw(width))
    } else {
      let length = value.length()
      Native.length(UInt64(length), &values)
      unsafe values.append(value.raw(length))
    }
  }

  private func appendList(_ value: inout RowBinary) {
    let count = value.length()
    itemCount += UInt64(count)
    values.append(itemCount.littleEndian)
    for _ in 0..<count { for part in parts { part.append(&value) } }
  }

  /// What stands before all values.
  func writePrefix(_ out: inout GrowableBytes) { NativeColumn.writePrefix(type, &out) }

  func write(_ out: inout GrowableBytes) {
    if keys != nil {
      // Of no values nothing is written, not even the default.
      if !indexes.isEmpty { keys!.write(indexes, &out) }
      return
    }
    unsafe out.append(nulls.raw)
    unsafe out.append(values.raw)
    for part in parts { part.write(&out) }
  }
}
