import MillBase
import MillFlow
import Testing

/// Typing, arithmetic, comparisons and logic of expressions, against values worked out by hand.
struct ExpressionTests {
  @Test(arguments: [
    ("1 + 1", "UInt16"), ("1.5", "Decimal(2, 1)"), ("1e3", "Float64"), ("-1", "Int8"), ("300", "UInt16"), ("'a'", "String"),
    ("true", "Bool"), ("toUInt64(1) - toUInt64(2) < 0", "Bool"), ("7 / 2", "Float64"), ("intDiv(7, 2)", "UInt8"),
    ("toInt64(1) + toInt8(1)", "Int64"), ("toUInt8(1) * toInt16(1)", "Int32"), ("toDecimal32(1, 2) * toDecimal64(1, 3)", "Decimal(18, 5)"),
    ("if(true, 1, null)", "Nullable(UInt8)"), ("cast('5' as Int32)", "Int32"), ("try_cast('x' as Int32)", "Nullable(Int32)"),
    ("coalesce(null, 5)", "UInt8"), ("[1, 300]", "Array(UInt16)"), ("null = 1", "Nullable(Bool)"), ("toUInt8(3) % toInt64(2)", "UInt64"),
    ("case when true then 'a' end", "Nullable(String)"), ("toInt8(1)::Decimal(5, 2)", "Decimal(5, 2)"),
  ])
  func `an expression has the type that the rules give it`(_ text: String, _ type: String) throws {
    #expect(try Expression.parse(text, Schema([])).type.description == type, "\(text)")
  }

  @Test(arguments: [
    ("toInt64(9223372036854775807) + 1", FailureCode.overflow), ("toUInt8(300)", .overflow), ("1 / 0", .divisionByZero),
    ("intDiv(1, 0)", .divisionByZero), ("1 % 0", .divisionByZero), ("cast(1.55 as Decimal(9, 1))", .losesDigits),
    ("toDecimal64('1.55', 1)", .losesDigits), ("toDate(70000)", .outOfRange), ("toDateTime(-1)", .outOfRange),
    ("toDateTime(4294967296)", .outOfRange), ("toDate('1960-01-01')", .outOfRange), ("toDate('2149-12-31')", .outOfRange),
    ("toDateTime64('2024-01-01 00:00:00.1239', 3)", .losesDigits), ("sqrt(-1)", .notFinite), ("toInt64('x')", .invalidText),
    ("toInt64(1.5)", .losesDigits), ("negate(toInt8(-128))", .overflow), ("assumeNotNull(cast(null as Nullable(Int8)))", .isNull),
    ("round(toInt8(127), -1)", .overflow), ("intDiv(toInt8(-128), toInt8(-1))", .overflow), ("repeat('a', 20000000)", .tooLong),
    ("toDecimal32(9999999.99, 2) + toDecimal32(9999999.99, 2)", .overflow), ("cast(cast(null as Nullable(Int8)) as Int8)", .isNull),
  ])
  func `what doesn't fit is an error of the row, never another value`(_ text: String, _ code: FailureCode) throws {
    #expect(try given(text) == .failed(code), "\(text)")
  }

  @Test(arguments: [
    ("toUInt64(1) - toUInt64(2)", "-1"), ("toUInt64(18446744073709551615) % toInt8(-3)", "0"),
    ("intDiv(toUInt64(18446744073709551615), toInt64(-3))", "-6148914691236517205"), ("toInt64(-7) % toUInt64(4)", "-3"),
    ("toUInt64(18446744073709551615) + toInt64(-9223372036854775808)", "9223372036854775807"),
    (
      "toInt256('-57896044618658097711785492504343953926634992332820282019728792003956564819968') + 1",
      "-57896044618658097711785492504343953926634992332820282019728792003956564819967"
    ),
    ("toUInt256(2) * toUInt128(340282366920938463463374607431768211455)", "680564733841876926926749214863536422910"),
    ("toDecimal64(1, 2) / toDecimal64(3, 2)", "0.33"), ("cast(-7 as Decimal(9, 0)) / 2", "-3"), ("1.5 + 1", "2.5"),
    ("-2::Int8", "-2"), ("2 - 1 - 1", "0"), ("2 * 3 + 4 % 3", "7"), ("not true or true", "true"), ("- -5", "5"),
    ("if(0 = 0, 0, 1 / 0)", "0"), ("multiIf(false, 1, true, 2, 1 / 0)", "2"), ("coalesce(1, 1 / 0)", "1"),
    ("case 3 when 1 then 'a' when 3 then 'b' else 'c' end", "b"), ("false and 1 / 0 > 1", "false"), ("true or 1 / 0 > 1", "true"),
    ("round(2.5::Float64)", "2"), ("round(2.5)", "3"), ("round(-2.5)", "-3"), ("round(toInt32(25), -1)", "30"),
    ("roundBankers(toInt32(25), -1)", "20"), ("floor(toInt32(-15), -1)", "-20"), ("abs(toInt8(-128))", "128"),
    ("bitShiftLeft(toUInt8(200), 1)", "144"), ("bitXor(toInt8(-1), toUInt8(1))", "-2"), ("greatest(1, 2, 300)", "300"),
    ("interval", "7"), ("1 between 0 and 2", "true"), ("2 in (1, 2)", "true"), ("300 in (1, 2, 300, 4)", "true"),
    ("interval in (1, 300, 7, -1)", "true"), ("'b' in ('a', 'bb', '', 'b')", "true"), ("'c' in ('a', 'bb', '', 'b')", "false"),
    ("toInt64(-5) in (1, 2, 3, -5)", "true"), ("1.5 in (1, 2.25, 1.50)", "true"), ("'b' not in ('a')", "true"),
  ])
  func `values are exact`(_ text: String, _ value: String) throws {
    #expect(try given(text, [("interval", "UInt8", "7")]) == .value(value), "\(text)")
  }

  @Test(arguments: [
    ("null and false", "false"), ("null and true", "NULL"), ("null or true", "true"), ("null or false", "NULL"), ("not null", "NULL"),
    ("2 in (1, null)", "NULL"), ("2 not in (1, null)", "NULL"), ("1 not in (1, null)", "false"), ("null in (null)", "NULL"),
    ("5 in (1, 2, 3, null)", "NULL"), ("2 in (1, 2, 3, null)", "true"),
    ("1 between 0 and null", "NULL"), ("2 between 3 and null", "false"), ("greatest(1, null)", "NULL"), ("if(null, 1, 2)", "2"),
    ("null is null", "true"), ("1 is not null", "true"), ("nullIf(1, 1)", "NULL"), ("nullIf(1, null)", "1"), ("ifNull(null, 'x')", "x"),
    ("try_cast(300 as UInt8)", "NULL"), ("toInt8OrNull('x')", "NULL"), ("case when null then 1 else 2 end", "2"),
  ])
  func `NULL is unknown`(_ text: String, _ value: String) throws {
    #expect(try given(text).description == value, "\(text)")
  }

  @Test(arguments: [
    ("toUInt64(18446744073709551615) > toInt64(-1)", true), ("toInt64(9007199254740993) = toFloat64(9007199254740992)", false),
    ("toInt64(9007199254740993) > toFloat64(9007199254740992)", true), ("x > 0.1", false), ("x = 0.1", true), ("y = 0.1", true),
    ("cast(0.1 as Decimal(18, 17)) = x", false), ("cast(0.1 as Decimal(18, 17)) < x", true),
    ("toDecimal32(1.5, 1) = toDecimal64(1.5, 3)", true),
    ("toDecimal32(1.5, 1) > toInt8(1)", true), ("toInt256(1) = toUInt8(1)", true), ("toUInt256(1) > toInt128(-1)", true),
    ("toDecimal256('-0.5', 70) < toFloat64(-0.25)", true), ("toFloat64(1e300) > toDecimal256(1, 0)", true), ("'a' < 'b'", true),
    ("'ab' > 'a'", true), ("'a' = 'A'", false), ("toInt8(-1) < toUInt8(0)", true), ("1 = 1.0", true), ("1.50 = 1.5", true),
  ])
  func `numbers of any two types are compared exactly`(_ text: String, _ answer: Bool) throws {
    let fields = [(name: "x", type: "Float64", json: "0.1"), (name: "y", type: "Float32", json: "0.1")]
    #expect(try given(text, fields) == .value("\(answer)"), "\(text)")
  }

  @Test func `every row of many pieces gets its own value, and failures name row and place`() throws {
    let block = RowBlock([.int64, .nullable(.string)])
    let count = 10_000
    for row in 0..<count {
      block.columns[0].bytes.append(Int64(row % 100))
      if row % 7 != 0 { Array("t\(row)".utf8).forEach { block.columns[1].bytes.append($0) } }
      block.columns[1].ends.append(UInt32(block.columns[1].bytes.count))
      block.columns[1].nulls.append(UInt8(row % 7 == 0 ? 1 : 0))
    }
    for column in block.columns { column.rowCount = count }
    block.rowCount = count
    let schema = Schema([Schema.Field(name: "n", type: .int64), Schema.Field(name: "t", type: .nullable(.string))])
    let expressions = [try Expression.parse("t || '!'", schema), try Expression.parse("100 / n", schema)]
    #expect(expressions.map(\.fields) == [[1], [0]])
    let columns = expressions.map { Column($0.type) }
    var failures: [RowFailure] = []
    let rows = (0..<count).filter { $0 % 3 != 1 }
    Evaluator(expressions).evaluate(block, rows: rows.map(Int32.init), clock: 0, into: columns, failures: &failures)
    let failed = rows.filter { $0 % 100 == 0 }
    #expect(failures.map(\.row) == failed)
    #expect(failures.allSatisfy { $0.expression == 1 && $0.offset == 4 && $0.code == .divisionByZero })
    let passed = rows.filter { $0 % 100 != 0 }
    #expect(columns.map(\.rowCount) == [passed.count, passed.count])
    #expect(passed.indices.allSatisfy { columns[0].text($0) == (passed[$0] % 7 == 0 ? nil : "t\(passed[$0])!") })
    #expect(passed.indices.allSatisfy { columns[1].text($0) == "\(100 / Double(passed[$0] % 100))".replacing(/\.0$/, with: "") })
  }

  @Test func `a condition keeps the rows for which it is true`() throws {
    let block = RowBlock([.nullable(.int8)])
    let rows: [Int8?] = [0, 1, nil, 5, 10]
    for value in rows {
      block.columns[0].bytes.append(value ?? 0)
      block.columns[0].nulls.append(UInt8(value == nil ? 1 : 0))
    }
    block.columns[0].rowCount = rows.count
    block.rowCount = rows.count
    let evaluator = Evaluator([try Expression.parse("10 / n > 1", Schema([Schema.Field(name: "n", type: .nullable(.int8))]))])
    for _ in 0..<2 {
      var keep: [UInt8] = [7]
      var failures: [RowFailure] = []
      evaluator.passes(block, clock: 0, keep: &keep, failures: &failures)
      #expect(keep == [0, 1, 0, 1, 0])
      #expect(failures.map(\.row) == [0])
    }
  }

  @Test func `texts that pass a register's memory are done in parts`() throws {
    let block = RowBlock([.uint32])
    for row in 0..<64 { block.columns[0].bytes.append(UInt32(row)) }
    block.columns[0].rowCount = 64
    block.rowCount = 64
    let expression = try Expression.parse(
      "length(repeat('0123456789abcdef', 500000 + n))", Schema([Schema.Field(name: "n", type: .uint32)]))
    let found = outcomes(expression, block)
    #expect((0..<64).allSatisfy { found[$0] == .value("\(16 * (500_000 + $0))") })
  }
}
