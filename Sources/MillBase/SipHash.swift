/// SipHash-2-4 with 128 bits of output: a keyed hash that who doesn't know the key can't make collide.
///
/// `key.low` is the first half of the published algorithm's key bytes, `low` of the result the first eight bytes of its output. Called
/// once a record on the hot path: words are loaded whole, nothing is allocated, and it can be inlined into other modules.
@inlinable
package func siphash128(key: Digest128, _ bytes: UnsafeRawBufferPointer) -> Digest128 {
  var state = SipState(low: key.low, high: key.high)
  let count = bytes.count
  let wholeByteCount = count & ~7
  var offset = 0
  while offset < wholeByteCount {
    state.absorb(UInt64(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
    offset &+= 8
  }
  // The last word: what is left of the bytes, and the length in the top byte.
  var last = UInt64(truncatingIfNeeded: count) &<< 56
  var shift: UInt64 = 0
  while offset < count {
    last |= UInt64(unsafe bytes[offset]) &<< shift
    shift &+= 8
    offset &+= 1
  }
  state.absorb(last)
  return state.finish()
}

/// SipHash-2-4 with 64 bits of output and key 0: what ClickHouse's `sipHash64(text)` gives.
package func sipHash64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
  var state = SipState(low: 0, high: 0)
  // The mark of the variant with 128 bits.
  state.v1 ^= 0xee
  var offset = 0
  while offset + 8 <= bytes.count {
    state.absorb(UInt64(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
    offset += 8
  }
  var last = UInt64(truncatingIfNeeded: bytes.count) &<< 56
  for (place, index) in (offset..<bytes.count).enumerated() { last |= UInt64(unsafe bytes[index]) &<< UInt64(8 * place) }
  state.absorb(last)
  state.v2 ^= 0xff
  for _ in 0..<4 { state.round() }
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3
}

/// The four words of SipHash. Only for ``siphash128(key:_:)``.
@usableFromInline
struct SipState {
  @usableFromInline var v0: UInt64
  @usableFromInline var v1: UInt64
  @usableFromInline var v2: UInt64
  @usableFromInline var v3: UInt64

  /// Begins with the key's halves; 0xee marks the variant with 128 bits of output.
  @inlinable @inline(__always)
  init(low: UInt64, high: UInt64) {
    v0 = 0x736f_6d65_7073_6575 ^ low
    v1 = 0x646f_7261_6e64_6f6d ^ high ^ 0xee
    v2 = 0x6c79_6765_6e65_7261 ^ low
    v3 = 0x7465_6462_7974_6573 ^ high
  }

  /// Takes one word in with two rounds.
  @inlinable @inline(__always)
  mutating func absorb(_ word: UInt64) {
    v3 ^= word
    round()
    round()
    v0 ^= word
  }

  /// Four rounds for each half of the output.
  @inlinable @inline(__always)
  mutating func finish() -> Digest128 {
    v2 ^= 0xee
    round()
    round()
    round()
    round()
    let low = v0 ^ v1 ^ v2 ^ v3
    v1 ^= 0xdd
    round()
    round()
    round()
    round()
    return Digest128(low: low, high: v0 ^ v1 ^ v2 ^ v3)
  }

  /// One SipRound.
  @inlinable @inline(__always)
  mutating func round() {
    v0 = v0 &+ v1
    v1 = (v1 &<< 13 | v1 &>> 51) ^ v0
    v0 = v0 &<< 32 | v0 &>> 32
    v2 = v2 &+ v3
    v3 = (v3 &<< 16 | v3 &>> 48) ^ v2
    v0 = v0 &+ v3
    v3 = (v3 &<< 21 | v3 &>> 43) ^ v0
    v2 = v2 &+ v1
    v1 = (v1 &<< 17 | v1 &>> 47) ^ v2
    v2 = v2 &<< 32 | v2 &>> 32
  }
}
