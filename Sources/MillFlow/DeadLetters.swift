package import MillBase

/// Dead letters on their way to their destination: lines of JSON, and of each which record it is. One owner at a time.
@safe package final class DeadLetterBlock: @unchecked Sendable {
  /// The lines one after the other, each with its line feed.
  package var bytes = GrowableBytes()
  /// `UInt32` end of each line in ``bytes``.
  package var ends = GrowableBytes()
  /// `Int32` partition of each.
  package var originPartitions = GrowableBytes()
  /// `Int64` offset of each.
  package var originOffsets = GrowableBytes()
  package var rowCount = 0

  package init() {}

  package var byteCount: Int { bytes.count + ends.count + originPartitions.count + originOffsets.count }

  /// Forgets all lines and keeps the memory.
  package func removeAll() {
    bytes.count = 0
    ends.count = 0
    originPartitions.count = 0
    originOffsets.count = 0
    rowCount = 0
  }

  /// Appends one line, its line feed included.
  package func append(_ line: UnsafeRawBufferPointer, partition: Int32, offset: Int64) {
    precondition(bytes.count + line.count <= Int(UInt32.max), "dead letters of a block pass 4 GiB")
    unsafe bytes.append(line)
    ends.append(UInt32(truncatingIfNeeded: bytes.count))
    originPartitions.append(partition)
    originOffsets.append(offset)
    rowCount += 1
  }

  /// Appends all lines of another block.
  package func append(_ other: DeadLetterBlock) {
    precondition(other !== self && bytes.count + other.bytes.count <= Int(UInt32.max), "dead letters of a block pass 4 GiB")
    let shift = UInt32(truncatingIfNeeded: bytes.count)
    unsafe bytes.append(other.bytes.raw)
    ends.reserve(other.ends.count)
    for row in 0..<other.rowCount { ends.append(unsafe other.ends.base.load(fromByteOffset: row * 4, as: UInt32.self) &+ shift) }
    unsafe originPartitions.append(other.originPartitions.raw)
    unsafe originOffsets.append(other.originOffsets.raw)
    rowCount += other.rowCount
  }
}

/// Writes records that gave no row as lines of JSON; the same record in the same epoch always gives the same bytes.
///
/// Keys in this order: pipeline, source, topic, partition, offset, timestamp (ISO 8601 in UTC with milliseconds, or null), epoch, reason,
/// field, operator with expression, and detail (absent where there is none), key (or key_base64 where it is no UTF-8; null where there is
/// none), payload (or payload_base64; absent for tombstones). Of a key or payload beyond ``RecordLimits/letterByteCountMax`` the first
/// bytes, and key_bytes or payload_bytes: how many it has.
package struct DeadLetterEncoder: Sendable {
  /// What is the same for all lines, up to the partition's value.
  private let opening: [UInt8]

  package init(pipeline: String, source: String, topic: String) {
    var line = JSONWriter()
    line.text("{\"pipeline\":")
    line.quoted(pipeline)
    line.text(",\"source\":")
    line.quoted(source)
    line.text(",\"topic\":")
    line.quoted(topic)
    line.text(",\"partition\":")
    opening = line.bytes
  }

  /// Appends the line of `buffer.entries[entryIndex]`. `reason` is one of ``DecodeReason``'s raw values, `late`, `expression`, or one of a
  /// sink's.
  package func append(
    _ buffer: RecordBuffer, entryIndex: Int, partition: Int32, epoch: EpochNumber, reason: String, field: String?,
    operator node: (name: String, expression: String)? = nil, detail: String?, limits: RecordLimits?, into block: DeadLetterBlock
  ) {
    let entry = buffer.entries[entryIndex]
    let whole = buffer.wholeByteCounts(of: entry)
    let most = limits?.letterByteCountMax ?? .max
    let (keyByteCount, payloadByteCount) = (min(Int(entry.keyByteCount), most), min(Int(entry.payloadByteCount), most))
    var line = JSONWriter()
    line.bytes.reserveCapacity(opening.count + 256 + max(keyByteCount, 0) * 2 + max(payloadByteCount, 0) * 2)
    line.bytes += opening
    line.text("\(partition),\"offset\":\(entry.offset),\"timestamp\":")
    if entry.timestamp < 0 { line.text("null") } else { line.quoted(isoText(milliseconds: entry.timestamp)) }
    line.text(",\"epoch\":\(epoch),\"reason\":")
    line.quoted(reason)
    if let field {
      line.text(",\"field\":")
      line.quoted(field)
    }
    if let node {
      line.text(",\"operator\":")
      line.quoted(node.name)
      line.text(",\"expression\":")
      line.quoted(node.expression)
    }
    if let detail {
      line.text(",\"detail\":")
      line.quoted(detail)
    }
    let base = unsafe UnsafePointer(buffer.bytes.assumingMemoryBound(to: UInt8.self))
    if keyByteCount < 0 {
      line.text(",\"key\":null")
    } else {
      unsafe line.part("key", ByteView(base + entry.start), count: keyByteCount, of: Int(whole.key))
    }
    if payloadByteCount >= 0 {
      unsafe line.part("payload", ByteView(base + entry.payloadStart), count: payloadByteCount, of: Int(whole.payload))
    }
    line.text("}\n")
    unsafe line.bytes.withUnsafeBytes { bytes in unsafe block.append(bytes, partition: partition, offset: entry.offset) }
  }

  /// The line of a row that the destination refused, its line feed included. Keys in this order: pipeline, source, topic, partition,
  /// offset, reason (`refused`), code and detail (the server's), table, batch (the token of the last batch that it was in), row, and
  /// row_omitted: of columns that found no room in it, how many bytes of JSON they are.
  /// - Parameters:
  ///   - row: its columns, each value in JSON already.
  ///   - byteCountMax: bytes of the values that the line holds.
  package func refusedLine(
    partition: Int32, offset: Int64, code: Int, message: String, table: String, batch: String, row: [(name: String, json: String)],
    byteCountMax: Int = .max
  ) -> [UInt8] {
    var line = JSONWriter()
    line.bytes += opening
    line.text("\(partition),\"offset\":\(offset),\"reason\":\"refused\",\"code\":\(code),\"detail\":")
    line.quoted(message)
    line.text(",\"table\":")
    line.quoted(table)
    line.text(",\"batch\":")
    line.quoted(batch)
    line.text(",\"row\":{")
    var omitted: [(name: String, json: String)] = []
    var room = byteCountMax
    var isFirst = true
    for column in row {
      guard column.json.utf8.count <= room else {
        omitted.append((column.name, "\(column.json.utf8.count)"))
        continue
      }
      room -= column.json.utf8.count
      line.member(column, isFirst: &isFirst)
    }
    line.text("}")
    if !omitted.isEmpty {
      line.text(",\"row_omitted\":{")
      isFirst = true
      for column in omitted { line.member(column, isFirst: &isFirst) }
      line.text("}")
    }
    line.text("}\n")
    return line.bytes
  }

  /// Appends the line of a record that the decoder refused.
  package func append(
    _ failure: DecodeFailure, plan: SourcePlan, buffer: RecordBuffer, partition: Int32, epoch: EpochNumber, into block: DeadLetterBlock
  ) {
    append(
      buffer, entryIndex: failure.entryIndex, partition: partition, epoch: epoch, reason: failure.reason.rawValue,
      field: failure.field < 0 ? nil : plan.fields[failure.field].name, detail: failure.detail, limits: plan.limits, into: block)
  }
}

/// Milliseconds since 1970 as `YYYY-MM-DDThh:mm:ss.fffZ`; years after 9999 have more digits.
func isoText(milliseconds: Int64) -> String {
  let days = floorDivide(milliseconds, by: 86_400_000)
  let rest = Int(milliseconds - days * 86_400_000)
  let time = "\(padded(rest / 3_600_000, 2)):\(padded(rest / 60_000 % 60, 2)):\(padded(rest / 1000 % 60, 2)).\(padded(rest % 1000, 3))"
  return "\(isoDate(daysSince1970: Int(days)))T\(time)Z"
}

/// `YYYY-MM-DD`; years after 9999 have more digits.
package func isoDate(daysSince1970 days: Int) -> String {
  let date = civilDate(daysSince1970: days)
  return "\(padded(date.year, 4))-\(padded(date.month, 2))-\(padded(date.day, 2))"
}

private func padded(_ value: Int, _ count: Int) -> String { zeroPadded(String(value), count) }
