/// CityHash64 of version 1.0.2: what ClickHouse's `cityHash64(text)` gives, in every version of it.
///
/// - Parameter bytes: borrowed for the call; any length, also none.
package func cityHash64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
  switch bytes.count {
  case ...16: unsafe City.upTo16(bytes)
  case ...32: unsafe City.upTo32(bytes)
  case ...64: unsafe City.upTo64(bytes)
  default: unsafe City.long(bytes)
  }
}

/// Two hashes as one: what ClickHouse's `cityHash64(a, b)` makes of those of its arguments.
package func cityHashPair(_ first: UInt64, _ second: UInt64) -> UInt64 { City.pair(first, second) }

extension City {
  static func upTo32(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let count = bytes.count
    let a = unsafe word(bytes, 0) &* k1
    let b = unsafe word(bytes, 8)
    let c = unsafe word(bytes, count - 8) &* k2
    let d = unsafe word(bytes, count - 16) &* k0
    return pair(rotated(a &- b, 43) &+ rotated(c, 30) &+ d, a &+ rotated(b ^ k3, 20) &- c &+ UInt64(count))
  }

  static func upTo64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let count = bytes.count
    var z = unsafe word(bytes, 24)
    var a = unsafe word(bytes, 0) &+ (UInt64(count) &+ word(bytes, count - 16)) &* k0
    var b = rotated(a &+ z, 52)
    var c = rotated(a, 37)
    a = unsafe a &+ word(bytes, 8)
    c = c &+ rotated(a, 7)
    a = unsafe a &+ word(bytes, 16)
    let vf = a &+ z
    let vs = b &+ rotated(a, 31) &+ c
    a = unsafe word(bytes, 16) &+ word(bytes, count - 32)
    z = unsafe word(bytes, count - 8)
    b = rotated(a &+ z, 52)
    c = rotated(a, 37)
    a = unsafe a &+ word(bytes, count - 24)
    c = c &+ rotated(a, 7)
    a = unsafe a &+ word(bytes, count - 16)
    let wf = a &+ z
    let ws = b &+ rotated(a, 31) &+ c
    let r = mixed((vf &+ ws) &* k2 &+ (wf &+ vs) &* k0)
    return mixed(r &* k0 &+ vs) &* k2
  }

  static func long(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let count = bytes.count
    var x = unsafe word(bytes, 0)
    var y = unsafe word(bytes, count - 16) ^ k1
    var z = unsafe word(bytes, count - 56) ^ k0
    var v = unsafe weak(bytes, count - 64, UInt64(count), y)
    var w = unsafe weak(bytes, count - 32, UInt64(count) &* k1, k0)
    z = z &+ mixed(v.1) &* k1
    x = rotated(z &+ x, 39) &* k1
    y = rotated(y, 33) &* k1
    var at = 0
    repeat {
      x = unsafe rotated(x &+ y &+ v.0 &+ word(bytes, at + 16), 37) &* k1
      y = unsafe rotated(y &+ v.1 &+ word(bytes, at + 48), 42) &* k1
      x ^= w.1
      y ^= v.0
      z = rotated(z ^ w.0, 33)
      v = unsafe weak(bytes, at, v.1 &* k1, x &+ w.0)
      w = unsafe weak(bytes, at + 32, z &+ w.1, y)
      swap(&z, &x)
      at += 64
    } while at < (count - 1) & ~63
    return pair(pair(v.0, w.0) &+ mixed(y) &* k1 &+ z, pair(v.1, w.1) &+ x)
  }
}
