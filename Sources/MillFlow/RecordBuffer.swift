package import MillBase

/// One Kafka record inside a ``RecordBuffer``: where its bytes stand there. Counts of -1 stand for null (no key, tombstone).
package struct RecordEntry: Sendable {
  package var offset: Int64
  /// Milliseconds since 1970; -1 where the record has none.
  package var timestamp: Int64
  /// Key, then payload, then headers stand here one after the other.
  package var start: Int
  package var keyByteCount: Int32
  package var payloadByteCount: Int32
  /// Headers as a sequence of (name count u16, name, value count i32 (-1: null), value), little endian.
  package var headersByteCount: Int32
  /// ``whole``, ``oversized``, or which of ``RecordBuffer/cuts`` says what was left out.
  package var cut: Int32 = Self.whole
  /// ``InputDigest/ofRecord(offset:timestamp:keyByteCount:payloadByteCount:_:)``.
  package var digest: Digest128

  package static let whole: Int32 = -1
  /// Beyond ``RecordLimits/recordByteCountMax``, but all of it was taken.
  package static let oversized: Int32 = -2

  package init(
    offset: Int64, timestamp: Int64, start: Int, keyByteCount: Int32, payloadByteCount: Int32, headersByteCount: Int32, digest: Digest128
  ) {
    self.digest = digest
    self.offset = offset
    self.timestamp = timestamp
    self.start = start
    self.keyByteCount = keyByteCount
    self.payloadByteCount = payloadByteCount
    self.headersByteCount = headersByteCount
  }

  package var payloadStart: Int { start + Int(max(keyByteCount, 0)) }
  package var headersStart: Int { payloadStart + Int(max(payloadByteCount, 0)) }
}

/// Fetched, not yet processed records of one partition in offset order, in memory that is borrowed from ``RecordMemory`` while there are
/// any.
///
/// `entries[head...]` are still to be processed. ``bytes`` always has ``slack`` readable bytes behind the last record, so that a
/// scanner may load whole vectors. Flow thread only.
@safe package final class RecordBuffer {
  /// Readable bytes of any content behind the last record.
  package static let slack = 64

  /// Behind a pointer, as fields of a class are guarded against overlapping accesses at each use.
  private let state: UnsafeMutablePointer<State>
  private let memory: RecordMemory
  /// ``RecordLimits/recordByteCountMax``
  private let recordByteCountMax: Int
  /// Whether its block is the memory's; else it has only room for nothing, or what it was made with.
  private var isBorrowed = false

  @safe private struct State {
    var block: RecordMemory.Block
    var head = 0
    var used = 0
    var nextOffset: Int64
    /// Where the source last said that the partition ends.
    var endOffset: Int64 = -1
    /// Of records that weren't taken whole; emptied with the entries.
    var cuts: [RecordCut] = []
    /// Some record is beyond the limits and was taken whole; of the entries since they were last emptied.
    var hasOversized = false
  }

  /// All records since the memory was last emptied.
  package var entries: [RecordEntry] { unsafe state.pointee.block.entries }
  /// What was left out of records that weren't taken whole, by ``RecordEntry/cut``.
  package var cuts: [RecordCut] { unsafe state.pointee.cuts }
  /// Records already processed.
  package var head: Int { unsafe state.pointee.head }
  /// What ``RecordEntry/start`` counts from.
  package var bytes: UnsafeMutableRawPointer { unsafe state.pointee.block.bytes }
  /// The offset that the next fetched record will have at least: one past the last record, or further where the source
  /// knows that nothing more stands before it (aborted records, markers).
  package var nextOffset: Int64 { unsafe state.pointee.nextOffset }

  /// - Parameter capacity: bytes to have room for from the start, and not one more.
  package init(nextOffset: Int64, capacity: Int = 0, memory: RecordMemory = RecordMemory()) {
    self.memory = memory
    recordByteCountMax = memory.limits?.recordByteCountMax ?? .max
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(to: State(block: RecordMemory.Block(capacity: capacity), nextOffset: nextOffset))
  }

  deinit {
    unsafe state.pointee.block.deallocate()
    unsafe state.deinitialize(count: 1)
    unsafe state.deallocate()
  }

  /// Records not yet processed.
  package var count: Int { entries.count - head }
  /// Bytes of the records not yet processed.
  package var byteCount: Int { head < entries.count ? unsafe state.pointee.used - entries[head].start : 0 }

  /// Bytes of the first `count` records not yet processed.
  package func byteCount(ofFirst count: Int) -> Int {
    let end = head + count
    return count == 0 ? 0 : (end < entries.count ? entries[end].start : unsafe state.pointee.used) - entries[head].start
  }

  /// Bytes of `count` records not yet processed, from the one at `skipped` on. Of one beyond the limits only what its dead letter holds
  /// counts, whether it was taken whole or not: what is reckoned from this is the same in a replay.
  package func boundedByteCount(skipping skipped: Int, first count: Int) -> Int {
    var sum = byteCount(ofFirst: skipped + count) - byteCount(ofFirst: skipped)
    guard unsafe state.pointee.hasOversized, let most = memory.limits?.letterByteCountMax else { return sum }
    for entry in entries[(head + skipped)..<(head + skipped + count)] where entry.cut == RecordEntry.oversized {
      let (key, payload) = (Int(max(entry.keyByteCount, 0)), Int(max(entry.payloadByteCount, 0)))
      sum += min(key, most) + min(payload, most) - key - payload - Int(entry.headersByteCount)
    }
    return sum
  }

  /// Bytes of the first `count` records not yet processed as they stand in Kafka, also of those that weren't taken whole.
  package func wholeByteCount(ofFirst count: Int) -> Int {
    var sum = byteCount(ofFirst: count)
    guard unsafe !state.pointee.cuts.isEmpty else { return sum }
    for entry in entries[head..<(head + count)] where entry.cut >= 0 {
      let whole = wholeByteCounts(of: entry)
      sum += Int(max(whole.key, 0)) + Int(max(whole.payload, 0)) + Int(whole.headers)
      sum -= Int(max(entry.keyByteCount, 0)) + Int(max(entry.payloadByteCount, 0))
    }
    return sum
  }

  /// Appends one record; `offset` must be at least ``nextOffset``. Null key or payload: a nil `baseAddress` is empty, pass nil for null.
  ///
  /// Of one beyond the memory's limits only as much is copied as its dead letter will hold.
  package func append(
    offset: Int64, timestamp: Int64, key: UnsafeRawBufferPointer?, payload: UnsafeRawBufferPointer?, headers: UnsafeRawBufferPointer?
  ) {
    precondition(offset >= nextOffset, "offset \(offset) after \(nextOffset)")
    let total = unsafe (key?.count ?? 0) + (payload?.count ?? 0) + (headers?.count ?? 0)
    if total > recordByteCountMax, !memory.takesWhole {
      return unsafe appendCut(offset: offset, timestamp: timestamp, key: key, payload: payload, headersByteCount: headers?.count ?? 0)
    }
    if unsafe state.pointee.used + total > state.pointee.block.capacity { grow(by: total) }
    let start = unsafe state.pointee.used
    unsafe copy(key)
    unsafe copy(payload)
    unsafe copy(headers)
    let (keyByteCount, payloadByteCount) = unsafe (key.map { Int32($0.count) } ?? -1, payload.map { Int32($0.count) } ?? -1)
    let digest = unsafe InputDigest.ofRecord(
      offset: offset, timestamp: timestamp, keyByteCount: keyByteCount, payloadByteCount: payloadByteCount,
      UnsafePointer((state.pointee.block.bytes + start).assumingMemoryBound(to: UInt8.self)))
    unsafe state.pointee.block.entries.append(
      RecordEntry(
        offset: offset, timestamp: timestamp, start: start, keyByteCount: keyByteCount, payloadByteCount: payloadByteCount,
        headersByteCount: Int32(headers?.count ?? 0), digest: digest))
    if total > recordByteCountMax {
      unsafe state.pointee.block.entries[entries.count - 1].cut = RecordEntry.oversized
      unsafe state.pointee.hasOversized = true
    }
    unsafe state.pointee.nextOffset = offset + 1
  }

  /// The same digest and checksum as of the whole record, and the beginnings of key and value.
  @inline(never)
  private func appendCut(
    offset: Int64, timestamp: Int64, key: UnsafeRawBufferPointer?, payload: UnsafeRawBufferPointer?, headersByteCount: Int
  ) {
    let kept = memory.limits?.letterByteCountMax ?? 0
    let (keyByteCount, payloadByteCount) = unsafe (key.map { Int32($0.count) } ?? -1, payload.map { Int32($0.count) } ?? -1)
    let keptKey = unsafe key.map { unsafe UnsafeRawBufferPointer(rebasing: $0.prefix(kept)) }
    let keptPayload = unsafe payload.map { unsafe UnsafeRawBufferPointer(rebasing: $0.prefix(kept)) }
    let total = unsafe (keptKey?.count ?? 0) + (keptPayload?.count ?? 0)
    if unsafe state.pointee.used + total > state.pointee.block.capacity { grow(by: total) }
    let start = unsafe state.pointee.used
    unsafe copy(keptKey)
    unsafe copy(keptPayload)
    var entry = RecordEntry(
      offset: offset, timestamp: timestamp, start: start, keyByteCount: min(keyByteCount, Int32(clamping: kept)),
      payloadByteCount: min(payloadByteCount, Int32(clamping: kept)), headersByteCount: 0,
      digest: unsafe InputDigest.ofRecord(offset: offset, timestamp: timestamp, key: key, payload: payload))
    unsafe entry.cut = Int32(state.pointee.cuts.count)
    unsafe state.pointee.cuts.append(
      RecordCut(
        keyByteCount: keyByteCount, payloadByteCount: payloadByteCount, headersByteCount: Int32(clamping: headersByteCount),
        checksum: Anchor.checksum(key: key, payload: payload)))
    unsafe state.pointee.block.entries.append(entry)
    unsafe state.pointee.nextOffset = offset + 1
  }

  /// Bytes of an entry's whole key and value (-1: null) and of its headers, also where not all was taken.
  package func wholeByteCounts(of entry: RecordEntry) -> (key: Int32, payload: Int32, headers: Int32) {
    guard entry.cut >= 0 else { return (entry.keyByteCount, entry.payloadByteCount, entry.headersByteCount) }
    let cut = cuts[Int(entry.cut)]
    return (cut.keyByteCount, cut.payloadByteCount, cut.headersByteCount)
  }

  /// Whether the partition had no further record when the source last came to its end, and none has been appended since.
  package var isAtEnd: Bool { unsafe state.pointee.endOffset == state.pointee.nextOffset }

  /// The source says that the partition ends at `offset` for now: no record stands before it that hasn't been appended.
  package func end(at offset: Int64) {
    defer { unsafe state.pointee.endOffset = max(nextOffset, offset) }
    unsafe state.pointee.nextOffset = max(nextOffset, offset)
  }

  /// No record stands before `offset` that hasn't been appended; more may follow.
  package func advance(to offset: Int64) { unsafe state.pointee.nextOffset = max(nextOffset, offset) }

  /// How many of the records still to be processed stand before `offset`.
  package func count(before offset: Int64) -> Int {
    if nextOffset <= offset { return count }
    var low = head
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].offset < offset { low = middle + 1 } else { high = middle }
    }
    return low - head
  }

  /// The first `count` records have been processed.
  package func consume(_ count: Int) {
    unsafe state.pointee.head += count
    guard unsafe !entries.isEmpty && state.pointee.head == entries.count else { return }
    unsafe state.pointee.head = 0
    unsafe state.pointee.used = 0
    if unsafe !state.pointee.cuts.isEmpty { unsafe state.pointee.cuts = [] }
    unsafe state.pointee.hasOversized = false
    replaceBlock(RecordMemory.Block(capacity: 0))
  }

  /// For simulator and fuzzers: what stands behind the last record becomes bytes that could go on a string of JSON, an escape or a letter
  /// of UTF-8, so that a reader that believes them shows itself.
  package func fillSlack(_ random: inout SeededRandom) {
    let end = unsafe (state.pointee.block.bytes + state.pointee.used).assumingMemoryBound(to: UInt8.self)
    for index in 0..<Self.slack {
      let draw = UInt8(truncatingIfNeeded: random.next())
      let byte = index % 3 == 0 ? draw : draw < 0x80 ? 0x80 | draw >> 1 : Self.continuing[Int(draw) % Self.continuing.count]
      unsafe end[index] = byte
    }
  }

  private static let continuing = Array("\"\\/bfnrtu0dc}],: ".utf8)

  @inline(__always)
  private func copy(_ part: UnsafeRawBufferPointer?) {
    guard let part = unsafe part, let from = part.baseAddress, part.count > 0 else { return }
    unsafe (state.pointee.block.bytes + state.pointee.used).copyMemory(from: from, byteCount: part.count)
    unsafe state.pointee.used += part.count
  }

  @inline(never)
  private func grow(by count: Int) {
    // What was processed is dropped first; that may already make room.
    let head = unsafe state.pointee.head
    let from = head < entries.count ? entries[head].start : unsafe state.pointee.used
    let live = unsafe state.pointee.used - from
    var block = memory.take(max(live + count, live * 2))
    unsafe block.bytes.copyMemory(from: state.pointee.block.bytes + from, byteCount: live)
    var kept: [RecordCut] = []
    for var entry in entries[head...] {
      entry.start -= from
      if entry.cut >= 0 {
        kept.append(cuts[Int(entry.cut)])
        entry.cut = Int32(kept.count - 1)
      }
      block.entries.append(entry)
    }
    unsafe state.pointee.cuts = kept
    replaceBlock(block)
    unsafe state.pointee.head = 0
    unsafe state.pointee.used = live
  }

  private func replaceBlock(_ block: RecordMemory.Block) {
    var old = block
    unsafe swap(&old, &state.pointee.block)
    old.entries.removeAll(keepingCapacity: true)
    if isBorrowed { memory.giveBack(old) } else { old.deallocate() }
    isBorrowed = block.capacity > 0
  }
}
