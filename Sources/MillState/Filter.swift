internal import CPlatform
internal import MillBase

/// A split-block Bloom filter over some keys of a bucket: a key sets one bit in each of a block's eight words.
///
/// When full, of absent keys one in 1,000 passes at 16 bits a key, one in 200 at 12. Written by the state lane until it is handed over,
/// only read from then on.
@safe package final class FilterSegment: @unchecked Sendable {
  /// Bits a key while there is memory, and when it becomes scarce.
  static let bitsPerKeyMax = 16
  static let bitsPerKeyMin = 12
  /// Keys it is made for.
  let capacity: Int
  private(set) var keyCount = 0
  let blockCount: Int
  let blocks: UnsafeMutablePointer<SIMD8<UInt32>>
  /// The file that holds it as it is, where there is one. State lane only.
  var path: String?

  init(capacity: Int, bitsPerKey: Int) {
    self.capacity = capacity
    blockCount = Self.blockCount(capacity: capacity, bitsPerKey: bitsPerKey)
    unsafe blocks = .allocate(capacity: blockCount)
    unsafe blocks.initialize(repeating: SIMD8(repeating: 0), count: blockCount)
  }

  /// A copy that more keys can be added to.
  init(copying other: FilterSegment) {
    capacity = other.capacity
    keyCount = other.keyCount
    blockCount = other.blockCount
    unsafe blocks = .allocate(capacity: blockCount)
    unsafe blocks.initialize(from: other.blocks, count: blockCount)
  }

  /// Takes over what ``raw`` gave; nil where the counts don't fit.
  init?(capacity: Int, keyCount: Int, raw: UnsafeRawBufferPointer) {
    guard capacity > 0, capacity <= Filter.segmentKeysMax, keyCount <= capacity else { return nil }
    self.capacity = capacity
    self.keyCount = keyCount
    blockCount = raw.count / 32
    let (least, most) = (
      Self.blockCount(capacity: capacity, bitsPerKey: Self.bitsPerKeyMin),
      Self.blockCount(capacity: capacity, bitsPerKey: Self.bitsPerKeyMax)
    )
    guard raw.count == blockCount * 32, least...most ~= blockCount, let from = raw.baseAddress else { return nil }
    unsafe blocks = .allocate(capacity: blockCount)
    unsafe UnsafeMutableRawPointer(blocks).copyMemory(from: from, byteCount: raw.count)
  }

  deinit { unsafe blocks.deallocate() }

  private static func blockCount(capacity: Int, bitsPerKey: Int) -> Int { (capacity * bitsPerKey + 255) / 256 }

  /// Keys of the largest one that takes no more bytes.
  static func capacity(byteCount: Int) -> Int { max(byteCount, 0) / 32 * 256 / bitsPerKeyMin }

  var byteCount: Int { blockCount * 32 }
  var raw: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: blocks, count: byteCount) }

  func add(_ hash: Digest128) {
    keyCount += 1
    if mutated(.filterForgets) && keyCount % 16 == 0 { return }
    unsafe blocks[Filter.block(hash, of: blockCount)] |= Filter.mask(hash)
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
  /// Keys of the largest segment: 32 MiB, the most that a flush has to copy for a bucket.
  static let segmentKeysMax = 1 << 24
  static let segmentKeysMin = 1 << 10
  /// Odd multipliers that pick a bit of each word; those of the split-block filter of Apache Parquet's specification.
  private static let salts = SIMD8<UInt32>(
    0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31)

  @inline(__always)
  static func block(_ hash: Digest128, of count: Int) -> Int { Int(((hash.low >> 32) &* UInt64(count)) >> 32) }

  @inline(__always)
  static func mask(_ hash: Digest128) -> SIMD8<UInt32> {
    SIMD8<UInt32>(repeating: 1) &<< ((SIMD8(repeating: UInt32(truncatingIfNeeded: hash.low)) &* salts) &>> 27)
  }

  /// Sets `passes[i]` to 1 where the key of row `rows[i]` may be in the segment; leaves the others alone.
  static func search(
    _ segment: FilterSegment, _ hashes: UnsafePointer<Digest128>, rows: UnsafePointer<Int32>, count: Int,
    passes: UnsafeMutablePointer<UInt8>
  ) {
    // A hash's first half in memory is its low one, which is the one that filters go by.
    unsafe mr_filter_search(segment.blocks, UInt64(segment.blockCount), hashes, rows, count, passes)
  }
}

/// The filter of one bucket, or of a part of one: segments that together hold its keys, or none where RocksDB's own has to do.
package struct BucketFilter: Sendable {
  let bucket: BucketID
  /// The last t0 that may be in it.
  let lastTime: Int64
  /// Nil: any key may be there.
  var segments: [FilterSegment]?

  var byteCount: Int { segments?.reduce(0) { $0 + $1.byteCount } ?? 0 }
  var keyCount: Int { segments?.reduce(0) { $0 + $1.keyCount } ?? 0 }

  /// The filter with more keys. Segments that were handed over aren't touched: the last one is copied where it has room.
  /// - Parameters:
  ///   - room: bytes that it should not grow by more than, unless the keys need them.
  ///   - ampleRoom: bytes that it may grow by where keys are given more bits.
  func adding(_ count: Int, room: Int, ampleRoom: Int, hashes: (_ index: Int) -> Digest128) -> BucketFilter {
    guard var segments else { return self }
    var added = 0
    if let last = segments.last, last.keyCount < last.capacity {
      let copy = FilterSegment(copying: last)
      added = copy.add(from: 0, to: count, hashes)
      segments[segments.count - 1] = copy
    }
    var (room, ampleRoom) = (room, ampleRoom)
    while added < count {
      let wanted = keysExpected(before: keyCount + added, with: keyCount + count, isAmple: ampleRoom > 0)
      let keys = min(max(count - added, min(wanted, FilterSegment.capacity(byteCount: room))), Filter.segmentKeysMax)
      let isAmple = keys * FilterSegment.bitsPerKeyMax / 8 < ampleRoom
      let segment = FilterSegment(capacity: keys, bitsPerKey: isAmple ? FilterSegment.bitsPerKeyMax : FilterSegment.bitsPerKeyMin)
      room -= segment.byteCount
      ampleRoom -= segment.byteCount
      added = segment.add(from: added, to: count, hashes)
      segments.append(segment)
    }
    return BucketFilter(bucket: bucket, lastTime: lastTime, segments: segments)
  }
}

extension BucketFilter {
  /// Keys that a new segment is made for where there is room: as many as are in those before it, or while memory is ample three times as
  /// many as there are with the new ones, so that the number of segments grows with the logarithm of the keys.
  private func keysExpected(before: Int, with all: Int, isAmple: Bool) -> Int {
    // A part that isn't its bucket's first has full ones before it.
    if bucket.part > 0 { return Filter.segmentKeysMax }
    return max(isAmple ? 3 * all : before, Filter.segmentKeysMin)
  }
}

/// The buckets of one state that the store holds, with their parts and filters: by their last times, oldest first. Handed from the state
/// lane to the flow thread whole.
package struct BucketFilters: Sendable {
  var buckets: [BucketFilter] = []

  package init() {}

  /// Bytes of all filters.
  package var byteCount: Int { buckets.reduce(0) { $0 + $1.byteCount } }
  /// Buckets there are, oldest first.
  package var ids: [BucketID] { buckets.map(\.bucket) }
  /// Buckets of which nothing but the store knows the keys, oldest first.
  package var unfiltered: [BucketID] { buckets.filter { $0.segments == nil }.map(\.bucket) }
  /// Keys in the filters; a key counts once for each time it was flushed.
  package var keyCount: Int { buckets.reduce(0) { $0 + $1.keyCount } }

  mutating func update(_ filter: BucketFilter) {
    if let at = buckets.firstIndex(where: { ($0.lastTime, $0.bucket) >= (filter.lastTime, filter.bucket) }) {
      if buckets[at].bucket == filter.bucket { buckets[at] = filter } else { buckets.insert(filter, at: at) }
    } else {
      buckets.append(filter)
    }
  }

  func filter(_ bucket: BucketID, _ window: BucketWindow) -> BucketFilter {
    buckets.first { $0.bucket == bucket } ?? BucketFilter(bucket: bucket, lastTime: window.lastTime(of: bucket), segments: [])
  }

  /// The part of a bucket that `count` more keys go to: the newest, or a new one when that would have more than `keysMax` then. One
  /// whose filter was given up stays the last: there is no memory for more.
  func part(of bucket: BucketID, taking count: Int, keysMax: Int) -> BucketID {
    guard let newest = buckets.last(where: { $0.bucket.whole == bucket }), newest.segments != nil, newest.keyCount > 0,
      newest.keyCount + count > keysMax, newest.bucket.part < .max
    else { return buckets.last { $0.bucket.whole == bucket }?.bucket ?? bucket }
    Reach.mark(.r18NextPart)
    var next = newest.bucket
    next.part += 1
    return next
  }

  /// Gives up the filters of the oldest buckets until the rest fits.
  mutating func shrink(to byteLimit: Int) {
    var total = byteCount
    for at in buckets.indices where total > byteLimit && buckets[at].segments?.isEmpty == false {
      total -= buckets[at].byteCount
      buckets[at].segments = nil
    }
  }
}
