extension TypeReader {
  /// `('a' = 1, 'b' = 2)`; without numbers they count on from the first one's, or from 1. `Enum` is the narrower one that holds them.
  mutating func enumeration(_ name: String) throws(TypeProblem) -> DataType {
    guard take("(") else { throw problem("\(name) needs its names, as in \(name)('new' = 1, 'paid' = 2)") }
    let range = name == "Enum8" ? -128...127 : -32_768...32_767
    var elements: [EnumNames.Element] = []
    var numbered = 0
    var isFirstNumbered = false
    repeat {
      let text = try quoted("a name of \(name)")
      var value = (elements.last.map { Int($0.value) } ?? 0) + 1
      if take("=") {
        value = try number("the number of '\(String(decoding: text, as: UTF8.self))'", in: range)
        numbered += 1
        isFirstNumbered = isFirstNumbered || elements.isEmpty
      }
      guard range.contains(value) else { throw problem("\(name) holds the numbers \(range.lowerBound)...\(range.upperBound)") }
      elements.append(EnumNames.Element(value: Int16(value), name: text))
    } while take(",")
    guard numbered == 0 || numbered == elements.count || numbered == 1 && isFirstNumbered else {
      throw problem("some names of \(name) have a number and some have none: number all, the first one or none")
    }
    try expect(")", after: "the names of \(name)")
    guard let names = EnumNames(elements) else { throw problem("a name or a number of \(name) stands twice") }
    let isNarrow = elements.allSatisfy { (-128...127).contains($0.value) }
    return name == "Enum8" || name == "Enum" && isNarrow ? .enum8(names) : .enum16(names)
  }

  /// A text in single quotes, with ClickHouse's escapes.
  private mutating func quoted(_ what: String) throws(TypeProblem) -> [UInt8] {
    guard take("'") else { throw problem("\(what) stands in single quotes, as in 'new'") }
    var text: [UInt8] = []
    while index < bytes.count {
      let byte = bytes[index]
      index += 1
      switch byte {
      case UInt8(ascii: "'"):
        // Two quotes are one.
        guard index < bytes.count, bytes[index] == UInt8(ascii: "'") else { return text }
        index += 1
        text.append(byte)
      case UInt8(ascii: "\\"):
        guard index < bytes.count else { break }
        text.append(unescapedLetter(bytes[index]))
        index += 1
      default: text.append(byte)
      }
    }
    throw problem("the closing quote of \(what) is missing")
  }
}

/// What ClickHouse's `\letter` stands for.
private func unescapedLetter(_ letter: UInt8) -> UInt8 {
  escapes.first { $0.letter == letter }?.byte ?? letter
}

private let escapes: [(letter: UInt8, byte: UInt8)] = [
  (UInt8(ascii: "b"), 8), (UInt8(ascii: "f"), 12), (UInt8(ascii: "n"), 10), (UInt8(ascii: "r"), 13), (UInt8(ascii: "t"), 9),
  (UInt8(ascii: "0"), 0),
]

extension EnumNames: CustomStringConvertible {
  /// `'a' = 1, 'b' = 2`, as ClickHouse prints it.
  package var description: String {
    elements.map { element in
      var text: [UInt8] = []
      for byte in element.name {
        if let escape = escapes.first(where: { $0.byte == byte }) {
          text += [UInt8(ascii: "\\"), escape.letter]
        } else {
          if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\\") { text.append(UInt8(ascii: "\\")) }
          text.append(byte)
        }
      }
      return "'\(String(decoding: text, as: UTF8.self))' = \(element.value)"
    }.joined(separator: ", ")
  }
}
