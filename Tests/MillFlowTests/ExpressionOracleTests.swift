import Foundation
import MillBase
import MillFlow
import Testing

/// Random typed expressions over random rows: the evaluator must give what a walker gives that knows nothing of vectors, selections or
/// kernels. `MILLRACE_EXPRESSION_TREES` says how many (default 1,500).
struct ExpressionOracleTests {
  private static let count = ProcessInfo.processInfo.environment["MILLRACE_EXPRESSION_TREES"].flatMap { Int($0) } ?? 1500

  @Test func `the evaluator gives what a naive walk of the tree gives, row by row`() throws {
    var draws = ExpressionDraws(state: 99)
    let fields = Self.fields
    let rowCount = 200
    let rows = (0..<rowCount).map { _ in fields.map { Self.value($0.kind, isNullable: $0.name.hasPrefix("n"), &draws) } }
    let block = Self.block(rows)
    let schema = Schema(zip(fields, block.columns).map { Schema.Field(name: $0.name, type: $1.type) })
    var forest = OracleForest(fields: fields, draws: draws)
    var seen: [String: Int] = [:]
    for number in 0..<Self.count {
      let kind = forest.draws.pick([.bool, .text] + OracleForest.integers)
      let tree = forest.tree(kind, 1 + number % 5)
      let expression = try Expression.parse(tree.text, schema)
      let chosen: [Int32]? = number % 3 == 0 ? (0..<Int32(rowCount)).filter { _ in Bool.random(using: &forest.draws) } : nil
      let found = outcomes(expression, block, rows: chosen)
      for (row, outcome) in found {
        let expected = tree.value(rows[row])
        let text = if case .failed = outcome { "failed" } else { outcome.description }
        guard text != expected.outcome else {
          seen[expected == .failed ? "failed" : expected == .null ? "null" : "value", default: 0] += 1
          continue
        }
        Issue.record("\(tree.text)\nrow \(row): \(rows[row].map(\.outcome)): \(text), expected \(expected.outcome)")
        return
      }
    }
    // The rows must have tried all ways.
    #expect(seen["value", default: 0] > 10_000 && seen["failed", default: 0] > 1000 && seen["null", default: 0] > 1000, "\(seen)")
  }

  private static let fields: [(name: String, kind: OracleTree.Kind)] =
    OracleForest.integers.flatMap { kind -> [(String, OracleTree.Kind)] in
      guard case .integer(let isSigned, let byteCount) = kind else { return [] }
      let name = OracleForest.name(isSigned, byteCount).lowercased()
      return [(name, kind), ("n" + name, kind)]
    } + [("b", .bool), ("nb", .bool), ("s", .text), ("ns", .text)]

  private static func value(_ kind: OracleTree.Kind, isNullable: Bool, _ draws: inout ExpressionDraws) -> OracleValue {
    if isNullable, Int.random(in: 0..<4, using: &draws) == 0 { return .null }
    switch kind {
    case .bool: return .bool(Bool.random(using: &draws))
    case .text: return .text(Array(draws.pick(["", "a", "ab", "b", "ä€", "it's", "0123456789"]).utf8))
    case .integer(let isSigned, let byteCount):
      let range = OracleForest.range(isSigned, byteCount)
      let small = Int128(Int.random(in: -3...9, using: &draws))
      return .integer(draws.pick([range.lowerBound, range.upperBound, range.contains(small) ? small : 0, 0, 1]))
    }
  }

  private static func block(_ rows: [[OracleValue]]) -> RowBlock {
    let types: [DataType] = fields.map { field in
      let bare: DataType =
        switch field.kind {
        case .bool: .bool
        case .text: .string
        case .integer(let isSigned, let byteCount): try! DataType.parse(OracleForest.name(isSigned, byteCount))
        }
      return field.name.hasPrefix("n") ? .nullable(bare) : bare
    }
    let block = RowBlock(types)
    for row in rows {
      for ((field, value), column) in zip(zip(fields, row), block.columns) { append(value, field.kind, to: column) }
    }
    for column in block.columns { column.rowCount = rows.count }
    block.rowCount = rows.count
    return block
  }

  private static func append(_ value: OracleValue, _ kind: OracleTree.Kind, to column: Column) {
    var bytes: [UInt8] = []
    switch value {
    case .bool(let flag): bytes = [flag ? 1 : 0]
    case .text(let text): bytes = text
    case .integer(let number): bytes = (0..<16).map { UInt8(truncatingIfNeeded: number >> Int128(8 * $0)) }
    default: bytes = kind == .text ? [] : [UInt8](repeating: 0, count: 16)
    }
    if case .integer(_, let byteCount) = kind { bytes = Array(bytes.prefix(byteCount)) }
    if kind == .bool { bytes = Array(bytes.prefix(1)) }
    for byte in bytes { column.bytes.append(byte) }
    if kind == .text { column.ends.append(UInt32(column.bytes.count)) }
    if column.isNullable { column.nulls.append(UInt8(value == .null ? 1 : 0)) }
  }
}
