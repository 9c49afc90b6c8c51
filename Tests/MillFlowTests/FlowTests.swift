import MillBase
import MillFlow
import Testing

struct FlowTests {
  @Test(arguments: [
    ("String", "String"), ("Decimal(18,2)", "Decimal(18, 2)"), (" Nullable( DateTime64( 3 ,'UTC') ) ", "Nullable(DateTime64(3, 'UTC'))"),
    ("LowCardinality(Nullable(String))", "LowCardinality(Nullable(String))"), ("DateTime64", "DateTime64(3)"),
    ("Decimal64(4)", "Decimal(18, 4)"),
    ("DateTime('Europe/Berlin')", "DateTime('Europe/Berlin')"), ("UUID", "UUID"), ("Decimal256(7)", "Decimal(76, 7)"),
    ("FixedString(16)", "FixedString(16)"), ("LowCardinality(Nullable(IPv6))", "LowCardinality(Nullable(IPv6))"),
    ("Map( String,Array(Nullable( Int8 )))", "Map(String, Array(Nullable(Int8)))"), ("Enum('b','a')", "Enum8('b' = 1, 'a' = 2)"),
    ("Enum('a'=500, 'b')", "Enum16('a' = 500, 'b' = 501)"),
    (#"Enum8('it''s' = 2, 'tab\t\\, \'x' = -1)"#, #"Enum8('tab\t\\, \'x' = -1, 'it\'s' = 2)"#),
  ])
  func `a type is read and written as ClickHouse does`(text: String, canonical: String) throws {
    let type = try DataType.parse(text)
    #expect(type.description == canonical)
    #expect(try DataType.parse(canonical) == type)
  }

  @Test(arguments: [
    ("string", "'string' is no type, did you mean String?"), ("Strin", "'Strin' is no type, did you mean String?"),
    ("Tuple(String)", "Tuple is a type of ClickHouse that fields can't have: give each element a field and a column of its own"),
    ("Nullable(Array(String))", "ClickHouse has no Nullable(Array(String)): an empty one, as a default, may stand for NULL"),
    (
      "Map(UInt8, String)",
      "the keys of a Map are UInt8, but those of JSON's objects are texts: Map(String, …) or Map(LowCardinality(String), …)"
    ),
    ("LowCardinality(Decimal(9, 2))", "ClickHouse has no LowCardinality(Decimal(9, 2)): write Decimal(9, 2)"),
    ("FixedString(0)", "the length of FixedString is 0, must be 1...1024"),
    ("Enum8('a' = 1, 'b' = 1)", "a name or a number of Enum8 stands twice"),
    ("Enum8('a' = 1, 'b' = 128)", "the number of 'b' is 128, must be -128...127"),
    ("Enum8('a', 'b' = 2, 'c')", "some names of Enum8 have a number and some have none: number all, the first one or none"),
    ("Enum8('a' = 1", "')' is missing after the names of Enum8"), ("Enum8('a", "the closing quote of a name of Enum8 is missing"),
    ("Map(String, Array(FixedString(65)))", "the length of a FixedString in an Array or Map is 65, must be 1...64: take String"),
    ("", "the type is empty"),
    ("Decimal(4, 5)", "the scale of Decimal is 5, must be 0...4"), ("String)", "')' stands after the type"),
    ("Nullable(String", "')' is missing after the type in Nullable"),
    ("DateTime64(10)", "the precision of DateTime64 is 10, must be 0...9"),
    ("Nullable(LowCardinality(String))", "write LowCardinality(Nullable(String)), ClickHouse has no Nullable(LowCardinality)"),
    ("String(5)", "String takes no arguments"),
    ("DateTime(UTC)", "DateTime takes a zone in single quotes, as in 'Europe/Berlin'"),
    ("DateTime('../../etc/passwd')", "'../../etc/passwd' is no name of a time zone"),
  ])
  func `a text that is no type is refused with what would be right`(text: String, message: String) {
    let problem = #expect(throws: TypeProblem.self) { try DataType.parse(text) }
    #expect(problem?.message == message)
  }

  @Test func `a plan that can't hold is refused`() throws {
    #expect(throws: PlanProblem.self) { try field("DateTime('Europe/Atlantis')") }
    #expect(throws: PlanProblem.self) { try field("String", format: .unixSeconds) }
    #expect(throws: PlanProblem.self) { try field("Int8", coerce: true) }
    #expect(throws: PlanProblem.self) { try field("DateTime", from: .metadata(.timestamp)) }
    #expect(throws: PlanProblem.self) { try source([field("Int8"), field("Int16")]) }
    #expect(throws: PlanProblem.self) { try source([]) }
    #expect(throws: PlanProblem.self) {
      try source([field("String")], eventTime: EventTimePlan(fieldIndex: 0, outOfOrderness: 0, idleAfter: 0))
    }
    #expect(throws: PlanProblem.self) {
      try source([field("Nullable(Date)")], eventTime: EventTimePlan(fieldIndex: 0, outOfOrderness: 0, idleAfter: 0))
    }
    #expect(throws: PlanProblem.self) { try FieldSource.parse("a..b", field: "v") }
    #expect(throws: PlanProblem.self) { try FieldSource.parse("$kee", field: "v") }
    #expect(try FieldSource.parse("$headers.x.y", field: "v") == .metadata(.header("x.y")))
  }

  @Test func `selected rows are appended in order with their origins`() throws {
    let plan = try source([field("String", name: "a"), field("Nullable(Int32)", name: "b")])
    var random = SeededRandom(5)
    for count in [0, 1, 2, 7, 64] {
      let (rows, _) = decode(
        plan,
        (0..<count).map { Record("{\"a\":\"\(String(repeating: "x", count: $0 % 40))\($0)\",\"b\":\($0 % 3 == 0 ? "null" : "\($0)")}") })
      let target = RowBlock(plan.types)
      var expected: [[String]] = []
      for _ in 0..<4 {
        let keep = (0..<count).map { _ in UInt8(random.next(below: 2)) }
        target.append(rows.block, keep: keep)
        expected += (0..<count).filter { keep[$0] != 0 }.map { row in rows.block.columns.map { text($0, row) } }
      }
      target.append(rows.block)
      expected += (0..<count).map { row in rows.block.columns.map { text($0, row) } }
      #expect(target.rowCount == expected.count && target.columns.allSatisfy { $0.rowCount == expected.count })
      #expect((0..<target.rowCount).map { row in target.columns.map { text($0, row) } } == expected)
      #expect(target.originOffsets.count == expected.count * 8 && target.originPartitions.count == expected.count * 4)
    }
  }

  /// Keys of each row of one-field sources, and their hashes agree on what is equal.
  private func keys(_ types: [String], _ records: [String]) throws -> [[UInt8]] {
    let fields = try types.enumerated().map { try field($1, name: "f\($0)") }
    let (rows, failures) = decode(try source(fields), records.map { Record($0) })
    #expect(failures.isEmpty)
    let hasher = KeyHasher(fieldIndexes: Array(types.indices), types: rows.block.columns.map(\.type), seed: Digest128(low: 1, high: 2))
    var bytes = GrowableBytes()
    var ends = GrowableBytes()
    hasher.keyBytes(rows.block, into: &bytes, ends: &ends)
    var hashes: [Digest128] = []
    hasher.hash(rows.block, into: &hashes)
    var start = 0
    var keys: [[UInt8]] = []
    for row in 0..<rows.rowCount {
      let end = unsafe Int(ends.raw.loadUnaligned(fromByteOffset: row * 4, as: UInt32.self))
      keys.append(unsafe Array(bytes.raw[start..<end]))
      unsafe keys[row].withUnsafeBytes { #expect(unsafe siphash128(key: Digest128(low: 1, high: 2), $0) == hashes[row]) }
      start = end
    }
    return keys
  }

  @Test func `a row has no key where all key fields are NULL, and only there`() throws {
    func rows(_ types: [String], _ keys: [Int]) throws -> [Int32] {
      let fields = try types.enumerated().map { try field($1, name: "f\($0)") }
      let records = ["{\"f0\":1,\"f1\":\"\"}", "{\"f1\":\"a\"}", "{\"f0\":0}", "{}", "{\"f0\":null,\"f1\":null}"]
      let decoded = decode(try source(fields), records.map { Record($0) }).rows
      let hasher = KeyHasher(fieldIndexes: keys, types: decoded.block.columns.map(\.type), seed: Digest128(low: 1, high: 2))
      var found: [Int32] = [7]
      hasher.nullKeys(decoded.block, into: &found)
      return found
    }
    #expect(try rows(["Nullable(Int8)", "Nullable(String)"], [0, 1]) == [3, 4])
    #expect(try rows(["Nullable(Int8)", "Nullable(String)"], [0]) == [1, 3, 4])
    #expect(try rows(["Nullable(Int8)", "LowCardinality(Nullable(String))"], [1]) == [2, 3, 4])
    let withDefault = try field("String", name: "f1", default: "")
    let decoded = decode(try source([field("Nullable(Int8)", name: "f0"), withDefault]), [Record("{}")]).rows
    let hasher = KeyHasher(fieldIndexes: [0, 1], types: decoded.block.columns.map(\.type), seed: Digest128(low: 1, high: 2))
    var found: [Int32] = []
    hasher.nullKeys(decoded.block, into: &found)
    #expect(decoded.rowCount == 1 && found == [])
  }

  @Test func `keys that follow each other are hashed as each alone, whatever their lengths`() throws {
    let alphabet = Array("abcdefghijklmnopqrstuvwxyz")
    for count in 0..<50 {
      var texts: [String] = []
      for row in 0..<9 { texts.append(String((0..<count).map { (at: Int) -> Character in alphabet[(row * 7 + at) % 26] })) }
      // The last four differ in length.
      texts += ["x", "", texts[0] + "y", "z"]
      // `keys` compares.
      let records = texts.map { "{\"f0\":\"" + $0 + "\"}" }
      #expect(try keys(["String"], records).count == 13)
    }
  }

  @Test func `keys are equal exactly where type and value are`() throws {
    let text = try keys(["String"], ["{\"f0\":\"1\"}", "{\"f0\":\"\\u0031\"}", "{\"f0\":\"\"}"])
    #expect(text[0] == text[1] && text[0] != text[2])
    let wrapped = try keys(["LowCardinality(Nullable(String))"], ["{\"f0\":\"1\"}", "{}", "{\"f0\":\"\"}"])
    #expect(wrapped[0] == text[0] && wrapped[2] == text[2] && wrapped[1] != wrapped[2])
    let integers = try keys(["Int64"], ["{\"f0\":1}", "{\"f0\":1.0}", "{\"f0\":\"1\"}"])
    #expect(Set(integers).count == 1 && integers[0] != text[0])
    #expect(try keys(["UInt64"], ["{\"f0\":1}"]) != [integers[0]])
    let zeros = try keys(["Float64"], ["{\"f0\":0.0}", "{\"f0\":-0.0}", "{\"f0\":1}"])
    #expect(zeros[0] == zeros[1] && zeros[0] != zeros[2])
    let pairs = try keys(
      ["String", "String"], ["{\"f0\":\"a\",\"f1\":\"bc\"}", "{\"f0\":\"ab\",\"f1\":\"c\"}", "{\"f0\":\"\",\"f1\":\"abc\"}"])
    #expect(Set(pairs).count == 3)
    // One value in many types: each is another key.
    let ones = try [
      "Int8", "Int128", "UInt128", "Int256", "UInt256", "Decimal(9, 0)", "Decimal(18, 0)", "Decimal(38, 0)", "Decimal(38, 1)",
      "Decimal(76, 0)", "Enum8('a' = 1)", "Enum16('a' = 1)", "FixedString(1)", "String",
    ].map { try keys([$0], [$0.contains("String") ? "{\"f0\":\"1\"}" : "{\"f0\":1}"])[0] }
    #expect(Set(ones).count == ones.count)
    #expect(try keys(["FixedString(2)"], ["{\"f0\":\"a\"}", "{\"f0\":\"a\\u0000\"}"]).allSatisfy { $0 == [20, 0x61, 0] })
    // Stored keys depend on this encoding.
    #expect(text[0] == [12, 1, 0, 0, 0, 0x31] && integers[0] == [5, 1, 0, 0, 0, 0, 0, 0, 0] && wrapped[1] == [0xFF])
  }

  @Test func `the watermark is the least over partitions that aren't idle and never goes back`() {
    var tracker = WatermarkTracker(outOfOrderness: 10, maxEventTimes: [WatermarkTracker.none, WatermarkTracker.none])
    #expect(tracker.advance(idle: [false, false], clockMilliseconds: 1000) == WatermarkTracker.none)
    tracker.observe(partition: 0, eventTime: 100)
    #expect(tracker.advance(idle: [false, false], clockMilliseconds: 1000) == WatermarkTracker.none)
    #expect(tracker.advance(idle: [false, true], clockMilliseconds: 1000) == 90)
    tracker.observe(partition: 1, eventTime: 50)
    #expect(tracker.advance(idle: [false, false], clockMilliseconds: 1000) == 90)
    tracker.observe(partition: 1, eventTime: 200)
    tracker.observe(partition: 1, eventTime: 150)
    #expect(tracker.advance(idle: [], clockMilliseconds: 1000) == 90)
    tracker.observe(partition: 0, eventTime: 130)
    #expect(tracker.advance(idle: [false, false], clockMilliseconds: 1000) == 120)
    #expect(tracker.advance(idle: [true, true], clockMilliseconds: 1000) == 120)
    let restored = WatermarkTracker(outOfOrderness: 10, maxEventTimes: tracker.maxEventTimes, watermark: tracker.watermark)
    #expect(restored == tracker)
    tracker.grow(partitionCount: 3)
    tracker.observe(partition: 0, eventTime: 500)
    #expect(tracker.advance(idle: [false, false, false], clockMilliseconds: 1000) == 120)
    #expect(tracker.advance(idle: [false, false, true], clockMilliseconds: 1000) == 190)
    var clock = WatermarkTracker(outOfOrderness: nil, maxEventTimes: [])
    #expect(clock.advance(idle: [], clockMilliseconds: 7) == 7)
    #expect(clock.advance(idle: [], clockMilliseconds: 5) == 7)
  }

  @Test func `a dead letter says which record, why, and all its bytes`() throws {
    let plan = try source([field("UInt8")])
    var first = Record("{\"v\":\"ä\n\"}")
    first.key = [0xFF, 0x00, 0x41, 0x42]
    var second = Record("{\"v\":300}")
    second.key = Array("k\"".utf8)
    let records = [first, second, Record(bytes: nil), Record(bytes: [0x7B, 0xFF])]
    let buffer = buffer(records, from: 40)
    let rows = DecodedRows(plan)
    var failures: [DecodeFailure] = []
    RecordDecoder(plan: plan).decode(buffer, first: 4, partition: 2, into: rows, failures: &failures)
    let block = DeadLetterBlock()
    let encoder = DeadLetterEncoder(pipeline: "p", source: "s", topic: "t")
    for failure in failures { encoder.append(failure, plan: plan, buffer: buffer, partition: 2, epoch: 9, into: block) }
    let both = DeadLetterBlock()
    both.append(block)
    both.append(block)
    #expect(unsafe both.rowCount == 8 && both.ends.raw.loadUnaligned(fromByteOffset: 28, as: UInt32.self) == UInt32(both.bytes.count))
    let lines = unsafe String(decoding: block.bytes.raw, as: UTF8.self).split(separator: "\n").map(String.init)
    let start = "{\"pipeline\":\"p\",\"source\":\"s\",\"topic\":\"t\",\"partition\":2,\"offset\":"
    let when = "\"timestamp\":\"2023-11-14T22:13:20.000Z\",\"epoch\":9"
    #expect(
      lines == [
        start + "40,\(when),\"reason\":\"malformed_json\",\"detail\":\"not JSON by RFC 8259, at byte 8 of 11\","
          + "\"key_base64\":\"/wBBQg==\",\"payload\":\"{\\\"v\\\":\\\"ä\\n\\\"}\"}",
        start
          + "41,\(when),\"reason\":\"out_of_range\",\"field\":\"v\",\"detail\":\"the value is out of the type's range; field 'v' of type UInt8, value '300'\","
          + "\"key\":\"k\\\"\",\"payload\":\"{\\\"v\\\":300}\"}",
        start + "42,\(when),\"reason\":\"tombstone\",\"detail\":\"the record has no value (tombstone)\",\"key\":null}",
        start
          + "43,\(when),\"reason\":\"malformed_json\",\"detail\":\"not JSON by RFC 8259, at byte 1 of 2\",\"key\":null,\"payload_base64\":\"e/8=\"}",
      ])
  }

  @Test func `the input's digest is part of the stored format: a change of it must raise the replay version`() {
    var first = Record("the wheel turns as long as the stream runs, and longer")
    first.key = Array("k".utf8)
    first.timestamp = 1000
    var second = Record("short")
    second.timestamp = 1001
    var digest = InputDigest()
    inputDigest(buffer([first, second], from: 7), first: 2, partition: 3, into: &digest)
    // Computed from the definition by a program of its own.
    #expect("\(digest.value)" == "76e48f3f142423b1995d5f06fee7d7b8")
  }

  @Test func `records' headers are asked for where a field reads them, else not`() throws {
    let plain = try source([field("String", name: "a")])
    #expect(!plain.readsHeaders)
    let reading = try field("String", name: "h", from: .metadata(.header("trace")))
    #expect(try source([field("String", name: "a"), reading]).readsHeaders)
  }

  @Test func `the input's digest changes with every byte, offset, timestamp, partition and order, and with nothing else`() {
    func digest(_ records: [Record], from offset: Int64 = 0, partition: Int32 = 0, splitAt: Int = 0) -> Digest128 {
      let buffer = buffer(records, from: offset)
      var digest = InputDigest()
      inputDigest(buffer, first: splitAt, partition: partition, into: &digest)
      buffer.consume(splitAt)
      inputDigest(buffer, first: buffer.count, partition: partition, into: &digest)
      return digest.value
    }
    var keyed = Record("bc")
    keyed.key = Array("a".utf8)
    var moved = Record("c")
    moved.key = Array("ab".utf8)
    var empty = keyed
    empty.key = []
    var late = keyed
    late.timestamp += 1
    let long = (0..<70).map { Record(String(repeating: "x", count: $0)) }
    var seen: Set<Digest128> = []
    var cases: [Digest128] = [
      digest([]), digest([keyed]), digest([moved]), digest([empty]), digest([late]), digest([Record("abc")]), digest([keyed], from: 1),
      digest([keyed], partition: 1),
      digest([keyed, moved]), digest([moved, keyed]), digest([Record(bytes: nil)]), digest([Record("")]),
    ]
    for count in 0..<70 {
      for index in 0..<count {
        var changed = Array(repeating: UInt8(ascii: "x"), count: count)
        changed[index] ^= 1
        cases.append(digest([Record(bytes: changed)]))
      }
    }
    for value in cases { #expect(seen.insert(value).inserted) }
    for split in [0, 1, 35, 70] { #expect(digest(long, splitAt: split) == digest(long)) }
  }

  @Test func `an anchor's checksum is CRC-32C over counted key and payload`() {
    var record = Record("value")
    record.key = Array("key".utf8)
    let buffer = buffer([record, Record(bytes: nil)], from: 7)
    #expect(
      buffer.anchor(at: 0)
        == Anchor(
          offset: 7, timestamp: record.timestamp,
          checksum: crc32c(0, [3, 0, 0, 0] + Array("key".utf8) + [5, 0, 0, 0] + Array("value".utf8))))
    #expect(buffer.anchor(at: 1).checksum == crc32c(0, [UInt8](repeating: 0xFF, count: 8)))
  }

  @Test func `mutated records never trap, and each gives a row or a failure`() throws {
    let plan = try source([
      field("String", name: "a"), field("Nullable(Int64)", name: "b", from: .path(["n", "b"])),
      field("Decimal(18, 4)", name: "c", default: "0"),
      field("DateTime64(3, 'Europe/Berlin')", name: "d"), field("Nullable(Float32)", name: "e"), field("String", name: "f", coerce: true),
      field("Nullable(UUID)", name: "g"),
    ])
    let seeds = [
      "{\"a\":\"x\\u00e4\\ud83d\\ude00ä\",\"n\":{\"b\":12},\"c\":1.25,\"d\":\"2024-07-01 12:00:00.5\",\"e\":1.5e-3,\"f\":[1,{\"x\":null}],\"g\":\"61f0c404-5cb3-11e7-907b-a6006ad3dba0\"}",
      "{\"d\":\"2024-07-01T12:00:00Z\",\"a\":\"\",\"f\":true}",
    ].map { Array($0.utf8) }
    let interesting = Array("{}[]\",:\\/u0123456789eE+-.tfn \0\u{7F}".utf8) + [0x80, 0xC3, 0xE2, 0xED, 0xF0, 0xF4, 0xFF]
    var random = SeededRandom(77)
    let decoder = RecordDecoder(plan: plan)
    for _ in 0..<200 {
      let records = (0..<64).map { _ in
        var bytes = random.pick(seeds)
        for _ in 0..<random.next(in: 0...4) where !bytes.isEmpty {
          let at = random.next(below: bytes.count)
          switch random.next(below: 5) {
          case 0: bytes[at] = random.pick(interesting)
          case 1: bytes.insert(random.pick(interesting), at: at)
          case 2: bytes.remove(at: at)
          case 3: bytes.removeSubrange(at...)
          default: bytes.insert(contentsOf: bytes[at..<min(at + random.next(below: 20), bytes.count)], at: at)
          }
        }
        return Record(bytes: bytes)
      }
      let rows = DecodedRows(plan)
      var failures: [DecodeFailure] = []
      decoder.decode(buffer(records), first: 64, partition: 0, into: rows, failures: &failures)
      #expect(rows.rowCount + failures.count == 64)
      #expect(rows.block.columns.allSatisfy { $0.rowCount == rows.rowCount })
    }
  }
}
