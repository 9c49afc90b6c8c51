/// xxHash's 64 bits with seed 0: what ClickHouse's `xxHash64(text)` gives.
///
/// - Parameter bytes: borrowed for the call; any length, also none.
package func xxHash64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
  let count = bytes.count
  var at = 0
  var hash: UInt64
  if count >= 32 {
    var lanes: (UInt64, UInt64, UInt64, UInt64) = (XX.p1 &+ XX.p2, XX.p2, 0, 0 &- XX.p1)
    while at + 32 <= count {
      lanes.0 = unsafe XX.round(lanes.0, City.word(bytes, at))
      lanes.1 = unsafe XX.round(lanes.1, City.word(bytes, at + 8))
      lanes.2 = unsafe XX.round(lanes.2, City.word(bytes, at + 16))
      lanes.3 = unsafe XX.round(lanes.3, City.word(bytes, at + 24))
      at += 32
    }
    hash = XX.left(lanes.0, 1) &+ XX.left(lanes.1, 7) &+ XX.left(lanes.2, 12) &+ XX.left(lanes.3, 18)
    for lane in [lanes.0, lanes.1, lanes.2, lanes.3] { hash = (hash ^ XX.round(0, lane)) &* XX.p1 &+ XX.p4 }
  } else {
    hash = XX.p5
  }
  hash &+= UInt64(count)
  while at + 8 <= count {
    hash = unsafe XX.left(hash ^ XX.round(0, City.word(bytes, at)), 27) &* XX.p1 &+ XX.p4
    at += 8
  }
  if at + 4 <= count {
    hash = unsafe XX.left(hash ^ (City.half(bytes, at) &* XX.p1), 23) &* XX.p2 &+ XX.p3
    at += 4
  }
  while at < count {
    hash = unsafe XX.left(hash ^ (UInt64(bytes[at]) &* XX.p5), 11) &* XX.p1
    at += 1
  }
  hash = (hash ^ hash >> 33) &* XX.p2
  hash = (hash ^ hash >> 29) &* XX.p3
  return hash ^ hash >> 32
}

private enum XX {
  static let p1: UInt64 = 0x9e37_79b1_85eb_ca87
  static let p2: UInt64 = 0xc2b2_ae3d_27d4_eb4f
  static let p3: UInt64 = 0x1656_67b1_9e37_79f9
  static let p4: UInt64 = 0x85eb_ca77_c2b2_ae63
  static let p5: UInt64 = 0x27d4_eb2f_1656_67c5

  @inline(__always)
  static func left(_ value: UInt64, _ by: UInt64) -> UInt64 { value &<< by | value &>> (64 &- by) }

  @inline(__always)
  static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 { left(lane &+ word &* p2, 31) &* p1 }
}
