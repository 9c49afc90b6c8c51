/// Base64 of RFC 4648, with padding.
package func base64Text(_ bytes: some Collection<UInt8>) -> String {
  let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  var result: [UInt8] = []
  result.reserveCapacity((bytes.count + 2) / 3 * 4)
  var (bits, bitCount) = (0, 0)
  for byte in bytes {
    bits = (bits << 8 | Int(byte)) & 0x3fff
    bitCount += 8
    while bitCount >= 6 {
      bitCount -= 6
      result.append(letters[bits >> bitCount & 63])
    }
  }
  if bitCount > 0 { result.append(letters[bits << (6 - bitCount) & 63]) }
  while result.count % 4 != 0 { result.append(UInt8(ascii: "=")) }
  return String(decoding: result, as: UTF8.self)
}

/// `text` with all bytes but ASCII letters, digits and `kept` as `%XX`.
package func percentEncoded(_ text: String, keeping kept: String, uppercase: Bool = true) -> String {
  let digits = Array((uppercase ? "0123456789ABCDEF" : "0123456789abcdef").utf8)
  let kept = Set(kept.utf8)
  var bytes: [UInt8] = []
  for byte in text.utf8 {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      bytes.append(byte)
    case _ where kept.contains(byte): bytes.append(byte)
    default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
  }
  return String(decoding: bytes, as: UTF8.self)
}
