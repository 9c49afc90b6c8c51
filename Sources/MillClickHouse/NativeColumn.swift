internal import MillBase
internal import MillFlow

/// Where the values of a column, or of a part of one, stand in a Native block. Everything is checked when it is read, so that later looks
/// find what they look for.
struct NativeColumn: Sendable {
  indirect enum Values: Sendable {
    /// `width` bytes each from `start` on.
    case fixed(start: Int, width: Int)
    /// Where each text's length begins, and where the last text ends.
    case texts(begins: [Int])
    /// LowCardinality: distinct values, and for each value the number of its key, `indexWidth` bytes each from `start` on.
    case dictionary(keys: NativeColumn, start: Int, indexWidth: Int)
    /// Array: one part, Map: keys and values. From `start` on a u64 for each value: how many items there are up to its end.
    case list(start: Int, parts: [NativeColumn])
  }

  /// Without Nullable and LowCardinality around it.
  let type: DataType
  let count: Int
  let values: Values
  /// Where a byte for each value tells NULL by 1.
  var nullsStart: Int?
  /// In a dictionary key 0 stands for NULL.
  var isNullAtZero = false

  /// Everything of one column of a block with at least one row.
  static func read(column type: DataType, rowCount: Int, _ reader: inout ByteReader) throws(ByteReaderError) -> NativeColumn {
    try readPrefix(type, &reader)
    return try read(type, count: rowCount, &reader)
  }

  /// What stands before all values: the version of each LowCardinality within.
  private static func readPrefix(_ type: DataType, _ reader: inout ByteReader) throws(ByteReaderError) {
    switch type {
    case .lowCardinality:
      let version = try reader.integer(UInt64.self)
      guard version == 1 else { throw reader.failure("version \(version) of LowCardinality, must be 1") }
    case .array(let element): try readPrefix(element, &reader)
    case .map(let key, let value):
      try readPrefix(key, &reader)
      try readPrefix(value, &reader)
    default: break
    }
  }

  private static func read(_ type: DataType, count: Int, _ reader: inout ByteReader) throws(ByteReaderError) -> NativeColumn {
    switch type {
    case .nullable(let inner):
      var flags = reader
      let start = try reader.skip(count)
      for _ in 0..<count { _ = try flags.bool() }
      var column = try read(inner, count: count, &reader)
      column.nullsStart = start
      return column
    case .lowCardinality(let inner): return try readDictionary(inner, count: count, &reader)
    case .array(let element): return try readList(type, [element], count: count, &reader)
    case .map(let key, let value): return try readList(type, [key, value], count: count, &reader)
    default:
      guard case .fixed(let width) = type.layout else { return try readTexts(type, count: count, &reader) }
      guard count <= reader.remaining / width else {
        throw reader.failure("\(count) values of \(type), \(reader.remaining) bytes are left")
      }
      return NativeColumn(type: type, count: count, values: .fixed(start: try reader.skip(count * width), width: width))
    }
  }

  private static func readTexts(_ type: DataType, count: Int, _ reader: inout ByteReader) throws(ByteReaderError) -> NativeColumn {
    guard count <= reader.remaining else { throw reader.failure("\(count) texts, \(reader.remaining) bytes are left") }
    var begins: [Int] = []
    begins.reserveCapacity(count + 1)
    for _ in 0..<count {
      begins.append(reader.offset)
      _ = try reader.skip(reader.count(itemByteCount: 1))
    }
    begins.append(reader.offset)
    return NativeColumn(type: type, count: count, values: .texts(begins: begins))
  }

  private static func readDictionary(_ inner: DataType, count: Int, _ reader: inout ByteReader) throws(ByteReaderError) -> NativeColumn {
    // Of no values, as of empty arrays, nothing is written.
    if count == 0 {
      let keys = NativeColumn(type: inner.base, count: 0, values: .texts(begins: [reader.offset]))
      return NativeColumn(type: inner.base, count: 0, values: .dictionary(keys: keys, start: reader.offset, indexWidth: 1))
    }
    let flags = try reader.integer(UInt64.self)
    guard flags & ~3 == 0x600 else { throw reader.failure("flags \(flags) of LowCardinality, must be 1536 to 1539") }
    let indexWidth = 1 << Int(flags & 3)
    let keys = try read(inner.base, count: countOf64(&reader), &reader)
    let rows = try reader.integer(UInt64.self)
    guard rows == UInt64(count) else { throw reader.failure("\(rows) indexes of LowCardinality, must be \(count)") }
    guard count <= reader.remaining / indexWidth else { throw reader.failure("\(count) indexes, \(reader.remaining) bytes are left") }
    let start = try reader.skip(count * indexWidth)
    let column = NativeColumn(
      type: inner.base, count: count, values: .dictionary(keys: keys, start: start, indexWidth: indexWidth), isNullAtZero: inner.isNullable)
    for place in 0..<count {
      let index = word(reader.bytes, start + place * indexWidth, indexWidth)
      guard index < UInt64(keys.count) else { throw reader.failure("index \(index) of LowCardinality, there are \(keys.count) keys") }
    }
    return column
  }

  private static func readList(_ type: DataType, _ parts: [DataType], count: Int, _ reader: inout ByteReader) throws(ByteReaderError)
    -> NativeColumn
  {
    guard count <= reader.remaining / 8 else { throw reader.failure("\(count) values of \(type), \(reader.remaining) bytes are left") }
    let start = try reader.skip(count * 8)
    var end: UInt64 = 0
    for place in 0..<count {
      let next = word(reader.bytes, start + place * 8, 8)
      guard next >= end else { throw reader.failure("value \(place) of \(type) ends at item \(next), the one before at \(end)") }
      end = next
    }
    // An item of any type takes a byte or more.
    guard end <= UInt64(reader.remaining) else { throw reader.failure("\(end) items of \(type), \(reader.remaining) bytes are left") }
    var columns: [NativeColumn] = []
    for part in parts { columns.append(try read(part, count: Int(end), &reader)) }
    return NativeColumn(type: type, count: count, values: .list(start: start, parts: columns))
  }

  /// A count as u64 of values that take at least a byte each.
  private static func countOf64(_ reader: inout ByteReader) throws(ByteReaderError) -> Int {
    let count = try reader.integer(UInt64.self)
    guard count <= UInt64(reader.remaining) else { throw reader.failure("a count of \(count), \(reader.remaining) bytes are left") }
    return Int(count)
  }

  /// A little endian number of 1, 2, 4 or 8 bytes.
  static func word(_ bytes: [UInt8], _ at: Int, _ width: Int) -> UInt64 {
    var word: UInt64 = 0
    for index in (0..<width).reversed() { word = word << 8 | UInt64(bytes[at + index]) }
    return word
  }

  /// Items of a list's values `rows`.
  static func items(_ start: Int, _ rows: Range<Int>, _ bytes: [UInt8]) -> Range<Int> {
    let end = { (row: Int) in row == 0 ? 0 : Int(word(bytes, start + (row - 1) * 8, 8)) }
    return end(rows.lowerBound)..<end(rows.upperBound)
  }
}
