/// Where the number that begins at `start` ends, by RFC 8259's grammar; nil where none begins there.
@inline(__always)
func numberEnd(_ bytes: ByteView, _ start: Int, _ end: Int) -> Int? {
  var index = start
  if index < end, bytes[index] == UInt8(ascii: "-") { index &+= 1 }
  guard index < end, bytes[index] &- 0x30 <= 9 else { return nil }
  if bytes[index] == 0x30 { index &+= 1 } else { skipDigits(bytes, &index, end) }
  if index < end, bytes[index] == UInt8(ascii: ".") {
    index &+= 1
    guard index < end, bytes[index] &- 0x30 <= 9 else { return nil }
    skipDigits(bytes, &index, end)
  }
  if index < end, bytes[index] | 0x20 == UInt8(ascii: "e") {
    index &+= 1
    if index < end, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") { index &+= 1 }
    guard index < end, bytes[index] &- 0x30 <= 9 else { return nil }
    skipDigits(bytes, &index, end)
  }
  return index
}

@inline(__always)
func skipDigits(_ bytes: ByteView, _ index: inout Int, _ end: Int) {
  while index < end {
    let count = digitCount(eightDigits(bytes, index))
    index &+= count
    if count < 8 { break }
  }
  index = min(index, end)
}

/// The eight bytes at `index`, digits as their values.
@inline(__always)
func eightDigits(_ bytes: ByteView, _ index: Int) -> UInt64 {
  UInt64(littleEndian: bytes.load(UInt64.self, at: index)) ^ 0x3030_3030_3030_3030
}

/// How many of eight such bytes are digits, before the first that is none.
@inline(__always)
func digitCount(_ digits: UInt64) -> Int {
  // What is no digit has a high half, or gets one by adding 6. A carry only reaches bytes behind it.
  ((digits | (digits &+ 0x0606_0606_0606_0606)) & 0xF0F0_F0F0_F0F0_F0F0).trailingZeroBitCount >> 3
}

/// The number that the first `count` of eight digits make; 1...8 of them.
@inline(__always)
func decimalValue(_ digits: UInt64, _ count: Int) -> UInt64 {
  // The last digit goes to the highest byte, with zeros before the first; then neighbours are joined, three times.
  let ones = digits &<< UInt64(truncatingIfNeeded: 64 &- 8 &* count)
  let pairs = (ones &* 10 &+ ones &>> 8) & 0x00FF_00FF_00FF_00FF
  let fours = (pairs &* 100 &+ pairs &>> 16) & 0x0000_FFFF_0000_FFFF
  return (fours &* 10_000 &+ fours &>> 32) & 0xFFFF_FFFF
}

/// Value of a hexadecimal digit, 16 and up for anything else.
@inline(__always)
func hexDigit(_ byte: UInt8) -> UInt8 {
  let digit = byte &- 0x30
  if digit <= 9 { return digit }
  let letter = (byte | 0x20) &- 0x61
  return letter <= 5 ? letter &+ 10 : 255
}

/// Four hexadecimal digits.
@inline(__always)
func hexUnit(_ bytes: ByteView, at index: Int) -> UInt32? {
  let (a, b) = (hexDigit(bytes[index]), hexDigit(bytes[index &+ 1]))
  let (c, d) = (hexDigit(bytes[index &+ 2]), hexDigit(bytes[index &+ 3]))
  guard a | b | c | d < 16 else { return nil }
  return UInt32(a) &<< 12 | UInt32(b) &<< 8 | UInt32(c) &<< 4 | UInt32(d)
}

/// Byte count of the well-formed sequence of 2...4 bytes at `index` (Unicode's table 3-7); nil where there is none.
@inline(__always)
func utf8SequenceCount(_ bytes: ByteView, at index: Int) -> Int? {
  let first = bytes[index]
  let second = bytes[index &+ 1]
  if first < 0xE0 { return first >= 0xC2 && second & 0xC0 == 0x80 ? 2 : nil }
  guard second & 0xC0 == 0x80, bytes[index &+ 2] & 0xC0 == 0x80 else { return nil }
  if first < 0xF0 {
    // No overlong forms, no surrogates.
    if first == 0xE0, second < 0xA0 { return nil }
    if first == 0xED, second > 0x9F { return nil }
    return 3
  }
  guard first <= 0xF4, bytes[index &+ 3] & 0xC0 == 0x80 else { return nil }
  if first == 0xF0, second < 0x90 { return nil }
  if first == 0xF4, second > 0x8F { return nil }
  return 4
}

/// The end of a text that was cut at `end`, without the letter that the cut split.
func letterBoundary(_ bytes: ByteView, _ end: Int) -> Int {
  for back in 1...3 where back <= end {
    let byte = bytes[end - back]
    if byte & 0xC0 == 0x80 { continue }
    let count = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
    return count > back ? end - back : end
  }
  return end
}

/// Whether all of a text is well-formed UTF-8.
func isUTF8(_ bytes: ByteView, _ start: Int, _ end: Int) -> Bool {
  var index = start
  while index < end {
    if bytes[index] < 0x80 {
      index += 1
      continue
    }
    guard let count = utf8SequenceCount(bytes, at: index) else { return false }
    index += count
  }
  return index == end
}

/// Writes what an escaped string, checked by the scanner, stands for; never more bytes than it has. Returns their count.
@inline(never)
func unescape(_ bytes: ByteView, _ start: Int, _ end: Int, to out: UnsafeMutablePointer<UInt8>) -> Int {
  var index = start
  var count = 0
  while index < end {
    let byte = bytes[index]
    guard byte == UInt8(ascii: "\\") else {
      unsafe out[count] = byte
      count &+= 1
      index &+= 1
      continue
    }
    let letter = bytes[index &+ 1]
    index &+= 2
    switch letter {
    case UInt8(ascii: "b"): unsafe out[count] = 0x08
    case UInt8(ascii: "f"): unsafe out[count] = 0x0C
    case UInt8(ascii: "n"): unsafe out[count] = 0x0A
    case UInt8(ascii: "r"): unsafe out[count] = 0x0D
    case UInt8(ascii: "t"): unsafe out[count] = 0x09
    case UInt8(ascii: "u"):
      // The scanner has seen four digits here, and the low half behind a high one.
      var scalar = hexUnit(bytes, at: index) ?? 0xFFFD
      index &+= 4
      if scalar & 0xFC00 == 0xD800 {
        let low = hexUnit(bytes, at: index &+ 2) ?? 0xDC00
        scalar = 0x10000 &+ ((scalar & 0x3FF) &<< 10 | low & 0x3FF)
        index &+= 6
      }
      unsafe count &+= writeUTF8(scalar, to: out + count)
      continue
    default: unsafe out[count] = letter
    }
    count &+= 1
  }
  return count
}

private func writeUTF8(_ scalar: UInt32, to out: UnsafeMutablePointer<UInt8>) -> Int {
  if scalar < 0x80 {
    unsafe out[0] = UInt8(truncatingIfNeeded: scalar)
    return 1
  }
  if scalar < 0x800 {
    unsafe out[0] = UInt8(truncatingIfNeeded: 0xC0 | scalar >> 6)
    unsafe out[1] = UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F)
    return 2
  }
  if scalar < 0x10000 {
    unsafe out[0] = UInt8(truncatingIfNeeded: 0xE0 | scalar >> 12)
    unsafe out[1] = UInt8(truncatingIfNeeded: 0x80 | scalar >> 6 & 0x3F)
    unsafe out[2] = UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F)
    return 3
  }
  unsafe out[0] = UInt8(truncatingIfNeeded: 0xF0 | scalar >> 18)
  unsafe out[1] = UInt8(truncatingIfNeeded: 0x80 | scalar >> 12 & 0x3F)
  unsafe out[2] = UInt8(truncatingIfNeeded: 0x80 | scalar >> 6 & 0x3F)
  unsafe out[3] = UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F)
  return 4
}
