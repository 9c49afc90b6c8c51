internal import CPlatform
internal import Glibc
internal import MillBase

/// The newest record of a key that was kept: its time t0 and where it stood.
struct TableEntry: BitwiseCopyable {
  var high: UInt64
  var low: UInt64
  var time: Int64
  var offset: Int64
  var partition: Int32

  var hash: Digest128 { Digest128(low: low, high: high) }
}

/// The keys of a block of rows: their hashes, and their bytes where keys are exact. Borrowed for a call.
@safe struct RowKeys {
  let hashes: UnsafePointer<Digest128>
  let bytes: UnsafeRawPointer?
  let ends: UnsafePointer<UInt32>?

  /// The bytes of row `row`'s key; empty unless keys are exact.
  @inline(__always)
  func key(_ row: Int) -> UnsafeRawBufferPointer {
    guard let ends = unsafe ends, let bytes = unsafe bytes else { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
    let start = row == 0 ? 0 : unsafe Int(ends[row - 1])
    return unsafe UnsafeRawBufferPointer(start: bytes + start, count: Int(ends[row]) - start)
  }
}

/// Open addressing over the records of some epochs: a slot is 32 bits of hash and the number of an entry plus one; 0 is empty.
///
/// Entries stand in the order of their insertion, so that freezing needs no search for them. One owner, the flow thread; once frozen it is
/// only read, by any thread, until it is released and may be emptied for new entries.
@safe final class EpochTable: @unchecked Sendable {
  private(set) var slotCount: Int
  private var entryCapacity: Int
  private var view_: TableView
  private var keyCapacity: Int
  let isExact: Bool

  /// - Parameter entryCapacity: how many entries it is made for; the pages of those that never come are never touched.
  init(slotCount: Int, entryCapacity: Int, isExact: Bool) {
    self.isExact = isExact
    self.slotCount = max(slotCount, 16)
    self.entryCapacity = max(entryCapacity, 16)
    keyCapacity = 64
    unsafe view_ = TableView(
      slots: Self.emptySlots(self.slotCount), mask: UInt64(self.slotCount - 1), entries: .allocate(capacity: entryCapacity),
      keyBytes: .allocate(byteCount: keyCapacity, alignment: 8), keyEnds: .allocate(capacity: isExact ? entryCapacity : 1), count: 0,
      keyByteCount: 0, isExact: isExact)
  }

  deinit {
    unsafe munmap(view_.slots, slotCount * 8)
    unsafe view_.entries.deallocate()
    unsafe view_.keyBytes.deallocate()
    unsafe view_.keyEnds.deallocate()
  }

  /// Forgets all entries and keeps the memory. Any thread, when no other has the table.
  func removeAll() {
    touchedByteCount = touched
    unsafe view_.slots.update(repeating: 0, count: slotCount)
    view_.count = 0
    view_.keyByteCount = 0
  }

  var count: Int { view_.count }

  /// Bytes in use: what filling it has cost, not what was allocated ahead.
  var byteCount: Int { view_.count * Self.bytesPerEntry + view_.keyByteCount }

  /// The most that ``byteCount`` has been: pages of entries that are gone stay.
  var touched: Int { max(touchedByteCount, byteCount) }
  private var touchedByteCount = 0

  /// An entry and its share of the slots.
  static let bytesPerEntry = MemoryLayout<TableEntry>.stride + 3 * 8

  /// The table as it is now. Take it after ``reserve(_:keyByteCount:)``, and put it back with ``commit(_:)`` after insertions.
  var view: TableView { view_ }

  func commit(_ view: TableView) { view_ = view }

  /// Makes room for `more` entries whose keys take `keyByteCount` bytes.
  func reserve(_ more: Int, keyByteCount: Int) {
    let wanted = view_.count + more
    if wanted > entryCapacity { growEntries(max(wanted, entryCapacity * 2)) }
    if wanted * 3 > slotCount * 2 {
      var grown = slotCount
      while wanted * 3 > grown * 2 { grown *= 2 }
      rehash(grown)
    }
    guard isExact, view_.keyByteCount + keyByteCount > keyCapacity else { return }
    keyCapacity = max(keyCapacity * 2, view_.keyByteCount + keyByteCount)
    let keys = UnsafeMutableRawPointer.allocate(byteCount: keyCapacity, alignment: 8)
    unsafe keys.copyMemory(from: view_.keyBytes, byteCount: view_.keyByteCount)
    unsafe view_.keyBytes.deallocate()
    unsafe view_.keyBytes = keys
  }

  private func growEntries(_ capacity: Int) {
    let entries = UnsafeMutablePointer<TableEntry>.allocate(capacity: capacity)
    unsafe entries.initialize(from: view_.entries, count: view_.count)
    unsafe view_.entries.deallocate()
    unsafe view_.entries = entries
    if isExact {
      let ends = UnsafeMutablePointer<Int>.allocate(capacity: capacity)
      unsafe ends.initialize(from: view_.keyEnds, count: view_.count)
      unsafe view_.keyEnds.deallocate()
      unsafe view_.keyEnds = ends
    }
    entryCapacity = capacity
  }

  private func rehash(_ slotCount: Int) {
    unsafe munmap(view_.slots, self.slotCount * 8)
    unsafe view_.slots = Self.emptySlots(slotCount)
    view_.mask = UInt64(slotCount - 1)
    self.slotCount = slotCount
    let view = view_
    for index in 0..<view.count { unsafe view.link(view.entries[index].hash, index) }
  }

  private static func emptySlots(_ count: Int) -> UnsafeMutablePointer<UInt64> {
    // Zero pages that the system gives when they are first touched: writing zeros to megabytes would hold up the flow, and the C library
    // does that where it has the memory from before.
    let slots = unsafe mmap(nil, count * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard unsafe slots != MAP_FAILED, let slots = unsafe slots else {
      preconditionFailure("no memory for \(count * 8) bytes of a table's slots")
    }
    return unsafe slots.bindMemory(to: UInt64.self, capacity: count)
  }
}

/// The pointers of an ``EpochTable``, for hot loops: no class field is touched per record. Never outlives its table.
@safe struct TableView: @unchecked Sendable {
  var slots: UnsafeMutablePointer<UInt64>
  var mask: UInt64
  var entries: UnsafeMutablePointer<TableEntry>
  /// Exact keys one after the other, and where each ends.
  var keyBytes: UnsafeMutableRawPointer
  var keyEnds: UnsafeMutablePointer<Int>
  var count: Int
  var keyByteCount: Int
  let isExact: Bool

  /// The entry of a key, or -1.
  @inline(__always)
  func find(_ hash: Digest128, _ key: UnsafeRawBufferPointer) -> Int { unsafe max(place(hash, key), -1) }

  /// Begins to load the slot where the search for a key begins, for searches of several keys ahead.
  @inline(__always)
  func touch(_ hash: Digest128) { unsafe mr_prefetch(slots + Int(hash.high & mask)) }

  /// The entry of a key, or ~(the slot where it belongs).
  @inline(__always)
  func place(_ hash: Digest128, _ key: UnsafeRawBufferPointer) -> Int {
    var slot = Int(hash.high & mask)
    while true {
      let word = unsafe slots[slot]
      if word == 0 { return ~slot }
      if (word ^ hash.low) >> 32 == 0 {
        let index = Int(word & 0xFFFF_FFFF) - 1
        let entry = unsafe entries[index]
        if unsafe entry.high == hash.high && entry.low == hash.low && (!isExact || self.key(index).elementsEqual(key)) { return index }
      }
      slot = (slot + 1) & Int(mask)
    }
  }

  /// Adds a key that isn't there at the slot that ``place(_:_:)`` gave; room must have been reserved.
  @inline(__always)
  mutating func insert(
    _ hash: Digest128, _ key: UnsafeRawBufferPointer, slot: Int, time: Int64, partition: Int32, offset: Int64
  ) {
    unsafe (entries + count).initialize(
      to: TableEntry(high: hash.high, low: hash.low, time: time, offset: offset, partition: partition))
    if isExact {
      if let from = key.baseAddress, key.count > 0 { unsafe (keyBytes + keyByteCount).copyMemory(from: from, byteCount: key.count) }
      keyByteCount += key.count
      unsafe (keyEnds + count).initialize(to: keyByteCount)
    }
    unsafe slots[slot] = hash.low & 0xFFFF_FFFF_0000_0000 | UInt64(count + 1)
    count += 1
  }

  /// The bytes of an entry's key; empty unless keys are exact.
  @inline(__always)
  func key(_ index: Int) -> UnsafeRawBufferPointer {
    guard isExact else { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
    let start = index == 0 ? 0 : unsafe keyEnds[index - 1]
    return unsafe UnsafeRawBufferPointer(start: keyBytes + start, count: keyEnds[index] - start)
  }

  @inline(__always)
  fileprivate func link(_ hash: Digest128, _ index: Int) {
    var slot = Int(hash.high & mask)
    while unsafe slots[slot] != 0 { slot = (slot + 1) & Int(mask) }
    unsafe slots[slot] = hash.low & 0xFFFF_FFFF_0000_0000 | UInt64(index + 1)
  }
}
