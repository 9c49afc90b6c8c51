/// The number of an IPv4 address: four decimal numbers of 0…255 without leading zeros, joined by dots; nil for anything else.
func ipv4(_ bytes: ByteView, _ start: Int, _ end: Int) -> UInt32? {
  var address: UInt32 = 0
  var index = start
  for part in 0..<4 {
    if part > 0 {
      guard index < end, bytes[index] == UInt8(ascii: ".") else { return nil }
      index += 1
    }
    let first = index
    var value: UInt32 = 0
    while index < end, index - first < 3, bytes[index] &- 0x30 <= 9 {
      value = value * 10 + UInt32(bytes[index] - 0x30)
      index += 1
    }
    // To some readers a leading zero makes a number octal.
    guard index > first, value <= 255, index - first == 1 || bytes[first] != 0x30 else { return nil }
    address = address << 8 | value
  }
  return index == end ? address : nil
}

/// The halves of an IPv6 address by RFC 4291: eight groups of hexadecimal digits joined by colons, `::` for some of zeros, the last two
/// as IPv4. A whole IPv4 address is taken as `::ffff:` and it, as ClickHouse does. Nil for anything else, zone ids too.
func ipv6(_ bytes: ByteView, _ start: Int, _ end: Int) -> (first: UInt64, second: UInt64)? {
  if let address = ipv4(bytes, start, end) { return (0, 0xFFFF_0000_0000 | UInt64(address)) }
  var groups: [UInt16] = []
  var gap: Int?
  var index = start
  if end - start >= 2, bytes[start] == UInt8(ascii: ":") {
    guard bytes[start + 1] == UInt8(ascii: ":") else { return nil }
    gap = 0
    index += 2
  }
  while index < end {
    guard groups.count < 8 else { return nil }
    if groups.count <= 6, let address = ipv4(bytes, index, end) {
      groups += [UInt16(truncatingIfNeeded: address >> 16), UInt16(truncatingIfNeeded: address)]
      index = end
      break
    }
    let first = index
    var value: UInt16 = 0
    while index < end, index - first < 4, hexDigit(bytes[index]) < 16 {
      value = value << 4 | UInt16(hexDigit(bytes[index]))
      index += 1
    }
    guard index > first else { return nil }
    groups.append(value)
    if index == end { break }
    guard bytes[index] == UInt8(ascii: ":"), index + 1 < end else { return nil }
    index += 1
    if bytes[index] == UInt8(ascii: ":") {
      guard gap == nil else { return nil }
      gap = groups.count
      index += 1
    }
  }
  if let gap {
    guard groups.count < 8 else { return nil }
    groups.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: gap)
  }
  guard groups.count == 8 else { return nil }
  let half = { (part: ArraySlice<UInt16>) in part.reduce(UInt64(0)) { $0 << 16 | UInt64($1) } }
  return (half(groups[..<4]), half(groups[4...]))
}
