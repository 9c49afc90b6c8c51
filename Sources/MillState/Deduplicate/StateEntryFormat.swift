internal import MillBase

/// Keys of the store.
///
/// Hashed: 16 bytes, the hash big endian, high half first, so that memcmp orders by the key's group (its top 10 bits). Exact: the
/// group as two
/// bytes big endian, then the key's bytes.
enum StateKey {
  static let hashedByteCount = 16

  @inline(__always)
  static func group(_ hash: Digest128) -> UInt16 { UInt16(hash.high >> 54) }

  static func bytes(hash: Digest128, key: [UInt8]?) -> [UInt8] {
    var out: [UInt8] = []
    if let key { unsafe key.withRawBytes { unsafe append(hash: hash, exact: $0, to: &out) } } else { append(hash: hash, to: &out) }
    return out
  }

  static let groupByteCount = 2

  /// Writes a key, hashed or exact, and returns its byte count.
  @inline(__always)
  static func write(_ hash: Digest128, exact key: UnsafeRawBufferPointer?, to out: UnsafeMutableRawPointer) -> Int {
    guard let key = unsafe key else {
      unsafe out.storeBytes(of: hash.high.bigEndian, as: UInt64.self)
      unsafe out.storeBytes(of: hash.low.bigEndian, toByteOffset: 8, as: UInt64.self)
      return hashedByteCount
    }
    unsafe out.storeBytes(of: group(hash).bigEndian, as: UInt16.self)
    if let from = key.baseAddress, key.count > 0 { unsafe (out + groupByteCount).copyMemory(from: from, byteCount: key.count) }
    return groupByteCount + key.count
  }

  @inline(__always)
  static func append(hash: Digest128, to out: inout [UInt8]) {
    unsafe withUnsafeBytes(of: (hash.high.bigEndian, hash.low.bigEndian)) { unsafe out.append(contentsOf: $0) }
  }

  @inline(__always)
  static func append(hash: Digest128, exact key: UnsafeRawBufferPointer, to out: inout [UInt8]) {
    let group = group(hash)
    out.append(UInt8(group >> 8))
    out.append(UInt8(truncatingIfNeeded: group))
    unsafe out.append(contentsOf: key)
  }
}

/// Values of the store: three LEB128 numbers: t0 less the bucket's start, partition, offset (the last two zigzag).
enum StateValue {
  static let byteCountMax = 10 + 5 + 10

  /// Writes an entry's value and returns its byte count.
  @inline(__always)
  static func write(_ entry: TableEntry, bucket: BucketID, window: BucketWindow, to out: UnsafeMutableRawPointer) -> Int {
    var count = 0
    unsafe write(window.relative(entry.time, in: bucket), to: out, &count)
    unsafe write(zigzag(Int64(entry.partition)), to: out, &count)
    unsafe write(zigzag(entry.offset), to: out, &count)
    return count
  }

  static func decode(_ value: [UInt8], bucket: BucketID, window: BucketWindow) throws(RunStoreError) -> RecordOrigin {
    var at = 0
    guard let relative = number(value, &at), relative < UInt64(window.span(bucket.level)), let partition = number(value, &at),
      let offset = number(value, &at), at == value.count, let partition = Int32(exactly: unzigzag(partition))
    else {
      throw .corrupt(
        "bucket \(bucket.name): value \(value.map { String($0, radix: 16) }) isn't (time in the bucket of "
          + "\(window.span(bucket.level)) ms, partition, offset)")
    }
    return RecordOrigin(
      time: window.time(fromRelative: relative, in: bucket), partition: partition, offset: unzigzag(offset))
  }

  private static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: (value << 1) ^ (value >> 63)) }
  private static func unzigzag(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }

  @inline(__always)
  private static func write(_ number: UInt64, to out: UnsafeMutableRawPointer, _ count: inout Int) {
    var rest = number
    while rest >= 0x80 {
      unsafe out.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
      count &+= 1
      rest >>= 7
    }
    unsafe out.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  private static func number(_ bytes: [UInt8], _ at: inout Int) -> UInt64? {
    var result: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard at < bytes.count else { return nil }
      let byte = bytes[at]
      at += 1
      if shift == 63 && byte > 1 { return nil }
      result |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return result }
    }
    return nil
  }
}
