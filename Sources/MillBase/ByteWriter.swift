/// Builds bytes of a format: little-endian integers, LEB128 varints, strings and blobs with their length before them.
@usableFromInline
package struct ByteWriter: Sendable {
  /// What was written so far.
  @usableFromInline package internal(set) var bytes: [UInt8] = []

  package init(reserving byteCount: Int = 0) { bytes.reserveCapacity(byteCount) }

  /// Little endian, at the integer's full width.
  @inlinable
  package mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
    var little = value.littleEndian
    unsafe withUnsafeBytes(of: &little) { unsafe bytes.append(contentsOf: $0) }
  }

  /// LEB128: seven bits a byte, lowest first; 1 to 10 bytes.
  package mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  /// A count as a varint.
  package mutating func count(_ value: Int) { varint(UInt64(value)) }

  /// One byte, 0 or 1.
  package mutating func bool(_ value: Bool) { bytes.append(value ? 1 : 0) }

  /// UTF-8 with its byte count as a varint before it.
  package mutating func string(_ value: String) {
    count(value.utf8.count)
    bytes.append(contentsOf: value.utf8)
  }

  /// Bytes with their count as a varint before them.
  package mutating func blob(_ value: [UInt8]) {
    count(value.count)
    bytes.append(contentsOf: value)
  }

  /// Bytes as they are.
  package mutating func raw(_ value: some Collection<UInt8>) { bytes.append(contentsOf: value) }

  /// Low half, then high half.
  package mutating func digest(_ value: Digest128) {
    integer(value.low)
    integer(value.high)
  }
}
