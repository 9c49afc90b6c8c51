/// `text` with each scalar that could steer a terminal or hide what is written (categories Cc, Cf, Zl and Zp: line ends, escapes, C1,
/// writing directions, invisible ones) as `\u{…}`. What is left stands on one line and reads as it is.
///
/// Mask secrets before: they are known as they are, not in this form.
/// - Parameter keepsLineEnds: for texts that are made of lines of ours.
package func harmless(_ text: String, keepsLineEnds: Bool = false) -> String {
  if text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) || keepsLineEnds && $0 == 0x0A }) { return text }
  var result = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    if isHarmless(scalar) || keepsLineEnds && scalar == "\n" {
      result.append(scalar)
    } else {
      result.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
    }
  }
  return String(result)
}

/// JSON, or the inside of a string of it, with what ``harmless(_:keepsLineEnds:)`` shows as JSON escapes: in JSON such a scalar can stand
/// in a string only, line ends and tabs aside.
package func harmlessJSON(_ json: String) -> String {
  if json.utf8.allSatisfy({ (0x20..<0x7F).contains($0) }) { return json }
  var result = String.UnicodeScalarView()
  for scalar in json.unicodeScalars {
    if isHarmless(scalar) {
      result.append(scalar)
    } else {
      for unit in String(scalar).utf16 {
        result.append(contentsOf: ("\\u" + zeroPadded(String(unit, radix: 16), 4)).unicodeScalars)
      }
    }
  }
  return String(result)
}

package func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
  if scalar.isASCII { return scalar.value >= 0x20 && scalar.value != 0x7F }
  switch scalar.properties.generalCategory {
  case .control, .format, .lineSeparator, .paragraphSeparator: return false
  default: return true
  }
}

/// Words of a server, a broker or an endpoint in a message of ours: they may be of any length.
package enum ForeignText {
  /// So much of them is enough to know what happened.
  package static let byteCountMax = 500
  /// Stands where something was cut out; what masks secrets knows it, as a secret may have been cut with it.
  package static let cutMark = "… (cut) …"

  /// `text`, or its beginning and its end with the mark between them: servers say at the end what they mean. Whole scalars.
  package static func cut(_ text: String, to byteCount: Int = byteCountMax) -> String {
    guard text.utf8.count > byteCount else { return text }
    let bytes = Array(text.utf8)
    func isWithin(_ place: Int) -> Bool { place < bytes.count && bytes[place] & 0xC0 == 0x80 }
    var end = byteCount - byteCount / 3
    while isWithin(end) { end -= 1 }
    var start = bytes.count - byteCount / 3
    while isWithin(start) { start += 1 }
    return String(decoding: bytes[..<end], as: UTF8.self) + cutMark + String(decoding: bytes[start...], as: UTF8.self)
  }
}
