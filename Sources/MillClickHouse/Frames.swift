internal import CLZ4
internal import MillBase

/// Why bytes are no whole sequence of compressed frames. `offset`: of the frame within all the chunks.
package enum FrameError: Error, Hashable, Sendable, CustomStringConvertible {
  case cut(offset: Int)
  case checksum(offset: Int)
  case method(offset: Int, found: UInt8)
  case sizes(offset: Int, packed: Int, plain: Int)
  case unpack(offset: Int)
  case tooLong(byteCountMax: Int)

  package var description: String {
    switch self {
    case .cut(let offset): "the frame at byte \(offset) is cut off"
    case .checksum(let offset): "the frame at byte \(offset) is not what its checksum says"
    case .method(let offset, let found): "the frame at byte \(offset) is compressed by method \(found), not by LZ4 (\(Frames.methodLZ4))"
    case .sizes(let offset, let packed, let plain): "the frame at byte \(offset) can't have \(packed) bytes, or \(plain) unpacked"
    case .unpack(let offset): "the frame at byte \(offset) can't be unpacked"
    case .tooLong(let byteCountMax): "the frames hold more than \(byteCountMax) bytes"
    }
  }
}

/// ClickHouse's compressed frames, as `decompress=1` takes them and the epoch log keeps them.
///
/// A frame: 16 bytes CityHash128 over all that follows | `0x82` (LZ4) | u32 bytes from the method on | u32 plain bytes | data.
/// Frames of one block stand one after the other; a chunk holds whole frames.
package enum Frames {
  /// Plain bytes of a full frame.
  package static let plainMax = 1 << 20
  /// A chunk is closed once it has this many bytes.
  static let chunkBytes = 1 << 20
  static let checksumBytes = 16
  static let headerBytes = 9
  static let methodLZ4: UInt8 = 0x82

  /// `plain` in frames, these in chunks of about 1 MiB; none for no bytes.
  package static func encode(_ plain: [UInt8]) -> [[UInt8]] {
    var writer = FrameWriter()
    unsafe plain.withRawBytes { unsafe writer.append($0) }
    return writer.finish()
  }

  /// The plain bytes of all frames; every checksum and size is checked first.
  /// - Parameter byteCountMax: of plain bytes in all; more throws ``FrameError/tooLong(byteCountMax:)``.
  package static func decode(_ chunks: [[UInt8]], byteCountMax: Int = 4 << 30) throws(FrameError) -> [UInt8] {
    var plain = GrowableBytes(capacity: min(byteCountMax, chunks.reduce(0) { $0 + $1.count } * 4))
    var base = 0
    for chunk in chunks {
      try unsafe chunk.withRawBytes { (raw) throws(FrameError) in
        var at = 0
        while at < raw.count { at += unsafe try decodeFrame(raw, at, base + at, &plain, byteCountMax) }
      }
      base += chunk.count
    }
    return unsafe Array(plain.raw)
  }

  private static func decodeFrame(
    _ raw: UnsafeRawBufferPointer, _ at: Int, _ offset: Int, _ plain: inout GrowableBytes, _ byteCountMax: Int
  ) throws(FrameError) -> Int {
    guard raw.count - at >= checksumBytes + headerBytes else { throw .cut(offset: offset) }
    let packed = unsafe Int(UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: at + 17, as: UInt32.self)))
    let count = unsafe Int(UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: at + 21, as: UInt32.self)))
    guard packed >= headerBytes, packed <= raw.count - at - checksumBytes else { throw .cut(offset: offset) }
    let body = unsafe UnsafeRawBufferPointer(rebasing: raw[(at + checksumBytes)..<(at + checksumBytes + packed)])
    let checksum = unsafe cityHash128(body)
    guard unsafe checksum.low == UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self)),
      unsafe checksum.high == UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
    else { throw .checksum(offset: offset) }
    let method = unsafe body[0]
    guard method == methodLZ4 else { throw .method(offset: offset, found: method) }
    // LZ4 makes at most 255 bytes out of one.
    guard count <= 255 * packed else { throw .sizes(offset: offset, packed: packed, plain: count) }
    guard plain.count + count <= byteCountMax else { throw .tooLong(byteCountMax: byteCountMax) }
    plain.reserve(count)
    let unpacked = unsafe LZ4_decompress_safe(
      body.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self) + headerBytes,
      plain.end.assumingMemoryBound(to: CChar.self), Int32(packed - headerBytes), Int32(count))
    guard unpacked == count else { throw .unpack(offset: offset) }
    plain.count += count
    return checksumBytes + packed
  }
}

/// Packs bytes into frames and these into chunks. One owner.
struct FrameWriter: ~Copyable {
  private var chunks: [[UInt8]] = []
  private var chunk = GrowableBytes(capacity: Frames.chunkBytes * 2)

  init() {}

  /// Adds `plain` as frames of its own.
  mutating func append(_ plain: UnsafeRawBufferPointer) {
    var at = 0
    while at < plain.count {
      let count = min(Frames.plainMax, plain.count - at)
      unsafe appendFrame(UnsafeRawBufferPointer(rebasing: plain[at..<(at + count)]))
      at += count
    }
  }

  consuming func finish() -> [[UInt8]] {
    closeChunk()
    return chunks
  }

  private mutating func appendFrame(_ plain: UnsafeRawBufferPointer) {
    let room = Int(LZ4_compressBound(Int32(plain.count)))
    let prefix = Frames.checksumBytes + Frames.headerBytes
    chunk.reserve(prefix + room)
    let frame = unsafe chunk.end
    let packed = unsafe Int(
      LZ4_compress_default(
        plain.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self),
        (frame + prefix).assumingMemoryBound(to: CChar.self), Int32(plain.count), Int32(room)))
    precondition(packed > 0, "LZ4 did not pack \(plain.count) bytes into \(room)")
    unsafe frame.storeBytes(of: Frames.methodLZ4, toByteOffset: 16, as: UInt8.self)
    unsafe frame.storeBytes(of: UInt32(packed + Frames.headerBytes).littleEndian, toByteOffset: 17, as: UInt32.self)
    unsafe frame.storeBytes(of: UInt32(plain.count).littleEndian, toByteOffset: 21, as: UInt32.self)
    let checksum = unsafe cityHash128(UnsafeRawBufferPointer(start: frame + 16, count: packed + Frames.headerBytes))
    unsafe frame.storeBytes(of: checksum.low.littleEndian, toByteOffset: 0, as: UInt64.self)
    unsafe frame.storeBytes(of: checksum.high.littleEndian, toByteOffset: 8, as: UInt64.self)
    chunk.count += prefix + packed
    if chunk.count >= Frames.chunkBytes { closeChunk() }
  }

  private mutating func closeChunk() {
    guard chunk.count > 0 else { return }
    unsafe chunks.append(Array(chunk.raw))
    chunk.count = 0
  }
}
