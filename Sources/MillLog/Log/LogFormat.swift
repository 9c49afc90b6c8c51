internal import MillBase

/// How the log lies on the disk. All integers are little endian.
///
/// - A segment: header, then records without gaps. Its name has the position of its first record, and its generation: 0 for one begun in
///   the course of things, one more for each copy made at a start (protocol R5). Of two with the same position the higher counts.
/// - Segment header: magic u32 | version u32 | pipeline u64 | first position u64 | generation u64 | durable end u64 | chain u32 | CRC u32.
///   Every version keeps this layout. `chain` is the CRC of the record before the segment's first, 0 where there never was one; all
///   before `durable end` is durable wherever the segment's name can be seen.
/// - Record: payload length u32 | kind u8 | position u64 | durable end u64 | CRC u32 | payload. The CRC-32C covers the CRC of the record
///   before, the header up to the CRC, and the payload: a record is valid only behind the one it was written behind. Nothing in it
///   depends on the segment's name, so that copies keep the bytes.
/// - Kind 0 is never written: zero-filled space holds no record.
package enum LogFormat {
  /// 2: `retire` records. 3: payloads of version 3, and seals that count records without a key. 4: payloads of version 4. A release that
  /// doesn't know them would take them for a torn tail, or for damage.
  package static let version: UInt32 = 4
  /// The oldest version that is read; what is written goes on as ``version``.
  static let oldestVersion: UInt32 = 1
  static let magic: UInt32 = 0x474c_524d  // MRLG
  package static let segmentHeaderByteCount = 48
  package static let recordHeaderByteCount = 25
  static let segmentSuffix = ".seg"
  static let temporarySuffix = ".tmp"
  static let spareName = "spare"
  /// Offsets within a segment are kept in 32 bits.
  static let segmentByteCountMax = 1 << 31
  /// Positions and generations in names are below it, so that none that is counted from them overflows.
  static let numberLimit: UInt64 = 1 << 50

  /// What stands for a pipeline's name in headers.
  package static func pipelineHash(_ name: String) -> UInt64 {
    unsafe Array(name.utf8).withRawBytes { unsafe siphash128(key: Digest128(low: 0, high: 0), $0) }.low
  }
}

/// A segment's header.
struct SegmentHeader: Hashable {
  var pipeline: UInt64
  var firstPosition: LogPosition
  var generation: UInt64
  var durableEnd: LogPosition
  var chain: UInt32

  var bytes: [UInt8] {
    var writer = ByteWriter(reserving: LogFormat.segmentHeaderByteCount)
    writer.integer(LogFormat.magic)
    writer.integer(LogFormat.version)
    writer.integer(pipeline)
    writer.integer(firstPosition)
    writer.integer(generation)
    writer.integer(durableEnd)
    writer.integer(chain)
    writer.integer(crc32c(0, writer.bytes))
    return writer.bytes
  }

  /// Reads a header and its version; throws where it is short, has another magic, or its CRC doesn't fit.
  static func read(_ bytes: [UInt8]) throws(ByteReaderError) -> (header: SegmentHeader, version: UInt32) {
    var reader = ByteReader(bytes)
    let magic = try reader.integer(UInt32.self)
    let version = try reader.integer(UInt32.self)
    let header = SegmentHeader(
      pipeline: try reader.integer(), firstPosition: try reader.integer(), generation: try reader.integer(),
      durableEnd: try reader.integer(), chain: try reader.integer())
    let checksum = try reader.integer(UInt32.self)
    guard magic == LogFormat.magic else { throw reader.failure("the magic is \(magic), must be \(LogFormat.magic)") }
    let expected = crc32c(0, Array(bytes[..<(LogFormat.segmentHeaderByteCount - 4)]))
    guard checksum == expected else { throw reader.failure("the header's CRC is \(checksum), its bytes give \(expected)") }
    return (header, version)
  }
}

/// A segment's name: position and generation, so that names sort like positions.
struct SegmentName: Hashable, Comparable {
  var firstPosition: LogPosition
  var generation: UInt64

  var text: String { firstPosition.paddedDecimal + "-" + generation.paddedDecimal + LogFormat.segmentSuffix }

  init(firstPosition: LogPosition, generation: UInt64) {
    self.firstPosition = firstPosition
    self.generation = generation
  }

  /// nil for anything that ``text`` doesn't give.
  init?(_ text: String) {
    guard text.hasSuffix(LogFormat.segmentSuffix) else { return nil }
    let parts = text.dropLast(LogFormat.segmentSuffix.count).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, let first = UInt64(parts[0]), let generation = UInt64(parts[1]) else { return nil }
    guard first < LogFormat.numberLimit, generation < LogFormat.numberLimit else { return nil }
    self.init(firstPosition: first, generation: generation)
    if self.text != text { return nil }
  }

  static func < (a: Self, b: Self) -> Bool { (a.firstPosition, a.generation) < (b.firstPosition, b.generation) }
}

/// A record's header.
struct RecordHeader: Hashable {
  var byteCount: UInt32
  var kind: UInt8
  var position: LogPosition
  var durableEnd: LogPosition
  var checksum: UInt32 = 0

  /// Writes the header but for its CRC.
  private func writeChecked(_ writer: inout ByteWriter) {
    writer.integer(byteCount)
    writer.integer(kind)
    writer.integer(position)
    writer.integer(durableEnd)
  }

  /// The CRC that belongs into the header, behind a record with the CRC `chain`.
  func expectedChecksum(chain: UInt32, payload: UnsafeRawBufferPointer) -> UInt32 {
    var writer = ByteWriter(reserving: 32)
    writer.integer(chain)
    writeChecked(&writer)
    return unsafe crc32c(crc32c(0, writer.bytes), payload)
  }

  var bytes: [UInt8] {
    var writer = ByteWriter(reserving: LogFormat.recordHeaderByteCount)
    writeChecked(&writer)
    writer.integer(checksum)
    return writer.bytes
  }

  /// The fields as they stand at an offset of a buffer that has at least ``LogFormat/recordHeaderByteCount`` bytes from there.
  init(_ raw: UnsafeRawBufferPointer, at offset: Int) {
    byteCount = UInt32(littleEndian: unsafe raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    kind = unsafe raw[offset + 4]
    position = UInt64(littleEndian: unsafe raw.loadUnaligned(fromByteOffset: offset + 5, as: UInt64.self))
    durableEnd = UInt64(littleEndian: unsafe raw.loadUnaligned(fromByteOffset: offset + 13, as: UInt64.self))
    checksum = UInt32(littleEndian: unsafe raw.loadUnaligned(fromByteOffset: offset + 21, as: UInt32.self))
  }

  init(byteCount: UInt32, kind: LogRecord.Kind, position: LogPosition, durableEnd: LogPosition) {
    self.byteCount = byteCount
    self.kind = kind.rawValue
    self.position = position
    self.durableEnd = durableEnd
  }
}
