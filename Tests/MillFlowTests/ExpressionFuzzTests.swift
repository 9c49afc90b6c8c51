import MillBase
import MillFlow
import Testing

/// Texts that are broken at random: each is typed or refused with a place in it, and what is typed runs over rows without a trap.
struct ExpressionFuzzTests {
  private static let seeds = [
    "a + b * 2 - c / 3 % 4", "case when n is null then 'x' when a between 1 and 2 then s else 'y' || s end = 'x'",
    "if(a in (1, 2, null), cast(a as Decimal(18, 2)), 1.5) >= -0.25",
    "toStartOfHour(t) + interval 3 day > toDateTime('2024-01-01 00:00:00')",
    "match(s, '^a.*b$') and s like 'a%' or not (s ilike '%_x')", "splitByChar(',', s)[1] = ifNull(n, 0)::String",
    "try_cast(s as Int64) + toInt8OrNull(s)", "cityHash64(s, a, n) % 16 = 3", "JSONExtractInt(s, 'a', 1) + length(m) > 2",
    "multiIf(a > 1, [1, 2], a < -1, [3], [a])[-1]", "formatDateTime(t, '%F %T') = substring(s, 1, 19)", "m['k'] = `s` and $x is null",
    "round(f, 2) + pow(f, 2) - abs(d) < greatest(a, b, 300)", "dateDiff('day', t, toDateTime64(t, 3)) = 0",
  ]
  private static let pieces = [
    "(", ")", "[", "]", ",", "'", "''", "`", "::", "null", " and ", " or ", "not ", " in ", "1e400", "-", "99999999999999999999999999",
    ".5",
    "interval 1 year", "case", "when", "end", "cast(", " as Nullable(String))", "Decimal(76, 40)", "%", "||", "\u{0}", "é", "--", "$", "a",
    "s",
    "toUInt8(", "if(", "concat(", "Array(UInt8)", "\n", "0", "'\\'", "[0]",
  ]

  @Test func `no mutation of an expression traps, and each refusal names a place in it`() throws {
    let block = try block()
    let schema = Schema(zip(Self.names, block.columns).map { Schema.Field(name: $0, type: $1.type) })
    var draws = ExpressionDraws(state: 7)
    var (typed, refused) = (0, 0)
    for _ in 0..<6000 {
      var bytes = Array(draws.pick(Self.seeds).utf8)
      for _ in 0..<Int.random(in: 0...3, using: &draws) { mutate(&bytes, &draws) }
      let text = String(decoding: bytes, as: UTF8.self)
      do throws(ExpressionProblem) {
        let expression = try Expression.parse(text, schema)
        typed += 1
        #expect(outcomes(expression, block).count == block.rowCount, "\(text)")
      } catch {
        refused += 1
        #expect(!error.message.isEmpty && error.offset <= text.utf8.count && error.line >= 1 && error.column >= 1, "\(text)")
        #expect(error.picture.hasSuffix("^"), "\(text)")
      }
    }
    #expect(typed > 500 && refused > 2000, "\(typed) typed, \(refused) refused")
  }

  private func mutate(_ bytes: inout [UInt8], _ draws: inout ExpressionDraws) {
    if bytes.isEmpty { bytes = Array(Self.seeds[0].utf8) }
    let at = Int.random(in: 0..<bytes.count, using: &draws)
    switch Int.random(in: 0..<6, using: &draws) {
    case 0: bytes[at] = UInt8.random(in: 0x20...0x7E, using: &draws)
    case 1: bytes.remove(at: at)
    case 2: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...12, using: &draws)))
    case 3, 4: bytes.insert(contentsOf: draws.pick(Self.pieces).utf8, at: at)
    default:
      let end = min(bytes.count, at + Int.random(in: 1...20, using: &draws))
      bytes.insert(contentsOf: bytes[at..<end], at: Int.random(in: 0...bytes.count, using: &draws))
    }
  }

  private static let names = ["a", "b", "c", "n", "s", "t", "f", "d", "m", "$x"]

  private func block() throws -> RowBlock {
    let types = [
      "Int64", "UInt64", "Int8", "Nullable(Int32)", "String", "DateTime", "Float64", "Decimal(18, 4)", "Map(String, UInt8)",
      "Nullable(String)",
    ]
    let plans = try zip(Self.names, types).map { try field($1, name: $0 == "$x" ? "x" : $0, from: .path([$0])) }
    let records = [
      #"{"a":1,"b":2,"c":3,"n":null,"s":"a,b","t":"2024-05-01 10:11:12","f":1.5,"d":"2.25","m":{"k":1},"$x":null}"#,
      #"{"a":-9223372036854775808,"b":18446744073709551615,"c":-128,"n":-2147483648,"s":"","t":"1970-01-01 00:00:00","f":-1e308,"d":"-99999999999999.9999","m":{},"$x":""}"#,
      #"{"a":9223372036854775807,"b":0,"c":127,"n":2147483647,"s":"{\"a\":[5]}","t":"2106-02-07 06:28:15","f":1e-320,"d":"0","m":{"a":255,"k":0},"$x":"ä€😀"}"#,
      #"{"a":0,"b":1,"c":0,"n":0,"s":"12","t":"2024-02-29 23:59:59","f":0,"d":"99999999999999.9999","m":{"":7},"$x":"x"}"#,
    ]
    let (rows, failures) = decode(try source(plans), records.map { Record($0) })
    try #require(failures.isEmpty)
    return rows.block
  }
}
