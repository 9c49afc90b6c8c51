internal import MillBase

/// What batches have in common, and how their tokens begin. Written with the first batch of a record or block that has it; the others name
/// it by its index.
struct NamedShape: Hashable {
  var destination: Destination
  /// Of a token of the usual form all that stands before the batch's number.
  var prefix: String
  var shape: BatchShape

  /// A token that says nothing but its prefix, the batch's number and a digest.
  static func usualToken(_ text: String, _ number: BatchNumber) -> TokenParts? {
    guard let token = TokenParts(text), token.text == text, token.number == number else { return nil }
    return token
  }
}

extension ByteWriter {
  /// Zigzag LEB128.
  mutating func signed(_ value: Int64) { varint(UInt64(bitPattern: (value << 1) ^ (value >> 63))) }

  mutating func shape(_ shape: NamedShape, _ known: inout [NamedShape]) {
    // Mostly that of the batch before.
    let index = known.lastIndex(of: shape) ?? known.count
    count(index)
    guard index == known.count else { return }
    known.append(shape)
    integer(shape.destination.rawValue)
    string(shape.prefix)
    string(shape.shape.target)
    count(shape.shape.columns.count)
    for column in shape.shape.columns {
      string(column.name)
      string(column.type)
    }
  }
}

extension ByteReader {
  mutating func signed() throws(ByteReaderError) -> Int64 {
    let value = try varint()
    return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
  }

  mutating func shape(_ known: inout [NamedShape]) throws(ByteReaderError) -> NamedShape {
    let index = try varint()
    guard index <= UInt64(known.count) else { throw failure("shape \(index) of \(known.count)") }
    if index < UInt64(known.count) { return known[Int(index)] }
    let destination = try destination()
    let prefix = try string()
    let target = try string()
    var columns: [BatchColumn] = []
    for _ in 0..<(try count(itemByteCount: 2)) { columns.append(BatchColumn(name: try string(), type: try string())) }
    let shape = NamedShape(destination: destination, prefix: prefix, shape: BatchShape(target: target, columns: columns))
    if known.contains(shape) { throw failure("shape \(index) again") }
    known.append(shape)
    return shape
  }
}
