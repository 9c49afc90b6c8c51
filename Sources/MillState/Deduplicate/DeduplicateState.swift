package import MillBase
internal import Synchronization

/// How full the active table is.
package struct TableFill: Hashable, Sendable {
  /// 1 or more: freeze at the next epoch boundary.
  package var fraction: Double
  package var byteCount: Int
  package var keyCount: Int
}

/// Where the record stood that a key's newer ones are compared with.
package struct RecordOrigin: Hashable, Sendable {
  /// Its time t0, milliseconds.
  package var time: Int64
  package var partition: Int32
  package var offset: Int64

  package init(time: Int64, partition: Int32, offset: Int64) {
    self.time = time
    self.partition = partition
    self.offset = offset
  }
}

/// A table of some epochs, ready to become sorted runs. Nobody writes it any more; any thread may read it.
package final class FrozenTable: Sendable {
  /// The epoch at whose end it was frozen.
  package let epoch: EpochNumber
  let table: EpochTable
  /// Entries older than this had expired by then: they aren't written.
  let firstLiveTime: Int64

  init(epoch: EpochNumber, table: EpochTable, firstLiveTime: Int64) {
    self.epoch = epoch
    self.table = table
    self.firstLiveTime = firstLiveTime
  }

  package var keyCount: Int { table.count }
}

/// A frozen table whose entries are in the store, with the filters that know them. From the state lane to the flow thread.
package struct FlushedTable: Sendable {
  package let epoch: EpochNumber
  package let filters: BucketFilters
  /// Entries written, and bytes of their keys and values.
  package let keyCount: Int
  package let byteCount: Int
}

/// A table for the next freeze: one whose room newer ones have taken, emptied, as fresh pages cost more than that; or a new one.
private final class SpareTable: Sendable {
  private let table = Mutex<EpochTable?>(nil)

  /// Any thread.
  func put(_ used: EpochTable) {
    used.removeAll()
    table.withLock { $0 = used }
  }

  /// Any thread.
  func fill(_ make: () -> EpochTable) {
    guard table.withLock({ $0 == nil }) else { return }
    let made = make()
    table.withLock { $0 = $0 ?? made }
  }

  func take() -> EpochTable? { table.withLock { $0.take() } }
}

/// Which keys a deduplicate operator has seen: the flow thread's half (the state lane's is ``DeduplicateLane``).
///
/// The first record of a key is kept, and t0 is its time. A later record with time t is a duplicate when |t − t0| < within; otherwise it is
/// kept too and t0 becomes max(t0, t). The invariants that make the answers independent of freezes, flushes, drops and filters (R3):
/// - t0 of a key only grows, so its current entry is in the newest of: active table, frozen tables, the bucket with its greatest t0.
/// - An entry that no bucket or table shows any more can't be told from none by a record that isn't late (``BucketWindow``).
/// - A frozen table stays in view until a filter that knows its keys is: ``release(_:)`` swaps both at once. From then on a row is
///   looked for in it only where a filter lets it pass, and what it says of a key the store says too.
/// Flow thread only, but for ``init(options:store:filters:)``.
@safe package final class DeduplicateState: @unchecked Sendable {
  package let options: DeduplicateOptions
  let window: BucketWindow
  let store: any RunStore
  var active: EpochTable
  private let spare = SpareTable()
  /// Oldest first.
  private(set) var frozen: [FrozenTable] = []
  /// Tables whose entries are in the store, oldest first: a key that comes again soon is found here, not in files.
  private(set) var flushed: [EpochTable] = []
  private(set) var filters: BucketFilters
  private(set) var firstLiveTime = Int64.min
  let scratch = BlockScratch()
  /// Keys asked of the store, and of these the ones that were there.
  package internal(set) var storeLookupCount = 0
  package internal(set) var storeHitCount = 0

  /// - Parameter filters: ``DeduplicateLane/filters`` of a lane over the same store, as of now.
  package init(options: DeduplicateOptions, store: any RunStore, filters: BucketFilters) {
    self.options = options
    self.store = store
    self.filters = filters
    window = options.window
    active = Self.newTable(options, slotCount: Self.firstSlotCount(options))
  }

  private static func newTable(_ options: DeduplicateOptions, slotCount: Int) -> EpochTable {
    // It may be filled beyond its limit by what is left of an epoch, and then grows.
    let entryCapacity = options.tableByteLimit / EpochTable.bytesPerEntry + 1 << 12
    return EpochTable(slotCount: slotCount, entryCapacity: entryCapacity, isExact: options.exact)
  }

  private static func firstSlotCount(_ options: DeduplicateOptions) -> Int {
    var count = 1 << 10
    while count < 1 << 17 && count * EpochTable.bytesPerEntry < options.tableByteLimit { count *= 2 }
    return count
  }

  /// How full the active table is. Past 1 it goes on taking keys: nothing is refused within an epoch.
  package var fill: TableFill {
    TableFill(
      fraction: Double(active.byteCount) / Double(max(options.tableByteLimit, 1)), byteCount: active.byteCount, keyCount: active.count)
  }

  package var needsFreeze: Bool { active.count > 0 && active.byteCount >= options.tableByteLimit }

  /// Tables frozen and not yet released; a caller that lets them pile up exceeds the memory given.
  package var frozenCount: Int { frozen.count }

  /// Buckets whose keys only the store knows.
  package var unfilteredBucketCount: Int { Set(filters.unfiltered.map(\.whole)).count }

  /// Bytes and keys of the active and the frozen tables.
  package var tableByteCount: Int { frozen.reduce(active.byteCount + flushedByteCount) { $0 + $1.table.byteCount } }
  package var tableKeyCount: Int { frozen.reduce(active.count) { $0 + $1.table.count } }
  package var filterByteCount: Int { filters.byteCount }
  /// Those whose keys the store has too.
  private var flushedByteCount: Int { flushed.reduce(0) { $0 + $1.byteCount } }

  /// Bytes of memory that all tables and filters take.
  package var byteCount: Int { tableByteCount + filterByteCount }

  /// Puts a fresh table in the active one's place, at the end of `epoch`. The frozen one is to be flushed by the state lane, tables in the
  /// order of their epochs, and each released afterwards. Of an empty table too: a checkpoint may wait for it.
  package func freeze(epoch: EpochNumber) -> FrozenTable {
    let table = FrozenTable(epoch: epoch, table: active, firstLiveTime: firstLiveTime)
    active = spare.take() ?? Self.newTable(options, slotCount: active.slotCount)
    frozen.append(table)
    return table
  }

  /// The oldest frozen table's entries are in the store, and the new filters know them. It stays searchable until newer ones take its room.
  /// - Returns: what makes a table ready for the next freeze, on any thread: emptying or making a large one takes as long as many records.
  @discardableResult
  package func release(_ flushed: FlushedTable) -> @Sendable () -> Void {
    precondition(
      frozen.first?.epoch == flushed.epoch,
      "release of epoch \(flushed.epoch) before \(frozen.first.map { "\($0.epoch)" } ?? "any freeze")")
    self.flushed.append(frozen.removeFirst().table)
    // What has expired meanwhile stays in `filters` until the next expire() asks for its drop, and isn't looked at.
    filters = flushed.filters
    var gone: [EpochTable] = []
    while self.flushed.reduce(0, { $0 + $1.touched }) > options.flushedByteLimit { gone.append(self.flushed.removeFirst()) }
    return { [spare, gone, options, slotCount = active.slotCount] in
      gone.forEach(spare.put)
      spare.fill { Self.newTable(options, slotCount: slotCount) }
    }
  }

  /// Takes buckets out of view that no record that still counts can need, at an epoch boundary, and returns those that the state lane is to
  /// drop in this epoch. A bucket may come back once more when a flush that was under way has written to it.
  package func expire(watermark: Int64) -> [BucketID] {
    firstLiveTime = max(firstLiveTime, window.firstLiveTime(watermark: watermark))
    let expired = filters.buckets.prefix { $0.lastTime < firstLiveTime }.map(\.bucket)
    filters.buckets.removeFirst(expired.count)
    return expired
  }

  /// The record that newer ones of this key are compared with; nil where the key isn't known (any more).
  /// - Parameter key: the key's bytes, where keys are exact.
  package func lookupOrigin(hash: Digest128, key: [UInt8] = []) throws(RunStoreError) -> RecordOrigin? {
    let found = unsafe key.withRawBytes { (raw) -> RecordOrigin? in
      for table in [active] + frozen.reversed().map(\.table) {
        let view = table.view
        let index = unsafe view.find(hash, raw)
        guard index < 0 else {
          let entry = unsafe view.entries[index]
          return RecordOrigin(time: entry.time, partition: entry.partition, offset: entry.offset)
        }
      }
      return nil
    }
    if let found { return found }
    let stored = StateKey.bytes(hash: hash, key: options.exact ? key : nil)
    var newest: RecordOrigin?
    for bucket in filters.buckets.reversed() where bucket.lastTime >= max(firstLiveTime, newest?.time ?? .min) {
      var values: [[UInt8]?] = []
      try store.lookup(bucket.bucket, keys: stored, ends: [UInt32(stored.count)], into: &values)
      guard let value = values.first ?? nil else { continue }
      let origin = try StateValue.decode(value, bucket: bucket.bucket, window: window)
      if origin.time > newest?.time ?? .min || newest == nil { newest = origin }
    }
    return newest
  }
}
