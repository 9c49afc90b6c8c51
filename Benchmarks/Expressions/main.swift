// `millrace-expressions [ROWS]`: what expressions cost, CPU nanoseconds a row of a whole expression, one thread, over blocks of 4,096 rows
// made here. Prints a line an expression. Built with MILLRACE_BENCH=1 only: swift run -c release millrace-expressions
import Glibc
import MillBase
import MillFlow

/// One expression of each class of kernels; what reading its fields and writing its result take is in the figure.
let expressions = [
  "a", "a + b", "a * 2 - b", "a > b", "a > 5 and b < 100", "n + 1", "f * 1.5 > 2", "a / b", "intDiv(a, b)", "d * d + d", "if(a > b, a, b)",
  "case when a < 10 then 'low' when a < 100 then 'middle' else 'high' end", "s", "s = 'transaction-17'", "length(s)", "upper(s)",
  "substring(s, 1, 11)", "s || '-x'", "s like 'trans%'", "s like '%17%'", "match(s, '-[0-9]+$')", "toString(a)", "toInt64(toString(a))",
  "cityHash64(s)", "cityHash64(a)", "toStartOfHour(t)", "toStartOfMonth(t)", "formatDateTime(t, '%F %T')", "splitByChar('-', s)[2]",
  "JSONExtractInt(j, 'a', 'b')", "s in ('a', 'b', 'transaction-17')",
]
let names = ["a", "b", "n", "f", "d", "s", "t", "j"]
let types: [DataType] = [
  .int64, .int64, .nullable(.int64), .float64, .decimal(precision: 18, scale: 2), .string, .dateTime(zone: nil), .string,
]
let rowCount = 4096
let wanted = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 4_000_000
let block = RowBlock(types)
var random = SeededRandom(1)
for row in 0..<rowCount {
  let draw = Int64(random.next() % 1000)
  block.columns[0].bytes.append(draw)
  block.columns[1].bytes.append(1 + draw % 500)
  block.columns[2].bytes.append(draw)
  block.columns[2].nulls.append(UInt8(draw % 10 == 0 ? 1 : 0))
  block.columns[3].bytes.append(Double(draw) / 7)
  block.columns[4].bytes.append(draw * 7)
  append("transaction-\(draw % 100)", to: block.columns[5])
  block.columns[6].bytes.append(UInt32(1_700_000_000 + row * 61))
  append("{\"id\": \"\(draw)\", \"a\": {\"b\": \(draw)}}", to: block.columns[7])
}
for column in block.columns { column.rowCount = rowCount }
block.rowCount = rowCount
let schema = Schema(zip(names, types).map { Schema.Field(name: $0, type: $1) })

func append(_ text: String, to column: Column) {
  for byte in text.utf8 { column.bytes.append(byte) }
  column.ends.append(UInt32(column.bytes.count))
}

func cpuNanoseconds() -> Double {
  var time = timespec()
  unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

for text in expressions {
  do throws(ExpressionProblem) {
    let expression = try Expression.parse(text, schema)
    let evaluator = Evaluator([expression])
    let column = Column(expression.type)
    var failures: [RowFailure] = []
    let rounds = max(1, wanted / rowCount)
    var best = Double.infinity
    // The best of five: others share the machine.
    for _ in 0..<5 {
      let start = cpuNanoseconds()
      for _ in 0..<(rounds / 5 + 1) {
        column.removeAll()
        evaluator.evaluate(block, clock: 0, into: [column], failures: &failures)
      }
      best = min(best, (cpuNanoseconds() - start) / Double((rounds / 5 + 1) * rowCount))
    }
    precondition(failures.isEmpty, "\(text): \(failures[0])")
    print("\((best * 10).rounded() / 10)\t\(text)")
  } catch {
    preconditionFailure("\(text): \(error)")
  }
}
