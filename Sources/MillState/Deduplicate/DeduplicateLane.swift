package import MillBase

/// What can go wrong with the files of a state.
package enum StateError: Error, Hashable, Sendable {
  case store(RunStoreError)
  case disk(DiskError)
  /// A file of a checkpoint that isn't what it should be; `reason` says what was found and what would be right.
  case corrupt(path: String, reason: String)
}

/// Which keys a deduplicate operator has seen: the state lane's half. It writes frozen tables to the store, drops buckets, keeps the
/// filters.
///
/// State lane only, calls in epoch order (R18). After an error of the store only the same call may follow, or the process stops: what was
/// written of a flush isn't in the filters.
package final class DeduplicateLane: @unchecked Sendable {
  package let options: DeduplicateOptions
  private let window: BucketWindow
  private let store: any RunStore
  private let disk: any Disk
  /// The store's buckets with their filters, as of the last call.
  package private(set) var filters = BucketFilters()

  /// Keys and values of one run at most; the store's ends are 32 bits.
  private static let runByteCountMax = 1 << 30

  /// A lane over an empty store, or over one whose filters were lost: its buckets are asked each time.
  package init(options: DeduplicateOptions, store: any RunStore, disk: any Disk) {
    self.options = options
    self.store = store
    self.disk = disk
    window = options.window
    for bucket in store.buckets().sorted() where bucket.state == options.stateNumber {
      filters.update(BucketFilter(number: bucket.number, segments: nil))
    }
  }

  /// Writes a frozen table's entries to their buckets, sorted, and makes filters that know them.
  package func flush(_ frozen: FrozenTable) throws(RunStoreError) -> FlushedTable {
    let view = frozen.table.view
    var changed = filters
    var keyCount = 0
    var byteCount = 0
    for (bucket, indexes) in entriesByBucket(view, from: frozen.firstLiveBucket) {
      let order = KeyOrder(indexes, view)
      var place = 0
      while place < order.count {
        let run = makeRun(order, &place, view, bucket)
        byteCount += run.keyBytes.count + run.valueBytes.count
        try store.ingest(run, into: BucketID(state: options.stateNumber, number: bucket))
        FaultPoint.hit(.amidFlush)
      }
      keyCount += indexes.count
      changed.update(changed.filter(bucket).adding(indexes.count) { unsafe view.entries[Int(indexes[$0])].hash })
    }
    changed.shrink(to: options.filterByteLimit)
    filters = changed
    return FlushedTable(epoch: frozen.epoch, filters: changed, keyCount: keyCount, byteCount: byteCount)
  }

  /// Drops buckets that ``DeduplicateState/expire(watermark:)`` returned, whole.
  package func drop(_ buckets: [BucketID]) throws(RunStoreError) {
    for bucket in buckets {
      precondition(bucket.state == options.stateNumber, "bucket of state \(bucket.state) dropped by state \(options.stateNumber)")
      try store.drop(bucket)
      filters.buckets.removeAll { $0.number == bucket.number }
    }
  }

  /// Writes the filters into a checkpoint's directory, which must exist; links the files that the checkpoint before has already.
  /// Not synced:
  /// the caller does that.
  /// - Returns: the names of the files in `directory`.
  package func writeFilters(into directory: String) throws(DiskError) -> [String] {
    var names: [String] = []
    var list = FilterList()
    for bucket in filters.buckets {
      guard let segments = bucket.segments else { continue }
      var segmentNames: [String] = []
      for (index, segment) in segments.enumerated() {
        let name = FilterFormat.segmentName(state: options.stateNumber, bucket: bucket.number, index: index)
        try write(segment, to: directory + "/" + name)
        segmentNames.append(name)
      }
      list.buckets.append(FilterList.Bucket(number: bucket.number, segments: segmentNames))
      names += segmentNames
    }
    let name = FilterFormat.listName(state: options.stateNumber)
    try writeFile(FilterFormat.encode(list, state: options.stateNumber), to: directory + "/" + name)
    return names + [name]
  }

  private func write(_ segment: FilterSegment, to path: String) throws(DiskError) {
    if let from = segment.path, disk.exists(from) {
      do throws(DiskError) {
        try disk.link(from, to: path)
        segment.path = path
        return
      } catch .notFound {
        // The older checkpoint went in between: written anew.
      }
    }
    let file = try disk.open(path, create: true)
    defer { file.close() }
    let header = FilterFormat.header(of: segment)
    try unsafe header.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
    try unsafe file.append(segment.raw)
    segment.path = path
  }

  private func writeFile(_ bytes: [UInt8], to path: String) throws(DiskError) {
    let file = try disk.open(path, create: true)
    defer { file.close() }
    try unsafe bytes.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
  }

  /// Reads the filters that ``writeFilters(into:)`` wrote for this store. Buckets without one are asked each time; their keys
  /// aren't scanned.
  package func restore(from directory: String) throws(StateError) {
    let path = directory + "/" + FilterFormat.listName(state: options.stateNumber)
    guard let list = FilterFormat.decodeList(try read(path), state: options.stateNumber) else {
      throw .corrupt(path: path, reason: "not a list of the filters of state \(options.stateNumber)")
    }
    var restored = BucketFilters()
    for bucket in filters.buckets { restored.update(BucketFilter(number: bucket.number, segments: nil)) }
    for bucket in list.buckets {
      guard restored.numbers.contains(bucket.number) else {
        throw .corrupt(path: path, reason: "filters of bucket \(bucket.number), which the store doesn't have")
      }
      var segments: [FilterSegment] = []
      for name in bucket.segments {
        let path = directory + "/" + name
        let bytes = try read(path)
        guard let segment = FilterFormat.decodeSegment(bytes) else {
          throw .corrupt(path: path, reason: "\(bytes.count) bytes that aren't a filter, or whose checksum is wrong")
        }
        segment.path = path
        segments.append(segment)
      }
      restored.update(BucketFilter(number: bucket.number, segments: segments))
    }
    restored.shrink(to: options.filterByteLimit)
    filters = restored
  }

  private func read(_ path: String) throws(StateError) -> [UInt8] {
    do { return try disk.read(path) } catch { throw .disk(error) }
  }
}

extension DeduplicateLane {
  /// The entries to be written, bucket by bucket, oldest first.
  private func entriesByBucket(_ view: TableView, from firstLiveBucket: Int64) -> [(bucket: Int64, indexes: [UInt32])] {
    var places: [Int64: Int] = [:]
    var lists: [(bucket: Int64, indexes: [UInt32])] = []
    var (lastBucket, lastPlace) = (Int64(0), -1)
    for index in 0..<view.count {
      let bucket = unsafe window.bucket(of: view.entries[index].time)
      if bucket < firstLiveBucket { continue }
      if lastPlace < 0 || bucket != lastBucket {
        if let place = places[bucket] {
          lastPlace = place
        } else {
          lastPlace = lists.count
          places[bucket] = lastPlace
          lists.append((bucket, []))
        }
        lastBucket = bucket
      }
      lists[lastPlace].indexes.append(UInt32(index))
    }
    return lists.sorted { $0.bucket < $1.bucket }
  }

  /// As many entries as one run may hold, from `place` on, which moves behind them.
  private func makeRun(_ order: borrowing KeyOrder, _ place: inout Int, _ view: TableView, _ bucket: Int64) -> SortedRun {
    let first = place
    var end = first
    var keyByteCount = 0
    while end < order.count && keyByteCount + (end - first) * StateValue.byteCountMax < Self.runByteCountMax {
      keyByteCount += unsafe view.isExact ? StateKey.groupByteCount + view.key(order[end]).count : StateKey.hashedByteCount
      end += 1
    }
    place = end
    var run = SortedRun()
    run.keyEnds.reserveCapacity(end - first)
    run.valueEnds.reserveCapacity(end - first)
    run.keyBytes = unsafe [UInt8](unsafeUninitializedCapacity: keyByteCount) { keys, keyCount in
      run.valueBytes = unsafe [UInt8](unsafeUninitializedCapacity: (end - first) * StateValue.byteCountMax) { values, valueCount in
        let (toKeys, toValues) = (UnsafeMutableRawPointer(keys.baseAddress!), UnsafeMutableRawPointer(values.baseAddress!))
        for place in first..<end {
          // Entries lie anywhere in megabytes: loads of several ahead run at once in the processor.
          if (place - first) % 32 == 0 { order.touch(place..<min(place + 32, end), view) }
          let index = order[place]
          let entry = unsafe view.entries[index]
          unsafe keyCount += StateKey.write(entry.hash, exact: view.isExact ? view.key(index) : nil, to: toKeys + keyCount)
          unsafe valueCount += StateValue.write(entry, bucket: bucket, window: window, to: toValues + valueCount)
          run.keyEnds.append(UInt32(truncatingIfNeeded: keyCount))
          run.valueEnds.append(UInt32(truncatingIfNeeded: valueCount))
        }
      }
    }
    return run
  }
}
