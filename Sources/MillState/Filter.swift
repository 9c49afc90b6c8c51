internal import CPlatform
internal import MillBase

/// A split-block Bloom filter over some keys of a bucket: a key sets one bit in each of a block's eight words.
///
/// When full, of absent keys one in 1,000 passes at 16 bits a key, one in 200 at 12; halved, one in 35 at 8 and one in 10 at 6. The state
/// lane adds keys, also while the flow thread searches: bits are only ever set, and what a search needs was there before the segment was
/// handed over with its keys' table.
@safe package final class FilterSegment: @unchecked Sendable {
  /// Bits a key while there is memory, and when it becomes scarce.
  static let bitsPerKeyMax = 16
  static let bitsPerKeyMin = 12
  /// Of one that was halved: fewer bits pass nearly every key.
  private static let bitsPerKeyLeast = bitsPerKeyMin / 2
  /// Keys it is made for.
  let capacity: Int
  /// State lane only.
  private(set) var keyCount = 0
  let blockCount: Int
  let blocks: UnsafeMutablePointer<SIMD8<UInt32>>
  /// What of it the newest checkpoint has. State lane only.
  var files = FilterSegmentFiles()

  init(capacity: Int, bitsPerKey: Int) {
    self.capacity = capacity
    blockCount = Self.blockCount(capacity: capacity, bitsPerKey: bitsPerKey)
    unsafe blocks = .allocate(capacity: blockCount)
    unsafe blocks.initialize(repeating: SIMD8(repeating: 0), count: blockCount)
  }

  /// Takes over what ``raw`` gave; nil where the counts don't fit.
  init?(capacity: Int, keyCount: Int, raw: UnsafeRawBufferPointer) {
    guard capacity > 0, capacity <= Filter.segmentKeysMax, keyCount <= capacity else { return nil }
    self.capacity = capacity
    self.keyCount = keyCount
    blockCount = raw.count / 32
    let (least, most) = (
      capacity * Self.bitsPerKeyLeast / 256, Self.blockCount(capacity: capacity, bitsPerKey: Self.bitsPerKeyMax)
    )
    guard blockCount > 0, raw.count == blockCount * 32, least...most ~= blockCount, let from = raw.baseAddress else { return nil }
    unsafe blocks = .allocate(capacity: blockCount)
    unsafe UnsafeMutableRawPointer(blocks).copyMemory(from: from, byteCount: raw.count)
  }

  deinit { unsafe blocks.deallocate() }

  /// Even, so that it can be halved.
  private static func blockCount(capacity: Int, bitsPerKey: Int) -> Int { (capacity * bitsPerKey + 511) / 512 * 2 }

  /// Keys of the largest one that takes no more bytes.
  static func capacity(byteCount: Int) -> Int { max(byteCount, 0) / 32 * 256 / bitsPerKeyMin }

  /// Bits for each key that it is made for.
  var bitsPerKey: Int { blockCount * 256 / capacity }

  /// The same keys in half the memory, so that more absent ones pass; nil where that would be nearly all. State lane only.
  func halved() -> FilterSegment? {
    guard blockCount % 2 == 0, bitsPerKey >= Self.bitsPerKeyMin else { return nil }
    return FilterSegment(halving: self)
  }

  /// A key's block number is its hash's share of the count, so that blocks 2n and 2n + 1 hold the keys of the new block n.
  private init(halving whole: FilterSegment) {
    capacity = whole.capacity
    keyCount = whole.keyCount
    blockCount = whole.blockCount / 2
    unsafe blocks = .allocate(capacity: blockCount)
    for block in 0..<blockCount { unsafe (blocks + block).initialize(to: whole.blocks[2 * block] | whole.blocks[2 * block + 1]) }
  }

  var byteCount: Int { blockCount * 32 }
  var raw: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: blocks, count: byteCount) }

  func add(_ hash: Digest128) {
    keyCount += 1
    files.note(hash.low, room: blockCount)
    unsafe mr_filter_add(blocks, UInt64(blockCount), hash.low)
  }

  /// Adds keys that a checkpoint has, by the low halves of their hashes; false where it isn't made for so many.
  func restore(_ lows: [UInt64]) -> Bool {
    guard lows.count <= capacity - keyCount else { return false }
    return add(from: 0, to: lows.count) { Digest128(low: lows[$0], high: 0) } == lows.count
  }

  /// Adds the keys from `first` on, until it is full or all `count` are in; returns how many there are then.
  func add(from first: Int, to count: Int, _ hashes: (_ index: Int) -> Digest128) -> Int {
    let end = min(count, first + capacity - keyCount)
    for index in first..<end {
      // Blocks lie anywhere in megabytes: they are asked for so many keys ahead.
      if index + 16 < end { unsafe mr_prefetch(blocks + Filter.block(hashes(index + 16), of: blockCount)) }
      add(hashes(index))
    }
    return end
  }
}

/// The filter's arithmetic, apart from its memory so that hot loops hold pointers only.
enum Filter {
  /// Keys of the largest segment: 32 MiB.
  static let segmentKeysMax = 1 << 24
  static let segmentKeysMin = 1 << 10
  @inline(__always)
  static func block(_ hash: Digest128, of count: Int) -> Int { Int(((hash.low >> 32) &* UInt64(count)) >> 32) }

  /// Sets `passes[i]` to 1 where the key of row `rows[i]` may be in the segment; leaves the others alone.
  static func search(
    _ segment: FilterSegment, _ hashes: UnsafePointer<Digest128>, rows: UnsafePointer<Int32>, count: Int,
    passes: UnsafeMutablePointer<UInt8>
  ) {
    // A hash's first half in memory is its low one, which is the one that filters go by.
    unsafe mr_filter_search(segment.blocks, UInt64(segment.blockCount), hashes, rows, count, passes)
  }
}
