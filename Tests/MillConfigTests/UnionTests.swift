import Foundation
import MillConfig
import MillFlow
import MillOperators
import Testing

/// Two sources of one schema, a union of them, a deduplicate and a table. Tests change one place of it.
let united = """
  pipeline: payments
  kafka:
    brokers: localhost:9092
  sources:
    orders:
      topic: orders
      fields:
        id: String
        amount: Decimal(18, 2)
        at: DateTime64(3)
      event_time: {field: at}
    refunds:
      topic: refunds
      fields:
        at: DateTime64(3)
        id: String
        amount: Decimal(18, 2)
      event_time: {field: at}
  operators:
    unique:
      deduplicate: {input: all, key: [id], within: 24h}
    all:
      union: {inputs: [orders, refunds]}
  sinks:
    table:
      clickhouse:
        input: unique
        url: http://localhost:8123
        table: payments
  """

/// ``united`` with places changed, each one's first; traps where one isn't there.
func united(_ changes: (String, String)...) -> String {
  changes.reduce(united) { text, change in
    guard let place = text.firstRange(of: change.0) else { preconditionFailure("the file has no \(change.0)") }
    return text.replacingCharacters(in: place, with: change.1)
  }
}

@Test func `a union has the fields of all inputs in the first one's order`() throws {
  let pipeline = try read(united)
  #expect(pipeline.sources.map(\.plan.name) == ["orders", "refunds"] && pipeline.nodes.map(\.name) == ["all", "unique"])
  #expect(pipeline.nodes.map(\.inputs) == [["orders", "refunds"], ["all"]])
  #expect(pipeline.schema(of: "unique").fields.map(\.name) == ["id", "amount", "at"])
  guard case .union(let plan) = pipeline.nodes[0] else { throw Missing() }
  #expect(plan.adapters[0] == nil && plan.adapters[1]?.expressions.isEmpty == true)
  #expect(pipeline.deduplicate?.time == .event && pipeline.deduplicate?.key == [0])
  #expect(pipeline.sources(of: "unique") == [0, 1] && pipeline.sources(of: "refunds") == [1])
}

private struct Missing: Error {}

@Test func `a wider type of one input is the union's`() throws {
  let pipeline = try read(
    united(
      ("id: String", "id: LowCardinality(String)"),
      ("      id: String\n      amount: Decimal(18, 2)", "      id: String\n      amount: Nullable(Decimal(20, 4))")))
  #expect(pipeline.schema(of: "all").types.map { "\($0)" } == ["String", "Nullable(Decimal(20, 4))", "DateTime64(3)"])
}

/// What is changed in the file, then the place, a part of the message and of the remedy or nearest name.
private let wrong: [(old: String, new: String, path: String, message: String, help: String)] = [
  ("[orders, refunds]", "[orders]", "operators.all.union.inputs", "two inputs at least, here stand 1", "name a second"),
  ("[orders, refunds]", "[]", "operators.all.union.inputs", "two inputs at least, here stand 0", "name a second"),
  ("[orders, refunds]", "{a: orders}", "operators.all.union.inputs", "a map stands where a list of names", "a list of names"),
  ("[orders, refunds]", "[orders, {a: b}, refunds]", "operators.all.union.inputs[1]", "a map stands where a name", "a name"),
  ("[orders, refunds]", "[orders, refunds, orders]", "operators.all.union.inputs[2]", "stands in the union twice", "name it once"),
  ("[orders, refunds]", "[orders, refund]", "operators.all.union.inputs[1]", "no source or operator of this name", "refunds"),
  ("[orders, refunds]", "[orders, refunds, all]", "operators.all.union.inputs[2]", "can't read itself", "read a source"),
  (
    "[orders, refunds]", "[orders, unique, refunds]", "operators.all.union.inputs[1]", "in a circle: all -> unique -> all", "read a source"
  ),
  ("{inputs: [orders, refunds]}", "{input: orders, inputs: [orders, refunds]}", "operators.all.union.input", "unknown key", "inputs"),
  ("{inputs: [orders, refunds]}", "{inputs: [orders, refunds], on_error: skip}", "operators.all.union.on_error", "unknown key", "inputs"),
  (
    "{inputs: [orders, refunds]}", "{inputs: [orders, other]}\n  other:\n    filter: {input: orders, where: 'true'}", "sources.refunds",
    "nothing reads",
    "input: refunds"
  ),
]

@Test(arguments: wrong.indices) func `what is wrong with a union is told once, with its place and a remedy`(_ index: Int) throws {
  let wrong = wrong[index]
  let found = problems(united((wrong.old, wrong.new)))
  #expect(found.count == 1, "\(found)")
  let problem = try #require(found.first)
  #expect(problem.path == wrong.path && problem.message.contains(wrong.message), "\(problem)")
  #expect(problem.remedy.contains(wrong.help) || problem.nearest == wrong.help, "\(problem)")
}

@Test func `every circle is told, one an operator, and what isn't in one isn't`() {
  let two = united(
    ("[orders, refunds]", "[a, b, orders, refunds]"),
    (
      "sinks:",
      "  a:\n    filter: {input: unique, where: 'true'}\n  b:\n    union: {inputs: [c, b, a]}\n  c:\n    filter: {input: orders, where: 'true'}\nsinks:"
    ))
  let found = problems(two)
  #expect(
    Set(found.map(\.path)) == ["operators.a.filter.input", "operators.b.union.inputs[1]"] && found.count == 2, "\(found)")
  #expect(found.contains { $0.message == "an operator can't read itself" })
}

/// Types of `amount` in the first and the second input that don't meet.
@Test(arguments: [
  ("Int64", "UInt32"), ("UInt32", "Int64"), ("UInt64", "Int64"), ("Int64", "String"), ("String", "Int64"), ("Int32", "Float64"),
  ("Float64", "Decimal(18, 2)"), ("Decimal(18, 2)", "Float32"), ("Decimal(18, 2)", "Decimal(9, 4)"), ("Int64", "Decimal(38, 2)"),
  ("DateTime", "DateTime('Europe/Berlin')"), ("DateTime64(9)", "DateTime64(3)"), ("DateTime64(3)", "DateTime64(9)"),
  ("Date", "DateTime"), ("DateTime('Europe/Berlin')", "DateTime64(3)"), ("Bool", "UInt8"), ("UInt8", "Bool"), ("UUID", "String"),
  ("Enum8('a' = 1)", "Enum8('a' = 1, 'b' = 2)"), ("FixedString(3)", "FixedString(4)"), ("IPv4", "IPv6"),
  ("Nullable(Int64)", "Nullable(String)"), ("Nullable(UInt64)", "Int64"), ("LowCardinality(String)", "UInt16"), ("IPv4", "UUID"),
])
func `types that don't meet are named with both inputs, and the remedy works as it stands`(_ a: String, _ b: String) throws {
  let text = united(("amount: Decimal(18, 2)", "amount: \"\(a)\""), ("amount: Decimal(18, 2)", "amount: \"\(b)\""))
  let found = problems(text)
  #expect(found.map(\.path) == ["operators.all.union.inputs[1]"], "\(found)")
  let problem = try #require(found.first)
  #expect(problem.message.contains("field amount is \(a) in orders and \(b) in refunds") && problem.value == "refunds", "\(problem)")
  let (input, select) = try written(problem.remedy)
  let mended = try remedied(text, input, select)
  #expect(problems(mended) == [], "\(problem.remedy)")
  #expect(try read(mended).schema(of: "all").fields.count == 3)
}

@Test func `where no cast leads, the remedy says where the type stands`() {
  let found = problems(
    united(("amount: Decimal(18, 2)", "amount: Array(Int8)"), ("amount: Decimal(18, 2)", "amount: Array(String)")))
  #expect(found.count == 1 && found.first?.remedy.contains("one type in both") == true, "\(found)")
}

@Test(arguments: [
  ("      id: String\n      amount: Decimal(18, 2)\n    event_time", "      id: String\n    event_time", "amount", 1),
  ("      amount: Decimal(18, 2)\n      at", "      at", "amount", 0),
  (
    "      id: String\n      amount: Decimal(18, 2)\n    event_time",
    "      id: String\n      amount: Decimal(18, 2)\n      \"a b\": \"LowCardinality(String)\"\n    event_time", "a b", 0
  ),
  (
    "      id: String\n      amount: Decimal(18, 2)\n    event_time",
    "      id: String\n      amount: Decimal(18, 2)\n      tags: Array(String)\n    event_time", "tags", 0
  ),
])
func `a field that an input hasn't is named, and each remedy works as it stands`(
  _ old: String, _ new: String, _ field: String, _ index: Int
) throws {
  let text = united((old, new))
  let found = problems(text)
  #expect(found.map(\.path) == ["operators.all.union.inputs[\(index)]"], "\(found)")
  let problem = try #require(found.first)
  #expect(problem.message.contains(" has no \(field), which another input has"), "\(problem)")
  let ways = problem.remedy.components(separatedBy: "; or ")
  #expect(ways.count == (field == "tags" ? 1 : 2), "\(problem.remedy)")
  for way in ways {
    let (input, select) = try written(way)
    #expect(problems(try remedied(text, input, select)) == [], "\(way)")
  }
}

@Test func `fields that several inputs haven't are told for each, beside types that don't meet`() {
  let text = united(
    ("amount: Decimal(18, 2)", "amount: Int64\n      note: String"), ("amount: Decimal(18, 2)", "amount: String\n      extra: String"))
  let found = problems(text)
  #expect(found.map(\.path) == ["operators.all.union.inputs[0]"] + Array(repeating: "operators.all.union.inputs[1]", count: 2), "\(found)")
  #expect(found.first?.message.contains("orders has no extra") == true && found[1].message.contains("refunds has no note"))
}

/// The select of a remedy, and what it reads.
private func written(_ remedy: String) throws -> (input: String, select: String) {
  let start = try #require(remedy.firstRange(of: "select: {input: "))
  let input = remedy[start.upperBound...].prefix { $0 != "," }
  return (String(input), String(remedy[start.lowerBound...]))
}

/// The file with a select in front of one of the union's inputs.
private func remedied(_ text: String, _ input: String, _ select: String) throws -> String {
  let line = try #require(text.split(separator: "\n").first { $0.contains("union: {inputs:") })
  return text.replacing(line, with: line.replacing(input, with: "mended") + "\n  mended:\n    \(select)")
}

@Test func `a deduplicate behind a union runs on event time only where all sources have one`() throws {
  let none = ("\n    event_time: {field: at}\noperators", "\noperators")
  #expect(try read(united(none)).deduplicate?.time == .processing)
  let found = problems(united(none, ("within: 24h", "within: 24h, time: event")))
  #expect(found.map(\.path) == ["operators.unique.deduplicate.time"], "\(found)")
  #expect(found.first?.message == "rows of refunds come here, which has no event_time")
  #expect(found.first?.remedy == "processing, or give sources.refunds an event_time")
  let both = united(none, ("\n    event_time: {field: at}", ""), ("within: 24h", "within: 24h, time: event"))
  #expect(problems(both).first?.message == "rows of orders, refunds come here, which have no event_time")
}
