import MillBase
import MillFlow
import Testing

struct JSONTests {
  @Test(arguments: [
    ("{\"v\":\"a\"}", "a"), (" \t\r\n{ \"v\" : \"a\" } \n", "a"), ("{\"x\":[1,{\"y\":[]}],\"v\":\"a\",\"z\":{}}", "a"),
    ("{\"v\":\"a\",\"v\":\"b\"}", "b"), ("{\"v\":\"\\u0061\\n\\/\\\\\\\"\"}", "a\n/\\\""), ("{\"v\":\"\\ud83d\\ude00\"}", "😀"),
    ("{\"v\":\"\\u0000\"}", "\0"), ("{\"\\u0076\":\"a\"}", "a"), ("{\"v\":\"ä€😀\"}", "ä€😀"), ("{\"v\":\"\"}", ""),
    ("{\"v\":\"0123456789abcdef0123456789abcdef0123456789\"}", "0123456789abcdef0123456789abcdef0123456789"),
    ("{\"vv\":1,\"v\":\"a\"}", "a"), ("{\"n\":-0.5e+10,\"m\":1E-2,\"v\":\"a\"}", "a"), ("{\"\":1,\"v\":\"a\"}", "a"),
  ])
  func `a JSON object is read as RFC 8259 says, the last of repeated keys counts, others are skipped`(json: String, value: String) throws {
    #expect(try read("String", json) == value)
  }

  @Test(arguments: [
    ("", "empty_payload"), (" ", "malformed_json"), ("{", "malformed_json"), ("{}}", "trailing_bytes"),
    ("{\"v\":\"a\"} x", "trailing_bytes"),
    ("{\"v\":\"a\"}\0", "trailing_bytes"), ("{\"v\":\"a\",}", "malformed_json"), ("{,}", "malformed_json"),
    ("{\"v\" \"a\"}", "malformed_json"),
    ("{v:\"a\"}", "malformed_json"), ("{'v':1}", "malformed_json"), ("[]", "not_an_object"), ("1", "not_an_object"),
    ("\"a\"", "not_an_object"),
    ("null", "not_an_object"), ("nul", "malformed_json"), ("\u{FEFF}{}", "malformed_json"), ("{\"v\":\"\n\"}", "malformed_json"),
    ("{\"v\":\"\\x\"}", "malformed_json"), ("{\"v\":\"\\u12G4\"}", "malformed_json"), ("{\"v\":\"\\ud800\"}", "lone_surrogate"),
    ("{\"v\":\"\\ud800\\u0041\"}", "lone_surrogate"), ("{\"v\":\"\\udc00\"}", "lone_surrogate"),
    ("{\"x\":\"\\udfff\",\"v\":\"a\"}", "lone_surrogate"),
    ("{\"x\":01,\"v\":\"a\"}", "malformed_json"), ("{\"x\":1.,\"v\":\"a\"}", "malformed_json"),
    ("{\"x\":.5,\"v\":\"a\"}", "malformed_json"),
    ("{\"x\":+1,\"v\":\"a\"}", "malformed_json"), ("{\"x\":1e,\"v\":\"a\"}", "malformed_json"), ("{\"x\":-,\"v\":\"a\"}", "malformed_json"),
    ("{\"x\":NaN,\"v\":\"a\"}", "malformed_json"), ("{\"x\":tru,\"v\":\"a\"}", "malformed_json"),
    ("{\"x\":[1,],\"v\":\"a\"}", "malformed_json"),
    ("{\"x\":[1 2],\"v\":\"a\"}", "malformed_json"), ("{\"v\":\"a\" // c\n}", "malformed_json"), ("{\"v\":\"a", "malformed_json"),
    ("{\"v\":\"a\\", "malformed_json"), ("{}", "missing_field"), ("{\"v\":null}", "missing_field"), ("{\"v\":1}", "wrong_type"),
    ("{\"v\":true}", "wrong_type"), ("{\"v\":[]}", "wrong_type"), ("{\"v\":{}}", "wrong_type"),
  ])
  func `what is not JSON, no object or not what the field takes is an error that names the reason`(json: String, reason: String) throws {
    #expect(try read("String", json) == reason)
  }

  @Test func `bytes that are no UTF-8 are an error wherever they stand`() throws {
    let plan = try source([field("String")])
    let bad: [[UInt8]] = [
      [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80],
      [0xF5, 0x80, 0x80, 0x80],
      [0xE2, 0x82], [0xC3], [0xFF],
    ]
    for bytes in bad {
      for json in [Array("{\"v\":\"a".utf8) + bytes + Array("\"}".utf8), Array("{\"v\":\"a\",\"x\":\"".utf8) + bytes + Array("\"}".utf8)] {
        #expect(decode(plan, [Record(bytes: json)]).failures.map(\.reason) == [.invalidUTF8], "\(bytes)")
      }
    }
  }

  @Test func `a tombstone and an empty value are errors of the record`() throws {
    let plan = try source([field("Nullable(String)")])
    let failures = decode(plan, [Record(bytes: nil), Record(bytes: []), Record("{}")]).failures
    #expect(failures.map(\.reason) == [.tombstone, .emptyPayload])
    #expect(failures.map(\.entryIndex) == [0, 1])
  }

  @Test func `values may be nested as deep as the limit and no deeper`() throws {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
      func nested(_ depth: Int) -> String {
        "{\"v\":\"a\",\"x\":" + String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth) + "}"
      }
      #expect(try read("String", nested(RecordDecoder.depthMax - 1)) == "a")
      #expect(try read("String", nested(RecordDecoder.depthMax)) == "too_deep")
      #expect(try read("String", nested(100_000)) == "too_deep")
    }
  }

  @Test func `a value that runs into the next record is cut off where its record ends`() throws {
    let plan = try source([field("String")])
    let whole = Array("{\"v\":\"abc\",\"x\":[1,true,null,\"\\u00e4ä\"]}".utf8)
    for count in 1..<whole.count {
      let (rows, failures) = decode(
        plan, [Record(bytes: Array(whole[..<count])), Record(bytes: Array(whole[count...])), Record(bytes: whole)])
      #expect(rows.rowCount == 1)
      #expect(failures.map(\.entryIndex) == [0, 1])
    }
  }

  @Test func `nested paths are found in any order, and what blocks a path is an error`() throws {
    let plan = try source([
      field("Int64", name: "a", from: .path(["p", "a"])), field("Nullable(Int64)", name: "b", from: .path(["p", "q", "b"])),
      field("Int64", name: "c"), field("Nullable(Int64)", name: "again", from: .path(["p", "a"])),
    ])
    let (rows, failures) = decode(
      plan,
      [
        Record("{\"p\":{\"a\":1,\"q\":{\"b\":2}},\"c\":3}"), Record("{\"c\":3,\"p\":{\"z\":{\"a\":9},\"a\":1}}"),
        Record("{\"p\":{\"a\":1,\"q\":{\"b\":2}},\"c\":3,\"p\":{\"a\":7}}"), Record("{\"p\":{\"a\":1,\"q\":null},\"c\":3}"),
        Record("{\"p\":{\"a\":1,\"q\":5},\"c\":3}"), Record("{\"p\":[],\"c\":3}"),
      ])
    let values = (0..<rows.rowCount).map { row in rows.block.columns.map { text($0, row) } }
    #expect(values == [["1", "2", "3", "1"], ["1", "NULL", "3", "1"], ["7", "NULL", "3", "7"], ["1", "NULL", "3", "1"]])
    #expect(failures.map(\.reason) == [.wrongType, .wrongType])
    #expect(failures.map(\.field) == [1, 0])
  }

  @Test func `a failed record leaves nothing in the columns`() throws {
    let plan = try source([field("String", name: "a"), field("Nullable(String)", name: "b"), field("UInt8", name: "c")])
    let good = Record("{\"a\":\"x\",\"b\":\"y\",\"c\":1}")
    let (rows, failures) = decode(
      plan,
      [
        Record("{\"a\":\"no\",\"b\":\"no\",\"c\":300}"), good, Record("{\"a\":\"no\",\"b\":\"no\"}"),
        Record("{\"b\":null,\"a\":\"z\",\"c\":2}"),
      ])
    #expect(failures.map(\.reason) == [.outOfRange, .missingField])
    #expect(failures[0].detail == "the value is out of the type's range; field 'c' of type UInt8, value '300'")
    #expect(rows.rowCount == 2)
    #expect(rows.block.columns.map(\.rowCount) == [2, 2, 2])
    #expect(rows.block.columns[0].bytes.count == 2 && rows.block.columns[1].bytes.count == 1)
    #expect(rows.block.columns.map { text($0, 1) } == ["z", "NULL", "2"])
    #expect(unsafe rows.block.originOffsets.raw.loadUnaligned(fromByteOffset: 8, as: Int64.self) == 3)
    #expect(unsafe rows.entryIndexes.raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self) == 3)
  }
}
