/// The columns that an expression needs, in the server's own words, as `system.tables.partition_key` has it.
///
/// A column may be used whole or by a subcolumn (`r.null`, `a.size0`, `t.x`, `t.1`, `m.keys`, `j.path`), under names with dots of their own
/// (`n.a`), in backticks, one part or all of it. In doubt a column counts as used.
package enum KeyColumns {
  package static func used(by expression: String, among columns: [String]) -> Set<String> {
    var used: Set<String> = []
    for path in paths(in: expression) {
      let known = columns.filter { path == $0 || path.hasPrefix($0 + ".") }
      // None: what a Nested's columns have in common.
      let first = path.prefix { $0 != "." } + "."
      used.formUnion(known.isEmpty ? columns.filter { $0.hasPrefix(first) } : known)
    }
    return used
  }

  /// Names with what stands behind their dots, without backticks; no functions, no texts. Numbers are names that no column has.
  static func paths(in expression: String) -> [String] {
    var paths: [String] = []
    var rest = Array(expression.utf8)[...]
    while let byte = rest.first {
      if byte == UInt8(ascii: "'") {
        _ = quoted(&rest)
        continue
      }
      let isQuoted = byte == UInt8(ascii: "`") || byte == UInt8(ascii: "\"")
      guard let name = part(&rest) else {
        rest.removeFirst()
        continue
      }
      var path = name
      while rest.first == UInt8(ascii: ".") {
        rest.removeFirst()
        // A JSON's subobject and a type within it: j.^a, j.a.:Int64
        if let mark = rest.first, mark == UInt8(ascii: "^") || mark == UInt8(ascii: ":") { rest.removeFirst() }
        path += "." + (part(&rest) ?? "")
      }
      let isFunction = !isQuoted && path == name && rest.first == UInt8(ascii: "(")
      if !isFunction { paths.append(path) }
    }
    return paths
  }

  private static func part(_ rest: inout ArraySlice<UInt8>) -> String? {
    if rest.first == UInt8(ascii: "`") || rest.first == UInt8(ascii: "\"") { return quoted(&rest) }
    var bytes: [UInt8] = []
    while let byte = rest.first, SQL.isPlainWord("_" + String(decoding: [byte], as: UTF8.self)) {
      bytes.append(byte)
      rest.removeFirst()
    }
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
  }

  /// What stands between quotes, which may be doubled within or have a backslash before them.
  private static func quoted(_ rest: inout ArraySlice<UInt8>) -> String {
    guard let quote = rest.popFirst() else { return "" }
    var bytes: [UInt8] = []
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "\\"), let escaped = rest.popFirst() {
        bytes.append(SQL.unescaped(escaped))
      } else if byte != quote {
        bytes.append(byte)
      } else if rest.first == quote {
        bytes.append(quote)
        rest.removeFirst()
      } else {
        break
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
