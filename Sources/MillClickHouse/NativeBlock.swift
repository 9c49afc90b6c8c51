package import MillBase
internal import MillFlow
package import MillLog

/// One Native block, taken apart: which rows it has, any of them as a block of their own, and each as text.
///
/// Driven by the types that the block itself names, so that a frozen batch can be cut whatever the table has become since. Reads whatever
/// it is given: what isn't a block throws, never traps, and no memory is taken for a count before so many values can be there.
package struct NativeBlock: Sendable {
  package let rowCount: Int
  /// Names and types, in the block's order.
  package let columns: [BatchColumn]
  private let bytes: [UInt8]
  private let types: [DataType]
  /// Where values stand; empty without rows, as then a block has none.
  private let values: [NativeColumn]

  /// Reads a whole block as ``BlockEncoder`` makes it: plain bytes, without frames around them. Errors name the byte.
  package init(_ bytes: [UInt8]) throws(ByteReaderError) {
    self.bytes = bytes
    var reader = ByteReader(bytes)
    // A column has at least a name and a type, a row at least a byte of each column.
    let columnCount = try reader.count(itemByteCount: 2)
    guard columnCount > 0 else { throw reader.failure("a block without columns") }
    rowCount = try reader.count(itemByteCount: 1)
    var columns: [BatchColumn] = []
    var types: [DataType] = []
    var values: [NativeColumn] = []
    for _ in 0..<columnCount {
      columns.append(BatchColumn(name: try reader.string(), type: try reader.string()))
      let type: DataType
      do throws(TypeProblem) { type = try DataType.parse(columns[columns.count - 1].type) } catch {
        throw reader.failure("column \(columns[columns.count - 1].name): \(error.message)")
      }
      types.append(type)
      if rowCount > 0 { values.append(try NativeColumn.read(column: type, rowCount: rowCount, &reader)) }
    }
    try reader.finish()
    self.columns = columns
    self.types = types
    self.values = values
  }

  /// The rows, run after run, as a block: the same bytes as the encoder would make of them alone, dictionaries included.
  package func slice(_ runs: [Range<Int>]) -> [UInt8] {
    var out = GrowableBytes()
    Native.length(UInt64(columns.count), &out)
    Native.length(UInt64(runs.reduce(0) { $0 + $1.count }), &out)
    write(runs, columnCount: columns.count, &out)
    return unsafe Array(out.raw)
  }

  /// The rows in their first `columnCount` columns, as they come from ``BlockEncoder/encode(_:rows:memory:)``: for a batch that is frozen
  /// anew under a token of its own, without its provenance column.
  package func encodedRows(_ runs: [Range<Int>], columnCount: Int) -> EncodedRows {
    precondition(columnCount <= columns.count, "\(columnCount) of \(columns.count) columns")
    var out = GrowableBytes()
    write(runs, columnCount: columnCount, &out)
    return EncodedRows(rowCount: runs.reduce(0) { $0 + $1.count }, columns: out)
  }

  /// ``ContentSum`` of the rows in their first `columnCount` columns; nil: none of them counts.
  package func contentSum(_ runs: [Range<Int>], columnCount: Int) -> UInt64? {
    check(runs)
    var sum: UInt64?
    for index in 0..<columnCount where ContentSum.kind(of: columns[index].type) != nil {
      let part = runs.joined().reduce(0) { $0 &+ values[index].contentValue($1, of: bytes) }
      sum = (sum ?? 0) &+ part &* ContentSum.factor(index)
    }
    return sum
  }

  private func check(_ runs: [Range<Int>]) {
    for run in runs { precondition(run.lowerBound >= 0 && run.upperBound <= rowCount, "rows \(run) of \(rowCount)") }
  }

  private func write(_ runs: [Range<Int>], columnCount: Int, _ out: inout GrowableBytes) {
    check(runs)
    let isEmpty = runs.allSatisfy(\.isEmpty)
    for index in 0..<columnCount {
      Native.text(columns[index].name, &out)
      Native.text(columns[index].type, &out)
      if isEmpty { continue }
      NativeColumn.writePrefix(types[index], &out)
      values[index].write(runs, of: bytes, &out)
    }
  }

  /// Each column's value in a row, as JSON that ``RecordDecoder`` reads as the same value.
  ///
  /// Integers of 64 bits and more and Decimals are strings, since many readers of JSON take numbers for doubles. Times are ISO 8601 in
  /// UTC, whatever the column's zone. FixedString goes without the zero bytes that fill it up. A String that isn't UTF-8, which only keys
  /// and headers of records can be, is `{"base64": "…"}`.
  package func row(_ index: Int) -> [(name: String, json: String)] {
    precondition(index >= 0 && index < rowCount, "row \(index) of \(rowCount)")
    return columns.indices.map { column in
      var json = JSONWriter()
      values[column].writeJSON(index, of: bytes, &json)
      return (columns[column].name, String(decoding: json.bytes, as: UTF8.self))
    }
  }
}
