internal import MillBase

/// Which files hold the filters of a state's buckets. A bucket that isn't listed has no filter: the store is asked.
struct FilterList: Hashable, Sendable {
  /// The file of a segment, and those of the keys that came since it was written.
  struct Segment: Hashable, Sendable {
    var base: String
    var deltas: [String]
  }

  struct Bucket: Hashable, Sendable {
    var bucket: BucketID
    var segments: [Segment]
  }
  var buckets: [Bucket] = []
}

/// The files of filters; little endian.
///
/// - `filter-<bucket's name>.<n>`: "MRFLTR01" | capacity u64 | keys u64 | checksum u64 of what follows | blocks of 32 bytes
/// - `filter-<bucket's name>.<n>.d<m>`: "MRFLTD01" | checksum u64 of what follows | the lower halves of keys' hashes, u64 each
/// - `filters-s<state>`: "MRFLTL03" | checksum u64 of what follows | state u16 | buckets u32, each: level u8, number i64, part u16,
///   segments u32, each: deltas u16; "MRFLTL02", without parts and deltas, and "MRFLTL01", without levels too, are read: all are 0
enum FilterFormat {
  private static let segmentMagic = Array("MRFLTR01".utf8)
  private static let deltaMagic = Array("MRFLTD01".utf8)
  private static let listMagic = Array("MRFLTL03".utf8)
  private static let listMagicWithoutParts = Array("MRFLTL02".utf8)
  private static let listMagicWithoutLevels = Array("MRFLTL01".utf8)
  private static let segmentHeaderByteCount = 32

  static func segmentName(_ bucket: BucketID, index: Int) -> String { "filter-\(bucket.name).\(index)" }
  static func deltaName(_ bucket: BucketID, index: Int, delta: Int) -> String { segmentName(bucket, index: index) + ".d\(delta)" }
  static func listName(state: UInt16) -> String { "filters-s\(state)" }

  static func header(of segment: FilterSegment) -> [UInt8] {
    var out = segmentMagic
    append(UInt64(segment.capacity), to: &out)
    append(UInt64(segment.keyCount), to: &out)
    append(unsafe checksum(segment.raw), to: &out)
    return out
  }

  static func decodeSegment(_ bytes: [UInt8]) -> FilterSegment? {
    guard bytes.count >= segmentHeaderByteCount, bytes.starts(with: segmentMagic) else { return nil }
    return unsafe bytes.withRawBytes { raw in
      let blocks = unsafe UnsafeRawBufferPointer(rebasing: raw[segmentHeaderByteCount...])
      let capacity = unsafe UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      let keyCount = unsafe UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
      guard unsafe UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 24, as: UInt64.self)) == checksum(blocks) else { return nil }
      guard let capacity = Int(exactly: capacity), let keyCount = Int(exactly: keyCount) else { return nil }
      return unsafe FilterSegment(capacity: capacity, keyCount: keyCount, raw: blocks)
    }
  }

  static func encodeDelta(_ lows: ArraySlice<UInt64>) -> [UInt8] {
    var body: [UInt8] = []
    body.reserveCapacity(lows.count * 8)
    for low in lows { append(low, to: &body) }
    var out = deltaMagic
    append(unsafe body.withRawBytes { unsafe checksum($0) }, to: &out)
    return out + body
  }

  static func decodeDelta(_ bytes: [UInt8]) -> [UInt64]? {
    guard bytes.count >= 16, bytes.count % 8 == 0, bytes.starts(with: deltaMagic) else { return nil }
    return unsafe bytes.withRawBytes { raw in
      let body = unsafe UnsafeRawBufferPointer(rebasing: raw[16...])
      guard unsafe UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self)) == checksum(body) else { return nil }
      return (0..<body.count / 8).map { unsafe UInt64(littleEndian: body.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self)) }
    }
  }

  static func encode(_ list: FilterList, state: UInt16) -> [UInt8] {
    var body: [UInt8] = []
    append(state, to: &body)
    append(UInt32(list.buckets.count), to: &body)
    for bucket in list.buckets {
      append(bucket.bucket.level, to: &body)
      append(bucket.bucket.number, to: &body)
      append(bucket.bucket.part, to: &body)
      append(UInt32(bucket.segments.count), to: &body)
      for segment in bucket.segments { append(UInt16(segment.deltas.count), to: &body) }
    }
    var out = listMagic
    append(unsafe body.withRawBytes { unsafe checksum($0) }, to: &out)
    return out + body
  }

  static func decodeList(_ bytes: [UInt8], state: UInt16) -> FilterList? {
    let hasParts = bytes.starts(with: listMagic)
    let hasLevels = hasParts || bytes.starts(with: listMagicWithoutParts)
    guard bytes.count >= 16, hasLevels || bytes.starts(with: listMagicWithoutLevels) else { return nil }
    let body = Array(bytes[16...])
    var at = 8
    guard let sum: UInt64 = number(bytes, &at), unsafe sum == body.withRawBytes({ unsafe checksum($0) }) else { return nil }
    at = 0
    guard let found: UInt16 = number(body, &at), found == state, let count: UInt32 = number(body, &at) else { return nil }
    var list = FilterList()
    for _ in 0..<count {
      guard let level: UInt8 = hasLevels ? number(body, &at) : 0, let bucketNumber: Int64 = number(body, &at),
        let part: UInt16 = hasParts ? number(body, &at) : 0, let segments: UInt32 = number(body, &at), segments <= 1 << 16
      else { return nil }
      let bucket = BucketID(state: state, level: level, number: bucketNumber, part: part)
      var names: [FilterList.Segment] = []
      for index in 0..<Int(segments) {
        guard let deltas: UInt16 = hasParts ? number(body, &at) : 0, deltas <= FilterSegmentFiles.deltasMax else { return nil }
        names.append(
          FilterList.Segment(
            base: segmentName(bucket, index: index), deltas: (0..<Int(deltas)).map { deltaName(bucket, index: index, delta: $0) }))
      }
      list.buckets.append(FilterList.Bucket(bucket: bucket, segments: names))
    }
    return at == body.count ? list : nil
  }

  /// Finds rot, not intent: each 8 bytes (the last filled up with zeros) are mixed into one sum.
  static func checksum(_ raw: UnsafeRawBufferPointer) -> UInt64 {
    var sum = UInt64(raw.count) ^ 0x9E37_79B9_7F4A_7C15
    var at = 0
    while at + 8 <= raw.count {
      let word = unsafe UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      sum = (sum ^ word) &* 0xD6E8_FEB8_6659_FD93
      sum ^= sum >> 32
      at += 8
    }
    var last: UInt64 = 0
    for (shift, index) in (at..<raw.count).enumerated() { unsafe last |= UInt64(raw[index]) << UInt64(8 * shift) }
    sum = (sum ^ last) &* 0xD6E8_FEB8_6659_FD93
    return sum ^ (sum >> 32)
  }

  private static func append(_ value: some FixedWidthInteger & BitwiseCopyable, to out: inout [UInt8]) {
    unsafe withUnsafeBytes(of: value.littleEndian) { unsafe out.append(contentsOf: $0) }
  }

  private static func number<T: FixedWidthInteger & BitwiseCopyable>(_ bytes: [UInt8], _ at: inout Int) -> T? {
    guard bytes.count - at >= MemoryLayout<T>.size else { return nil }
    defer { at += MemoryLayout<T>.size }
    return unsafe bytes.withRawBytes { unsafe T(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: T.self)) }
  }
}
