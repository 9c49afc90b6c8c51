// Feeds the decoder whatever libFuzzer thinks of: it must neither trap nor read where it may not, and every record must give a row or a
// failure.
internal import CFuzzer
internal import Glibc
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
    ]
    return try SourcePlan(name: "s", topic: "t", fields: fields)
  } catch {
    preconditionFailure("the plan to fuzz with doesn't hold: \(error)")
  }
}

nonisolated(unsafe) private let decoder = RecordDecoder(plan: makePlan())
private let rows = unsafe DecodedRows(decoder.plan)

private func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  rows.removeAll()
  var failures: [DecodeFailure] = []
  // A buffer of exactly this size, so that the sanitizer sees a load behind its slack.
  let buffer = RecordBuffer(nextOffset: 0, capacity: max(count, 1))
  unsafe buffer.append(offset: 0, timestamp: 0, key: nil, payload: UnsafeRawBufferPointer(start: data, count: count), headers: nil)
  unsafe decoder.decode(buffer, first: 1, partition: 0, into: rows, failures: &failures)
  precondition(rows.rowCount + failures.count == 1)
  return 0
}

var count = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
exit(unsafe LLVMFuzzerRunDriver(&count, &arguments, { data, count in unsafe fuzz(data, count) }))
