package import MillBase

/// What can go wrong with the files of a state.
package enum StateError: Error, Hashable, Sendable, CustomStringConvertible {
  case store(RunStoreError)
  case disk(DiskError)
  /// A file of a checkpoint that isn't what it should be; `reason` says what was found and what would be right.
  case corrupt(path: String, reason: String)

  package var description: String {
    switch self {
    case .store(let error): "\(error)"
    case .disk(let error): "\(error)"
    case .corrupt(let path, let reason): "\(path): \(reason)"
    }
  }
}

/// Which keys a deduplicate operator has seen: the state lane's half. It writes frozen tables to the store, drops buckets, keeps the
/// filters.
///
/// State lane only, calls in epoch order (R18). After an error of the store only the same call may follow, or the process stops: what was
/// written of a flush isn't in the filters.
package final class DeduplicateLane: @unchecked Sendable {
  package let options: DeduplicateOptions
  let window: BucketWindow
  private let store: any RunStore
  let disk: any Disk
  /// The store's buckets with their filters, as of the last call.
  package internal(set) var filters = BucketFilters()

  /// A lane over an empty store, or over one whose filters were lost: its buckets are asked each time.
  package init(options: DeduplicateOptions, store: any RunStore, disk: any Disk) {
    self.options = options
    self.store = store
    self.disk = disk
    window = options.window
    for bucket in store.buckets().sorted() where bucket.state == options.stateNumber {
      filters.update(BucketFilter(bucket: bucket, lastTime: window.lastTime(of: bucket), segments: nil))
    }
  }

  /// Writes a frozen table's entries to their buckets, sorted, and makes filters that know them.
  package func flush(_ frozen: FrozenTable) throws(RunStoreError) -> FlushedTable {
    let view = frozen.table.view
    var keyCount = 0
    var byteCount = 0
    var written: [(bucket: BucketID, indexes: [UInt32])] = []
    for (whole, indexes) in entriesByBucket(view, from: frozen.firstLiveTime) {
      let bucket = filters.part(of: whole, taking: indexes.count, keysMax: options.partKeysMax)
      byteCount += try write(indexes, view, bucket)
      FaultPoint.hit(.amidFlush)
      keyCount += indexes.count
      written.append((bucket, indexes))
    }
    // Only now that nothing can fail any more: a flush that is done again must not count its keys twice.
    var changed = filters
    for (bucket, indexes) in written {
      let room = options.filterByteLimit - changed.byteCount
      let grown = changed.filter(bucket, window).adding(indexes.count, room: room, ampleRoom: room - options.filterByteLimit / 4 * 3) {
        unsafe view.entries[Int(indexes[$0])].hash
      }
      changed.update(grown)
    }
    changed.shrink(to: options.filterByteLimit)
    filters = changed
    return FlushedTable(epoch: frozen.epoch, filters: changed, keyCount: keyCount, byteCount: byteCount)
  }

  /// Writes entries to their bucket as one run, and returns the bytes of their keys and values.
  private func write(_ indexes: [UInt32], _ view: TableView, _ bucket: BucketID) throws(RunStoreError) -> Int {
    let order = KeyOrder(indexes, view)
    var place = 0
    var byteCount = 0
    try store.ingest(
      {
        let piece = nextPiece(order, &place, view, bucket)
        byteCount += piece.map { $0.keyBytes.count + $0.valueBytes.count } ?? 0
        return piece
      }, into: bucket)
    return byteCount
  }

  /// Drops buckets that ``DeduplicateState/expire(watermark:)`` returned, whole.
  package func drop(_ buckets: [BucketID]) throws(RunStoreError) {
    for bucket in buckets {
      precondition(bucket.state == options.stateNumber, "bucket of state \(bucket.state) dropped by state \(options.stateNumber)")
      try store.drop(bucket)
      filters.buckets.removeAll { $0.bucket == bucket }
    }
  }
}

extension DeduplicateLane {
  /// The entries to be written, bucket by bucket, oldest first.
  private func entriesByBucket(_ view: TableView, from firstLiveTime: Int64) -> [(bucket: BucketID, indexes: [UInt32])] {
    // What has expired will be dropped, and is no reason to make coarser ones.
    var choice = BucketChoice(options, buckets: filters.buckets.lazy.filter { $0.lastTime >= firstLiveTime }.map(\.bucket))
    // By the bucket of level 0, the finest there is: its entries all go to one bucket.
    var places: [Int64: Int] = [:]
    var lists: [(bucket: BucketID, indexes: [UInt32])] = []
    var placeOfList: [BucketID: Int] = [:]
    var (lastNumber, lastPlace) = (Int64(0), -1)
    for index in 0..<view.count {
      let time = unsafe view.entries[index].time
      if time < firstLiveTime { continue }
      let number = floorDivide(time, window.width)
      if lastPlace < 0 || number != lastNumber {
        if let place = places[number] {
          lastPlace = place
        } else {
          let bucket = choice.choose(time)
          lastPlace = placeOfList[bucket] ?? lists.count
          if lastPlace == lists.count { lists.append((bucket, [])) }
          placeOfList[bucket] = lastPlace
          places[number] = lastPlace
        }
        lastNumber = number
      }
      lists[lastPlace].indexes.append(UInt32(index))
    }
    return lists.sorted { (window.lastTime(of: $0.bucket), $0.bucket) < (window.lastTime(of: $1.bucket), $1.bucket) }
  }

  /// Keys of a piece of a run at most, and about how many bytes of exact ones: few enough to stay in the processor's cache.
  private static let pieceCountMax = 4096
  private static let pieceKeyByteCountMax = 1 << 20

  /// The next piece of a run, from `place` on, which moves behind it; nil at the end.
  private func nextPiece(_ order: borrowing KeyOrder, _ place: inout Int, _ view: TableView, _ bucket: BucketID) -> SortedRun? {
    let first = place
    if first == order.count { return nil }
    var end = min(order.count, first + Self.pieceCountMax)
    var keyByteCount = (end - first) * StateKey.hashedByteCount
    if view.isExact {
      keyByteCount = 0
      let most = end
      end = first
      while end < most && keyByteCount < Self.pieceKeyByteCountMax {
        keyByteCount += unsafe StateKey.groupByteCount + view.key(order[end]).count
        end += 1
      }
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
          if (place - first) % 16 == 0 { order.touch(min(place == first ? place : place + 16, end)..<min(place + 32, end), view) }
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
