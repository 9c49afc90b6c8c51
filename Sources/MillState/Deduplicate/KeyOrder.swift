internal import CPlatform
internal import MillBase

/// Entries of a table in the order of the store's keys.
///
/// Two rounds of counting by the hash's first bits (even as hashes are), so that each round's writes stay within the processor's cache: the
/// first by the key's group, the second within each group. What then shares a cell, some four entries, is put in order by insertion.
@safe struct KeyOrder: ~Copyable {
  /// The 32 bits of the hash behind the group's, which nearly always decide, and below them the entry's number.
  private typealias Item = UInt64

  let count: Int
  private let items: UnsafeMutablePointer<Item>

  /// The number of the entry at a place of the order.
  @inline(__always)
  subscript(place: Int) -> Int { unsafe Int(UInt32(truncatingIfNeeded: items[place])) }

  /// Loads the entries of some places into the processor's cache.
  @inline(__always)
  func touch(_ places: Range<Int>, _ view: TableView) {
    for place in places {
      let entry = unsafe UnsafeRawPointer(view.entries + self[place])
      unsafe mr_prefetch(entry)
      // Half of them reach into the next line of the cache.
      unsafe mr_prefetch(entry + MemoryLayout<TableEntry>.size - 1)
    }
  }

  private static let groupBits = 10
  private static let cellBitsMax = 16

  /// Orders the entries `indexes` of a table.
  init(_ indexes: [UInt32], _ view: TableView) {
    count = indexes.count
    unsafe items = .allocate(capacity: max(count, 1))
    var starts = [Int](repeating: 0, count: 1 << Self.groupBits + 1)
    for index in indexes { unsafe starts[Int(view.entries[Int(index)].high >> 54) + 1] += 1 }
    for group in 0..<(1 << Self.groupBits) { starts[group + 1] += starts[group] }
    var ends = starts
    for index in indexes {
      let high = unsafe view.entries[Int(index)].high
      let group = Int(high >> 54)
      unsafe (items + ends[group]).initialize(to: high << 10 & 0xFFFF_FFFF_0000_0000 | UInt64(index))
      ends[group] += 1
    }
    let largest = (0..<(1 << Self.groupBits)).reduce(0) { max($0, starts[$1 + 1] - starts[$1]) }
    let scratch = UnsafeMutablePointer<Item>.allocate(capacity: max(largest, 1))
    let cells = UnsafeMutablePointer<UInt32>.allocate(capacity: 1 << Self.cellBitsMax + 1)
    for group in 0..<(1 << Self.groupBits) {
      let (first, size) = (starts[group], starts[group + 1] - starts[group])
      if view.isExact {
        // Exact keys of a group are ordered by their bytes alone.
        var part = unsafe UnsafeMutableBufferPointer(start: items + first, count: size)
        unsafe part.sort {
          unsafe compareBytes(view.key(Int($0 & 0xFFFF_FFFF)), view.key(Int($1 & 0xFFFF_FFFF))) < 0
        }
      } else {
        unsafe Self.sort(items + first, size, scratch, cells, view)
      }
    }
    unsafe scratch.deallocate()
    unsafe cells.deallocate()
  }

  deinit { unsafe items.deallocate() }

  /// Sorts the hashed keys of one group.
  private static func sort(
    _ items: UnsafeMutablePointer<Item>, _ count: Int, _ scratch: UnsafeMutablePointer<Item>, _ cells: UnsafeMutablePointer<UInt32>,
    _ view: TableView
  ) {
    var bits = 0
    while bits < cellBitsMax && count >> bits > 4 { bits += 1 }
    if bits > 0 {
      let shift = UInt64(64 - bits)
      unsafe cells.initialize(repeating: 0, count: 1 << bits + 1)
      for at in 0..<count { unsafe cells[Int(items[at] >> shift) + 1] += 1 }
      for cell in 0..<(1 << bits) { unsafe cells[cell + 1] += cells[cell] }
      for at in 0..<count {
        let cell = unsafe Int(items[at] >> shift)
        unsafe (scratch + Int(cells[cell])).initialize(to: items[at])
        unsafe cells[cell] += 1
      }
      unsafe items.update(from: scratch, count: count)
    }
    for at in 1..<max(count, 1) {
      let item = unsafe items[at]
      var to = at
      while unsafe to > 0 && isBefore(item, items[to - 1], view) {
        unsafe items[to] = items[to - 1]
        to -= 1
      }
      unsafe items[to] = item
    }
  }

  @inline(__always)
  private static func isBefore(_ a: Item, _ b: Item, _ view: TableView) -> Bool {
    if (a ^ b) >> 32 != 0 { return a < b }
    let (x, y) = unsafe (view.entries[Int(a & 0xFFFF_FFFF)].hash, view.entries[Int(b & 0xFFFF_FFFF)].hash)
    return x.high != y.high ? x.high < y.high : x.low < y.low
  }
}
