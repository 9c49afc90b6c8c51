internal import MillBase

/// A table as ClickHouse names it: database and table, each any text.
package struct TableName: Hashable, Sendable, CustomStringConvertible {
  package var database: String
  package var table: String

  package init(database: String, table: String) {
    self.database = database
    self.table = table
  }

  /// `database.table`; a part that isn't a plain word stands in backticks. ``init(_:)`` reads it back. It stands in logs and is compared
  /// with those of older releases: it never changes.
  package var description: String { "\(Self.readable(database)).\(Self.readable(table))" }

  /// Both parts in backticks, as every statement has them.
  package var quoted: String { "\(SQL.name(database)).\(SQL.name(table))" }

  /// Reads what ``description`` writes; nil for anything else.
  package init?(_ text: String) {
    var rest = Array(text.utf8)[...]
    guard let database = Self.part(&rest), rest.popFirst() == UInt8(ascii: "."), let table = Self.part(&rest), rest.isEmpty else {
      return nil
    }
    self.init(database: database, table: table)
  }

  private static func readable(_ part: String) -> String { SQL.isPlainWord(part) ? part : SQL.quote(part, with: "`", showsBytes: false) }

  private static func part(_ rest: inout ArraySlice<UInt8>) -> String? {
    var bytes: [UInt8] = []
    if rest.first != UInt8(ascii: "`") {
      while let byte = rest.first, byte != UInt8(ascii: ".") {
        bytes.append(byte)
        rest.removeFirst()
      }
      let word = String(decoding: bytes, as: UTF8.self)
      return SQL.isPlainWord(word) ? word : nil
    }
    rest.removeFirst()
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "`") { return String(decoding: bytes, as: UTF8.self) }
      guard byte == UInt8(ascii: "\\") else {
        bytes.append(byte)
        continue
      }
      guard let escaped = rest.popFirst() else { return nil }
      bytes.append(SQL.unescaped(escaped))
    }
    return nil
  }
}

/// How names and texts stand in a statement, the same for every version of the server.
package enum SQL {
  /// `name` in backticks.
  package static func name(_ name: String) -> String { quote(name, with: "`") }

  /// `text` as a string literal.
  package static func text(_ text: String) -> String { quote(text, with: "'") }

  /// Whether `word` is an identifier that needs no backticks.
  package static func isPlainWord(_ word: String) -> Bool {
    guard let first = word.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
    return word.utf8.allSatisfy {
      switch $0 {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
      default: $0 == UInt8(ascii: "_")
      }
    }
  }

  /// The byte that `\` and `byte` stand for, in names, string literals and TabSeparated alike.
  package static func unescaped(_ byte: UInt8) -> UInt8 {
    switch byte {
    case UInt8(ascii: "n"): UInt8(ascii: "\n")
    case UInt8(ascii: "t"): UInt8(ascii: "\t")
    case UInt8(ascii: "r"): UInt8(ascii: "\r")
    case UInt8(ascii: "b"): 8
    case UInt8(ascii: "f"): 12
    case UInt8(ascii: "0"): 0
    default: byte
    }
  }

  /// `showsBytes`: what can't be seen stands as `\xHH`.
  fileprivate static func quote(_ text: String, with mark: Unicode.Scalar, showsBytes: Bool = true) -> String {
    var quoted = String(mark)
    for scalar in text.unicodeScalars {
      switch scalar {
      case mark, "\\": quoted.unicodeScalars.append(contentsOf: ["\\", scalar])
      case "\n": quoted += "\\n"
      case "\t": quoted += "\\t"
      case "\r": quoted += "\\r"
      case "\u{8}": quoted += "\\b"
      case "\u{c}": quoted += "\\f"
      case "\0": quoted += "\\0"
      // What can't be seen would be shown as something else, and an ALTER that is printed must be one that can be copied.
      case _ where showsBytes && !isHarmless(scalar):
        for byte in String(scalar).utf8 { quoted += "\\x" + zeroPadded(String(byte, radix: 16, uppercase: true), 2) }
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    quoted.unicodeScalars.append(mark)
    return quoted
  }
}
