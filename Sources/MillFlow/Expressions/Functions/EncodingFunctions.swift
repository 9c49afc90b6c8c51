extension Function {
  static let encodings: [Function] = [
    Function("hex", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      let x = try call.argument(0)
      let type = x.type.bare
      let isText = type == .string || type == .fixedString(byteCount: type.width)
      guard isText || type.isInteger else { throw call.wrong(0, wanted: "a String, a FixedString or an integer") }
      let width = type.width
      return try call.result([x], .string) { call in
        let slices = call.slices(0, width: width)
        written(&call) { row, writer in
          let slice = slices[row]
          if isText {
            for index in 0..<slice.count { writer.append(hex: slice[index]) }
          } else {
            // The highest byte first, without zeros before it.
            var index = width - 1
            while index > 0, slice[index] == 0 { index -= 1 }
            while index >= 0 {
              writer.append(hex: slice[index])
              index -= 1
            }
          }
        }
      }
    },
    Function("unhex", "(s)", 1...1) { (call) throws(ExpressionProblem) in
      try decoded(call) { slice, writer in
        guard slice.count % 2 == 0 else { return false }
        for index in stride(from: 0, to: slice.count, by: 2) {
          let (high, low) = (hexDigit(slice[index]), hexDigit(slice[index + 1]))
          guard high < 16, low < 16 else { return false }
          writer.append(high << 4 | low)
        }
        return true
      }
    },
    Function("base64Encode", "(s)", 1...1) { (call) throws(ExpressionProblem) in
      try call.result([call.text(0)], .string) { call in
        let slices = call.slices(0)
        written(&call) { row, writer in
          let slice = slices[row]
          for start in stride(from: 0, to: slice.count, by: 3) {
            let count = min(3, slice.count - start)
            var bits = UInt32(slice[start]) << 16
            if count > 1 { bits |= UInt32(slice[start + 1]) << 8 }
            if count > 2 { bits |= UInt32(slice[start + 2]) }
            for place in 0..<4 {
              writer.append(place > count ? UInt8(ascii: "=") : base64Letters[Int(bits >> UInt32(18 - 6 * place) & 63)])
            }
          }
        }
      }
    },
    Function("base64Decode", "(s)", 1...1) { (call) throws(ExpressionProblem) in
      try decoded(call) { slice, writer in
        guard slice.count % 4 == 0 else { return false }
        for start in stride(from: 0, to: slice.count, by: 4) {
          let isLast = start + 4 == slice.count
          let count = isLast && slice[start + 3] == UInt8(ascii: "=") ? slice[start + 2] == UInt8(ascii: "=") ? 1 : 2 : 3
          var bits: UInt32 = 0
          for place in 0..<(count + 1) {
            let value = base64Values[Int(slice[start + place])]
            guard value < 64 else { return false }
            bits |= UInt32(value) << UInt32(18 - 6 * place)
          }
          // What the last letter has beyond whole bytes must be zero.
          guard count == 3 || bits & (count == 2 ? 0xFF : 0xFFFF) == 0 else { return false }
          for place in 0..<count { writer.append(UInt8(truncatingIfNeeded: bits >> UInt32(16 - 8 * place))) }
        }
        return true
      }
    },
  ]

  private static let base64Letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  /// By letter; 64 for what is none.
  private static let base64Values: [UInt8] = {
    var values = [UInt8](repeating: 64, count: 256)
    for (value, letter) in base64Letters.enumerated() { values[Int(letter)] = UInt8(value) }
    return values
  }()

  /// A text from a text; where `body` gives false the row fails.
  private static func decoded(_ call: Call, _ body: @escaping @Sendable (Slice, inout TextWriter) -> Bool) throws(ExpressionProblem) -> Node
  {
    try call.result([call.text(0)], .string) { call in
      let slices = call.slices(0)
      var writer = call.textWriter()
      call.rows.each { row in
        if body(slices[row], &writer) {
          writer.end(row, &call)
        } else {
          writer.drop()
          call.fail(row, .invalidText)
        }
      }
      writer.finish(&call)
    }
  }
}

extension TextWriter {
  mutating func append(hex byte: UInt8) {
    append(TextOutput.upperHexDigits[Int(byte >> 4)])
    append(TextOutput.upperHexDigits[Int(byte & 15)])
  }
}
