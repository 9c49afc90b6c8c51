internal import MillBase

/// A piece of a segment's bytes, loaded as it is asked for. Offsets count from the segment's beginning.
struct SegmentWindow {
  /// Least number of bytes of a read.
  private static let pieceByteCount = 256 << 10

  let path: String
  private let disk: any Disk
  let byteCount: Int
  private(set) var bytes: [UInt8] = []
  private var start = 0

  init(_ disk: any Disk, _ path: String, byteCount: Int) {
    self.disk = disk
    self.path = path
    self.byteCount = byteCount
  }

  /// Makes `offset ..< offset + count` available. False where the segment has fewer bytes; nothing is allocated then.
  mutating func load(_ offset: Int, _ count: Int) throws(LogError) -> Bool {
    if count > byteCount - offset { return false }
    if offset >= start && offset + count <= start + bytes.count { return true }
    let wanted = min(max(count, Self.pieceByteCount), byteCount - offset)
    bytes = try onDisk { () throws(DiskError) in try disk.read(path, offset: offset, count: wanted) }
    start = offset
    return bytes.count >= count
  }

  /// Of a record whose header is loaded.
  func header(_ offset: Int) -> RecordHeader {
    precondition(offset >= start && offset - start + LogFormat.recordHeaderByteCount <= bytes.count, "header at \(offset) isn't loaded")
    return unsafe bytes.withRawBytes { unsafe RecordHeader($0, at: offset - start) }
  }

  /// The CRC that a loaded record must have.
  func expectedChecksum(_ header: RecordHeader, at offset: Int, chain: UInt32) -> UInt32 {
    let from = offset - start + LogFormat.recordHeaderByteCount
    let range = from..<from + Int(header.byteCount)
    return unsafe bytes.withRawBytes { unsafe header.expectedChecksum(chain: chain, payload: UnsafeRawBufferPointer(rebasing: $0[range])) }
  }

  /// The payload of a loaded record.
  func payload(_ header: RecordHeader, at offset: Int) -> [UInt8] {
    let from = offset - start + LogFormat.recordHeaderByteCount
    return Array(bytes[from..<from + Int(header.byteCount)])
  }

  /// The highest durable end that valid records behind a bad one at `offset` have, 0 where there are none.
  ///
  /// That a record behind is valid says nothing, a power cut keeps what it likes; but when it was written, its durable end was durable.
  /// The bad record's length can't be trusted, so every offset is tried: two headers that follow each other, the second one's CRC going
  /// on from the first one's.
  mutating func durableEndBehind(_ offset: Int, position: LogPosition) throws(LogError) -> LogPosition {
    guard try load(offset, byteCount - offset) else { return 0 }
    let header = LogFormat.recordHeaderByteCount
    let positions = position...(position + UInt64((byteCount - offset) / header))
    var best: LogPosition = 0
    var at = offset
    while at + 2 * header <= byteCount {
      let first = self.header(at)
      at += 1
      guard positions.contains(first.position), LogRecord.Kind(rawValue: first.kind) != nil else { continue }
      let next = at - 1 + header + Int(first.byteCount)
      guard next + header <= byteCount else { continue }
      let second = self.header(next)
      guard second.position == first.position + 1, second.durableEnd <= second.position, second.durableEnd > best else { continue }
      guard next + header + Int(second.byteCount) <= byteCount else { continue }
      if second.checksum == expectedChecksum(second, at: next, chain: first.checksum) { best = second.durableEnd }
    }
    return best
  }
}
