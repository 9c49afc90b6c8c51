import MillBase
import MillFlow
import Testing

struct ValueTests {
  @Test(arguments: [
    ("Int64", "1.0", "1"), ("Int64", "1e3", "1000"), ("Int64", "1200e-2", "12"), ("Int64", "-0", "0"), ("Int64", "\"42\"", "42"),
    ("Int64", "9007199254740993", "9007199254740993"), ("Int64", "9223372036854775807", "9223372036854775807"),
    ("Int64", "-9223372036854775808", "-9223372036854775808"), ("Int64", "9223372036854775808", "out_of_range"),
    ("UInt64", "18446744073709551615", "18446744073709551615"), ("UInt64", "18446744073709551616", "out_of_range"),
    ("UInt64", "99999999999999999999", "out_of_range"), ("UInt64", "184467440737095516150e-1", "18446744073709551615"),
    ("UInt64", "-1", "out_of_range"), ("UInt8", "255", "255"), ("UInt8", "256", "out_of_range"), ("UInt8", "300", "out_of_range"),
    ("Int8", "-128", "-128"), ("Int8", "-129", "out_of_range"), ("Int8", "128", "out_of_range"), ("Int16", "-32768", "-32768"),
    ("Int32", "2147483648", "out_of_range"), ("UInt32", "4294967295", "4294967295"), ("Int64", "1.5", "loses_digits"),
    ("Int64", "1e-1", "loses_digits"), ("Int64", "0e999999999999999999999", "0"), ("Int64", "1e999999999999999999999", "out_of_range"),
    ("Int64", "1e-999999999999999999999", "loses_digits"), ("Int64", "\" 1\"", "not_a_number"), ("Int64", "\"1 \"", "not_a_number"),
    ("Int64", "\"\"", "not_a_number"), ("Int64", "\"+1\"", "not_a_number"), ("Int64", "\"0x1\"", "not_a_number"),
    ("Int64", "\"01\"", "not_a_number"),
    ("Int64", "\"\\u0031\"", "1"), ("Int64", "true", "wrong_type"), ("Int64", "[1]", "wrong_type"),
    ("Decimal(18, 2)", "0.1", "10"), ("Decimal(18, 2)", "1234567890123456.78", "123456789012345678"),
    ("Decimal(18, 18)", "0.123456789012345678", "123456789012345678"), ("Decimal(18, 0)", "999999999999999999", "999999999999999999"),
    ("Decimal(18, 0)", "1000000000000000000", "out_of_range"), ("Decimal(18, 2)", "0.100", "10"),
    ("Decimal(18, 2)", "0.101", "loses_digits"),
    ("Decimal(18, 2)", "\"-12.5\"", "-1250"), ("Decimal(9, 4)", "99999.9999", "999999999"), ("Decimal(9, 4)", "100000", "out_of_range"),
    ("Decimal(18, 2)", "1e400", "out_of_range"),
    ("Decimal(18, 2)", "12345678901234567.0000000000000000000000000000000000000", "out_of_range"),
    ("Decimal(18, 2)", "1234567890123456.0000000000000000000000000000000000001", "loses_digits"), ("Decimal(18, 2)", "-0.0", "0"),
    ("Float64", "0.1", "0.1"), ("Float64", "-0", "-0.0"), ("Float64", "-0.0", "-0.0"), ("Float64", "1e400", "out_of_range"),
    ("Float64", "1e-400", "0.0"),
    ("Float64", "9007199254740993", "9007199254740992.0"), ("Float64", "1.7976931348623157e308", "1.7976931348623157e+308"),
    ("Float64", "2.2250738585072011e-308", "2.225073858507201e-308"), ("Float64", "5e-324", "5e-324"),
    ("Float64", "\"123456.789e3\"", "123456789.0"),
    ("Float64", "0.500000000000000166533453693773481063544750213623046875", "0.5000000000000002"), ("Float32", "16777217", "16777216.0"),
    ("Float32", "1e39", "out_of_range"), ("Float32", "0.1", "0.1"), ("Float32", "1.00000017881393432617187499", "1.0000001"),
    ("Float64", "\"NaN\"", "not_a_number"), ("Float64", "\"Infinity\"", "not_a_number"),
    ("Bool", "true", "true"), ("Bool", "false", "false"), ("Bool", "1", "wrong_type"), ("Bool", "\"true\"", "wrong_type"),
    ("UUID", "\"61f0c404-5CB3-11e7-907b-a6006ad3dba0\"", "61f0c4045cb311e7907ba6006ad3dba0"),
    ("UUID", "\"61f0c4045cb311e7907ba6006ad3dba0\"", "invalid_uuid"),
    ("UUID", "\"61f0c404-5cb3-11e7-907b-a6006ad3dbag\"", "invalid_uuid"),
    ("UUID", "\"{61f0c404-5cb3-11e7-907b-a6006ad3dba}\"", "invalid_uuid"),
    ("UUID", "1", "wrong_type"), ("LowCardinality(Nullable(String))", "\"x\"", "x"), ("LowCardinality(Nullable(String))", "null", "NULL"),
    ("Nullable(Int8)", "null", "NULL"), ("Nullable(Int8)", "5", "5"), ("Nullable(UUID)", "null", "NULL"),
  ])
  func `a value is kept exactly or is an error`(type: String, json: String, expected: String) throws {
    #expect(try read(type, "{\"v\":\(json)}") == expected)
  }

  @Test(arguments: [
    ("1", "1"), ("1.50e3", "1.50e3"), ("true", "true"), ("[1, {\"a\":2}]", "[1, {\"a\":2}]"), ("{\"a\": null}", "{\"a\": null}"),
    ("\"\\u0041\"", "A"),
    ("null", "missing_field"),
  ])
  func `coerce takes any other value than a string as its source text`(json: String, expected: String) throws {
    #expect(try read("String", "{\"v\":\(json)}", coerce: true) == expected)
  }

  @Test(arguments: [
    ("Int64", "7", "7"), ("String", "x y", "x y"), ("Date", "1970-01-11", "10"), ("Bool", "true", "true"), ("Float64", "0.5", "0.5"),
  ])
  func `a default stands in for a missing value and for null, and is read like one`(type: String, text: String, expected: String) throws {
    #expect(try read(type, "{}", default: text) == expected)
    #expect(try read(type, "{\"v\":null}", default: text) == expected)
    #expect(try read("Nullable(\(type))", "{}", default: text) == "NULL")
  }

  @Test(arguments: [("Int8", "300"), ("Int64", "x"), ("Date", "2023-02-29"), ("Bool", "1"), ("UUID", "")])
  func `a default that the field would not take is refused`(type: String, text: String) {
    #expect(throws: PlanProblem.self) { try field(type, default: text) }
  }

  @Test(arguments: [
    ("Date", "1970-01-01", "0"), ("Date", "2024-02-29", "19782"), ("Date", "2023-02-29", "invalid_date"),
    ("Date", "1900-02-28", "out_of_range"),
    ("Date", "2149-06-06", "65535"), ("Date", "2149-06-07", "out_of_range"), ("Date", "2000-02-29", "11016"),
    ("Date", "2100-02-29", "invalid_date"),
    ("Date", "2024-01-01T00:00:00Z", "19723"), ("Date", "2024-01-01T00:00:01Z", "loses_digits"), ("Date", "2024-1-1", "invalid_date"),
    ("DateTime", "1970-01-01 00:00:01", "1"), ("DateTime", "1970-01-01T00:00:01Z", "1"), ("DateTime", "1970-01-01T02:00:01+02:00", "1"),
    ("DateTime", "1970-01-01T02:00:01+0200", "1"), ("DateTime", "1970-01-01T02:00:01+02", "1"),
    ("DateTime", "1969-12-31T23:00:01-01:00", "1"),
    ("DateTime", "1970-01-01T00:01", "60"), ("DateTime", "1970-01-02", "86400"), ("DateTime", "2106-02-07 06:28:15", "4294967295"),
    ("DateTime", "2106-02-07 06:28:16", "out_of_range"), ("DateTime", "1969-12-31 23:59:59", "out_of_range"),
    ("DateTime", "1970-01-01 00:00:01.5", "loses_digits"), ("DateTime", "1970-01-01 00:00:60", "invalid_date"),
    ("DateTime", "1970-01-01 24:00:00", "invalid_date"),
    ("DateTime", "1970-01-01  00:00:00", "invalid_date"), ("DateTime", "1970-01-01T00:00:00z", "invalid_date"),
    ("DateTime", "1970-01-01T00:00:00.Z", "invalid_date"),
    ("DateTime", "1970-13-01 00:00:00", "invalid_date"), ("DateTime", "1970-00-01 00:00:00", "invalid_date"),
    ("DateTime", "1970-01-00 00:00:00", "invalid_date"),
    ("DateTime", "1970-01-01 00:00:00 UTC", "invalid_date"), ("DateTime", "", "invalid_date"), ("DateTime", "1700000000", "invalid_date"),
    ("DateTime64(3)", "1970-01-01 00:00:01.5", "1500"), ("DateTime64(3)", "1970-01-01T00:00:01,25Z", "1250"),
    ("DateTime64(3)", "1970-01-01 00:00:00.1234", "loses_digits"),
    ("DateTime64(9)", "1970-01-01 00:00:00.123456789", "123456789"), ("DateTime64(0)", "1970-01-01 00:00:07", "7"),
    ("DateTime64(3)", "1969-12-31 23:59:59.999", "-1"),
    ("DateTime64(3)", "1900-01-01 00:00:00", "-2208988800000"), ("DateTime64(3)", "1899-12-31 23:59:59", "out_of_range"),
    ("DateTime64(3)", "2299-12-31 23:59:59.999", "10413791999999"), ("DateTime64(3)", "2300-01-01 00:00:00", "out_of_range"),
    ("DateTime64(9)", "2262-04-11 23:47:16", "9223372036000000000"), ("DateTime64(9)", "2262-04-11 23:47:17", "out_of_range"),
    ("DateTime('Europe/Berlin')", "2024-07-01 12:00:00", "1719828000"), ("DateTime('Europe/Berlin')", "2024-01-01 12:00:00", "1704106800"),
    ("DateTime('Europe/Berlin')", "2024-07-01T12:00:00Z", "1719835200"),
    ("DateTime('Europe/Berlin')", "2024-03-31 02:30:00", "no_such_local_time"),
    ("DateTime('Europe/Berlin')", "2024-10-27 02:30:00", "1729989000"), ("DateTime('Europe/Berlin')", "2060-07-01 12:00:00", "2855901600"),
    ("DateTime('America/New_York')", "2050-12-01 12:00:00", "2553526800"),
    ("DateTime('Asia/Kolkata')", "2050-01-01 05:30:00", "2524608000"),
    ("DateTime64(3, 'Australia/Lord_Howe')", "2030-01-01 11:00:00.001", "1893456000001"),
    ("DateTime('Europe/Dublin')", "2040-07-01 01:00:00", "2224713600"),
  ])
  func `dates and times are taken as ISO 8601 or as ClickHouse writes them, in the type's zone or UTC`(
    type: String, time: String, expected: String
  ) throws {
    #expect(try read(type, "{\"v\":\(time.quoted)}") == expected)
  }

  @Test(arguments: [
    ("DateTime", FieldFormat.unixSeconds, "1700000000", false, "1700000000"),
    ("DateTime", .unixMilliseconds, "1700000000000", false, "1700000000"),
    ("DateTime", .unixMilliseconds, "1700000000001", false, "loses_digits"),
    ("DateTime", .unixMilliseconds, "1700000000001", true, "1700000000"),
    ("DateTime64(3)", .unixSeconds, "1.5", false, "1500"), ("DateTime64(3)", .unixMicroseconds, "-1", true, "-1"),
    ("DateTime64(3)", .unixMicroseconds, "-1", false, "loses_digits"),
    ("DateTime64(9)", .unixNanoseconds, "1700000000123456789", false, "1700000000123456789"),
    ("DateTime64(3)", .unixSeconds, "1e20", false, "out_of_range"),
    ("DateTime64(3)", .unixMilliseconds, "-9223372036854775807", false, "out_of_range"),
    ("DateTime64(3)", .unixMilliseconds, "9223372036854775807", false, "out_of_range"),
    ("DateTime64(9)", .unixNanoseconds, "-9223372036854775808", false, "out_of_range"),
    ("DateTime64(9)", .unixSeconds, "-9223372036.854775807", false, "out_of_range"),
    ("DateTime64(9)", .unixNanoseconds, "-2208988800000000000", false, "-2208988800000000000"),
    ("DateTime64(9)", .unixNanoseconds, "-1", false, "-1"),
    ("DateTime", .unixMilliseconds, "-9223372036854775807", true, "out_of_range"),
    ("Date", .unixSeconds, "-9223372036854775807", false, "loses_digits"),
    ("Date", .unixSeconds, "-9223372036854775808", true, "out_of_range"),
    ("Date32", .unixSeconds, "-9223372036854775807", false, "loses_digits"),
    ("Date32", .unixSeconds, "-86400", false, "-1"), ("Date32", .unixSeconds, "-86401", false, "loses_digits"),
    ("Date32", .unixSeconds, "-86401", true, "-2"),
    ("DateTime", .iso8601, "1700000000", false, "wrong_type"), ("Date", .unixSeconds, "86400", false, "1"),
    ("Date", .unixSeconds, "86401", false, "loses_digits"),
    ("Date", .unixSeconds, "86401", true, "1"), ("DateTime", .unixSeconds, "\"1700000000\"", false, "invalid_date"),
    ("DateTime", .unixSeconds, "\"1970-01-01T00:00:05Z\"", false, "5"),
    ("DateTime", .iso8601, "\"1970-01-01 00:00:01.999\"", true, "1"),
    ("DateTime64(3)", .iso8601, "\"1969-12-31 23:59:59.9999\"", true, "-1"),
    ("Date", .iso8601, "\"1970-01-02T23:59:59.9Z\"", true, "1"),
  ])
  func `numbers are times only by a unix format, and digits are dropped only by truncate`(
    type: String, format: FieldFormat, json: String, truncate: Bool, expected: String
  ) throws {
    #expect(try read(type, "{\"v\":\(json)}", format: format, truncate: truncate) == expected)
  }

  @Test func `an event time too far ahead of the record's timestamp is an error of the record`() throws {
    let plan = try source(
      [field("DateTime64(3)")], eventTime: EventTimePlan(fieldIndex: 0, outOfOrderness: 0, idleAfter: 0, maxAhead: 1000))
    var records = ["1970-01-01T00:00:02.000Z", "1970-01-01T00:00:02.001Z", "1970-01-01T00:00:00Z"].map { Record("{\"v\":\"\($0)\"}") }
    for index in records.indices { records[index].timestamp = 1000 }
    records.append(records[2])
    records[3].timestamp = -1
    let (rows, failures) = decode(plan, records)
    #expect(failures.map(\.reason) == [.aheadOfTimestamp, .noTimestamp])
    #expect(failures.map(\.entryIndex) == [1, 3])
    #expect(unsafe Array(rows.eventTimes.raw.bindMemory(to: Int64.self)) == [2000, 0])
  }

  @Test func `an event time too far ahead of the epoch's clock is one too, whatever timestamp its producer gave it`() throws {
    func reasons(_ measuresClock: Bool, clock: Int64) throws -> [DecodeReason] {
      let plan = try source(
        [field("DateTime64(3)")],
        eventTime: EventTimePlan(fieldIndex: 0, outOfOrderness: 0, idleAfter: 0, maxAhead: 1000, measuresClock: measuresClock))
      var record = Record("{\"v\":\"1970-01-01T08:00:00Z\"}")
      record.timestamp = 8 * 3_600_000
      return decode(plan, [record], clock: clock).failures.map(\.reason)
    }
    #expect(try reasons(true, clock: 8 * 3_600_000 - 1000) == [])
    #expect(try reasons(true, clock: 8 * 3_600_000 - 1001) == [.aheadOfClock])
    #expect(try reasons(false, clock: 0) == [])
    let plan = try source(
      [field("DateTime64(3)")], eventTime: EventTimePlan(fieldIndex: 0, outOfOrderness: 0, idleAfter: 0, maxAhead: 1000))
    var record = Record("{\"v\":\"1970-01-01T00:00:09Z\"}")
    record.timestamp = 9_000
    #expect(
      decode(plan, [record], clock: 7).failures.first?.detail.hasSuffix("; the clock of its epoch was 7 ms")
        == true)
  }

  @Test func `key, timestamp, topic, partition, offset and headers are fields too`() throws {
    let plan = try source([
      field("Int32", name: "k", from: .metadata(.key), default: "-1"), field("DateTime64(3)", name: "at", from: .metadata(.timestamp)),
      field("LowCardinality(String)", name: "topic", from: .metadata(.topic)), field("UInt16", name: "p", from: .metadata(.partition)),
      field("UInt64", name: "o", from: .metadata(.offset)), field("Nullable(String)", name: "h", from: .metadata(.header("h"))),
    ])
    var record = Record("{}")
    record.key = Array("12".utf8)
    // Name count, name, value count, value; the last header of a name counts.
    record.headers = [1, 0, 0x68, 1, 0, 0, 0, 0x61, 1, 0, 0x68, 1, 0, 0, 0, 0x62, 1, 0, 0x69, 0xFF, 0xFF, 0xFF, 0xFF]
    var keyless = Record("{}")
    keyless.timestamp = 5
    var bad = record
    bad.key = Array("x".utf8)
    let (rows, failures) = decode(plan, [record, keyless, bad], partition: 3)
    #expect(rows.block.columns.map { text($0, 0) } == ["12", "1700000000000", "t", "3", "0", "b"])
    #expect(rows.block.columns.map { text($0, 1) } == ["-1", "5", "t", "3", "1", "NULL"])
    #expect(failures.map(\.reason) == [.notANumber])
    #expect(failures.map(\.field) == [0])
  }
}
