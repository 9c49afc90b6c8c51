internal import MillBase

/// How the ledger lies on the disk. All integers are little endian; *varint* is LEB128, *svarint* zigzag LEB128.
///
/// - A file: header, then blocks without gaps. Its name has the log position of its first block.
/// - File header: magic u32 | version u32 | pipeline u64 | first position u64 | log chain u32 | chain u32 | CRC u32. `log chain` is the CRC
///   of the log record before the first position, `chain` the CRC of the block before, 0 where there was none.
/// - Block: payload length u32 | first position u64 | end position u64 | log chain u32 | CRC u32 | payload. It tells what the log records
///   of these positions said; `log chain` is the last one's CRC. The CRC-32C covers the CRC of the block (or file header) before, the
///   header up to the CRC, and the payload.
/// - Payload: entries, each a kind byte and varints that go on from the entries before it in the same block, from 0 at its beginning: a
///   block is read without any other. A batch takes 16 bytes of digest, 8 of content sum and some 8 more, a range of offsets 3 or 4.
package enum LedgerFormat {
  package static let version: UInt32 = 1
  static let magic: UInt32 = 0x4c4c_524d  // MRLL
  package static let fileHeaderByteCount = 36
  package static let blockHeaderByteCount = 28
  static let suffix = ".led"

  static func name(_ first: LogPosition) -> String { first.paddedDecimal + suffix }

  /// nil for anything that ``name(_:)`` doesn't give.
  static func firstPosition(_ name: String) -> LogPosition? {
    guard name.hasSuffix(suffix), let first = LogPosition(name.dropLast(suffix.utf8.count)), first < LogFormat.numberLimit,
      Self.name(first) == name
    else { return nil }
    return first
  }
}

/// A ledger file's header.
struct LedgerFileHeader: Hashable {
  var pipeline: UInt64
  var first: LogPosition
  var logChain: UInt32
  var chain: UInt32

  var bytes: [UInt8] {
    var writer = ByteWriter(reserving: LedgerFormat.fileHeaderByteCount)
    writer.integer(LedgerFormat.magic)
    writer.integer(LedgerFormat.version)
    writer.integer(pipeline)
    writer.integer(first)
    writer.integer(logChain)
    writer.integer(chain)
    writer.integer(crc32c(0, writer.bytes))
    return writer.bytes
  }

  /// Reads a header, its version and its CRC, from which the first block goes on.
  static func read(_ bytes: [UInt8]) throws(ByteReaderError) -> (header: LedgerFileHeader, version: UInt32, checksum: UInt32) {
    var reader = ByteReader(bytes)
    let magic = try reader.integer(UInt32.self)
    let version = try reader.integer(UInt32.self)
    let header = LedgerFileHeader(
      pipeline: try reader.integer(), first: try reader.integer(), logChain: try reader.integer(), chain: try reader.integer())
    let checksum = try reader.integer(UInt32.self)
    guard magic == LedgerFormat.magic else { throw reader.failure("the magic is \(magic), must be \(LedgerFormat.magic)") }
    let expected = crc32c(0, Array(bytes[..<(LedgerFormat.fileHeaderByteCount - 4)]))
    guard checksum == expected else { throw reader.failure("the header's CRC is \(checksum), its bytes give \(expected)") }
    return (header, version, checksum)
  }
}

/// What a block covers, and where it stands.
struct LedgerBlock: Hashable {
  var first: LogPosition
  var end: LogPosition
  var logChain: UInt32

  /// The whole block, and its CRC.
  func bytes(chain: UInt32, payload: [UInt8]) -> (bytes: [UInt8], checksum: UInt32) {
    var writer = ByteWriter(reserving: LedgerFormat.blockHeaderByteCount + payload.count)
    writer.integer(UInt32(payload.count))
    writer.integer(first)
    writer.integer(end)
    writer.integer(logChain)
    let checksum = Self.checksum(chain: chain, header: writer.bytes, payload: payload)
    writer.integer(checksum)
    writer.raw(payload)
    return (writer.bytes, checksum)
  }

  private static func checksum(chain: UInt32, header: [UInt8], payload: [UInt8]) -> UInt32 {
    var writer = ByteWriter(reserving: 32)
    writer.integer(chain)
    writer.raw(header)
    return crc32c(crc32c(0, writer.bytes), payload)
  }

  /// The block at an offset of a file, its payload and its CRC; throws where it isn't whole.
  static func read(
    _ bytes: [UInt8], at offset: Int, chain: UInt32
  ) throws(ByteReaderError) -> (block: LedgerBlock, payload: Range<Int>, checksum: UInt32) {
    var reader = ByteReader(bytes, offset..<bytes.count)
    let count = Int(try reader.integer(UInt32.self))
    let block = LedgerBlock(first: try reader.integer(), end: try reader.integer(), logChain: try reader.integer())
    let checksum = try reader.integer(UInt32.self)
    guard count <= reader.remaining else { throw reader.failure("a block of \(count) bytes is cut off after \(reader.remaining)") }
    let payload = reader.offset..<reader.offset + count
    let expected = Self.checksum(
      chain: chain, header: Array(bytes[offset..<offset + LedgerFormat.blockHeaderByteCount - 4]), payload: Array(bytes[payload]))
    guard checksum == expected else { throw reader.failure("the block's CRC is \(checksum), its bytes give \(expected)") }
    guard block.first < block.end else { throw reader.failure("a block of positions \(block.first) to \(block.end)") }
    return (block, payload, checksum)
  }
}
