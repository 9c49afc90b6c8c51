internal import MillBase
internal import MillCore
internal import MillFlow
internal import MillLog
internal import MillOperators
internal import MillState

/// Where rows enter the deduplicate: late first, then duplicate (contract §1.2).
extension Flow {
  func deduplicate(_ epoch: Epoch, _ outcome: inout Outcome) {
    nullKeys.removeAll(keepingCapacity: true)
    guard let deduplicate = epoch.deduplicate, let state, let hasher else { return }
    if deduplicate.options.usesEventTime { dropLate(epoch, deduplicate.options.allowedLatenessMilliseconds, &outcome) }
    hasher.hash(piece.block, into: &hashes)
    if deduplicate.options.exact { hasher.keyBytes(piece.block, into: &keyBytes, ends: &keyEnds) }
    outcome.counters.nullKey += deduplicate.nullKeysAreEqual ? 0 : setNullKeysAside(hasher)
    do throws(RunStoreError) {
      outcome.counters.duplicate += UInt64(try deduplicateRows(state, piece.block.rowCount))
    } catch {
      outcome.stop = Executor.stop(of: error)
      return
    }
    for row in nullKeys { piece.keep[Int(row)] = 1 }
  }

  private func dropLate(_ epoch: Epoch, _ lateness: Int64, _ outcome: inout Outcome) {
    let watermark = epoch.watermark
    guard watermark != Int64.min else { return }
    let bound = watermark.subtractingReportingOverflow(lateness)
    guard !bound.overflow else { return }
    for row in piece.times.indices where piece.times[row] < bound.partialValue && piece.keep[row] != 0 {
      piece.keep[row] = 0
      outcome.counters.late += 1
      let record = record(piece.decodedRow(row), epoch)
      let detail = "event time \(piece.times[row]) ms is before watermark \(watermark) ms less allowed_lateness \(lateness) ms"
      epoch.source.letters.append(
        record.buffer, entryIndex: record.entryIndex, partition: record.partition, epoch: epoch.intent.epoch, reason: "late", field: nil,
        detail: detail, limits: epoch.rules.plan.limits, into: deadLetters)
      outcome.deadLetters.add("late", example: "\(record.place): \(detail); remedy: a larger allowed_lateness")
    }
  }

  /// Rows without a key, of those that count, are neither looked for nor remembered. How many.
  private func setNullKeysAside(_ hasher: KeyHasher) -> UInt64 {
    hasher.nullKeys(piece.block, into: &nullKeys)
    nullKeys.removeAll { piece.keep[Int($0)] == 0 }
    for row in nullKeys { piece.keep[Int(row)] = 0 }
    return UInt64(nullKeys.count)
  }

  private func deduplicateRows(_ state: DeduplicateState, _ count: Int) throws(RunStoreError) -> Int {
    let block = piece.block
    let partitions = unsafe block.originPartitions.base.assumingMemoryBound(to: Int32.self)
    let offsets = unsafe block.originOffsets.base.assumingMemoryBound(to: Int64.self)
    return try unsafe hashes.withUnsafeBufferPointer { (hashes) throws(RunStoreError) in
      try unsafe piece.times.withUnsafeBufferPointer { (times) throws(RunStoreError) in
        try unsafe piece.keep.withUnsafeMutableBufferPointer { (keep) throws(RunStoreError) in
          try unsafe state.deduplicate(
            count: count, hashes: hashes.baseAddress!, keyBytes: UnsafeRawPointer(keyBytes.base),
            keyEnds: UnsafePointer(keyEnds.base.assumingMemoryBound(to: UInt32.self)), times: times.baseAddress!, partitions: partitions,
            offsets: offsets, keep: keep.baseAddress!)
        }
      }
    }
  }
}
