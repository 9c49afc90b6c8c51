/// A piece of an expression's text.
struct Token {
  enum Kind: Equatable {
    /// A number, an operator or a bracket: its text tells.
    case number, sign
    /// A word, which may be a keyword; in backticks it isn't.
    case word, quotedWord
    /// A string without its quotes.
    case string([UInt8])
    case end
  }

  var kind: Kind
  /// As it stands in the text; of a word in backticks what is between them.
  var text: String
  var offset: Int
  /// Byte offset behind it.
  var end: Int
}

/// Cuts a text into tokens.
struct Lexer {
  private let text: String
  private let bytes: [UInt8]
  private var index = 0

  init(_ text: String) {
    self.text = text
    self.bytes = Array(text.utf8)
  }

  static func tokens(_ text: String) throws(ExpressionProblem) -> [Token] {
    var lexer = Lexer(text)
    var tokens: [Token] = []
    while true {
      let token = try lexer.next()
      tokens.append(token)
      if token.kind == .end { return tokens }
    }
  }

  private func problem(_ message: String, at offset: Int) -> ExpressionProblem {
    ExpressionProblem(message: message, text: text, offset: offset)
  }

  private mutating func next() throws(ExpressionProblem) -> Token {
    while index < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[index]) { index += 1 }
    let start = index
    guard index < bytes.count else { return Token(kind: .end, text: "", offset: start, end: start) }
    let byte = bytes[index]
    switch byte {
    case _ where isDigit(byte): return try number()
    case UInt8(ascii: "."):
      if index + 1 < bytes.count, isDigit(bytes[index + 1]) {
        throw problem("a number begins with a digit: write 0\(preview(start))", at: start)
      }
      return sign(1)
    case UInt8(ascii: "'"): return try string()
    case UInt8(ascii: "`"): return try quotedWord()
    case UInt8(ascii: "\""): throw problem("a text stands in single quotes, a name in backticks", at: start)
    case _ where isWordStart(byte):
      while index < bytes.count, isWordStart(bytes[index]) || isDigit(bytes[index]) { index += 1 }
      return Token(kind: .word, text: slice(start, index), offset: start, end: index)
    default:
      let pair = slice(start, min(start + 2, bytes.count))
      if ["==", "!=", "<>", "<=", ">=", "||", "::"].contains(pair) { return sign(2) }
      if "+-*/%()[],=<>$".utf8.contains(byte) { return sign(1) }
      throw problem("\(unexpected(start)) has no meaning here", at: start)
    }
  }

  private mutating func sign(_ count: Int) -> Token {
    let start = index
    index += count
    return Token(kind: .sign, text: slice(start, index), offset: start, end: index)
  }

  private mutating func number() throws(ExpressionProblem) -> Token {
    let start = index
    skipDigits()
    if index + 1 < bytes.count, bytes[index] == UInt8(ascii: "."), isDigit(bytes[index + 1]) {
      index += 1
      skipDigits()
    }
    if index < bytes.count, bytes[index] | 0x20 == UInt8(ascii: "e") {
      var behind = index + 1
      if behind < bytes.count, bytes[behind] == UInt8(ascii: "+") || bytes[behind] == UInt8(ascii: "-") { behind += 1 }
      if behind < bytes.count, isDigit(bytes[behind]) {
        index = behind
        skipDigits()
      }
    }
    if index < bytes.count, isWordStart(bytes[index]) {
      throw problem("the number \(slice(start, index)) runs into '\(preview(index))'", at: index)
    }
    return Token(kind: .number, text: slice(start, index), offset: start, end: index)
  }

  private mutating func skipDigits() { while index < bytes.count, isDigit(bytes[index]) { index += 1 } }

  /// `''` in it is one quote; a backslash is itself.
  private mutating func string() throws(ExpressionProblem) -> Token {
    let start = index
    var value: [UInt8] = []
    index += 1
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "'") {
        guard index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "'") else {
          index += 1
          return Token(kind: .string(value), text: slice(start, index), offset: start, end: index)
        }
        index += 1
      }
      value.append(bytes[index])
      index += 1
    }
    throw problem("the closing quote of this text is missing", at: start)
  }

  private mutating func quotedWord() throws(ExpressionProblem) -> Token {
    let start = index
    index += 1
    while index < bytes.count, bytes[index] != UInt8(ascii: "`") { index += 1 }
    guard index < bytes.count else { throw problem("the closing backtick of this name is missing", at: start) }
    index += 1
    guard index - start > 2 else { throw problem("the name in backticks is empty", at: start) }
    return Token(kind: .quotedWord, text: slice(start + 1, index - 1), offset: start, end: index)
  }

  private func slice(_ start: Int, _ end: Int) -> String { String(decoding: bytes[start..<end], as: UTF8.self) }

  private func preview(_ start: Int) -> String { String(slice(start, min(start + 24, bytes.count)).prefix(8)) }

  private func unexpected(_ start: Int) -> String { slice(start, min(start + 8, bytes.count)).first.map { "'\($0)'" } ?? "this" }

  private func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 <= 9 }

  /// ASCII letters, underscore, and all of UTF-8 beyond ASCII.
  private func isWordStart(_ byte: UInt8) -> Bool { byte &- 0x61 < 26 || byte &- 0x41 < 26 || byte == 0x5F || byte >= 0x80 }
}
