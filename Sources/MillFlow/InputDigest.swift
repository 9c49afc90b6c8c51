package import MillBase

/// Names what an epoch read: over partition, offset, timestamp, key and payload of each record, in the order of processing.
///
/// It finds out that Kafka gives other bytes for the same offsets on replay (a recreated topic, a changed record); it is no defence against
/// somebody who makes up records to collide. Part of the stored format: a change raises the replay version (R4).
package struct InputDigest: Hashable, Sendable {
  private var state = MixState(low: 0x9E37_79B9_7F4A_7C15, high: 0xC2B2_AE3D_27D4_EB4F)
  /// Records taken in.
  package private(set) var recordCount: UInt64 = 0

  package init() {}

  /// Digest of all that was taken in so far.
  package var value: Digest128 {
    var copy = state
    copy.mix(recordCount, ~recordCount)
    copy.mix(copy.high, copy.low)
    return Digest128(low: copy.low, high: copy.high)
  }

  /// Takes in `buffer.entries[head ..< head + count]`.
  package mutating func append(_ buffer: RecordBuffer, first count: Int, partition: Int32) {
    precondition(count <= buffer.count, "\(count) of \(buffer.count) records")
    var state = state
    let head = buffer.head
    let place = UInt64(UInt32(bitPattern: partition)) &* 0xE703_7ED1_A0B4_28DB
    unsafe buffer.entries.withUnsafeBufferPointer { entries in
      for index in head..<(head &+ count) {
        let digest = unsafe entries[index].digest
        state.mix(digest.low ^ place, digest.high)
      }
    }
    recordCount &+= UInt64(count)
    self.state = state
  }

  /// Of one record, of which key and payload stand one behind the other at `bytes`. A count of -1: null.
  ///
  /// Taken when the record comes, while its bytes are in the processor's cache. They are mixed in two chains, so that it works on both at
  /// once, and on the next record's.
  @inline(__always)
  static func ofRecord(
    offset: Int64, timestamp: Int64, keyByteCount: Int32, payloadByteCount: Int32, _ bytes: UnsafePointer<UInt8>
  ) -> Digest128 {
    var digest = RecordDigest(offset: offset, timestamp: timestamp, keyByteCount: keyByteCount, payloadByteCount: payloadByteCount)
    unsafe digest.mix(ByteView(bytes), count: Int(max(keyByteCount, 0)) &+ Int(max(payloadByteCount, 0)))
    return digest.value
  }
}

extension InputDigest {
  /// The same as of a record whose key and payload stand one behind the other, piece by piece: for those that are too large to be copied.
  static func ofRecord(
    offset: Int64, timestamp: Int64, key: UnsafeRawBufferPointer?, payload: UnsafeRawBufferPointer?
  ) -> Digest128 {
    let (keyByteCount, payloadByteCount) = unsafe (key.map { Int32($0.count) } ?? -1, payload.map { Int32($0.count) } ?? -1)
    var digest = RecordDigest(offset: offset, timestamp: timestamp, keyByteCount: keyByteCount, payloadByteCount: payloadByteCount)
    // A multiple of what is mixed at once, with slack behind.
    let pieceByteCount = 64 << 10
    let piece = UnsafeMutablePointer<UInt8>.allocate(capacity: pieceByteCount + RecordBuffer.slack)
    defer { unsafe piece.deallocate() }
    var filled = 0
    func add(_ part: UnsafeRawBufferPointer?) {
      guard var rest = unsafe part else { return }
      while unsafe !rest.isEmpty {
        let some = min(rest.count, pieceByteCount - filled)
        unsafe UnsafeMutableRawPointer(piece + filled).copyMemory(from: rest.baseAddress!, byteCount: some)
        unsafe rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(some))
        filled += some
        if filled == pieceByteCount {
          unsafe digest.mix(ByteView(piece), count: filled)
          filled = 0
        }
      }
    }
    unsafe add(key)
    unsafe add(payload)
    unsafe digest.mix(ByteView(piece), count: filled)
    return digest.value
  }
}

/// Two chains that a record's bytes are mixed into.
private struct RecordDigest {
  private var first: MixState
  private var second: MixState

  @inline(__always)
  init(offset: Int64, timestamp: Int64, keyByteCount: Int32, payloadByteCount: Int32) {
    // Both counts go in, so that no bytes can change sides, and null differs from empty.
    let counts = UInt64(UInt32(bitPattern: keyByteCount)) &<< 32 | UInt64(UInt32(bitPattern: payloadByteCount))
    first = MixState(low: UInt64(bitPattern: offset), high: 0xA076_1D64_78BD_642F ^ UInt64(bitPattern: timestamp))
    second = MixState(low: 0x9E37_79B9_7F4A_7C15, high: counts)
  }

  /// All but the last piece must be of a multiple of 32 bytes.
  @inline(__always)
  mutating func mix(_ bytes: ByteView, count: Int) { MixState.mix(bytes, count: count, &first, &second) }

  @inline(__always)
  var value: Digest128 {
    var all = first
    all.mix(second.low, second.high)
    return Digest128(low: all.low, high: all.high)
  }
}

/// 128 bits that words are mixed into.
private struct MixState: Hashable {
  var low: UInt64
  var high: UInt64

  /// One step: two words in, by a full 64 × 64 multiplication that carries every bit into both halves.
  @inline(__always)
  mutating func mix(_ a: UInt64, _ b: UInt64) {
    let product = (a ^ low).multipliedFullWidth(by: (b ^ high) | 1)
    low = (low &<< 23 | low &>> 41) &+ product.low ^ a
    high = (high &<< 29 | high &>> 35) &+ product.high ^ (b &* 0xFF51_AFD7_ED55_8CCD)
  }

  /// Mixes bytes, 16 at a time into `first` and `second` by turns.
  @inline(__always)
  static func mix(_ bytes: ByteView, count: Int, _ first: inout MixState, _ second: inout MixState) {
    var index = 0
    while count &- index >= 32 {
      first.mix(bytes, index)
      second.mix(bytes, index &+ 16)
      index &+= 32
    }
    if count &- index >= 16 {
      first.mix(bytes, index)
      index &+= 16
    }
    let rest = count &- index
    if rest == 0 { return }
    // Both loads are inside the buffer's slack; what isn't the record's is masked away.
    let word = UInt64(littleEndian: bytes.load(UInt64.self, at: index))
    let next = UInt64(littleEndian: bytes.load(UInt64.self, at: index &+ 8))
    if rest >= 8 { second.mix(word, next & mask(rest &- 8)) } else { second.mix(word & mask(rest), 0) }
  }

  @inline(__always)
  private mutating func mix(_ bytes: ByteView, _ index: Int) {
    mix(UInt64(littleEndian: bytes.load(UInt64.self, at: index)), UInt64(littleEndian: bytes.load(UInt64.self, at: index &+ 8)))
  }

  @inline(__always)
  private static func mask(_ byteCount: Int) -> UInt64 { (1 &<< UInt64(byteCount &* 8)) &- 1 }
}

/// Takes the first `count` unprocessed records of one partition into an epoch's digest.
package func inputDigest(_ buffer: RecordBuffer, first count: Int, partition: Int32, into digest: inout InputDigest) {
  digest.append(buffer, first: count, partition: partition)
}

extension RecordBuffer {
  /// What is remembered of the record at `index` of ``entries`` to know its topic again.
  package func anchor(at index: Int) -> Anchor {
    let entry = entries[index]
    if entry.cut >= 0 { return Anchor(offset: entry.offset, timestamp: entry.timestamp, checksum: cuts[Int(entry.cut)].checksum) }
    func part(_ start: Int, _ count: Int32) -> UnsafeRawBufferPointer? {
      count < 0 ? nil : unsafe UnsafeRawBufferPointer(start: bytes + start, count: Int(count))
    }
    let checksum = unsafe Anchor.checksum(
      key: part(entry.start, entry.keyByteCount), payload: part(entry.payloadStart, entry.payloadByteCount))
    return Anchor(offset: entry.offset, timestamp: entry.timestamp, checksum: checksum)
  }
}
