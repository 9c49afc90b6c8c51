package import MillBase

/// Names what an epoch read: over partition, offset, timestamp, key and payload of each record, in the order of processing.
///
/// It finds out that Kafka gives other bytes for the same offsets on replay (a recreated topic, a changed record); it is no defence against
/// somebody who makes up records to collide. Part of the stored format: never changed.
package struct InputDigest: Hashable, Sendable {
  private var low: UInt64 = 0x9E37_79B9_7F4A_7C15
  private var high: UInt64 = 0xC2B2_AE3D_27D4_EB4F
  /// Records taken in.
  package private(set) var recordCount: UInt64 = 0

  package init() {}

  /// Digest of all that was taken in so far.
  package var value: Digest128 {
    var copy = self
    copy.mix(recordCount, ~recordCount)
    copy.mix(copy.high, copy.low)
    return Digest128(low: copy.low, high: copy.high)
  }

  /// One step: two words in, by a full 64 × 64 multiplication that carries every bit into both halves.
  @inline(__always)
  fileprivate mutating func mix(_ a: UInt64, _ b: UInt64) {
    let product = (a ^ low).multipliedFullWidth(by: (b ^ high) | 1)
    low = (low &<< 23 | low &>> 41) &+ product.low ^ a
    high = (high &<< 29 | high &>> 35) &+ product.high ^ (b &* 0xFF51_AFD7_ED55_8CCD)
  }

  @inline(__always)
  fileprivate mutating func mix(_ bytes: ByteView, count: Int) {
    var index = 0
    while count &- index >= 16 {
      mix(UInt64(littleEndian: bytes.load(UInt64.self, at: index)), UInt64(littleEndian: bytes.load(UInt64.self, at: index &+ 8)))
      index &+= 16
    }
    let rest = count &- index
    if rest == 0 { return }
    // Both loads are inside the buffer's slack; what isn't the record's is masked away.
    let first = UInt64(littleEndian: bytes.load(UInt64.self, at: index))
    let second = UInt64(littleEndian: bytes.load(UInt64.self, at: index &+ 8))
    if rest >= 8 {
      mix(first, second & mask(rest &- 8))
    } else {
      mix(first & mask(rest), 0)
    }
  }

  @inline(__always)
  private func mask(_ byteCount: Int) -> UInt64 { (1 &<< UInt64(byteCount &* 8)) &- 1 }

  /// Takes in `buffer.entries[head ..< head + count]`.
  package mutating func append(_ buffer: RecordBuffer, first count: Int, partition: Int32) {
    precondition(count <= buffer.count, "\(count) of \(buffer.count) records")
    var digest = self
    let head = buffer.head
    let base = unsafe UnsafePointer(buffer.bytes.assumingMemoryBound(to: UInt8.self))
    unsafe buffer.entries.withUnsafeBufferPointer { entries in
      for index in head..<(head &+ count) {
        let entry = unsafe entries[index]
        digest.mix(UInt64(bitPattern: entry.offset), UInt64(bitPattern: entry.timestamp))
        // Both counts go in, so that no bytes can change sides, and null differs from empty.
        let counts = UInt64(UInt32(bitPattern: entry.keyByteCount)) &<< 32 | UInt64(UInt32(bitPattern: entry.payloadByteCount))
        digest.mix(counts, UInt64(UInt32(bitPattern: partition)))
        // Key and payload stand one behind the other.
        unsafe digest.mix(ByteView(base + entry.start), count: Int(max(entry.keyByteCount, 0)) &+ Int(max(entry.payloadByteCount, 0)))
      }
    }
    digest.recordCount &+= UInt64(count)
    self = digest
  }
}

/// Takes the first `count` unprocessed records of one partition into an epoch's digest.
package func inputDigest(_ buffer: RecordBuffer, first count: Int, partition: Int32, into digest: inout InputDigest) {
  digest.append(buffer, first: count, partition: partition)
}

extension RecordBuffer {
  /// What is remembered of the record at `index` of ``entries`` to know its topic again.
  package func anchor(at index: Int) -> Anchor {
    let entry = entries[index]
    var checksum = partChecksum(0, entry.start, entry.keyByteCount)
    checksum = partChecksum(checksum, entry.payloadStart, entry.payloadByteCount)
    return Anchor(offset: entry.offset, timestamp: entry.timestamp, checksum: checksum)
  }

  private func partChecksum(_ seed: UInt32, _ start: Int, _ count: Int32) -> UInt32 {
    let framed = unsafe withUnsafeBytes(of: count.littleEndian) { unsafe crc32c(seed, $0) }
    return unsafe crc32c(framed, UnsafeRawBufferPointer(start: bytes + start, count: Int(max(count, 0))))
  }
}
