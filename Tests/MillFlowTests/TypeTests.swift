import MillBase
import MillFlow
import Testing

/// Wide numbers, addresses, enums, arrays and maps; what is simpler stands in ``ValueTests``.
struct TypeTests {
  private static let nines76 = String(repeating: "9", count: 76)
  private static let max256 = "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

  /// Little endian, as a column has it.
  private static func reversed(_ hex: String) -> String {
    stride(from: hex.count - 2, through: 0, by: -2).map { String(hex.dropFirst($0).prefix(2)) }.joined()
  }

  @Test(arguments: [
    ("Int128", "170141183460469231731687303715884105727", "170141183460469231731687303715884105727"),
    ("Int128", "170141183460469231731687303715884105728", "out_of_range"),
    ("Int128", "-170141183460469231731687303715884105728", "-170141183460469231731687303715884105728"),
    ("Int128", "-170141183460469231731687303715884105729", "out_of_range"),
    ("UInt128", "340282366920938463463374607431768211455", "340282366920938463463374607431768211455"),
    ("UInt128", "340282366920938463463374607431768211456", "out_of_range"), ("UInt128", "-1", "out_of_range"), ("UInt128", "-0", "0"),
    ("UInt128", "\"9007199254740993\"", "9007199254740993"), ("UInt128", "9007199254740993.000e0", "9007199254740993"),
    ("UInt128", "1e38", "100000000000000000000000000000000000000"), ("UInt128", "1e39", "out_of_range"),
    ("UInt128", "1e400", "out_of_range"),
    ("UInt128", "0e400", "0"), ("UInt128", "1e999999999999999999999", "out_of_range"),
    ("UInt128", "1e-999999999999999999999", "loses_digits"),
    ("UInt128", "1.5", "loses_digits"), ("UInt128", "100e-2", "1"), ("UInt128", "120e-2", "loses_digits"),
    ("Int256", "57896044618658097711785492504343953926634992332820282019728792003956564819967", reversed(max256)),
    ("Int256", "57896044618658097711785492504343953926634992332820282019728792003956564819968", "out_of_range"),
    ("Int256", "-57896044618658097711785492504343953926634992332820282019728792003956564819968", String(repeating: "0", count: 62) + "80"),
    ("Int256", "-57896044618658097711785492504343953926634992332820282019728792003956564819969", "out_of_range"),
    ("UInt256", "115792089237316195423570985008687907853269984665640564039457584007913129639935", String(repeating: "f", count: 64)),
    ("UInt256", "115792089237316195423570985008687907853269984665640564039457584007913129639936", "out_of_range"),
    ("UInt256", String(repeating: "9", count: 100_000), "out_of_range"), ("UInt256", "true", "wrong_type"),
    ("UInt256", "\"1 \"", "not_a_number"),
    ("Decimal(38, 0)", String(repeating: "9", count: 38), "ffffffff3f228a097ac4865aa84c3b4b"),
    ("Decimal(38, 0)", "1" + String(repeating: "0", count: 38), "out_of_range"), ("Decimal(38, 38)", "1", "out_of_range"),
    ("Decimal(38, 38)", "0." + String(repeating: "9", count: 39), "loses_digits"), ("Decimal(38, 38)", "-0.1e1", "out_of_range"),
    ("Decimal(19, 2)", "0.1", "0a" + String(repeating: "0", count: 30)),
    ("Decimal(19, 2)", "\"-0.1\"", "f6" + String(repeating: "f", count: 30)),
    ("Decimal(19, 2)", "0.100", "0a" + String(repeating: "0", count: 30)), ("Decimal(19, 2)", "0.101", "loses_digits"),
    ("Decimal(19, 2)", "1e400", "out_of_range"), ("Decimal(19, 2)", "-0", String(repeating: "0", count: 32)),
    ("Decimal(19, 2)", "99999999999999999.99", "ffffe7890423c78a0000000000000000"),
    ("Decimal(19, 2)", "100000000000000000", "out_of_range"),
    ("Decimal(76, 0)", nines76, "ffffffffffffffffff0f9571f1a57577792965e8abb46407b5159911a7cc1b16"),
    ("Decimal(76, 0)", nines76 + "0", "out_of_range"), ("Decimal(76, 76)", "0." + nines76 + "1", "loses_digits"),
  ])
  func `a wide number is kept exactly or is an error`(type: String, json: String, expected: String) throws {
    #expect(try read(type, "{\"v\":\(json)}") == expected)
  }

  @Test(arguments: [
    ("FixedString(3)", #""abc""#, "616263"), ("FixedString(3)", #""é""#, "c3a900"), ("FixedString(3)", #""""#, "000000"),
    ("FixedString(3)", #""abcd""#, "out_of_range"), ("FixedString(3)", #""\u0061b""#, "616200"), ("FixedString(3)", "1", "wrong_type"),
    ("Nullable(FixedString(2))", "null", "NULL"),
    ("IPv4", #""0.0.0.0""#, "0"), ("IPv4", #""255.255.255.255""#, "4294967295"), ("IPv4", #""1.2.3.4""#, "16909060"),
    ("IPv4", #""1.2.3.256""#, "invalid_ip"), ("IPv4", #""1.2.3""#, "invalid_ip"), ("IPv4", #""1.2.3.4.5""#, "invalid_ip"),
    ("IPv4", #""01.2.3.4""#, "invalid_ip"), ("IPv4", #""1.2.3.4 ""#, "invalid_ip"), ("IPv4", #""1..3.4""#, "invalid_ip"),
    ("IPv4", #""::1""#, "invalid_ip"), ("IPv4", "16909060", "wrong_type"), ("IPv4", #""""#, "invalid_ip"),
    ("IPv6", #""::""#, "00000000000000000000000000000000"), ("IPv6", #""::1""#, "00000000000000000000000000000001"),
    ("IPv6", #""2001:DB8::8a2e:370:7334""#, "20010db80000000000008a2e03707334"),
    ("IPv6", #""1:2:3:4:5:6:7::""#, "00010002000300040005000600070000"),
    ("IPv6", #""1:2:3:4:5:6:7:8""#, "00010002000300040005000600070008"), ("IPv6", #""::ffff:1.2.3.4""#, "00000000000000000000ffff01020304"),
    ("IPv6", #""1:2:3:4:5:6:1.2.3.4""#, "00010002000300040005000601020304"), ("IPv6", #""1.2.3.4""#, "00000000000000000000ffff01020304"),
    ("IPv6", #""1:2:3:4:5:6:7""#, "invalid_ip"), ("IPv6", #""1:2:3:4:5:6:7:8:9""#, "invalid_ip"), ("IPv6", #""1::2::3""#, "invalid_ip"),
    ("IPv6", #"":1:2:3:4:5:6:7""#, "invalid_ip"), ("IPv6", #""1:2:3:4:5:6:7:""#, "invalid_ip"), ("IPv6", #""12345::""#, "invalid_ip"),
    ("IPv6", #""fe80::1%eth0""#, "invalid_ip"), ("IPv6", #""1:2:3:4:5:6:7::8""#, "invalid_ip"),
    ("IPv6", #""1:2:3:4:5:6:7:1.2.3.4""#, "invalid_ip"),
    ("IPv6", #"":::""#, "invalid_ip"), ("IPv6", #""::1.2.3.4.5""#, "invalid_ip"), ("IPv6", #""g::""#, "invalid_ip"),
    ("Date32", #""1900-01-01""#, "-25567"), ("Date32", #""1899-12-31""#, "out_of_range"), ("Date32", #""2299-12-31""#, "120529"),
    ("Date32", #""2300-01-01""#, "out_of_range"), ("Date32", #""1969-12-31""#, "-1"), ("Date32", #""1900-02-29""#, "invalid_date"),
    ("Enum8('a' = -128, 'é' = 127)", #""a""#, "-128"), ("Enum8('a' = -128, 'é' = 127)", #""é""#, "127"),
    ("Enum8('a' = -128, 'é' = 127)", #""e\u0301""#, "unknown_name"), ("Enum8('a' = -128, 'é' = 127)", "-128", "-128"),
    ("Enum8('a' = -128, 'é' = 127)", "1.27e2", "127"), ("Enum8('a' = -128, 'é' = 127)", "0", "unknown_name"),
    ("Enum8('a' = -128, 'é' = 127)", "384", "unknown_name"), ("Enum8('a' = -128, 'é' = 127)", #""A""#, "unknown_name"),
    ("Enum8('a' = -128, 'é' = 127)", #""127""#, "unknown_name"), ("Enum8('a' = -128, 'é' = 127)", "true", "wrong_type"),
    ("Enum16('x' = -32768, '' = 1, 'xy' = 32767)", #""""#, "1"), ("Enum16('x' = -32768, '' = 1, 'xy' = 32767)", #""xy""#, "32767"),
    ("Enum16('x' = -32768, '' = 1, 'xy' = 32767)", #""\u0078""#, "-32768"), ("Enum16('x' = 1)", "1e400", "out_of_range"),
  ])
  func `a value of fixed width is kept exactly or is an error`(type: String, json: String, expected: String) throws {
    #expect(try read(type, "{\"v\":\(json)}") == expected)
  }

  @Test(arguments: [
    ("Array(UInt8)", "[]", "00"), ("Array(UInt8)", " [ 1 ,\n2 ] ", "020102"), ("Array(UInt8)", "[1, \"255\", 1e1]", "0301ff0a"),
    ("Array(UInt8)", "[1, 256]", "out_of_range"), ("Array(UInt8)", "[1, null]", "null_item"), ("Array(UInt8)", "1", "wrong_type"),
    ("Array(UInt8)", "{\"a\":1}", "wrong_type"), ("Array(UInt8)", "null", "missing_field"), ("Array(UInt8)", "\"[1]\"", "wrong_type"),
    ("Array(UInt8)", "[[1]]", "wrong_type"), ("Array(UInt8)", "[1,]", "malformed_json"),
    ("Array(Nullable(Int16))", "[null, -1]", "020100ffff"), ("Array(String)", #"["a\"]", "", "é\n"]"#, "030361225d0003c3a90a"),
    ("Array(String)", "[\"\(String(repeating: "x", count: 200))\"]", "01c801" + String(repeating: "78", count: 200)),
    ("Array(Array(Bool))", "[[], [true, false], [ ]]", "030002010000"), ("Array(Array(Bool))", "[null]", "null_item"),
    ("Array(LowCardinality(Nullable(String)))", #"["a", null]"#, "0200016101"),
    ("Array(Enum8('a' = 1))", #"["a", 1]"#, "020101"), ("Array(Enum8('a' = 1))", #"["b"]"#, "unknown_name"),
    ("Array(Decimal(38, 2))", "[0.1]", "010a" + String(repeating: "0", count: 30)), ("Array(Decimal(38, 2))", "[0.001]", "loses_digits"),
    ("Array(DateTime('Europe/Berlin'))", #"["2024-07-01 12:00:00"]"#, "01207e8266"),
    ("Array(DateTime('Europe/Berlin'))", #"["2024-03-31 02:30:00"]"#, "no_such_local_time"),
    ("Map(String, UInt8)", "{}", "00"), ("Map(String, UInt8)", #"{ "a" : 1 , "" : 2 }"#, "020161010002"),
    ("Map(String, UInt8)", #"{"a": 1, "b": 2, "\u0061": 3}"#, "02016202016103"), ("Map(String, UInt8)", "[1]", "wrong_type"),
    ("Map(String, UInt8)", #"{"a": null}"#, "null_item"), ("Map(String, UInt8)", #"{"a": "x"}"#, "not_a_number"),
    ("Map(String, Array(Nullable(UInt8)))", #"{"k": [null, 7], "l": []}"#, "02016b02010007016c00"),
    ("Map(String, Map(String, String))", #"{"a": {"x": "1", "x": "2"}}"#, "0101610101780132"),
  ])
  func `an array or object is kept item by item, or is an error`(type: String, json: String, expected: String) throws {
    #expect(try read(type, "{\"v\":\(json), \"w\":0}") == expected)
  }

  @Test func `of a repeated key among many the last value counts`() throws {
    let entries = (0..<3000).map { "\"k\($0 % 1000)\": \($0 / 1000)" }.joined(separator: ",")
    let all = try read("Map(String, UInt8)", "{\"v\":{\(entries)}}")
    let last = try read("Map(String, UInt8)", "{\"v\":{\((0..<1000).map { "\"k\($0)\": 2" }.joined(separator: ","))}}")
    #expect(all == last)
  }

  @Test func `items are read as the field says, and a null in the place of an array takes the default`() throws {
    #expect(try read("Array(DateTime)", "{\"v\":[1700000000.9]}", format: .unixSeconds, truncate: true) == "0100f15365")
    #expect(try read("Array(String)", "{\"v\":[1.50, {\"a\": [1]}]}", coerce: true) == "0204312e35300a7b2261223a205b315d7d")
    #expect(try read("Array(UInt8)", "{\"v\":null}", default: "[1, 2]") == "020102")
    #expect(try read("Map(String, UInt8)", "{}", default: " {\"a\": 1} ") == "01016101")
    #expect(try read("Enum8('a' = 1)", "{}", default: "1") == "1")
    #expect(try read("Enum8('1' = 5)", "{}", default: "1") == "5")
    #expect(try read("IPv6", "{}", default: "::1") == "00000000000000000000000000000001")
    #expect(try read("Int256", "{}", default: "-1") == String(repeating: "f", count: 64))
    for text in ["[256]", "[1", "[1], \"v\": [2]", "1", "", "null"] {
      #expect(throws: PlanProblem.self, "\(text)") { try field("Array(UInt8)", default: text) }
    }
  }

  @Test func `an error in an array names the place of the item`() throws {
    let (_, failures) = decode(try source([field("Array(UInt8)")]), [Record("{\"v\":[1, 2, 300]}")])
    #expect(
      failures.map(\.detail) == [
        "the value is out of the type's range; field 'v' of type Array(UInt8), value '[1, 2, 300]', at byte 12 of the record"
      ])
  }

  @Test func `metadata is read into the types that can hold it, and refused by name for others`() throws {
    let plan = try source([
      field("Int256", name: "o", from: .metadata(.offset)), field("UInt128", name: "p", from: .metadata(.partition)),
      field("UInt256", name: "t", from: .metadata(.timestamp)), field("Date32", name: "d", from: .metadata(.timestamp), truncate: true),
      field("IPv6", name: "k", from: .metadata(.key)), field("Enum8('b' = 7)", name: "h", from: .metadata(.header("h"))),
    ])
    var record = Record("{}")
    record.key = Array("::2".utf8)
    record.headers = [1, 0, 0x68, 1, 0, 0, 0, 0x62]
    let (rows, failures) = decode(plan, [record], partition: 3)
    #expect(failures.isEmpty)
    let number = { (value: String) in value + String(repeating: "0", count: 64 - value.count) }
    #expect(
      rows.block.columns.map { text($0, 0) } == [
        number("00"), "3", number("0068e5cf8b01"), "19675", "00000000000000000000000000000002", "7",
      ])
    for (type, source) in [
      ("Array(String)", FieldSource.metadata(.key)), ("Map(String, String)", .metadata(.header("h"))),
      ("Decimal(38, 0)", .metadata(.offset)), ("Date32", .metadata(.timestamp)), ("FixedString(3)", .metadata(.topic)),
    ] {
      #expect(throws: PlanProblem.self, "\(type)") { try field(type, from: source) }
    }
  }

  @Test func `a date before 1970 is an event time`() throws {
    let plan = try source([field("Date32")], eventTime: EventTimePlan(fieldIndex: 0, outOfOrderness: 0, idleAfter: 0))
    let (rows, failures) = decode(plan, [Record("{\"v\":\"1969-12-30\"}")])
    #expect(failures.isEmpty)
    #expect(unsafe Array(rows.eventTimes.raw.bindMemory(to: Int64.self)) == [-172_800_000])
  }

  @Test func `a record that fails behind an array leaves nothing of it`() throws {
    let plan = try source([field("Array(String)", name: "a"), field("Int8", name: "b")])
    let records = ["{\"a\":[\"x\"],\"b\":1}", "{\"a\":[\"lost\"],\"b\":1000}", "{\"a\":[\"y\", \"z\"],\"b\":2}"]
    let (rows, failures) = decode(plan, records.map { Record($0) })
    #expect(failures.map(\.entryIndex) == [1])
    #expect((0..<2).map { text(rows.block.columns[0], $0) } == ["010178", "020179017a"])
  }
}
