internal import MillBase

/// Reads records of one source into rows, by the rules of the pipeline file's contract (strict JSON, nothing changed on its way).
///
/// One owner at a time: it has working memory of its own. What it makes depends on the plan and the records alone.
@safe package final class RecordDecoder {
  /// How deep values may be nested; the record's object is 1.
  package static let depthMax = 64

  package let plan: SourcePlan
  private let tree: KeyTree
  private let fields: UnsafeMutablePointer<FieldState>
  private let writers: UnsafeMutablePointer<ColumnWriter>
  /// Encoded defaults and the topic's name, each with readable bytes behind.
  private let constants: UnsafeMutablePointer<UInt8>
  private let topicStart: Int
  private let aids: [FieldAids?]
  private let headerNames: [[UInt8]]
  /// What a row's Arrays and Maps may still take.
  private let room = ComposedRoom()

  /// What the loop knows of one field.
  private struct FieldState {
    var reader: FieldReader
    /// Of the value's path, or -1: metadata.
    var slot: Int32
    var metadata: Metadata
    var hasAids: Bool
    var defaultStart: Int32
    /// -1: there is no default.
    var defaultCount: Int32
  }

  private enum Metadata: UInt8 {
    case none, key, timestamp, topic, partition, offset, header
  }

  package init(plan: SourcePlan) {
    self.plan = plan
    var paths: [[String]] = []
    for field in plan.fields { if case .path(let path) = field.source { paths.append(path) } }
    var slots: [Int] = []
    tree = KeyTree(paths: paths, slotIndexes: &slots)
    var constants = Array(plan.topic.utf8) + [UInt8](repeating: 0, count: RecordBuffer.slack)
    var states: [FieldState] = []
    var path = 0
    let room = room
    aids = plan.fields.map { FieldAids($0, room: room) }
    for (index, field) in plan.fields.enumerated() {
      var state = FieldState(
        reader: FieldReader(field), slot: -1, metadata: Self.metadata(field.source), hasAids: aids[index] != nil, defaultStart: 0,
        defaultCount: -1)
      if state.metadata == .none {
        state.slot = Int32(slots[path])
        path += 1
      }
      if let text = field.defaultValue {
        do {
          let bytes = try field.encodeDefault(text)
          state.defaultStart = Int32(constants.count)
          state.defaultCount = Int32(bytes.count)
          constants += bytes + [UInt8](repeating: 0, count: RecordBuffer.slack)
        } catch {
          preconditionFailure("FieldPlan let the default '\(text)' of '\(field.name)' pass: \(error.reason.rawValue)")
        }
      }
      states.append(state)
    }
    unsafe fields = copied(states)
    unsafe self.constants = copied(constants)
    topicStart = 0
    unsafe writers = .allocate(capacity: plan.fields.count)
    headerNames = plan.fields.map { if case .metadata(.header(let name)) = $0.source { Array(name.utf8) } else { [] } }
  }

  deinit {
    unsafe fields.deallocate()
    unsafe writers.deallocate()
    unsafe constants.deallocate()
  }

  private static func metadata(_ source: FieldSource) -> Metadata {
    switch source {
    case .path: .none
    case .metadata(.key): .key
    case .metadata(.timestamp): .timestamp
    case .metadata(.topic): .topic
    case .metadata(.partition): .partition
    case .metadata(.offset): .offset
    case .metadata(.header): .header
    }
  }

  /// Reads `buffer.entries[head + skipped ..< head + skipped + count]`: each good record becomes a row
  /// of `rows`, each other one a failure, both in order.
  /// A record that fails leaves nothing in the columns. The buffer isn't consumed. `clockMilliseconds` is the epoch's.
  /// `origin`: what the rows say of where they come from; nil: the partition.
  package func decode(
    _ buffer: RecordBuffer, skipping skipped: Int = 0, first count: Int, partition: Int32, origin: Int32? = nil,
    clockMilliseconds: Int64 = .max, into rows: DecodedRows, failures: inout [DecodeFailure]
  ) {
    let origin = origin ?? partition
    let block = rows.block
    precondition(
      skipped + count <= buffer.count && block.columns.count == plan.fields.count,
      "\(skipped) and \(count) of \(buffer.count) records, \(block.columns.count) columns")
    for (index, column) in block.columns.enumerated() {
      unsafe (writers + index).initialize(to: ColumnWriter(column, rowsToCome: count))
    }
    block.originOffsets.reserve(count * 8)
    block.originPartitions.reserve(count * 4)
    rows.entryIndexes.reserve(count * 4)
    rows.eventTimes.reserve(count * 8)
    let offsets = unsafe block.originOffsets.base.assumingMemoryBound(to: Int64.self)
    let partitions = unsafe block.originPartitions.base.assumingMemoryBound(to: Int32.self)
    let indexes = unsafe rows.entryIndexes.base.assumingMemoryBound(to: UInt32.self)
    let times = unsafe rows.eventTimes.base.assumingMemoryBound(to: Int64.self)
    let fieldCount = plan.fields.count
    let timeField = plan.eventTime?.fieldIndex ?? -1
    let maxAhead = plan.eventTime?.maxAhead ?? 0
    let clock = plan.eventTime?.measuresClock == true ? clockMilliseconds : .max
    let isLimited = plan.limits != nil
    let roomPerRow = plan.limits?.rowByteCountMax ?? .max
    let head = buffer.head + skipped
    let bytes = unsafe UnsafePointer(buffer.bytes.assumingMemoryBound(to: UInt8.self))
    var row = block.rowCount
    let failuresBefore = failures.count
    unsafe buffer.entries.withUnsafeBufferPointer { entries in
      for index in head..<(head + count) {
        let entry = unsafe entries[index]
        var field = -1
        let composedBefore = room.count
        do throws(DecodeFault) {
          // An older release's plan has no limits, and what was taken whole is read by it.
          if entry.cut != RecordEntry.whole, isLimited || entry.cut >= 0 { throw DecodeFault(reason: .tooLarge, position: 0) }
          room.byteCount = roomPerRow
          let payload = unsafe ByteView(bytes + entry.payloadStart)
          try scan(payload, count: Int(entry.payloadByteCount))
          field = 0
          while field < fieldCount {
            try unsafe readField(field, payload, bytes, entry, partition, row)
            field &+= 1
          }
          if timeField >= 0 {
            field = timeField
            unsafe times[row] = try eventTime(timeField, row, entry.timestamp, clock, maxAhead)
          }
          unsafe offsets[row] = entry.offset
          unsafe partitions[row] = origin
          unsafe indexes[row] = UInt32(truncatingIfNeeded: index)
          row &+= 1
        } catch {
          room.count = composedBefore
          for field in 0..<fieldCount { unsafe writers[field].rollBack(to: row) }
          unsafe failures.append(failure(error, entryIndex: index, field: field, entry, bytes, buffer))
        }
      }
    }
    for index in failuresBefore..<failures.count where failures[index].reason == .aheadOfClock {
      failures[index].detail += "; the clock of its epoch was \(clock) ms"
    }
    finish(rows, rowCount: row)
  }

  private func finish(_ rows: DecodedRows, rowCount: Int) {
    let block = rows.block
    for field in plan.fields.indices { unsafe writers[field].finish(rowCount: rowCount) }
    block.rowCount = rowCount
    block.composedCount += room.count
    room.count = 0
    block.originOffsets.count = rowCount * 8
    block.originPartitions.count = rowCount * 4
    rows.entryIndexes.count = rowCount * 4
    if plan.eventTime != nil { rows.eventTimes.count = rowCount * 8 }
  }

  @inline(__always)
  private func scan(_ payload: ByteView, count: Int) throws(DecodeFault) {
    guard count > 0 else { throw DecodeFault(reason: count < 0 ? .tombstone : .emptyPayload, position: 0) }
    for slot in 0..<tree.slotCount { unsafe tree.slots[slot] = .missing }
    var scanner = JSONScanner(payload, count: count, tree: tree)
    try scanner.scanRecord()
  }

  @inline(__always)
  private func readField(
    _ field: Int, _ payload: ByteView, _ bytes: UnsafePointer<UInt8>, _ entry: RecordEntry, _ partition: Int32, _ row: Int
  ) throws(DecodeFault) {
    let slotIndex = unsafe Int(fields[field].slot)
    guard slotIndex >= 0 else {
      try unsafe readMetadata(field, bytes, entry, partition, row)
      return
    }
    let slot = unsafe tree.slots[slotIndex]
    if slot.kind == .missing || slot.kind == .null {
      try readMissing(field, slot, row)
    } else if unsafe fields[field].hasAids {
      try unsafe fields[field].reader.read(payload, slot, aids[field], into: &writers[field], row: row)
    } else {
      try unsafe fields[field].reader.read(payload, slot, nil, into: &writers[field], row: row)
    }
  }

  /// NULL for a Nullable type, else the default, else an error.
  private func readMissing(_ field: Int, _ slot: ValueSlot, _ row: Int) throws(DecodeFault) {
    let state = unsafe fields[field]
    if state.reader.isNullable {
      unsafe writers[field].storeNull(row: row)
      return
    }
    guard state.defaultCount >= 0 else { throw DecodeFault(reason: .missingField, position: slot.start) }
    let value = unsafe UnsafePointer(constants + Int(state.defaultStart))
    guard unsafe writers[field].storeBytes(value, count: Int(state.defaultCount), row: row) else {
      throw DecodeFault(reason: .outOfRange, position: slot.start)
    }
  }

  private func readMetadata(
    _ field: Int, _ bytes: UnsafePointer<UInt8>, _ entry: RecordEntry, _ partition: Int32, _ row: Int
  ) throws(DecodeFault) {
    let state = unsafe fields[field]
    let none = ValueSlot.missing
    switch state.metadata {
    case .none: preconditionFailure("field \(field) has neither path nor metadata")
    case .partition: try unsafe state.reader.storeInteger(Int64(partition), none, aids[field], into: &writers[field], row: row)
    case .offset: try unsafe state.reader.storeInteger(entry.offset, none, aids[field], into: &writers[field], row: row)
    case .timestamp:
      guard entry.timestamp >= 0 else { return try readMissing(field, none, row) }
      if state.reader.kind == .integer || state.reader.kind == .wide {
        try unsafe state.reader.storeInteger(entry.timestamp, none, aids[field], into: &writers[field], row: row)
      } else {
        try unsafe state.reader.storeUnix(DecimalNumber(entry.timestamp), digits: 3, none, into: &writers[field], row: row)
      }
    case .topic:
      let slot = ValueSlot(start: 0, end: Int32(plan.topic.utf8.count), kind: .string)
      try unsafe state.reader.read(ByteView(constants + topicStart), slot, nil, into: &writers[field], row: row)
    case .key:
      guard entry.keyByteCount >= 0 else { return try readMissing(field, none, row) }
      let slot = ValueSlot(start: 0, end: entry.keyByteCount, kind: .string)
      try unsafe state.reader.read(ByteView(bytes + entry.start), slot, aids[field], into: &writers[field], row: row)
    case .header:
      guard let value = unsafe lastHeader(headerNames[field], ByteView(bytes + entry.headersStart), Int(entry.headersByteCount)) else {
        return try readMissing(field, none, row)
      }
      let slot = ValueSlot(start: Int32(value.lowerBound), end: Int32(value.upperBound), kind: .string)
      try unsafe state.reader.read(ByteView(bytes + entry.headersStart), slot, aids[field], into: &writers[field], row: row)
    }
  }

  /// The row's event time in milliseconds, from the column it was written to.
  @inline(__always)
  private func eventTime(_ field: Int, _ row: Int, _ timestamp: Int64, _ clock: Int64, _ maxAhead: Int64) throws(DecodeFault) -> Int64 {
    let raw = unsafe writers[field].load(row: row)
    let time: Int64
    switch unsafe fields[field].reader.kind {
    case .date: time = Int64(raw) &* 86_400_000
    case .date32: time = Int64(Int32(truncatingIfNeeded: raw)) &* 86_400_000
    case .dateTime: time = Int64(raw) &* 1000
    default: time = milliseconds(Int64(bitPattern: raw), precision: unsafe Int(fields[field].reader.scale))
    }
    guard timestamp >= 0 else { throw DecodeFault(reason: .noTimestamp, position: 0) }
    // Both are far from Int64's ends: times by their types, maxAhead by SourcePlan.
    guard time &- maxAhead <= timestamp else { throw DecodeFault(reason: .aheadOfTimestamp, position: 0) }
    // Where a producer's clock is wrong, so is the timestamp that it gives a record.
    guard time &- maxAhead <= clock else { throw DecodeFault(reason: .aheadOfClock, position: 0) }
    return time
  }

  @inline(never)
  private func failure(
    _ fault: DecodeFault, entryIndex: Int, field: Int, _ entry: RecordEntry, _ bytes: UnsafePointer<UInt8>, _ buffer: RecordBuffer
  ) -> DecodeFailure {
    var detail = fault.reason.sentence
    if field < 0, fault.reason == .tooLarge {
      let whole = buffer.wholeByteCounts(of: entry)
      let byteCount = Int(max(whole.key, 0)) + Int(max(whole.payload, 0)) + Int(whole.headers)
      detail += ", \(byteCount) bytes of at most \(plan.limits?.recordByteCountMax ?? 0)"
    } else if field < 0 {
      if fault.reason != .tombstone, fault.reason != .emptyPayload { detail += ", at byte \(fault.position) of \(entry.payloadByteCount)" }
    } else {
      let plan = plan.fields[field]
      if fault.reason == .tooLarge {
        detail += ": its arrays and maps take more than \(self.plan.limits?.rowByteCountMax ?? 0) bytes of a row"
      }
      detail += "; field '\(plan.name)' of type \(plan.type)"
      if case .path(let path) = plan.source, path != [plan.name] { detail += ", from \(plan.source)" }
      let state = unsafe fields[field]
      if state.slot >= 0 {
        let slot = unsafe tree.slots[Int(state.slot)]
        let value = unsafe UnsafeBufferPointer(start: bytes + entry.payloadStart + Int(slot.start), count: Int(slot.end - slot.start))
        if slot.kind != .missing { unsafe detail += ", value \(excerpt(value))" }
        if plan.type.isComposed, fault.position != slot.start { detail += ", at byte \(fault.position) of the record" }
      } else if case .metadata = plan.source {
        detail += ", from \(plan.source)"
      }
    }
    return DecodeFailure(entryIndex: entryIndex, reason: fault.reason, field: field, detail: detail)
  }
}

/// The beginning of a value for people's eyes: at most 80 bytes, control characters as spaces, what is no UTF-8 as U+FFFD.
private func excerpt(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
  let part = unsafe bytes.prefix(80).map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }
  return "'" + String(decoding: part, as: UTF8.self) + (bytes.count > 80 ? "'…" : "'")
}

/// Where the value of the last header of this name stands; nil where there is none, or it is null.
private func lastHeader(_ name: [UInt8], _ headers: ByteView, _ count: Int) -> Range<Int>? {
  var index = 0
  var found: Range<Int>?
  while count - index >= 6 {
    let nameCount = Int(UInt16(littleEndian: headers.load(UInt16.self, at: index)))
    let nameStart = index + 2
    guard count - nameStart >= nameCount + 4 else { return found }
    let valueCount = Int(Int32(littleEndian: headers.load(Int32.self, at: nameStart + nameCount)))
    let valueStart = nameStart + nameCount + 4
    let valueEnd = valueStart + max(valueCount, 0)
    guard valueEnd <= count else { return found }
    if nameCount == name.count, (0..<nameCount).allSatisfy({ headers[nameStart + $0] == name[$0] }) {
      found = valueCount < 0 ? nil : valueStart..<valueEnd
    }
    index = valueEnd
  }
  return found
}

/// Milliseconds of a DateTime64's ticks, fractions dropped towards the past.
@inline(__always)
private func milliseconds(_ ticks: Int64, precision: Int) -> Int64 {
  var value = ticks
  var digits = precision
  while digits < 3 {
    value &*= 10
    digits &+= 1
  }
  var divisor: Int64 = 1
  while digits > 3 {
    divisor &*= 10
    digits &-= 1
  }
  return divisor == 1 ? value : floorDivide(value, by: divisor)
}
