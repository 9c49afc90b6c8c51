internal import MillBase
internal import MillFlow

extension NativeColumn {
  /// Value `row` as JSON; ``NativeBlock/row(_:)`` says how.
  func writeJSON(_ row: Int, of bytes: [UInt8], _ json: inout JSONWriter) {
    if let nullsStart, bytes[nullsStart + row] != 0 { return json.text("null") }
    switch values {
    case .fixed(let start, let width):
      let at = start + row * width
      writeFixed(bytes[at..<(at + width)], &json)
    case .texts(let begins): Self.writeText(Self.text(bytes, begins[row], begins[row + 1]), &json)
    case .dictionary(let keys, let start, let indexWidth):
      let key = Int(Self.word(bytes, start + row * indexWidth, indexWidth))
      if isNullAtZero, key == 0 { return json.text("null") }
      keys.writeJSON(key, of: bytes, &json)
    case .list(let start, let parts):
      let isMap = parts.count == 2
      json.text(isMap ? "{" : "[")
      for (place, item) in Self.items(start, row..<(row + 1), bytes).enumerated() {
        if place > 0 { json.text(",") }
        if isMap {
          parts[0].writeKey(item, of: bytes, &json)
          json.text(":")
        }
        parts[parts.count - 1].writeJSON(item, of: bytes, &json)
      }
      json.text(isMap ? "}" : "]")
    }
  }

  /// A key of an object, which must be a string: one that isn't UTF-8 stands there in base64.
  private func writeKey(_ row: Int, of bytes: [UInt8], _ json: inout JSONWriter) {
    switch values {
    case .texts(let begins):
      let text = Self.text(bytes, begins[row], begins[row + 1])
      if let valid = String(validating: text, as: UTF8.self) { json.quoted(valid) } else { json.quotedBase64(text) }
    case .dictionary(let keys, let start, let indexWidth):
      keys.writeKey(Int(Self.word(bytes, start + row * indexWidth, indexWidth)), of: bytes, &json)
    default: preconditionFailure("keys of \(type) in a Map")
    }
  }

  /// What stands between `begin`, where the length is, and `end`.
  static func text(_ bytes: [UInt8], _ begin: Int, _ end: Int) -> ArraySlice<UInt8> {
    var start = begin
    while bytes[start] >= 0x80 { start += 1 }
    return bytes[(start + 1)..<end]
  }

  private static func writeText(_ text: ArraySlice<UInt8>, _ json: inout JSONWriter) {
    if let valid = String(validating: text, as: UTF8.self) { return json.quoted(valid) }
    json.text("{\"base64\":")
    json.quotedBase64(text)
    json.text("}")
  }

  private func writeFixed(_ bytes: ArraySlice<UInt8>, _ json: inout JSONWriter) {
    let word = Self.word(Array(bytes.prefix(8)), 0, min(bytes.count, 8))
    switch type {
    case .bool: json.text(word == 0 ? "false" : "true")
    case .int8: json.text("\(Int8(truncatingIfNeeded: word))")
    case .int16: json.text("\(Int16(truncatingIfNeeded: word))")
    case .int32: json.text("\(Int32(truncatingIfNeeded: word))")
    case .uint8, .uint16, .uint32: json.text("\(word)")
    case .int64, .int128, .int256: json.quoted(ValueText.integer(bytes, isSigned: true, scale: 0))
    case .uint64, .uint128, .uint256: json.quoted(ValueText.integer(bytes, isSigned: false, scale: 0))
    case .decimal(_, let scale): json.quoted(ValueText.integer(bytes, isSigned: true, scale: scale))
    case .float32: Self.writeFloat(Float(bitPattern: UInt32(truncatingIfNeeded: word)), &json)
    case .float64: Self.writeFloat(Double(bitPattern: word), &json)
    case .fixedString: Self.writeText(bytes.prefix((bytes.lastIndex { $0 != 0 } ?? bytes.startIndex - 1) + 1 - bytes.startIndex), &json)
    case .date: json.quoted(ValueText.date(days: Int64(word)))
    case .date32: json.quoted(ValueText.date(days: Int64(Int32(truncatingIfNeeded: word))))
    case .dateTime: json.quoted(ValueText.time(ticks: Int64(word), precision: 0))
    case .dateTime64(let precision, _): json.quoted(ValueText.time(ticks: Int64(bitPattern: word), precision: precision))
    case .uuid: json.quoted(ValueText.uuid(bytes))
    case .ipv4: json.quoted(ValueText.ipv4(bytes.reversed()))
    case .ipv6: json.quoted(ValueText.ipv6(Array(bytes)))
    case .enum8(let names): Self.writeEnum(names, Int16(Int8(truncatingIfNeeded: word)), &json)
    case .enum16(let names): Self.writeEnum(names, Int16(truncatingIfNeeded: word), &json)
    case .string, .array, .map, .nullable, .lowCardinality: preconditionFailure("\(type) has no fixed width")
    }
  }

  /// The shortest text that reads as the same value. JSON has no infinities and no NaN: they are strings, and no record can hold them.
  private static func writeFloat(_ value: some BinaryFloatingPoint & CustomStringConvertible, _ json: inout JSONWriter) {
    if value.isFinite { json.text(value.description) } else { json.quoted(value.description) }
  }

  private static func writeEnum(_ names: EnumNames, _ value: Int16, _ json: inout JSONWriter) {
    if let name = names.name(of: value) { json.quoted(String(decoding: name, as: UTF8.self)) } else { json.text("\(value)") }
  }
}
