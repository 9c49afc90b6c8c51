internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillFlow
internal import MillLog
internal import MillState

/// The way of an epoch's records: decode, judge lateness, deduplicate, append to what the destinations have pending.
///
/// A pure function of the state before, the intent and the bytes (R3): partitions in order, nothing asks clock or chance. Flow thread only.
final class Flow {
  struct Outcome {
    var counters = Counters()
    var deadLetters = ReasonTally()
    var skipped = ReasonTally()
    var maxEventTimes: [Int64] = []
    var watermark = Int64.min
    var expired: [BucketID] = []
    var stop: Stop?
  }

  /// What the rules of one plan need while records are read.
  private struct Rules {
    var row: RowRules
    var decoder: RecordDecoder
    var pieceRoom: PieceRoom

    init(_ row: RowRules) {
      self.row = row
      decoder = RecordDecoder(plan: row.sourcePlan)
      pieceRoom = PieceRoom(row.sourcePlan)
    }
  }

  private let parts: EngineParts
  /// Of today's plan, and of those that epochs to be replayed were recorded under.
  private let rules: Rules
  private let earlierRules: [UInt64: Rules]
  private let decoded: DecodedRows
  private let hasher: KeyHasher?
  private let letters: DeadLetterEncoder
  private var watermarks: WatermarkTracker
  /// Set when the state lane has opened it; nil without a deduplicate operator.
  var state: DeduplicateState?

  /// Where blocks come back to once they are sealed. Index: sink.
  private let batchMemories: [BatchMemory]
  /// Index: sink. Each gets all rows.
  private var rows: [RowBlock]
  /// Index: sink.
  private let destinations: [Destination]
  private var deadLetters = DeadLetterBlock()

  // Memory of one epoch, used again and again.
  private var hashes: [Digest128] = []
  private var keyBytes = GrowableBytes()
  private var keyEnds = GrowableBytes()
  private var keep: [UInt8] = []
  private var nullKeys: [Int32] = []
  private var times: [Int64] = []
  private var failures: [DecodeFailure] = []
  /// See ``EngineParts/slackSeed``.
  private var slackBytes: SeededRandom?

  init(parts: EngineParts, start: FlowStart) {
    self.parts = parts
    rules = Rules(RowRules(sourcePlan: parts.sourcePlan, deduplicate: parts.deduplicate))
    earlierRules = parts.earlierRules.mapValues(Rules.init)
    decoded = DecodedRows(parts.sourcePlan)
    hasher = parts.deduplicate.map { KeyHasher(fieldIndexes: $0.keyFields, types: parts.sourcePlan.types, seed: start.hashSeed) }
    letters = DeadLetterEncoder(pipeline: parts.core.pipeline, source: parts.sourcePlan.name, topic: parts.sourcePlan.topic)
    watermarks = WatermarkTracker(
      outOfOrderness: parts.sourcePlan.eventTime?.outOfOrderness, maxEventTimes: start.maxEventTimes, watermark: start.watermark)
    rows = start.destinations.map { _ in RowBlock(parts.sourcePlan.types) }
    destinations = start.destinations
    batchMemories = start.destinations.map { _ in BatchMemory() }
    slackBytes = parts.slackSeed.map { SeededRandom($0) }
  }

  /// Index: destination.
  var pendingRows: [UInt64] { byDestination(\.rowCount, deadLetters.rowCount) }
  /// Index: destination.
  var pendingBytes: [UInt64] { byDestination(\.byteCount, deadLetters.byteCount) }

  private func byDestination(_ value: (RowBlock) -> Int, _ ofDeadLetters: Int) -> [UInt64] {
    var values = [UInt64](repeating: 0, count: (destinations + [.deadLetters]).reduce(0) { max($0, $1.index) } + 1)
    for (destination, block) in zip(destinations, rows) { values[destination.index] = UInt64(value(block)) }
    values[Destination.deadLetters.index] = UInt64(ofDeadLetters)
    return values
  }

  /// Hands out what the table has pending, and where its memory comes back to; the flow goes on with an empty block.
  func takeRows(_ destination: Destination) -> (rows: RowBlock, memory: BatchMemory) {
    let sink = sink(of: destination)
    let taken = rows[sink]
    rows[sink] = batchMemories[sink].takeBlock() ?? RowBlock(parts.sourcePlan.types)
    return (taken, batchMemories[sink])
  }

  private func sink(of destination: Destination) -> Int {
    guard let index = destinations.firstIndex(of: destination) else { preconditionFailure("no sink has number \(destination.rawValue)") }
    return index
  }

  func takeDeadLetters() -> DeadLetterBlock {
    defer { deadLetters = DeadLetterBlock() }
    return deadLetters
  }

  /// The digest that `batch` would have if it were sealed from what is pending now; nil where its rows aren't there.
  func digest(_ batch: SealedBatch, encoder: BlockEncoder?) -> Digest128? {
    let range = Int(batch.rowStart)..<Int(batch.rowStart + batch.rowCount)
    guard batch.destination.isTable else { return range.upperBound <= deadLetters.rowCount ? deadLetters.digest(range) : nil }
    let rows = rows[sink(of: batch.destination)]
    return range.upperBound <= rows.rowCount ? encoder?.encode(rows, rows: range).digest : nil
  }

  /// Adds to an intent what only the bytes tell: the input's digest and each range's last record.
  func complete(_ intent: Intent, _ buffers: [RecordBuffer]) -> Intent {
    var whole = intent
    var digest = InputDigest()
    for (index, range) in intent.ranges.enumerated() {
      let buffer = buffers[Int(range.partition)]
      let count = buffer.count(before: range.next)
      guard count > 0 else { continue }
      inputDigest(buffer, first: count, partition: range.partition, into: &digest)
      let last = buffer.anchor(at: buffer.head + count - 1)
      whole.ranges[index].anchorOffset = last.offset
      whole.ranges[index].anchorTimestamp = last.timestamp
      whole.ranges[index].anchorChecksum = last.checksum
    }
    whole.inputDigest = digest.value
    return whole
  }

  /// Processes the intent's records and consumes them from the buffers.
  func process(_ intent: Intent, _ buffers: [RecordBuffer]) -> Outcome {
    var outcome = Outcome()
    let rules = earlierRules[intent.planHash] ?? rules
    decoded.removeAll()
    var pieceRoom = rules.pieceRoom
    if slackBytes != nil { for buffer in buffers { buffer.fillSlack(&slackBytes!) } }
    // The watermark that lateness is judged by is the one at the epoch's start (contract §1.2).
    watermarks.grow(partitionCount: intent.partitionCount)
    // In a replay the topic may have partitions by now that the epoch didn't know: they had no say then.
    let idle = watermarks.maxEventTimes.indices.map { $0 >= intent.partitionCount || intent.idle.contains(Int32($0)) }
    let watermark = watermarks.advance(idle: idle, clockMilliseconds: intent.clockMilliseconds)
    for range in intent.ranges {
      let buffer = buffers[Int(range.partition)]
      let count = buffer.count(before: range.next)
      outcome.counters.records += UInt64(count)
      outcome.counters.bytes += UInt64(buffer.wholeByteCount(ofFirst: count))
      var taken = 0
      while taken < count {
        let (some, isFull) = pieceRoom.take(buffer, skipping: taken, limit: min(count - taken, Self.pieceRowCount - decoded.rowCount))
        failures.removeAll(keepingCapacity: true)
        rules.decoder.decode(
          buffer, skipping: taken, first: some, partition: range.partition, clockMilliseconds: intent.clockMilliseconds, into: decoded,
          failures: &failures)
        taken += some
        take(failures, rules, buffer, range.partition, intent, &outcome)
        if isFull || decoded.rowCount == Self.pieceRowCount {
          decide(intent, rules, buffers, watermark, &outcome)
          pieceRoom.reset()
        }
        if outcome.stop != nil { return outcome }
      }
    }
    decide(intent, rules, buffers, watermark, &outcome)
    if outcome.stop != nil { return outcome }
    for range in intent.ranges { buffers[Int(range.partition)].consume(buffers[Int(range.partition)].count(before: range.next)) }
    outcome.maxEventTimes = watermarks.maxEventTimes
    outcome.watermark = watermark
    if let state, let options = parts.deduplicate?.options {
      outcome.expired = state.expire(watermark: options.usesEventTime ? watermark : intent.clockMilliseconds)
    }
    return outcome
  }

  private func take(
    _ failures: [DecodeFailure], _ rules: Rules, _ buffer: RecordBuffer, _ partition: Int32, _ intent: Intent, _ outcome: inout Outcome
  ) {
    for failure in failures {
      switch parts.sourcePlan.onError {
      case .skip:
        outcome.counters.skipped += 1
        outcome.skipped.add(failure.reason.rawValue, example: failure.example(parts.sourcePlan, buffer, partition: partition))
      case .deadLetter:
        outcome.counters.deadLettered += 1
        outcome.deadLetters.add(failure.reason.rawValue, example: failure.example(parts.sourcePlan, buffer, partition: partition))
        letters.append(
          failure, plan: rules.row.sourcePlan, buffer: buffer, partition: partition, epoch: intent.epoch, into: deadLetters)
      case .fail:
        let offset = buffer.entries[failure.entryIndex].offset
        outcome.stop = Stop(
          .failed,
          "partition \(partition) of \(parts.sourcePlan.topic), offset \(offset): \(failure.reason.sentence): \(failure.detail) (sources.\(parts.sourcePlan.name).on_error is fail)"
        )
        return
      }
    }
  }

  /// Rows that go from step to step together: few enough for what a step leaves to be in the processor's cache for the next.
  private static let pieceRowCount = 4096

  /// Decides about what has been decoded, late first, then duplicate, and appends what is kept.
  private func decide(
    _ intent: Intent, _ rules: Rules, _ buffers: [RecordBuffer], _ watermark: Int64, _ outcome: inout Outcome
  ) {
    let count = decoded.block.rowCount
    guard count > 0 else { return }
    keep.removeAll(keepingCapacity: true)
    keep.append(contentsOf: repeatElement(1, count: count))
    nullKeys.removeAll(keepingCapacity: true)
    fillTimes(count, intent)
    if let deduplicate = rules.row.deduplicate, let state, let hasher {
      if deduplicate.options.usesEventTime {
        dropLate(intent, rules, buffers, watermark, deduplicate.options.allowedLatenessMilliseconds, &outcome)
      }
      hasher.hash(decoded.block, into: &hashes)
      if deduplicate.options.exact { hasher.keyBytes(decoded.block, into: &keyBytes, ends: &keyEnds) }
      outcome.counters.nullKey += deduplicate.nullKeysAreEqual ? 0 : setNullKeysAside(hasher)
      do throws(RunStoreError) {
        outcome.counters.duplicate += UInt64(try deduplicateRows(state, count))
      } catch {
        outcome.stop = Executor.stop(of: error)
        return
      }
    }
    for row in nullKeys { keep[Int(row)] = 1 }
    FaultPoint.hit(.amidProcess)
    for (destination, block) in zip(destinations, rows) {
      let before = block.rowCount
      block.append(decoded.block, keep: keep)
      outcome.counters.emit(UInt64(block.rowCount - before), for: destination)
    }
    decoded.removeAll()
  }

  private func fillTimes(_ count: Int, _ intent: Intent) {
    times.removeAll(keepingCapacity: true)
    if parts.sourcePlan.eventTime != nil {
      unsafe decoded.eventTimes.raw.withMemoryRebound(to: Int64.self) { unsafe times.append(contentsOf: $0) }
      let partitions = unsafe decoded.block.originPartitions.base.assumingMemoryBound(to: Int32.self)
      for row in 0..<count { watermarks.observe(partition: unsafe Int(partitions[row]), eventTime: times[row]) }
    }
    if parts.sourcePlan.eventTime == nil || parts.deduplicate?.options.usesEventTime == false {
      times.removeAll(keepingCapacity: true)
      times.append(contentsOf: repeatElement(intent.clockMilliseconds, count: count))
    }
  }

  private func dropLate(
    _ intent: Intent, _ rules: Rules, _ buffers: [RecordBuffer], _ watermark: Int64, _ lateness: Int64, _ outcome: inout Outcome
  ) {
    guard watermark != Int64.min else { return }
    let bound = watermark.subtractingReportingOverflow(lateness)
    guard !bound.overflow else { return }
    for row in times.indices where times[row] < bound.partialValue && keep[row] != 0 {
      keep[row] = 0
      outcome.counters.late += 1
      let partition = unsafe decoded.block.originPartitions.base.load(fromByteOffset: row * 4, as: Int32.self)
      let entry = unsafe decoded.entryIndexes.base.load(fromByteOffset: row * 4, as: UInt32.self)
      let detail = "event time \(times[row]) ms is before watermark \(watermark) ms less allowed_lateness \(lateness) ms"
      letters.append(
        buffers[Int(partition)], entryIndex: Int(entry), partition: partition, epoch: intent.epoch, reason: "late", field: nil,
        detail: detail, limits: rules.row.sourcePlan.limits, into: deadLetters)
      outcome.deadLetters.add(
        "late",
        example:
          "partition \(partition), offset \(buffers[Int(partition)].entries[Int(entry)].offset): \(detail); remedy: a larger allowed_lateness"
      )
    }
  }

  /// Rows without a key, of those that count, are neither looked for nor remembered. How many.
  private func setNullKeysAside(_ hasher: KeyHasher) -> UInt64 {
    hasher.nullKeys(decoded.block, into: &nullKeys)
    nullKeys.removeAll { keep[Int($0)] == 0 }
    for row in nullKeys { keep[Int(row)] = 0 }
    return UInt64(nullKeys.count)
  }

  private func deduplicateRows(_ state: DeduplicateState, _ count: Int) throws(RunStoreError) -> Int {
    let block = decoded.block
    let partitions = unsafe block.originPartitions.base.assumingMemoryBound(to: Int32.self)
    let offsets = unsafe block.originOffsets.base.assumingMemoryBound(to: Int64.self)
    return try unsafe hashes.withUnsafeBufferPointer { (hashes) throws(RunStoreError) in
      try unsafe times.withUnsafeBufferPointer { (times) throws(RunStoreError) in
        try unsafe keep.withUnsafeMutableBufferPointer { (keep) throws(RunStoreError) in
          try unsafe state.deduplicate(
            count: count, hashes: hashes.baseAddress!, keyBytes: UnsafeRawPointer(keyBytes.base),
            keyEnds: UnsafePointer(keyEnds.base.assumingMemoryBound(to: UInt32.self)), times: times.baseAddress!, partitions: partitions,
            offsets: offsets, keep: keep.baseAddress!)
        }
      }
    }
  }
}

/// Bytes that the rows of a piece may still take. Where pieces end decides how late and broken records stand among the dead letters, so
/// that it hangs on plan and records alone; a plan without limits, as older releases had it, has none here either.
private struct PieceRoom {
  private static let byteCountMax = 16 << 20
  private let bound: RowBound?
  private var byteCount = Self.byteCountMax

  init(_ plan: SourcePlan) { bound = plan.limits == nil ? nil : RowBound(plan) }

  mutating func reset() { byteCount = Self.byteCountMax }

  /// How many of `limit` records the piece takes, at least one, and whether no other one fits.
  mutating func take(_ buffer: RecordBuffer, skipping skipped: Int, limit: Int) -> (count: Int, isFull: Bool) {
    guard let bound else { return (limit, false) }
    let count = max(1, bound.fitting(buffer, skipping: skipped, limit: limit, byteCount: byteCount))
    let taken = buffer.boundedByteCount(skipping: skipped, first: count)
    byteCount -= bound.rowByteCount(recordCount: count, byteCount: taken)
    return (count, count < limit || byteCount <= 0)
  }
}

extension DeadLetterBlock {
  /// What names a batch of these rows.
  func digest(_ range: Range<Int>) -> Digest128 { unsafe lines(range).withRawBytes { unsafe cityHash128($0) } }

  /// The bytes of some rows' lines.
  func lines(_ range: Range<Int>) -> [UInt8] {
    guard !range.isEmpty else { return [] }
    let start = range.lowerBound == 0 ? 0 : unsafe Int(ends.base.load(fromByteOffset: (range.lowerBound - 1) * 4, as: UInt32.self))
    let end = unsafe Int(ends.base.load(fromByteOffset: (range.upperBound - 1) * 4, as: UInt32.self))
    return unsafe Array(bytes.raw[start..<end])
  }
}
