import MillBase
import MillFlow

/// A small seeded generator (SplitMix64), so that every run draws the same.
struct ExpressionDraws: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  mutating func pick<T>(_ values: [T]) -> T { values[Int.random(in: 0..<values.count, using: &self)] }
}

/// What an expression gives for the rows of a block: texts, nil for NULL, and in place of a value the code of the row's failure.
enum Outcome: Equatable, CustomStringConvertible {
  case value(String)
  case null
  case failed(FailureCode)

  var description: String {
    switch self {
    case .value(let text): text
    case .null: "NULL"
    case .failed(let code): "failed: \(code)"
    }
  }
}

/// Evaluates over all rows of a block, or those that are named.
func outcomes(_ expression: Expression, _ block: RowBlock, rows: [Int32]? = nil, clock: Int64 = 0) -> [Int: Outcome] {
  let column = Column(expression.type)
  var failures: [RowFailure] = []
  Evaluator([expression]).evaluate(block, rows: rows, clock: clock, into: [column], failures: &failures)
  var result: [Int: Outcome] = [:]
  for failure in failures { result[failure.row] = .failed(failure.code) }
  var next = 0
  for row in rows?.map(Int.init) ?? Array(0..<block.rowCount) where result[row] == nil {
    result[row] = column.text(next).map { .value($0) } ?? .null
    next += 1
  }
  precondition(next == column.rowCount, "\(column.rowCount) values for \(next) rows")
  return result
}

/// The outcome of an expression without fields; with a problem its message.
func given(_ text: String, _ fields: [(name: String, type: String, json: String)] = []) throws -> Outcome {
  let plans = try fields.map { try field($0.type, name: $0.name) }
  let expression = try Expression.parse(text, Schema(plans.map { Schema.Field(name: $0.name, type: $0.type) }))
  guard !plans.isEmpty else {
    let block = RowBlock([])
    block.rowCount = 1
    return outcomes(expression, block)[0]!
  }
  let record = "{" + fields.map { "\"\($0.name)\":\($0.json)" }.joined(separator: ",") + "}"
  let (rows, failures) = decode(try source(plans), [Record(record)])
  precondition(failures.isEmpty, "\(record): \(failures)")
  return outcomes(expression, rows.block)[0]!
}

/// What is wrong with an expression; empty where nothing is.
func problem(_ text: String, _ fields: [(String, DataType)] = []) -> String {
  do throws(ExpressionProblem) {
    _ = try Expression.parse(text, Schema(fields.map { Schema.Field(name: $0.0, type: $0.1) }))
    return ""
  } catch {
    return "\(error.column): \(error.message)"
  }
}
