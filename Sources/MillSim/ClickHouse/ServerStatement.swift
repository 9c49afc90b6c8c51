/// What the simulated server understands of a statement, read by code of its own.
enum ServerStatement: Equatable {
  /// `looks`: nil for `INSERT … FORMAT Native`; else whether only what the table lacks is inserted.
  case insert(columns: [String])
  case guardedInsert(columns: [String], deadline: Int64, lacking: Lacking?)
  case serverTime
  case granted
  case count(provenance: String)
  case running(prefix: String)
  case kill(prefix: String)
  case greatest(from: String, below: String)
  /// SYSTEM SYNC REPLICA.
  case catchUp
  case version, settings, tablesColumns, windows, processes, describe, nothing
  case table(columns: [String])
  /// Row numbers of the body's block by table partition.
  case rowsByPartition
  /// What the provenances begin with, so many bytes of them.
  case writers(byteCount: Int)

  /// The second condition of a guarded insert.
  struct Lacking: Equatable {
    var provenance: String
    /// Empty: looked at as a whole (`count() = 0`).
    var partitionKey: String
  }

  private enum Token: Equatable {
    case word(String)
    case name(String)
    case text(String)
    case symbol(UInt8)
  }

  /// Nil for what isn't one of the statements that the sink's documentation lists.
  init?(_ sql: String) {
    guard let tokens = Self.tokens(sql) else { return nil }
    var parser = Parser(tokens: tokens[...])
    guard let statement = parser.statement(), parser.tokens.isEmpty else { return nil }
    self = statement
  }

  private static func tokens(_ sql: String) -> [Token]? {
    var tokens: [Token] = []
    let bytes = Array(sql.utf8)
    var at = 0
    func isWord(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "_"):
        true
      default: false
      }
    }
    while at < bytes.count {
      let first = bytes[at]
      var end = at + 1
      switch first {
      case UInt8(ascii: " "), UInt8(ascii: "\n"): break
      case UInt8(ascii: "`"), UInt8(ascii: "'"):
        var value: [UInt8] = []
        while end < bytes.count, bytes[end] != first {
          if bytes[end] == UInt8(ascii: "\\") {
            end += 1
            guard end < bytes.count else { return nil }
          }
          value.append(bytes[end])
          end += 1
        }
        guard end < bytes.count else { return nil }
        end += 1
        let text = String(decoding: value, as: UTF8.self)
        tokens.append(first == UInt8(ascii: "`") ? .name(text) : .text(text))
      case let byte where isWord(byte):
        while end < bytes.count, isWord(bytes[end]) { end += 1 }
        tokens.append(.word(String(decoding: bytes[at..<end], as: UTF8.self)))
      default: tokens.append(.symbol(first))
      }
      at = end
    }
    return tokens
  }

  private struct Parser {
    var tokens: ArraySlice<Token>

    mutating func statement() -> ServerStatement? {
      if take("INSERT INTO") { return insert() }
      if take("KILL QUERY WHERE startsWith ( query_id ,") {
        guard let prefix = text(), take(") SYNC FORMAT TabSeparated") else { return nil }
        return .kill(prefix: prefix)
      }
      if take("DESCRIBE TABLE") { return table() && take("FORMAT TabSeparated") ? .describe : nil }
      if take("CHECK GRANT INSERT ON") || take("CHECK GRANT SYSTEM SYNC REPLICA ON") { return table() ? .granted : nil }
      if take("SYSTEM SYNC REPLICA") { return table() ? .catchUp : nil }
      guard take("SELECT") else { return nil }
      return select()
    }

    private mutating func insert() -> ServerStatement? {
      guard table(), take("("), let columns = names(), take(")") else { return nil }
      if take("FORMAT Native") { return .insert(columns: columns) }
      guard take("SELECT"), names() == columns, take("FROM batch WHERE now ( ) < toDateTime ("), let deadline = number(), take(")") else {
        return nil
      }
      guard !tokens.isEmpty else { return .guardedInsert(columns: columns, deadline: deadline, lacking: nil) }
      guard take("AND") else { return nil }
      if take("throwIf (") {
        guard typeCheck() == columns else { return nil }
        guard take("AND") else { return .guardedInsert(columns: columns, deadline: deadline, lacking: nil) }
      }
      if take("( SELECT count ( ) FROM") {
        guard let provenance = ofTable(), take(") = 0") else { return nil }
        return .guardedInsert(columns: columns, deadline: deadline, lacking: Lacking(provenance: provenance, partitionKey: ""))
      }
      guard take("("), let key = word(), take(") NOT IN ( SELECT DISTINCT ("), word() == key, take(") FROM"), let provenance = ofTable(),
        take(")")
      else { return nil }
      return .guardedInsert(columns: columns, deadline: deadline, lacking: Lacking(provenance: provenance, partitionKey: key))
    }

    /// The columns whose types are asked for; tables aren't altered here.
    private mutating func typeCheck() -> [String]? {
      guard take("( SELECT count ( ) FROM system . columns WHERE database ="), text() != nil, take("AND table ="), text() != nil,
        take("AND ( name , type ) IN (")
      else { return nil }
      var names: [String] = []
      repeat {
        guard take("("), let name = text(), take(","), text() != nil, take(")") else { return nil }
        names.append(name)
      } while take(",")
      guard take(") ) ! ="), number() == Int64(names.count), take(","), text() != nil, take(") = 0") else { return nil }
      return names
    }

    private mutating func select() -> ServerStatement? {
      if take("toUInt32 ( now ( ) ) , uptime ( ) FORMAT TabSeparated") { return .serverTime }
      if take("version ( ) FORMAT TabSeparated") { return .version }
      if take("name FROM system . settings FORMAT TabSeparated") { return .settings }
      if take("name , value FROM system . merge_tree_settings FORMAT TabSeparated") { return .windows }
      if take("count ( ) FROM system . processes FORMAT TabSeparated") { return .processes }
      if take("name FROM system . columns WHERE database =") {
        return text() == "system" && take("AND table =") && text() == "tables" && take("FORMAT TabSeparated") ? .tablesColumns : nil
      }
      if take("query_id FROM system . processes WHERE startsWith ( query_id ,") {
        guard let prefix = text(), take(") FORMAT TabSeparated") else { return nil }
        return .running(prefix: prefix)
      }
      if take("groupArray ( toUInt32 ( rowNumberInAllBlocks ( ) ) ) FROM batch GROUP BY (") {
        return word() != nil && take(") FORMAT TabSeparated") ? .rowsByPartition : nil
      }
      if take("DISTINCT substring (") {
        guard name() != nil, take(", 1 ,"), let byteCount = number(), take(") FROM"), table(), take("LIMIT"), number() != nil,
          take("FORMAT TabSeparated")
        else { return nil }
        return .writers(byteCount: Int(byteCount))
      }
      if take("count ( ) FROM") {
        guard let provenance = ofTable(), take("FORMAT TabSeparated") else { return nil }
        return .count(provenance: provenance)
      }
      if take("max ( toUInt64OrZero ( substring (") {
        guard name() != nil, take(", - 53 , 20 ) ) ) FROM"), table(), take("WHERE"), name() != nil, take("> ="), let from = text(),
          take("AND"),
          name() != nil,
          take("<"), let below = text(), take("FORMAT TabSeparated")
        else { return nil }
        return .greatest(from: from, below: below)
      }
      guard let columns = names() else { return nil }
      if tokens.dropFirst().first.map({ if case .name = $0 { true } else { false } }) == true {
        return take("FROM") && table() && take("LIMIT 0 FORMAT TabSeparated") ? .nothing : nil
      }
      guard take("FROM system . tables WHERE database ="), text() != nil, take("AND name ="), text() != nil,
        take("FORMAT TabSeparated")
      else { return nil }
      return .table(columns: columns)
    }

    // `db`.`t` WHERE `p` = 'TOKEN'
    private mutating func ofTable() -> String? {
      guard table(), take("WHERE"), name() != nil, take("=") else { return nil }
      return text()
    }

    private mutating func table() -> Bool {
      guard name() != nil, take("."), name() != nil else { return false }
      return true
    }

    private mutating func names() -> [String]? {
      guard let first = name() else { return nil }
      var names = [first]
      while take(",") {
        guard let next = name() else { return nil }
        names.append(next)
      }
      return names
    }

    private mutating func name() -> String? {
      guard case .name(let name)? = tokens.first else { return nil }
      tokens.removeFirst()
      return name
    }

    private mutating func text() -> String? {
      guard case .text(let text)? = tokens.first else { return nil }
      tokens.removeFirst()
      return text
    }

    private mutating func word() -> String? {
      guard case .word(let word)? = tokens.first else { return nil }
      tokens.removeFirst()
      return word
    }

    private mutating func number() -> Int64? { word().flatMap { Int64($0) } }

    // Words and symbols, separated by single spaces; nothing is taken unless all of it stands there.
    private mutating func take(_ pattern: String) -> Bool {
      var at = tokens.startIndex
      var rest = pattern.utf8[...]
      while !rest.isEmpty {
        let part = rest.prefix { $0 != UInt8(ascii: " ") }
        guard at < tokens.endIndex else { return false }
        switch tokens[at] {
        case .word(let word): if !word.utf8.elementsEqual(part) { return false }
        case .symbol(let symbol): if part.first != symbol || part.dropFirst().first != nil { return false }
        case .name, .text: return false
        }
        at += 1
        rest = rest[part.endIndex...].dropFirst()
      }
      tokens = tokens[at...]
      return true
    }
  }
}
