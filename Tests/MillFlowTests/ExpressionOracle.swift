import MillBase
import MillFlow

/// A value as the naive walker has it.
enum OracleValue: Equatable {
  case null
  case bool(Bool)
  case integer(Int128)
  case text([UInt8])
  case failed

  var outcome: String {
    switch self {
    case .null: "NULL"
    case .bool(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .text(let bytes): String(decoding: bytes, as: UTF8.self)
    case .failed: "failed"
    }
  }
}

/// A random expression: its text, its type, and what it gives for a row, worked out value by value without any of the product's code.
struct OracleTree {
  enum Kind: Equatable {
    case integer(isSigned: Bool, byteCount: Int)
    case bool, text
  }

  var text: String
  var kind: Kind
  var value: ([OracleValue]) -> OracleValue
}

/// Draws trees over fields.
struct OracleForest {
  typealias Kind = OracleTree.Kind

  static let integers: [Kind] = [true, false].flatMap { isSigned in [1, 2, 4, 8].map { .integer(isSigned: isSigned, byteCount: $0) } }

  /// Names and types of the fields, in the order of a row's values.
  var fields: [(name: String, kind: Kind)]
  var draws: ExpressionDraws

  static func range(_ isSigned: Bool, _ byteCount: Int) -> ClosedRange<Int128> {
    let power = Int128(1) << Int128(8 * byteCount - (isSigned ? 1 : 0))
    return (isSigned ? -power : 0)...(power - 1)
  }

  static func name(_ isSigned: Bool, _ byteCount: Int) -> String { (isSigned ? "Int" : "UInt") + "\(8 * byteCount)" }

  mutating func tree(_ kind: Kind, _ depth: Int) -> OracleTree {
    if depth == 0 || Int.random(in: 0..<8, using: &draws) == 0 { return leaf(kind) }
    switch Int.random(in: 0..<6, using: &draws) {
    case 0: return choice(kind, depth)
    case 1: return coalesce(kind, depth)
    default:
      switch kind {
      case .bool: return condition(depth)
      case .text: return text(depth)
      case .integer(let isSigned, let byteCount): return integer(isSigned, byteCount, depth)
      }
    }
  }

  private mutating func leaf(_ kind: Kind) -> OracleTree {
    let matching = fields.indices.filter { fields[$0].kind == kind }
    if !matching.isEmpty, Bool.random(using: &draws) || kind == .bool {
      let index = draws.pick(Array(matching))
      return OracleTree(text: fields[index].name, kind: kind, value: { $0[index] })
    }
    switch kind {
    case .bool:
      let value = Bool.random(using: &draws)
      return OracleTree(text: "\(value)", kind: kind, value: { _ in .bool(value) })
    case .text:
      let value = draws.pick(["", "a", "ab", "ä", "it''s"])
      let bytes = Array(value.replacing("''", with: "'").utf8)
      return OracleTree(text: "'\(value)'", kind: kind, value: { _ in .text(bytes) })
    case .integer(let isSigned, let byteCount):
      let range = Self.range(isSigned, byteCount)
      let value = draws.pick([range.lowerBound, range.upperBound, 0, 1, 2, 5, 100].filter { range.contains($0) })
      let name = Self.name(isSigned, byteCount)
      return OracleTree(text: "to\(name)(\(value))", kind: kind, value: { _ in .integer(value) })
    }
  }

  /// Branches are looked at only by the rows that take them.
  private mutating func choice(_ kind: Kind, _ depth: Int) -> OracleTree {
    let (test, first, second) = (tree(.bool, depth - 1), tree(kind, depth - 1), tree(kind, depth - 1))
    let value: ([OracleValue]) -> OracleValue = { row in
      switch test.value(row) {
      case .failed: .failed
      case .bool(true): first.value(row)
      default: second.value(row)
      }
    }
    let text =
      Bool.random(using: &draws)
      ? "if(\(test.text), \(first.text), \(second.text))" : "case when \(test.text) then \(first.text) else \(second.text) end"
    return OracleTree(text: text, kind: kind, value: value)
  }

  private mutating func coalesce(_ kind: Kind, _ depth: Int) -> OracleTree {
    let (first, second) = (tree(kind, depth - 1), tree(kind, depth - 1))
    return OracleTree(text: "coalesce(\(first.text), \(second.text))", kind: kind) { row in
      let value = first.value(row)
      return value == .null ? second.value(row) : value
    }
  }

  private mutating func condition(_ depth: Int) -> OracleTree {
    switch Int.random(in: 0..<6, using: &draws) {
    case 0, 1: return logic(isAll: Bool.random(using: &draws), depth)
    case 2:
      let inner = tree(.bool, depth - 1)
      return OracleTree(text: "not (\(inner.text))", kind: .bool) { row in
        if case .bool(let value) = inner.value(row) { .bool(!value) } else { inner.value(row) }
      }
    case 3:
      let inner = tree(draws.pick([.text, .bool] + Self.integers), depth - 1)
      return OracleTree(text: "(\(inner.text)) is null", kind: .bool) { row in
        let value = inner.value(row)
        return value == .failed ? .failed : .bool(value == .null)
      }
    case 4: return comparison(tree(.text, depth - 1), tree(.text, depth - 1))
    default: return comparison(tree(draws.pick(Self.integers), depth - 1), tree(draws.pick(Self.integers), depth - 1))
    }
  }

  private func logic(_ a: OracleTree, _ b: OracleTree, decides: Bool) -> ([OracleValue]) -> OracleValue {
    { row in
      let left = a.value(row)
      if left == .failed || left == .bool(decides) { return left }
      let right = b.value(row)
      if right == .failed || right == .bool(decides) { return right }
      return left == .null || right == .null ? .null : .bool(!decides)
    }
  }

  private mutating func logic(isAll: Bool, _ depth: Int) -> OracleTree {
    let (a, b) = (tree(.bool, depth - 1), tree(.bool, depth - 1))
    return OracleTree(
      text: "(\(a.text)) \(isAll ? "and" : "or") (\(b.text))", kind: .bool, value: logic(a, b, decides: !isAll))
  }

  private mutating func comparison(_ a: OracleTree, _ b: OracleTree) -> OracleTree {
    let signs: [(String, (Int) -> Bool)] = [
      ("=", { $0 == 0 }), ("!=", { $0 != 0 }), ("<", { $0 < 0 }), ("<=", { $0 <= 0 }), (">", { $0 > 0 }), (">=", { $0 >= 0 }),
    ]
    let (sign, test) = draws.pick(signs)
    return OracleTree(text: "(\(a.text)) \(sign) (\(b.text))", kind: .bool) { row in
      switch (a.value(row), b.value(row)) {
      case (.failed, _), (_, .failed): .failed
      case (.integer(let x), .integer(let y)): .bool(test(x < y ? -1 : x > y ? 1 : 0))
      case (.text(let x), .text(let y)): .bool(test(x == y ? 0 : x.lexicographicallyPrecedes(y) ? -1 : 1))
      default: .null
      }
    }
  }

  private mutating func text(_ depth: Int) -> OracleTree {
    switch Int.random(in: 0..<3, using: &draws) {
    case 0:
      let (a, b) = (tree(.text, depth - 1), tree(.text, depth - 1))
      return OracleTree(text: "(\(a.text)) || (\(b.text))", kind: .text) { row in
        switch (a.value(row), b.value(row)) {
        case (.failed, _), (_, .failed): .failed
        case (.text(let x), .text(let y)): .text(x + y)
        default: .null
        }
      }
    case 1:
      let inner = tree(draws.pick(Self.integers + [.bool]), depth - 1)
      return OracleTree(text: "toString(\(inner.text))", kind: .text) { row in
        switch inner.value(row) {
        case .integer(let value): .text(Array("\(value)".utf8))
        case .bool(let value): .text(Array("\(value)".utf8))
        case let other: other
        }
      }
    default:
      let (a, start) = (tree(.text, depth - 1), Int.random(in: 1...3, using: &draws))
      return OracleTree(text: "substring(\(a.text), \(start))", kind: .text) { row in
        if case .text(let bytes) = a.value(row) { .text(Array(bytes.dropFirst(start - 1))) } else { a.value(row) }
      }
    }
  }

  private mutating func integer(_ isSigned: Bool, _ byteCount: Int, _ depth: Int) -> OracleTree {
    let range = Self.range(isSigned, byteCount)
    // Brought to the wanted type at the end, so that any operation may stand here.
    let inner = Int.random(in: 0..<4, using: &draws) == 0 ? lengthOf(depth) : arithmetic(depth)
    return OracleTree(
      text: "to\(Self.name(isSigned, byteCount))(\(inner.text))", kind: .integer(isSigned: isSigned, byteCount: byteCount)
    ) { row in
      guard case .integer(let value) = inner.value(row) else { return inner.value(row) }
      return range.contains(value) ? .integer(value) : .failed
    }
  }

  private mutating func lengthOf(_ depth: Int) -> OracleTree {
    let inner = tree(.text, depth - 1)
    return OracleTree(text: "length(\(inner.text))", kind: .integer(isSigned: false, byteCount: 8)) { row in
      if case .text(let bytes) = inner.value(row) { .integer(Int128(bytes.count)) } else { inner.value(row) }
    }
  }

  private mutating func arithmetic(_ depth: Int) -> OracleTree {
    let (a, b) = (tree(draws.pick(Self.integers), depth - 1), tree(draws.pick(Self.integers), depth - 1))
    guard case .integer(let signedA, let bytesA) = a.kind, case .integer(let signedB, let bytesB) = b.kind else {
      preconditionFailure("no integers")
    }
    let sign = draws.pick(["+", "-", "*", "%", "intDiv"])
    let isSigned = sign == "%" ? signedA : signedA || signedB || sign == "-"
    let widest = max(bytesA, bytesB)
    let byteCount = sign == "%" ? (signedA ? min(8, 2 * bytesB) : bytesB) : sign == "intDiv" ? bytesA : min(8, 2 * widest)
    let range = Self.range(isSigned, byteCount)
    let text = sign == "intDiv" ? "intDiv(\(a.text), \(b.text))" : "(\(a.text)) \(sign) (\(b.text))"
    return OracleTree(text: text, kind: .integer(isSigned: isSigned, byteCount: byteCount)) { row in
      switch (a.value(row), b.value(row)) {
      case (.failed, _), (_, .failed): return .failed
      case (.integer(let x), .integer(let y)):
        if y == 0, sign == "%" || sign == "intDiv" { return .failed }
        // The product of two UInt64 may pass even 128 bits.
        let (product, isOver) = x.multipliedReportingOverflow(by: y)
        if sign == "*", isOver { return .failed }
        let value = sign == "+" ? x + y : sign == "-" ? x - y : sign == "*" ? product : sign == "%" ? x % y : x / y
        return range.contains(value) ? .integer(value) : .failed
      default: return .null
      }
    }
  }
}
