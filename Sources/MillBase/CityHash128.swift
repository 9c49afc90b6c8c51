/// CityHash128 of version 1.0.2, the one in ClickHouse's compressed frames. Later versions of CityHash give other values.
///
/// - Parameter bytes: borrowed for the call; any length, also none.
package func cityHash128(_ bytes: UnsafeRawBufferPointer) -> Digest128 {
  let count = bytes.count
  if count >= 16 {
    let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[16...])
    return unsafe City.seeded(rest, City.word(bytes, 0) ^ City.k3, City.word(bytes, 8))
  }
  if count >= 8 {
    let low = unsafe City.word(bytes, 0) ^ (UInt64(count) &* City.k0)
    return unsafe City.murmur(UnsafeRawBufferPointer(start: nil, count: 0), low, City.word(bytes, count - 8) ^ City.k1)
  }
  return unsafe City.murmur(bytes, City.k0, City.k1)
}

enum City {
  static let k0: UInt64 = 0xc3a5_c85c_97cb_3127
  static let k1: UInt64 = 0xb492_b66f_be98_f273
  static let k2: UInt64 = 0x9ae1_6a3b_2f90_404f
  static let k3: UInt64 = 0xc949_d7c7_509e_6557
  static let multiplier: UInt64 = 0x9ddf_ea08_eb38_2d69

  /// The 8 bytes at `offset`; every caller has made sure that they are there.
  @inline(__always)
  static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    unsafe UInt64(littleEndian: bytes.baseAddress.unsafelyUnwrapped.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  @inline(__always)
  static func half(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
    unsafe UInt64(UInt32(littleEndian: bytes.baseAddress.unsafelyUnwrapped.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
  }

  @inline(__always)
  static func rotated(_ value: UInt64, _ by: UInt64) -> UInt64 { by == 0 ? value : (value &>> by) | (value &<< (64 &- by)) }

  @inline(__always)
  static func mixed(_ value: UInt64) -> UInt64 { value ^ (value &>> 47) }

  @inline(__always)
  static func pair(_ low: UInt64, _ high: UInt64) -> UInt64 {
    let a = mixed((low ^ high) &* multiplier)
    return mixed((high ^ a) &* multiplier) &* multiplier
  }

  static func upTo16(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let count = UInt64(bytes.count)
    if count > 8 {
      let b = unsafe word(bytes, bytes.count - 8)
      return unsafe pair(word(bytes, 0), rotated(b &+ count, count)) ^ b
    }
    if count >= 4 { return unsafe pair(count &+ (half(bytes, 0) &<< 3), half(bytes, bytes.count - 4)) }
    guard count > 0 else { return k2 }
    let y = unsafe UInt64(bytes[0]) &+ (UInt64(bytes[bytes.count >> 1]) &<< 8)
    let z = unsafe count &+ (UInt64(bytes[bytes.count - 1]) &<< 2)
    return mixed((y &* k2) ^ (z &* k3)) &* k2
  }

  /// For fewer than 128 bytes.
  static func murmur(_ bytes: UnsafeRawBufferPointer, _ low: UInt64, _ high: UInt64) -> Digest128 {
    var a = low
    var b = high
    var c: UInt64
    var d: UInt64
    let count = bytes.count
    if count <= 16 {
      a = mixed(a &* k1) &* k1
      c = unsafe b &* k1 &+ upTo16(bytes)
      d = unsafe mixed(a &+ (count >= 8 ? word(bytes, 0) : c))
    } else {
      c = unsafe pair(word(bytes, count - 8) &+ k1, a)
      d = unsafe pair(b &+ UInt64(count), c &+ word(bytes, count - 16))
      a = a &+ d
      var at = 0
      repeat {
        a ^= unsafe mixed(word(bytes, at) &* k1) &* k1
        a = a &* k1
        b ^= a
        c ^= unsafe mixed(word(bytes, at + 8) &* k1) &* k1
        c = c &* k1
        d ^= c
        at += 16
      } while count - 16 > at
    }
    a = pair(a, c)
    b = pair(d, b)
    return Digest128(low: a ^ b, high: pair(b, a))
  }

  @inline(__always)
  static func weak(_ bytes: UnsafeRawBufferPointer, _ at: Int, _ first: UInt64, _ second: UInt64) -> (UInt64, UInt64) {
    let z = unsafe word(bytes, at + 24)
    var a = unsafe first &+ word(bytes, at)
    var b = rotated(second &+ a &+ z, 21)
    let c = a
    a = unsafe a &+ word(bytes, at + 8) &+ word(bytes, at + 16)
    b = b &+ rotated(a, 44)
    return (a &+ z, b &+ c)
  }

  static func seeded(_ bytes: UnsafeRawBufferPointer, _ low: UInt64, _ high: UInt64) -> Digest128 {
    guard bytes.count >= 128 else { return unsafe murmur(bytes, low, high) }
    var x = low
    var y = high
    var z = UInt64(bytes.count) &* k1
    var v: (UInt64, UInt64)
    var w: (UInt64, UInt64)
    v.0 = unsafe rotated(y ^ k1, 49) &* k1 &+ word(bytes, 0)
    v.1 = unsafe rotated(v.0, 42) &* k1 &+ word(bytes, 8)
    w.0 = rotated(y &+ z, 35) &* k1 &+ x
    w.1 = unsafe rotated(x &+ word(bytes, 88), 53) &* k1
    var at = 0
    while bytes.count - at >= 128 {
      for _ in 0..<2 {
        x = unsafe rotated(x &+ y &+ v.0 &+ word(bytes, at + 16), 37) &* k1
        y = unsafe rotated(y &+ v.1 &+ word(bytes, at + 48), 42) &* k1
        x ^= w.1
        y ^= v.0
        z = rotated(z ^ w.0, 33)
        v = unsafe weak(bytes, at, v.1 &* k1, x &+ w.0)
        w = unsafe weak(bytes, at + 32, z &+ w.1, y)
        swap(&z, &x)
        at += 64
      }
    }
    y = y &+ rotated(w.0, 37) &* k0 &+ z
    x = x &+ rotated(v.0 &+ z, 49) &* k0
    // The last steps go backwards from the end, over bytes already taken where fewer than 32 are left.
    let left = bytes.count - at
    var done = 0
    while done < left {
      done += 32
      let from = bytes.count - done
      y = rotated(y &- x, 42) &* k0 &+ v.1
      w.0 = unsafe w.0 &+ word(bytes, from + 16)
      x = rotated(x, 49) &* k0 &+ w.0
      w.0 = w.0 &+ v.0
      v = unsafe weak(bytes, from, v.0, v.1)
    }
    x = pair(x, v.0)
    y = pair(y, w.0)
    return Digest128(low: pair(x &+ v.1, w.1) &+ y, high: pair(x &+ w.1, y &+ v.1))
  }
}
