import MillBase
import MillFlow
import Testing

/// Records beyond `max_record_bytes`, letters beyond `payload_max`, and rows that take many times what their record does.
struct LimitTests {
  private static func limited(_ fields: [FieldPlan], record: Int, letter: Int) throws -> SourcePlan {
    var plan = try source(fields)
    plan.limits = RecordLimits(recordByteCountMax: record, letterByteCountMax: letter)
    return plan
  }

  private func buffer(_ records: [Record], _ memory: RecordMemory) -> RecordBuffer {
    let buffer = RecordBuffer(nextOffset: 5, memory: memory)
    for record in records { append(record, to: buffer) }
    return buffer
  }

  private func append(_ record: Record, to buffer: RecordBuffer) {
    unsafe with(record.key) { key in
      unsafe with(record.payload) { payload in
        unsafe record.headers.withUnsafeBytes { headers in
          unsafe buffer.append(offset: buffer.nextOffset, timestamp: record.timestamp, key: key, payload: payload, headers: headers)
        }
      }
    }
  }

  private func with(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
    guard let bytes else { return body(nil) }
    unsafe bytes.withUnsafeBytes { unsafe body($0) }
  }

  private func lines(_ plan: SourcePlan, _ buffer: RecordBuffer) -> [String] {
    let rows = DecodedRows(plan)
    var failures: [DecodeFailure] = []
    RecordDecoder(plan: plan).decode(buffer, first: buffer.count, partition: 0, into: rows, failures: &failures)
    let block = DeadLetterBlock()
    let encoder = DeadLetterEncoder(pipeline: "p", source: "s", topic: "t")
    for failure in failures { encoder.append(failure, plan: plan, buffer: buffer, partition: 0, epoch: 1, into: block) }
    return unsafe String(decoding: block.bytes.raw, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  @Test(arguments: UInt64(1)...40)
  func `a record that is cut has the digest, the anchor and the dead letter of the whole one`(seed: UInt64) throws {
    var random = SeededRandom(seed)
    // About the pieces' size, and anything else.
    let sizes = [0, 1, 31, 33, 65_535, 65_536, 65_537, 131_072 + 17, 200_001]
    var records: [Record] = []
    for _ in 0..<6 {
      var record = Record(bytes: random.next(below: 8) == 0 ? nil : random.bytes(random.pick(sizes)))
      record.key = random.next(below: 3) == 0 ? nil : random.bytes(random.pick(sizes))
      record.headers = random.bytes(random.pick([0, 0, 100]))
      records.append(record)
    }
    let limits = RecordLimits(recordByteCountMax: 90, letterByteCountMax: 1 + random.next(below: 70_000))
    let plan = try Self.limited([field("Nullable(String)")], record: limits.recordByteCountMax, letter: limits.letterByteCountMax)
    let cut = buffer(records, RecordMemory(limits: limits))
    let unlimited = buffer(records, RecordMemory())
    let memory = RecordMemory(limits: limits)
    memory.takesWhole = true
    let whole = buffer(records, memory)
    #expect(digest(cut) == digest(unlimited) && digest(whole) == digest(unlimited))
    for index in records.indices {
      #expect(cut.anchor(at: index) == unlimited.anchor(at: index))
      #expect(cut.wholeByteCounts(of: cut.entries[index]) == unlimited.wholeByteCounts(of: unlimited.entries[index]))
    }
    #expect(cut.byteCount <= 6 * (2 * limits.letterByteCountMax + limits.recordByteCountMax))
    #expect(lines(plan, cut) == lines(plan, whole))
  }

  private func digest(_ buffer: RecordBuffer) -> Digest128 {
    var digest = InputDigest()
    inputDigest(buffer, first: buffer.count, partition: 1, into: &digest)
    return digest.value
  }

  @Test func `a record above the limit is a dead letter that says how large it is, and holds its beginning`() throws {
    let plan = try Self.limited([field("String")], record: 40, letter: 12)
    var large = Record("{\"v\":\"ääääääääääääääääääää\"}")
    large.key = Array("key".utf8)
    let buffer = buffer([Record("{\"v\":\"fits\"}"), large, Record("{\"v\":\"fits too\"}")], RecordMemory(limits: plan.limits))
    let found = lines(plan, buffer)
    #expect(found.count == 1)
    #expect(
      found.first?.hasSuffix(
        "\"offset\":6,\"timestamp\":\"2023-11-14T22:13:20.000Z\",\"epoch\":1,\"reason\":\"too_large\",\"detail\":\"larger than max_record_bytes allows, 51 bytes of at most 40\",\"key\":\"key\",\"payload\":\"{\\\"v\\\":\\\"äää\",\"payload_bytes\":48}"
      ) == true, "\(found)")
  }

  @Test func `the plan of an older release reads a large record that was taken whole`() throws {
    let memory = RecordMemory(limits: RecordLimits(recordByteCountMax: 10, letterByteCountMax: 5))
    memory.takesWhole = true
    let buffer = buffer([Record("{\"v\":\"a long text\"}"), Record("{\"v\":")], memory)
    let plan = try source([field("String")])
    let rows = DecodedRows(plan)
    var failures: [DecodeFailure] = []
    RecordDecoder(plan: plan).decode(buffer, first: 2, partition: 0, into: rows, failures: &failures)
    #expect(text(rows.block.columns[0], 0) == "a long text" && failures.map(\.reason) == [.malformedJSON])
    #expect(lines(plan, buffer).first?.hasSuffix("\"payload\":\"{\\\"v\\\":\"}") == true)
  }

  @Test(arguments: [
    // Amid a letter, at its end, no UTF-8 at all, control characters.
    ("aä", 2, "\"payload\":\"a\",\"payload_bytes\":3"), ("aä", 3, "\"payload\":\"aä\""), ("😀😀", 7, "\"payload\":\"😀\",\"payload_bytes\":8"),
    ("\u{1}\u{1}\u{1}", 2, "\"payload\":\"\\u0001\\u0001\",\"payload_bytes\":3"), ("äb", 1, "\"payload\":\"\",\"payload_bytes\":3"),
  ])
  func `a dead letter's payload is cut between letters`(payload: String, most: Int, expected: String) throws {
    let plan = try Self.limited([field("String")], record: 1000, letter: most)
    let found = lines(plan, buffer([Record(payload)], RecordMemory(limits: plan.limits)))
    #expect(found.first?.hasSuffix(expected + "}") == true, "\(found)")
  }

  @Test func `a payload that is no UTF-8 before its cut is in base64, all that it may hold`() throws {
    let plan = try Self.limited([field("String")], record: 1000, letter: 4)
    let found = lines(plan, buffer([Record(bytes: [0xFF, 0x41, 0x42, 0xC3, 0xA4])], RecordMemory(limits: plan.limits)))
    #expect(found.first?.hasSuffix("\"payload_base64\":\"/0FCww==\",\"payload_bytes\":5}") == true, "\(found)")
  }

  @Test(arguments: ["Array(FixedString(64))", "Array(Array(FixedString(64)))", "Map(String, FixedString(64))"])
  func `a row whose items take more than its record may is a dead letter, the next one is read`(type: String) throws {
    let plan = try Self.limited([field(type, default: type.hasPrefix("Map") ? "{}" : "[]")], record: 10_000, letter: 100)
    func value(_ count: Int) -> String {
      let items = (0..<count).map { type.hasPrefix("Map") ? "\"\($0)\":\"\"" : "\"\"" }.joined(separator: ",")
      return "{\"v\":" + (type.hasPrefix("Map") ? "{\(items)}" : type.hasPrefix("Array(Array") ? "[[\(items)]]" : "[\(items)]") + "}"
    }
    // An item's key counts too.
    let fits = type.hasPrefix("Map") ? 400 : 550
    let buffer = buffer([value(fits), value(700), value(3)].map { Record($0) }, RecordMemory(limits: plan.limits))
    let rows = DecodedRows(plan)
    var failures: [DecodeFailure] = []
    RecordDecoder(plan: plan).decode(buffer, first: 3, partition: 0, into: rows, failures: &failures)
    #expect(failures.map(\.reason) == [.tooLarge] && failures.first?.entryIndex == 1, "\(failures)")
    #expect(rows.rowCount == 2)
  }

  @Test func `rows take no more bytes than the plan lets expect, whatever stands in the records`() throws {
    let plans = [
      [try field("Array(Int256)"), try field("String", name: "w", default: String(repeating: "d", count: 50))],
      [try field("Array(FixedString(64))")], [try field("Array(Nullable(UInt64))")], [try field("Array(Array(UInt8))")],
      [try field("Map(String, Array(Nullable(String)))", coerce: true)],
      [try field("Array(IPv6)"), try field("Nullable(String)", name: "a", from: .path(["v"]), coerce: true)],
      (0..<50).compactMap { try? field("Nullable(Decimal(76, 0))", name: "f\($0)") } + [try field("String", coerce: true)],
    ]
    let items = [
      "", "0", "\"\"", "null", "[]", "[0]", "[\"\"]", "\"::\"", "[null,1,\"\"]", "{}", "\"\\u00e9\\n\"", "12345", "{\"\":[]}",
      "{\"\":[0,0,0]}",
    ]
    var random = SeededRandom(3)
    for fields in plans {
      let plan = try source(fields)
      let bound = RowBound(plan)
      let decoder = RecordDecoder(plan: plan)
      for item in items {
        for count in [0, 1, 2, 3, 50, 400] {
          let opening = item.hasPrefix("{") && random.next(below: 2) == 0 ? "" : "["
          let value = opening == "[" ? "[" + Array(repeating: item, count: count).joined(separator: ",") + "]" : item
          let entries =
            "{" + (0..<count).map { "\"\($0 % 7 == 0 ? "" : "\($0)")\":\(item.isEmpty ? "0" : item)" }.joined(separator: ",") + "}"
          for json in ["{\"v\":\(value)}", "{\"v\":\(entries)}", "{\"v\":\(item)}"] {
            let buffer = buffer([Record(json), Record(json)], RecordMemory())
            let rows = DecodedRows(plan)
            var failures: [DecodeFailure] = []
            decoder.decode(buffer, first: 2, partition: 0, into: rows, failures: &failures)
            let bytes = rows.block.byteCount + rows.eventTimes.count + rows.entryIndexes.count
            let most = bound.rowByteCount(recordCount: 2, byteCount: buffer.byteCount)
            #expect(bytes <= most, "\(bytes) of \(most): \(json.prefix(60)) as \(plan.types)")
          }
        }
      }
    }
  }

  @Test func `so many records fit as the bound says, and one more doesn't`() throws {
    let bound = RowBound(try source([field("Array(Int256)")]))
    let records = (0..<100).map { Record("{\"v\":[" + Array(repeating: "0", count: $0 % 13).joined(separator: ",") + "]}") }
    let buffer = buffer(records, RecordMemory())
    func cost(_ skipped: Int, _ count: Int) -> Int {
      let bytes = buffer.byteCount(ofFirst: skipped + count) - buffer.byteCount(ofFirst: skipped)
      return max(bound.rowByteCount(recordCount: count, byteCount: bytes), bound.letterByteCount(recordCount: count, byteCount: bytes) / 4)
    }
    for skipped in [0, 1, 50, 99] {
      for byteCount in [0, 100, 1000, 5000, 1_000_000] {
        let count = bound.fitting(buffer, skipping: skipped, limit: 100 - skipped, byteCount: byteCount)
        #expect(count == 0 || cost(skipped, count) <= byteCount)
        #expect(count == 100 - skipped || cost(skipped, count + 1) > byteCount)
      }
    }
  }
}
