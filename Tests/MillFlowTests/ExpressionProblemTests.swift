import Foundation
import MillFlow
import Testing

/// What is said about expressions that are none, as a new user would write them.
struct ExpressionProblemTests {
  private static let fields: [(String, DataType)] = [("amount", .int64), ("name", .string), ("at", .dateTime(zone: nil)), ("ok", .bool)]

  @Test(arguments: [
    ("amuont > 1", "1: 'amuont' is no field, did you mean amount?"), ("lenght(name)", "1: 'lenght' is no function, did you mean length?"),
    ("amount + name", "8: '+' takes two numbers, these are Int64 and String; texts are joined by ||"),
    ("(amount + 1", "12: ')' is missing for the '(' at column 1: the text ends here"), ("amount)", "7: this ')' closes nothing"),
    ("1 < 2 < 3", "7: comparisons don't chain: write a < b and b < c"),
    (
      "amount = '10'",
      "8: '=' compares values of one type, these are Int64 and String; take toString of one or a conversion such as toInt64 of the other"
    ),
    ("ok + 1", "4: '+' takes two numbers, these are Bool and UInt8; a Bool is no number: if(x, 1, 0)"),
    ("2 and ok", "1: each side of 'and' must be a Bool, this is UInt8; compare it, as in x != 0"),
    ("concat('a', 1)", "13: concat: argument 2 is UInt8, wanted is a String: toString(x) makes one; it takes (s, …)"),
    ("\"name\"", "1: a text stands in single quotes, a name in backticks"), ("name = 'x", "8: the closing quote of this text is missing"),
    ("if(ok, 1)", "1: if takes 3 arguments, these are 2: if(condition, then, else)"),
    ("null", "1: NULL alone has no type: write cast(null as Nullable(String)), or another type"),
    ("", "1: the expression is empty"), ("amount +", "9: a value is missing: the text ends here"),
    ("amount in ()", "12: the list of 'in' is empty"),
    ("cast(amount as Itn64)", "16: 'Itn64' is no type, did you mean Int64?"),
    ("if(ok, toUInt64(1), toInt64(-1))", "30: the branches have no common type: UInt64 (column 17) and Int64; cast one of them"),
    ("amount is nul", "11: 'null' is missing behind 'is', here is 'nul'"),
    ("at + 1", "4: '+' takes two numbers, these are DateTime and UInt8"),
    ("match(name, name)", "13: match: argument 2 is String, wanted is a regular expression that stands in the text; it takes (s, regex)"),
    ("match(name, '(')", "13: match: the regular expression is wrong: missing ): ("),
    ("reverse(name)", "1: reverse isn't there: it breaks UTF-8, take reverseUTF8"),
    ("amount ; 1", "8: ';' has no meaning here"), ("12abc", "3: the number 12 runs into 'abc'"),
    ("case ok end", "9: 'when' is missing behind 'case', here is 'end'"),
    ("amount amd ok", "8: an operator is missing before 'amd', did you mean and?"),
    ("$offset > 1", "1: '$offset' is no field; there are amount, name, at, ok"),
    (
      "splitByChar(',', cast(name as Nullable(String)))",
      "18: splitByChar takes no value that may be NULL (it is Nullable(String)), since its result, Array(String), can't be: ifNull(x, …) first"
    ),
  ])
  func `the message names the place, what is there and a remedy`(_ text: String, _ message: String) {
    #expect(problem(text, Self.fields) == message)
  }

  @Test func `the caret stands below the place`() throws {
    let error = #expect(throws: ExpressionProblem.self) { try Expression.parse("1 +\n  tä + amuont", Schema([])) }
    #expect(error?.line == 2)
    #expect(error?.picture == "  tä + amuont\n  ^")
  }

  @Test func `size, depth and number of parts have bounds`() {
    #expect(problem(String(repeating: " ", count: 65_537)).contains("65537 bytes, at most 65536"))
    #expect(problem(String(repeating: "(", count: 65) + "1" + String(repeating: ")", count: 65)).contains("nested more than 64 deep"))
    #expect(problem(String(repeating: "(", count: 62) + "1" + String(repeating: ")", count: 62)) == "")
    #expect(problem(String(repeating: "- ", count: 100) + "x").contains("nested more than 64 deep"))
    #expect(problem("1" + String(repeating: " + 1", count: 100)).contains("nested more than 64 deep"))
    #expect(problem("[" + String(repeating: "1,", count: 4096) + "1]").contains("more than 4096 parts"))
    #expect(problem("1 = 1" + String(repeating: " or 1 = 1", count: 500)) == "")
  }

  @Test func `behind a join a name on both sides must be qualified`() throws {
    let schema = Schema([
      Schema.Field(name: "id", type: .int64, side: "left"), Schema.Field(name: "id", type: .string, side: "right"),
      Schema.Field(name: "x", type: .uint8, side: "right"),
    ])
    #expect(try Expression.parse("left.id + x", schema).fields == [0, 2])
    #expect(try Expression.parse("right.id", schema).type == .string)
    let error = #expect(throws: ExpressionProblem.self) { try Expression.parse("id = 1", schema) }
    #expect(error?.message == "both sides of the join have 'id': write left.id or right.id")
  }
}

@Test func `the documentation lists every function`() throws {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  let text = try String(contentsOf: root.appendingPathComponent("docs/expressions.md"), encoding: .utf8)
  #expect(text.contains(FunctionReference.text), "docs/expressions.md must have:\n\(FunctionReference.text)")
  #expect(FunctionReference.names.count > 100 && Set(FunctionReference.names).count == FunctionReference.names.count)
}
