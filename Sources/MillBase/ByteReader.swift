/// Why bytes aren't what a format wants, and where.
@usableFromInline
package struct ByteReaderError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Where in the bytes, counted from their beginning.
  package var offset: Int
  /// What is wrong, with the value found and what would be right.
  package var reason: String

  package init(offset: Int, reason: String) {
    self.offset = offset
    self.reason = reason
  }

  @usableFromInline package var description: String { "at byte \(offset): \(reason)" }
}

/// Reads what ``ByteWriter`` writes. Throws on whatever is short or not as it would be written; never traps, and never allocates for a
/// count before it knows that so many items can be there.
///
/// Integers are inlined into every module that reads a format: as unspecialized generics they were a fifth of a simulated seed.
@usableFromInline
package struct ByteReader: Sendable {
  /// All bytes, also those that aren't this reader's to read.
  @usableFromInline package let bytes: [UInt8]
  /// Where the next byte stands.
  @usableFromInline package internal(set) var offset: Int
  @usableFromInline let end: Int

  /// Reads all of `bytes`.
  package init(_ bytes: [UInt8]) { self.init(bytes, 0..<bytes.count) }

  /// Reads a range of `bytes`, which must lie within it; offsets in errors count from the beginning of `bytes`.
  package init(_ bytes: [UInt8], _ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "\(range) lies outside of \(bytes.count) bytes")
    self.bytes = bytes
    offset = range.lowerBound
    end = range.upperBound
  }

  /// Bytes that are left.
  package var remaining: Int { end - offset }

  @usableFromInline
  func tooShort(_ what: Any.Type, _ count: Int) -> ByteReaderError {
    failure("\(what) needs \(count) bytes, \(remaining) are left")
  }

  /// An error that names the reader's place.
  package func failure(_ reason: String) -> ByteReaderError { ByteReaderError(offset: offset, reason: reason) }

  private func need(_ count: Int, _ what: @autoclosure () -> String) throws(ByteReaderError) {
    if remaining < count { throw failure("\(what()) needs \(count) bytes, \(remaining) are left") }
  }

  /// Little endian, at the integer's full width.
  @inlinable
  package mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type = T.self) throws(ByteReaderError) -> T {
    let size = MemoryLayout<T>.size
    if end - offset < size { throw tooShort(T.self, size) }
    let at = offset
    offset += size
    return unsafe bytes.withUnsafeBytes { T(littleEndian: unsafe $0.loadUnaligned(fromByteOffset: at, as: T.self)) }
  }

  /// LEB128 in its shortest form.
  package mutating func varint() throws(ByteReaderError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    var at = offset
    while true {
      if at == end { throw failure("a varint is cut off after \(at - offset) bytes") }
      let byte = bytes[at]
      at += 1
      if shift == 63 && byte > 1 { throw failure("a varint is larger than 64 bits") }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 {
        if byte == 0 && shift > 0 { throw failure("a varint isn't in its shortest form") }
        offset = at
        return value
      }
      shift += 7
    }
  }

  /// A count of items that take at least `itemByteCount` (≥ 1) bytes each. More than can be there is an error, before anything is
  /// allocated for them.
  package mutating func count(itemByteCount: Int) throws(ByteReaderError) -> Int {
    let start = offset
    let count = try varint()
    let most = remaining / max(itemByteCount, 1)
    guard count <= UInt64(most) else {
      throw ByteReaderError(offset: start, reason: "a count of \(count), but at most \(most) fit into what is left")
    }
    return Int(count)
  }

  /// One byte that must be 0 or 1.
  package mutating func bool() throws(ByteReaderError) -> Bool {
    try need(1, "a flag")
    guard bytes[offset] <= 1 else { throw failure("a flag is \(bytes[offset]), must be 0 or 1") }
    offset += 1
    return bytes[offset - 1] == 1
  }

  /// UTF-8 with its byte count before it; other bytes are an error.
  package mutating func string() throws(ByteReaderError) -> String {
    let start = offset
    let count = try count(itemByteCount: 1)
    guard let text = String(validating: bytes[offset..<offset + count], as: UTF8.self) else {
      throw ByteReaderError(offset: start, reason: "a string of \(count) bytes isn't UTF-8")
    }
    offset += count
    return text
  }

  /// Bytes with their count before them.
  package mutating func blob() throws(ByteReaderError) -> [UInt8] {
    let count = try count(itemByteCount: 1)
    return try raw(count)
  }

  /// Exactly `count` bytes.
  package mutating func raw(_ count: Int) throws(ByteReaderError) -> [UInt8] {
    try need(count, "a field")
    defer { offset += count }
    return Array(bytes[offset..<offset + count])
  }

  /// Goes over `count` bytes, for the caller to read where they stand. Returns the place of the first one.
  package mutating func skip(_ count: Int) throws(ByteReaderError) -> Int {
    try need(count, "a field")
    defer { offset += count }
    return offset
  }

  /// Low half, then high half.
  package mutating func digest() throws(ByteReaderError) -> Digest128 {
    let low = try integer(UInt64.self)
    return Digest128(low: low, high: try integer(UInt64.self))
  }

  /// An error unless all bytes were read.
  package func finish() throws(ByteReaderError) {
    if remaining > 0 { throw failure("\(remaining) bytes stand behind the end") }
  }
}
