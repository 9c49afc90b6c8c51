package import MillBase

/// Memory for one block of rows, kept from block to block. Flow thread only.
@safe final class BlockScratch {
  private(set) var capacity = 0
  /// Of each row the entry in the active table, or -1.
  private(set) var found = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
  /// Of each row the time t0 in an older place than the active table, where `hasOlder`.
  private(set) var olderTime = UnsafeMutablePointer<Int64>.allocate(capacity: 1)
  private(set) var hasOlder = UnsafeMutablePointer<Bool>.allocate(capacity: 1)
  /// Of each row with `hasOlder` the bucket that it was found in, by its place in the search; of a table's, ``inTable``.
  private(set) var foundIn = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
  static let inTable: Int32 = -1
  /// Rows whose key no table has.
  private(set) var pending = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
  /// Of each pending row 1 where a bucket's filter lets it pass.
  private(set) var passes = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
  var candidates: [Int32] = []
  var keys: [UInt8] = []
  var ends: [UInt32] = []
  var values: [[UInt8]?] = []

  func reserve(_ count: Int) {
    guard count > capacity else { return }
    deallocate()
    capacity = count
    unsafe found = .allocate(capacity: count)
    unsafe olderTime = .allocate(capacity: count)
    unsafe hasOlder = .allocate(capacity: count)
    unsafe foundIn = .allocate(capacity: count)
    unsafe pending = .allocate(capacity: count)
    unsafe passes = .allocate(capacity: count)
  }

  deinit { deallocate() }

  private func deallocate() {
    unsafe found.deallocate()
    unsafe olderTime.deallocate()
    unsafe hasOlder.deallocate()
    unsafe foundIn.deallocate()
    unsafe pending.deallocate()
    unsafe passes.deallocate()
  }
}

extension DeduplicateState {
  /// Decides about a block of rows in processing order; rows see those before them, in this block too.
  ///
  /// - Parameters:
  ///   - hashes: of each row the key's hash, seeded with the lineage's hash seed, all 128 bits well mixed.
  ///   - keyBytes: where keys are exact, the keys' bytes one after the other; `keyEnds` says where each ends. Empty otherwise.
  ///   - times: event time, or the epoch's clock. Late rows don't get here, or with a 0 in `keep`.
  ///   - keep: in: 0 for rows that don't count (late, filtered, undecodable: they are left alone and not remembered), anything else
  ///   for those
  ///     to decide about; out: 1 where a row is kept, 0 where it is a duplicate or didn't count.
  /// - Returns: how many rows were duplicates.
  /// - Throws: what the store throws; nothing has been remembered of the block then, and `keep` is as it was.
  @discardableResult
  package func deduplicate(
    hashes: [Digest128], keyBytes: [UInt8] = [], keyEnds: [UInt32] = [], times: [Int64], partitions: [Int32], offsets: [Int64],
    keep: inout [UInt8]
  ) throws(RunStoreError) -> Int {
    let count = hashes.count
    precondition(
      times.count == count && partitions.count == count && offsets.count == count && keep.count == count,
      "rows: \(count) hashes, \(times.count) times, \(partitions.count) partitions, \(offsets.count) offsets, \(keep.count) in keep")
    precondition(!options.exact || keyEnds.count == count && Int(keyEnds.last ?? 0) <= keyBytes.count, "exact keys without their bytes")
    // Raw addresses are borrowed within nested closures; each only passes them on.
    return try unsafe hashes.withUnsafeBufferPointer { (hashes) throws(RunStoreError) in
      try unsafe keyBytes.withUnsafeBufferPointer { (keyBytes) throws(RunStoreError) in
        try unsafe keyEnds.withUnsafeBufferPointer { (keyEnds) throws(RunStoreError) in
          try unsafe times.withUnsafeBufferPointer { (times) throws(RunStoreError) in
            try unsafe partitions.withUnsafeBufferPointer { (partitions) throws(RunStoreError) in
              try unsafe offsets.withUnsafeBufferPointer { (offsets) throws(RunStoreError) in
                try unsafe keep.withUnsafeMutableBufferPointer { (keep) throws(RunStoreError) in
                  guard count > 0 else { return 0 }
                  return try unsafe deduplicate(
                    count: count, hashes: hashes.baseAddress!, keyBytes: UnsafeRawPointer(keyBytes.baseAddress),
                    keyEnds: keyEnds.baseAddress, times: times.baseAddress!, partitions: partitions.baseAddress!,
                    offsets: offsets.baseAddress!, keep: keep.baseAddress!)
                }
              }
            }
          }
        }
      }
    }
  }

  /// The same over raw columns, all of `count` rows, borrowed for the call. `keyBytes` and `keyEnds` count only where keys are exact.
  package func deduplicate(
    count: Int, hashes: UnsafePointer<Digest128>, keyBytes: UnsafeRawPointer?, keyEnds: UnsafePointer<UInt32>?, times: UnsafePointer<Int64>,
    partitions: UnsafePointer<Int32>, offsets: UnsafePointer<Int64>, keep: UnsafeMutablePointer<UInt8>
  ) throws(RunStoreError) -> Int {
    guard count > 0 else { return 0 }
    let exactEnds = unsafe options.exact ? keyEnds : nil
    let rows = unsafe RowKeys(hashes: hashes, bytes: options.exact ? keyBytes : nil, ends: exactEnds)
    scratch.reserve(count)
    // Everything that can fail comes before the first change.
    let pendingCount = unsafe searchTables(rows, count, keep)
    if pendingCount > 0 { try unsafe searchBuckets(rows, pendingCount, times) }
    active.reserve(count, keyByteCount: unsafe exactEnds.map { unsafe Int($0[count - 1]) } ?? 0)
    return unsafe decide(rows, count, times, partitions, offsets, keep)
  }

  /// Searches all rows in the active and the frozen tables; collects those that are in none of them.
  private func searchTables(_ rows: RowKeys, _ count: Int, _ keep: UnsafeMutablePointer<UInt8>) -> Int {
    let view = active.view
    let older = frozen.reversed().map(\.table.view)
    let hashes = unsafe rows.hashes
    let (found, olderTime, hasOlder, pending) = unsafe (scratch.found, scratch.olderTime, scratch.hasOlder, scratch.pending)
    var pendingCount = 0
    var start = 0
    while start < count {
      let end = min(start + 64, count)
      for row in start..<end { unsafe view.touch(hashes[row]) }
      for table in older {
        for row in start..<end { unsafe table.touch(hashes[row]) }
      }
      for row in start..<end where unsafe keep[row] != 0 {
        let index = unsafe view.find(hashes[row], rows.key(row))
        unsafe found[row] = Int32(truncatingIfNeeded: index)
        unsafe hasOlder[row] = false
        guard index < 0 else { continue }
        for table in older {
          let index = unsafe table.find(hashes[row], rows.key(row))
          guard index >= 0 else { continue }
          unsafe olderTime[row] = table.entries[index].time
          unsafe hasOlder[row] = true
          break
        }
        if unsafe !hasOlder[row] {
          unsafe pending[pendingCount] = Int32(truncatingIfNeeded: row)
          pendingCount += 1
        }
      }
      start = end
    }
    return pendingCount
  }

  /// Searches the pending rows in the live buckets, newest first, each only where its filter lets it pass; those that pass in the flushed
  /// tables first. Buckets of different levels may overlap: a row that was found is searched on as long as a bucket may have a greater t0
  /// of its key. No older part of the same bucket has, and nothing has where a table knows the key.
  private func searchBuckets(_ rows: RowKeys, _ count: Int, _ times: UnsafePointer<Int64>) throws(RunStoreError) {
    let (pending, passes, olderTime, hasOlder, foundIn) = unsafe (
      scratch.pending, scratch.passes, scratch.olderTime, scratch.hasOlder, scratch.foundIn
    )
    var count = count
    var oldestTime = Int64.max
    for at in 0..<count { oldestTime = unsafe min(oldestTime, times[Int(pending[at])]) }
    let first = max(firstLiveTime, window.oldestTime(for: oldestTime))
    var place: Int32 = 0
    var whole: BucketID?
    for bucket in filters.buckets.reversed() where bucket.lastTime >= first && count > 0 {
      if bucket.bucket.whole != whole { place += 1 }
      whole = bucket.bucket.whole
      var left = 0
      for at in 0..<count {
        let row = unsafe Int(pending[at])
        if unsafe hasOlder[row] && (olderTime[row] >= bucket.lastTime || foundIn[row] == BlockScratch.inTable) { continue }
        unsafe pending[left] = pending[at]
        left += 1
      }
      count = left
      // Rows that are at least a window newer than all of the bucket can do without it.
      let (neededBefore, overflow) = bucket.lastTime.addingReportingOverflow(window.within)
      let limit = overflow ? Int64.max : neededBefore
      if let segments = bucket.segments {
        unsafe passes.update(repeating: 0, count: count)
        for segment in segments { unsafe Filter.search(segment, rows.hashes, rows: pending, count: count, passes: passes) }
      } else {
        unsafe passes.update(repeating: 1, count: count)
      }
      scratch.candidates.removeAll(keepingCapacity: true)
      for at in 0..<count where unsafe passes[at] != 0 && (times[Int(pending[at])] < limit || limit == .max) {
        let row = unsafe Int(pending[at])
        if unsafe !hasOlder[row] || foundIn[row] != place { unsafe scratch.candidates.append(pending[at]) }
      }
      searchFlushed(rows)
      guard !scratch.candidates.isEmpty else { continue }
      try lookup(rows, in: bucket.bucket, place)
    }
  }

  /// Takes those candidates out that a flushed table knows, the newest such.
  private func searchFlushed(_ rows: RowKeys) {
    guard !flushed.isEmpty, !scratch.candidates.isEmpty else { return }
    let tables = flushed.reversed().map(\.view)
    let hashes = unsafe rows.hashes
    for table in tables {
      for row in scratch.candidates { unsafe table.touch(hashes[Int(row)]) }
    }
    let count = scratch.candidates.count
    scratch.candidates.removeAll { row in
      let row = Int(row)
      for table in tables {
        let index = unsafe table.find(hashes[row], rows.key(row))
        guard index >= 0 else { continue }
        unsafe scratch.olderTime[row] = table.entries[index].time
        unsafe scratch.hasOlder[row] = true
        unsafe scratch.foundIn[row] = BlockScratch.inTable
        return true
      }
      return false
    }
    if scratch.candidates.count < count { Reach.mark(.r18FlushedTable) }
  }

  /// Asks the store for the candidate rows' keys, sorted and each once.
  /// - Parameter place: of the bucket in the search.
  private func lookup(_ rows: RowKeys, in bucket: BucketID, _ place: Int32) throws(RunStoreError) {
    let hashes = unsafe rows.hashes
    let exact = options.exact
    scratch.candidates.sort { Self.isOrdered(rows, exact, Int($0), Int($1)) < 0 }
    scratch.keys.removeAll(keepingCapacity: true)
    scratch.ends.removeAll(keepingCapacity: true)
    var previous = -1
    for row in scratch.candidates {
      let row = Int(row)
      if previous >= 0 && Self.isOrdered(rows, exact, previous, row) == 0 { continue }
      if exact {
        unsafe StateKey.append(hash: hashes[row], exact: rows.key(row), to: &scratch.keys)
      } else {
        unsafe StateKey.append(hash: hashes[row], to: &scratch.keys)
      }
      scratch.ends.append(UInt32(scratch.keys.count))
      previous = row
    }
    scratch.values.removeAll(keepingCapacity: true)
    try store.lookup(bucket, keys: scratch.keys, ends: scratch.ends, into: &scratch.values)
    precondition(scratch.values.count == scratch.ends.count, "\(scratch.values.count) answers for \(scratch.ends.count) keys")
    storeLookupCount += scratch.ends.count
    var at = -1
    previous = -1
    var origin: RecordOrigin?
    for row in scratch.candidates {
      let row = Int(row)
      if previous < 0 || Self.isOrdered(rows, exact, previous, row) != 0 {
        at += 1
        origin = nil
        if let value = scratch.values[at] {
          origin = try StateValue.decode(value, bucket: bucket, window: window)
          storeHitCount += 1
        }
      }
      previous = row
      guard let origin, unsafe !scratch.hasOlder[row] || scratch.olderTime[row] < origin.time else { continue }
      unsafe scratch.olderTime[row] = origin.time
      unsafe scratch.hasOlder[row] = true
      unsafe scratch.foundIn[row] = place
    }
  }

  /// Negative, 0 or positive as row `a`'s key in the store comes before, is, or comes after row `b`'s.
  private static func isOrdered(_ rows: RowKeys, _ exact: Bool, _ a: Int, _ b: Int) -> Int {
    let (x, y) = unsafe (rows.hashes[a], rows.hashes[b])
    guard exact else {
      if x.high != y.high { return x.high < y.high ? -1 : 1 }
      return x.low == y.low ? 0 : x.low < y.low ? -1 : 1
    }
    let (groupX, groupY) = (StateKey.group(x), StateKey.group(y))
    if groupX != groupY { return groupX < groupY ? -1 : 1 }
    return unsafe compareBytes(rows.key(a), rows.key(b))
  }

  /// Decides row by row with what the searches found, and remembers what is kept.
  private func decide(
    _ rows: RowKeys, _ count: Int, _ times: UnsafePointer<Int64>, _ partitions: UnsafePointer<Int32>, _ offsets: UnsafePointer<Int64>,
    _ keep: UnsafeMutablePointer<UInt8>
  ) -> Int {
    var view = active.view
    let window = window
    let hashes = unsafe rows.hashes
    let (found, olderTime, hasOlder) = unsafe (scratch.found, scratch.olderTime, scratch.hasOlder)
    var duplicates = 0
    for row in 0..<count where unsafe keep[row] != 0 {
      if row & 63 == 0 {
        for next in row..<min(row + 64, count) { unsafe view.touch(hashes[next]) }
      }
      let time = unsafe times[row]
      var index = unsafe Int(found[row])
      // A row before this one may have brought the key in.
      if index < 0 { index = unsafe view.place(hashes[row], rows.key(row)) }
      let isKnown = unsafe index >= 0 || hasOlder[row]
      let first = unsafe index >= 0 ? view.entries[index].time : isKnown ? olderTime[row] : 0
      if isKnown && window.isDuplicate(time, of: first) {
        unsafe keep[row] = 0
        duplicates += 1
        continue
      }
      unsafe keep[row] = 1
      if isKnown && time < first { continue }
      if index >= 0 {
        unsafe view.entries[index].time = time
        unsafe view.entries[index].partition = partitions[row]
        unsafe view.entries[index].offset = offsets[row]
      } else {
        unsafe view.insert(hashes[row], rows.key(row), slot: ~index, time: time, partition: partitions[row], offset: offsets[row])
      }
    }
    active.commit(view)
    return duplicates
  }
}

/// Negative, 0 or positive as memcmp orders `a` and `b`, the shorter first where one begins the other.
@inline(__always)
func compareBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
  for index in 0..<min(a.count, b.count) {
    let (x, y) = unsafe (a[index], b[index])
    if x != y { return x < y ? -1 : 1 }
  }
  return a.count - b.count
}
