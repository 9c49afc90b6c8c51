internal import MillBase

/// The filter of one bucket, or of a part of one: segments that together hold its keys, or none where RocksDB's own has to do.
package struct BucketFilter: Sendable {
  let bucket: BucketID
  /// The last t0 that may be in it.
  let lastTime: Int64
  /// Nil: any key may be there.
  var segments: [FilterSegment]?

  var byteCount: Int { segments?.reduce(0) { $0 + $1.byteCount } ?? 0 }
  var keyCount: Int { segments?.reduce(0) { $0 + $1.keyCount } ?? 0 }

  /// The filter with more keys: in its last segment where that has room, and in new ones.
  /// - Parameters:
  ///   - room: bytes that it should not grow by more than, unless the keys need them.
  ///   - ampleRoom: bytes that it may grow by where keys are given more bits.
  func adding(_ count: Int, room: Int, ampleRoom: Int, hashes: (_ index: Int) -> Digest128) -> BucketFilter {
    guard var segments else { return self }
    var added = 0
    if let last = segments.last { added = last.add(from: 0, to: count, hashes) }
    var (room, ampleRoom) = (room, ampleRoom)
    while added < count {
      let before = segments.reduce(0) { $0 + $1.keyCount }
      let wanted = keysExpected(before: before, with: before + count - added, isAmple: ampleRoom > 0)
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
    guard let newest = buckets.last(where: { $0.bucket.whole == bucket }) else { return bucket }
    let isFull = newest.segments != nil && newest.keyCount > 0 && newest.keyCount + count > keysMax
    guard isFull, newest.bucket.part < .max else { return newest.bucket }
    Reach.mark(.r18NextPart)
    var next = newest.bucket
    next.part += 1
    return next
  }

  /// Makes the filters fit: halves segments, those with the most bits a key first, then the oldest; gives up the filters of the oldest
  /// buckets only where that isn't enough.
  mutating func shrink(to byteLimit: Int) {
    var total = byteCount
    for bits in [FilterSegment.bitsPerKeyMax, FilterSegment.bitsPerKeyMin] {
      for at in buckets.indices {
        for (place, segment) in (buckets[at].segments ?? []).enumerated() where total > byteLimit && segment.bitsPerKey >= bits {
          guard let halved = segment.halved() else { continue }
          Reach.mark(.r18HalvedFilter)
          total -= segment.byteCount - halved.byteCount
          buckets[at].segments?[place] = halved
        }
      }
    }
    for at in buckets.indices where total > byteLimit && buckets[at].segments?.isEmpty == false {
      total -= buckets[at].byteCount
      buckets[at].segments = nil
    }
  }
}
