// Feeds the decoder whatever libFuzzer thinks of: it must neither trap nor read where it may not, and every record must give a row or a
// failure.
internal import FuzzDriver
internal import MillBase
internal import MillFlow

private func makePlan() -> SourcePlan {
  do {
    let fields = [
      try FieldPlan(name: "a", type: .string), try FieldPlan(name: "b", type: .nullable(.int64), source: .path(["n", "b"])),
      try FieldPlan(name: "c", type: .decimal(precision: 18, scale: 4), defaultValue: "0"),
      try FieldPlan(name: "d", type: .dateTime64(precision: 3, zone: nil)),
      try FieldPlan(name: "e", type: .nullable(.float32)), try FieldPlan(name: "f", type: .nullable(.string), coerce: true),
      try FieldPlan(name: "g", type: .nullable(.uuid)),
      try FieldPlan(name: "h", type: .nullable(.date), format: .unixSeconds, truncate: true),
      try FieldPlan(name: "i", type: DataType.parse("Array(Nullable(Enum8('a' = 1, 'é' = -5)))"), defaultValue: "[]"),
      try FieldPlan(name: "j", type: DataType.parse("Map(String, Array(Decimal(76, 38)))"), defaultValue: "{}"),
      try FieldPlan(name: "k", type: .nullable(.ipv6)), try FieldPlan(name: "l", type: .nullable(.fixedString(byteCount: 3))),
      try FieldPlan(name: "m", type: .nullable(.int256)),
      try FieldPlan(name: "o", type: DataType.parse("Array(String)"), defaultValue: "[]", coerce: true),
    ]
    return try SourcePlan(name: "s", topic: "t", fields: fields)
  } catch {
    fail("the plan to fuzz with doesn't hold: \(error)")
  }
}

private let seeds = [
  #"{"a":"x","n":{"b":-9223372036854775808},"c":"1.2500","d":"2026-11-24T03:50:00.123Z","e":1.5e-3,"f":{"deep":[1,true,null]}}"#,
  #"{"a":"\u00e4\ud83d\ude00\n","n":null,"c":12345678901234.5678,"d":1790000000.5,"g":"5d1cbbbe-0d5b-4b77-8b0c-4a3f5b0c2f11","h":1.9}"#,
  #"{"a":"","d":"1970-01-01","i":["a",null,-5,"\u00e9"],"j":{"":[],"a":["-0.1",1e2],"a":[9]},"k":"1::1.2.3.4","l":"ab","m":"-5"}"#,
  #"{"a":"","d":"1970-01-01","k":"::ffff:1.2.3.4","l":"\u0000","m":1e76,"o":["\"",[1,{"a":"]"}],1.50,null]}"#,
  #" { "h" : 20000 , "unknown" : [ { } , [ ] , "\"\\" , 1E+9 ] , "a" : "" , "d" : "1970-01-01 00:00:00" , "f" : 0.10 } "#,
]

private let decoder = lasting { RecordDecoder(plan: makePlan()) }
private let rows = lasting { DecodedRows(decoder.plan) }
private let others = lasting { DecodedRows(decoder.plan) }
nonisolated(unsafe) private var slackBytes = SeededRandom(1)

/// Decodes the one record; its buffer is of exactly its size, so that the sanitizer sees a load behind the slack.
private func decode(_ data: UnsafeRawBufferPointer, by decoder: RecordDecoder, into rows: DecodedRows) -> [DecodeFailure] {
  rows.removeAll()
  var failures: [DecodeFailure] = []
  let buffer = RecordBuffer(nextOffset: 0, capacity: max(data.count, 1))
  unsafe buffer.append(offset: 0, timestamp: 0, key: nil, payload: data, headers: nil)
  unsafe buffer.fillSlack(&slackBytes)
  decoder.decode(buffer, first: 1, partition: 0, into: rows, failures: &failures)
  return failures
}

private func bytes(_ column: Column) -> [UInt8] {
  unsafe Array(column.bytes.raw) + Array(column.ends.raw) + Array(column.nulls.raw)
}

unsafe runFuzzer(seeds: seeds.map { Array($0.utf8) }) { data in
  let failures = unsafe decode(data, by: decoder, into: rows)
  demand(rows.rowCount + failures.count == 1, "\(rows.rowCount) rows and \(failures.count) failures of one record")
  // What stands behind a record decides nothing (R3).
  let again = unsafe decode(data, by: decoder, into: others)
  demand(again == failures, "\(failures) before other bytes, \(again) before these")
  for (one, other) in zip(rows.block.columns, others.block.columns) {
    demand(bytes(one) == bytes(other), "another \(one.type) before other bytes")
  }
}
