internal import MillBase

/// Puts JSON together, byte by byte.
package struct JSONWriter {
  private static let hex = Array("0123456789abcdef".utf8)

  /// What has been written.
  package var bytes: [UInt8] = []

  package init() {}

  /// Takes the text as it is.
  package mutating func text(_ text: String) { bytes += text.utf8 }

  /// The text as a string of JSON.
  package mutating func quoted(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    if text.utf8.allSatisfy({ Self.isPlain($0) }) { bytes += text.utf8 } else { for byte in text.utf8 { escaped(byte) } }
    bytes.append(UInt8(ascii: "\""))
  }

  /// A key or payload, or the first bytes of one that has `wholeCount`: as text where it is one, else in base64 under a name that says so;
  /// where it was cut, how many bytes it has.
  mutating func part(_ name: String, _ part: ByteView, count: Int, of wholeCount: Int) {
    let textCount = count < wholeCount ? letterBoundary(part, count) : count
    defer { if count < wholeCount { text(",\"\(name)_bytes\":\(wholeCount)") } }
    if isUTF8(part, 0, textCount) {
      text(",\"\(name)\":\"")
      for index in 0..<textCount { escaped(part[index]) }
      bytes.append(UInt8(ascii: "\""))
    } else {
      text(",\"\(name)_base64\":")
      quotedBase64(Array((0..<count).map { part[$0] }))
    }
  }

  /// One of an object, its value in JSON already.
  mutating func member(_ member: (name: String, json: String), isFirst: inout Bool) {
    if !isFirst { text(",") }
    isFirst = false
    quoted(member.name)
    text(":")
    text(member.json)
  }

  /// Bytes that may be any as a string of JSON in base64.
  package mutating func quotedBase64(_ part: some Collection<UInt8>) { text("\"\(base64Text(part))\"") }

  private static func isPlain(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") && byte != 0x7F
  }

  private mutating func escaped(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"):
      bytes.append(UInt8(ascii: "\\"))
      bytes.append(byte)
    case 0x0A: text("\\n")
    case 0x0D: text("\\r")
    case 0x09: text("\\t")
    case 0..<0x20, 0x7F:
      text("\\u00")
      bytes.append(Self.hex[Int(byte >> 4)])
      bytes.append(Self.hex[Int(byte & 15)])
    default: bytes.append(byte)
    }
  }
}
