/// A pattern of `like`: `%` stands for any text, `_` for one character, `\` takes the meaning from the sign behind it.
enum LikePattern: Sendable {
  /// The text itself, and whether anything may stand before it and behind it.
  case literal([UInt8], openStart: Bool, openEnd: Bool)
  case regex(Regex)

  init(_ pattern: [UInt8], ignoresCase: Bool) throws(Regex.Problem) {
    if !ignoresCase, let simple = Self.simple(pattern) {
      self = simple
    } else {
      self = .regex(try Regex(Self.regex(pattern), ignoresCase: ignoresCase))
    }
  }

  /// Nil where signs stand inside.
  private static func simple(_ pattern: [UInt8]) -> LikePattern? {
    var text = pattern[...]
    let openStart = text.first == UInt8(ascii: "%")
    while text.first == UInt8(ascii: "%") { text = text.dropFirst() }
    let openEnd = openStart && text.isEmpty || text.last == UInt8(ascii: "%")
    while text.last == UInt8(ascii: "%") { text = text.dropLast() }
    guard !text.contains(where: { [UInt8(ascii: "%"), UInt8(ascii: "_"), UInt8(ascii: "\\")].contains($0) }) else { return nil }
    return .literal(Array(text), openStart: openStart, openEnd: openEnd)
  }

  private static func regex(_ pattern: [UInt8]) -> [UInt8] {
    var result: [UInt8] = Array("^".utf8)
    var index = 0
    func quote(_ byte: UInt8) {
      if #"\.+*?()|[]{}^$-"#.utf8.contains(byte) { result.append(UInt8(ascii: "\\")) }
      result.append(byte)
    }
    while index < pattern.count {
      let byte = pattern[index]
      switch byte {
      case UInt8(ascii: "%"): result += Array(".*".utf8)
      case UInt8(ascii: "_"): result.append(UInt8(ascii: "."))
      case UInt8(ascii: "\\"):
        let next = index + 1 < pattern.count ? pattern[index + 1] : nil
        if let next, [UInt8(ascii: "%"), UInt8(ascii: "_"), UInt8(ascii: "\\")].contains(next) {
          quote(next)
          index += 1
        } else {
          // Before any other sign it is itself.
          quote(byte)
        }
      default: quote(byte)
      }
      index += 1
    }
    return result + Array("$".utf8)
  }

  @inline(__always)
  func matches(_ text: Slice) -> Bool {
    switch self {
    case .regex(let regex): return regex.matches(text)
    case .literal(let bytes, let openStart, let openEnd):
      return unsafe bytes.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress, buffer.count > 0 else { return openStart || openEnd || text.count == 0 }
        let part = unsafe Slice(base: base, count: buffer.count)
        switch (openStart, openEnd) {
        case (false, false): return text.isEqual(part)
        case (false, true): return text.count >= part.count && text.part(0, part.count).isEqual(part)
        case (true, false): return text.count >= part.count && text.part(text.count - part.count, text.count).isEqual(part)
        case (true, true): return text.firstIndex(of: part, from: 0) != nil
        }
      }
    }
  }
}
