internal import MillBase
package import MillFlow
package import MillLog

/// What a batch's rows add up to, as engine and server can both work it out: a column's integers as they are, its texts by `cityHash64`,
/// each column times an odd factor of its own, modulo 2^64.
///
/// A row gone, doubled or replaced by another shows in it, unless the rows are alike in all these columns. Other types don't count: floats,
/// decimals, times, arrays. NULL counts nothing.
package enum ContentSum {
  /// How a column counts.
  enum Kind {
    case integer, text
  }

  /// By a type's name in the server's words; nil: it doesn't count.
  static func kind(of type: String) -> (kind: Kind, isNullable: Bool)? {
    var bare = type[...]
    var isNullable = false
    for wrapper in ["LowCardinality(", "Nullable("] where bare.hasPrefix(wrapper) {
      bare = bare.dropFirst(wrapper.count).dropLast()
      if wrapper == "Nullable(" { isNullable = true }
    }
    switch bare {
    case "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64": return (.integer, isNullable)
    case "String": return (.text, isNullable)
    default: return nil
    }
  }

  /// Of the rows of a block that go into these columns; nil: none of them counts.
  package static func sum(_ columns: [TargetColumn], _ block: RowBlock, rows: Range<Int>) -> UInt64? {
    var sum: UInt64?
    for (index, column) in columns.enumerated() {
      guard kind(of: column.typeText) != nil, let part = part(of: block.columns[column.source], rows) else { continue }
      sum = (sum ?? 0) &+ part &* factor(index)
    }
    return sum
  }

  /// The columns that count, with the expressions that the server answers for ``combine(_:_:)``.
  package static func questions(_ columns: [BatchColumn], provenance: String) -> [(index: Int, column: String, expression: String)] {
    columns.enumerated().compactMap { index, column in
      guard column.name != provenance, let (kind, isNullable) = kind(of: column.type) else { return nil }
      let name = SQL.name(column.name)
      let value = isNullable ? "assumeNotNull(\(name))" : name
      let number = kind == .integer ? "toUInt64(\(value))" : "cityHash64(\(value))"
      return (index, column.name, isNullable ? "sumIf(\(number), isNotNull(\(name)))" : "sum(\(number))")
    }
  }

  /// What the server's sums come to, in the order of the questions.
  package static func combine(_ indexes: [Int], _ sums: [UInt64]) -> UInt64 {
    zip(indexes, sums).reduce(0) { $0 &+ $1.1 &* factor($1.0) }
  }

  static func factor(_ index: Int) -> UInt64 { 0x9e37_79b9_7f4a_7c15 &* UInt64(2 * index + 1) }

  /// A column's part; nil where the field's type isn't one that counts.
  private static func part(of column: Column, _ rows: Range<Int>) -> UInt64? {
    switch column.type.base {
    case .int8: unsafe integers(column, rows) { UInt64(bitPattern: Int64(unsafe $0.load(as: Int8.self))) }
    case .int16: unsafe integers(column, rows) { UInt64(bitPattern: Int64(unsafe $0.loadUnaligned(as: Int16.self))) }
    case .int32: unsafe integers(column, rows) { UInt64(bitPattern: Int64(unsafe $0.loadUnaligned(as: Int32.self))) }
    case .uint8: unsafe integers(column, rows) { UInt64(unsafe $0.load(as: UInt8.self)) }
    case .uint16: unsafe integers(column, rows) { UInt64(unsafe $0.loadUnaligned(as: UInt16.self)) }
    case .uint32: unsafe integers(column, rows) { UInt64(unsafe $0.loadUnaligned(as: UInt32.self)) }
    case .int64, .uint64: unsafe integers(column, rows) { unsafe $0.loadUnaligned(as: UInt64.self) }
    case .string: texts(column, rows)
    default: nil
    }
  }

  /// A NULL's place has zero bytes.
  @inline(__always)
  private static func integers(_ column: Column, _ rows: Range<Int>, _ load: (UnsafeRawPointer) -> UInt64) -> UInt64? {
    guard case .fixed(let width) = column.layout else { return nil }
    precondition(column.bytes.count >= rows.upperBound * width, "\(column.bytes.count) bytes for \(rows.upperBound) rows")
    let base = unsafe UnsafeRawPointer(column.bytes.base)
    var sum: UInt64 = 0
    for row in rows { unsafe sum &+= load(base + row &* width) }
    return sum
  }

  private static func texts(_ column: Column, _ rows: Range<Int>) -> UInt64? {
    precondition(column.ends.count >= rows.upperBound * 4, "\(column.ends.count) bytes of ends for \(rows.upperBound) rows")
    let ends = unsafe UnsafeRawPointer(column.ends.base)
    let base = unsafe UnsafeRawPointer(column.bytes.base)
    var start = rows.lowerBound == 0 ? 0 : unsafe Int(ends.load(fromByteOffset: (rows.lowerBound - 1) * 4, as: UInt32.self))
    var sum: UInt64 = 0
    for row in rows {
      let end = unsafe Int(ends.load(fromByteOffset: row &* 4, as: UInt32.self))
      precondition(start <= end && end <= column.bytes.count, "text of row \(row) ends at \(end)")
      let isNull = unsafe column.isNullable && column.nulls.base.load(fromByteOffset: row, as: UInt8.self) != 0
      if !isNull {
        unsafe sum &+= cityHash64(UnsafeRawBufferPointer(start: base + start, count: end &- start))
      }
      start = end
    }
    return sum
  }
}
