import MillBase
import MillFlow
import Testing

/// Nothing of a record's fate depends on the bytes behind it (R3).
struct SlackTests {
  private static let texts = [
    #"{"a":"ж\\n€\"é\u00e9\t😀\\","t":["\"",[1,{"a":"]"}],1.50,null],"n":{"b":-9223372036854775808}}"#,
    #"{"a":"Заказ принят и оплачен","\u006b":"\ud83d\ude00","m":{"":[],"é":["-0.1",1e2],"é":[9]}}"#,
    #"{"a":"plain","e":1.5e-300,"d":"2026-11-24T03:50:00.123+02:00","f":12345678901234567890.5,"i":-5,"k":"1::1.2.3.4","u":"5d1cbbbe-0d5b-4b77-8b0c-4a3f5b0c2f11"}"#,
    #" { "h" : 20000 , "unknown" : [ { } , [ ] , "\"\\" , 1E+9 , true, false , null ] , "a" : "" , "w" : 340282366920938463463374607431768211456 , "y" : "é" } "#,
    "{\"a\":\"0123456789abcde\\\\0123456789abcd\\u20ac\u{7f}ÿ\u{ffff}\u{10ffff}\",\"x\":\"ж\"}",
  ]

  /// One key at least of each kind of reading.
  private static func plan() throws -> SourcePlan {
    try source([
      field("String", name: "a", default: "none"), field("Nullable(Int64)", name: "b", from: .path(["n", "b"])),
      field("Nullable(DateTime64(3))", name: "d"), field("Nullable(Float64)", name: "e"),
      field("Nullable(String)", name: "f", coerce: true), field("Nullable(Decimal(18, 4))", name: "i"), field("Nullable(IPv6)", name: "k"),
      field("Nullable(UUID)", name: "u"), field("Nullable(Date)", name: "h", format: .unixSeconds, truncate: true),
      field("Array(String)", name: "t", default: "[]", coerce: true),
      field("Map(String, Array(Decimal(76, 38)))", name: "m", default: "{}"),
      field("Nullable(Int256)", name: "w"), field("Nullable(FixedString(4))", name: "y"),
    ])
  }

  /// What comes of a text with these bytes behind it: reason and detail, or all that the columns hold.
  private struct Fate: Equatable {
    var failures: [DecodeFailure]
    var columns: [[UInt8]]
  }

  private static func fate(_ decoder: RecordDecoder, _ rows: DecodedRows, _ text: ArraySlice<UInt8>, before behind: [UInt8]) -> Fate {
    rows.removeAll()
    var failures: [DecodeFailure] = []
    let buffer = RecordBuffer(nextOffset: 0, capacity: text.count + behind.count)
    unsafe Array(text).withUnsafeBytes { unsafe buffer.append(offset: 0, timestamp: 1, key: nil, payload: $0, headers: nil) }
    // As the key of the next record: right behind.
    unsafe behind.withUnsafeBytes { unsafe buffer.append(offset: 1, timestamp: 1, key: $0, payload: nil, headers: nil) }
    decoder.decode(buffer, first: 1, partition: 0, into: rows, failures: &failures)
    let columns = rows.block.columns.map { column in unsafe Array(column.bytes.raw) + Array(column.ends.raw) + Array(column.nulls.raw) }
    return Fate(failures: failures, columns: columns)
  }

  /// At least as many bytes as a reader may load at once.
  private static func behinds(_ random: inout SeededRandom) -> [[UInt8]] {
    var all = ["\"", "\\", "n", "u00e9", "\"}", "\"]}", "0", "}", "]", ":", ",", " ", "e5", ".5"].map { Array($0.utf8) }
    all += [[0x80], [0xBF], [0x80, 0x80, 0x80], [0xD0, 0x96], [0], [0xFF]]
    for index in all.indices { while all[index].count < RecordBuffer.slack { all[index] += all[index] } }
    return all + (0..<4).map { _ in random.bytes(RecordBuffer.slack) }
  }

  @Test(arguments: texts.indices)
  func `each prefix of a text has the same fate whatever stands behind it`(index: Int) throws {
    let decoder = RecordDecoder(plan: try Self.plan())
    let rows = DecodedRows(decoder.plan)
    var random = SeededRandom(UInt64(index))
    let behinds = Self.behinds(&random)
    let whole = Array(Self.texts[index].utf8)
    var differing: [String] = []
    // Whole, and with some of its bytes changed.
    for round in 0..<6 {
      var text = whole
      if round > 0 { for _ in 0..<round { text[random.next(below: text.count)] = UInt8(truncatingIfNeeded: random.next()) } }
      for count in 1...text.count {
        let expected = Self.fate(decoder, rows, text[..<count], before: behinds[0])
        for behind in behinds.dropFirst() where Self.fate(decoder, rows, text[..<count], before: behind) != expected {
          differing.append("\(String(decoding: text[..<count], as: UTF8.self)) before \(behind.prefix(4))")
        }
      }
    }
    #expect(differing.isEmpty, "\(differing.count): \(differing.prefix(5))")
  }

  @Test func `a text cut amid an escape or a letter names the byte that is cut`() throws {
    let plan = try Self.plan()
    let cases: [([UInt8], DecodeReason, String)] = [
      (Array(#"{"a":"x\"#.utf8), .malformedJSON, "at byte 7 of 8"), (Array("{\"a\":\"".utf8) + [0xD0], .invalidUTF8, "at byte 6 of 7"),
      (Array("{\"a\":\"".utf8) + [0xF0, 0x9F, 0x98], .invalidUTF8, "at byte 6 of 9"),
      (Array(#"{"a":"x\u00e"#.utf8), .malformedJSON, "at byte 7 of 12"),
      (Array(#"{"a":"\ud83d\ude0"#.utf8), .loneSurrogate, "at byte 6 of 17"),
    ]
    for (bytes, reason, place) in cases {
      let failure = try #require(decode(plan, [Record(bytes: bytes)]).failures.first)
      #expect(failure.reason == reason && failure.detail.hasSuffix(place), "\(failure)")
    }
  }
}
