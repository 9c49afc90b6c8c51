/// Numbers that look random and are the same for the same seed on every machine (xoshiro256**, seeded by SplitMix64).
///
/// Not for secrets: see ``systemRandomBytes(_:)``. A value type: a copy goes on with the same numbers.
package struct SeededRandom: RandomNumberGenerator, Hashable, Sendable {
  /// What it was made from; ``split(_:)`` goes from here, not from the numbers drawn so far.
  package let seed: UInt64
  private var s0: UInt64
  private var s1: UInt64
  private var s2: UInt64
  private var s3: UInt64

  package init(_ seed: UInt64) {
    self.seed = seed
    var mix = seed
    s0 = splitMix64(&mix)
    s1 = splitMix64(&mix)
    s2 = splitMix64(&mix)
    s3 = splitMix64(&mix)
  }

  /// Another generator for a part named `label`: whatever is drawn here or in other parts doesn't change its numbers.
  package func split(_ label: String) -> SeededRandom {
    var hash = seed ^ 0xcbf2_9ce4_8422_2325
    for byte in label.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return SeededRandom(splitMix64(&hash))
  }

  /// Another generator for the part with this number.
  package func split(_ number: UInt64) -> SeededRandom {
    var mix = seed ^ (number &+ 1) &* 0xd6e8_feb8_6659_fd93
    return SeededRandom(splitMix64(&mix))
  }

  package mutating func next() -> UInt64 {
    let times5 = s1 &* 5
    let result = (times5 &<< 7 | times5 &>> 57) &* 9
    let shifted = s1 &<< 17
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = s3 &<< 45 | s3 &>> 19
    return result
  }

  /// A number in `0 ..< bound`, `bound` ≥ 1. Uneven by less than bound / 2^64.
  package mutating func next(below bound: Int) -> Int {
    precondition(bound >= 1, "a bound of \(bound) leaves no number")
    return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// A number of a closed range.
  package mutating func next(in range: ClosedRange<Int>) -> Int {
    let width = UInt64(bitPattern: Int64(range.upperBound &- range.lowerBound))
    if width == UInt64.max { return Int(truncatingIfNeeded: next()) }
    return range.lowerBound &+ Int(truncatingIfNeeded: next().multipliedFullWidth(by: width + 1).high)
  }

  /// True with this probability; draws one number whatever it is.
  package mutating func chance(_ probability: Double) -> Bool {
    Double(next() >> 11) * 0x1p-53 < probability
  }

  /// One of them; there must be one.
  package mutating func pick<T>(_ values: [T]) -> T { values[next(below: values.count)] }

  /// As many bytes.
  package mutating func bytes(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
      var word = next()
      for _ in 0..<min(8, count - bytes.count) {
        bytes.append(UInt8(truncatingIfNeeded: word))
        word >>= 8
      }
    }
    return bytes
  }
}

/// One step of SplitMix64.
private func splitMix64(_ state: inout UInt64) -> UInt64 {
  state = state &+ 0x9e37_79b9_7f4a_7c15
  var z = state
  z = (z ^ z &>> 30) &* 0xbf58_476d_1ce4_e5b9
  z = (z ^ z &>> 27) &* 0x94d0_49bb_1331_11eb
  return z ^ z &>> 31
}

/// Bytes from the kernel's generator, fit for keys and ids.
package func systemRandomBytes(_ count: Int) -> [UInt8] {
  var generator = SystemRandomNumberGenerator()
  return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}

/// 64 bits from the kernel's generator.
package func systemRandomUInt64() -> UInt64 {
  var generator = SystemRandomNumberGenerator()
  return generator.next()
}
