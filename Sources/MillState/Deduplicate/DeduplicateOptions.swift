internal import MillBase

/// What one deduplicate operator remembers, and for how long.
package struct DeduplicateOptions: Hashable, Sendable {
  /// The operator state's number within the pipeline; names its buckets.
  package var stateNumber: UInt16
  /// A record of a known key with time t is a duplicate when |t − t0| is less than this. At least 1.
  package var withinMilliseconds: Int64
  /// How far behind the watermark a record may be and still count; the caller refuses later ones. At least 0.
  package var allowedLatenessMilliseconds: Int64
  /// Whether keys are compared by their bytes instead of by a 128-bit hash.
  package var exact: Bool
  /// All memory of the state: tables, filters, what a flush takes, and the store's cache.
  package var memoryByteCount: Int
  /// About how many buckets the time for which a key is remembered (window and lateness) is cut into. At least 1.
  package var bucketsPerWindow: Int
  /// No bucket is shorter: RocksDB takes ever longer to create column families the more there are. At least 1.
  package var bucketMillisecondsMin: Int64
  /// How many buckets of a level there may be before entries go to coarser ones (``BucketChoice``). At least 1.
  package var bucketsPerLevelMax: Int
  /// How many keys a part of a bucket takes before the next is begun. At least 1.
  package var partKeysMax: Int
  /// Whether times are event times; under processing time (the epoch's clock) nothing is ever late.
  package var usesEventTime: Bool

  package init(
    stateNumber: UInt16, withinMilliseconds: Int64, allowedLatenessMilliseconds: Int64, exact: Bool = false,
    memoryByteCount: Int = 256 << 20, bucketsPerWindow: Int = 8, usesEventTime: Bool = true,
    bucketMillisecondsMin: Int64 = 60_000, bucketsPerLevelMax: Int = 32, partKeysMax: Int = 1 << 24
  ) {
    precondition(withinMilliseconds > 0, "withinMilliseconds = \(withinMilliseconds): must be at least 1")
    precondition(allowedLatenessMilliseconds >= 0, "allowedLatenessMilliseconds = \(allowedLatenessMilliseconds): must be at least 0")
    precondition(bucketsPerWindow > 0, "bucketsPerWindow = \(bucketsPerWindow): must be at least 1")
    precondition(bucketMillisecondsMin > 0, "bucketMillisecondsMin = \(bucketMillisecondsMin): must be at least 1")
    precondition(bucketsPerLevelMax > 0, "bucketsPerLevelMax = \(bucketsPerLevelMax): must be at least 1")
    precondition(partKeysMax > 0, "partKeysMax = \(partKeysMax): must be at least 1")
    self.partKeysMax = partKeysMax
    self.bucketMillisecondsMin = bucketMillisecondsMin
    self.bucketsPerLevelMax = bucketsPerLevelMax
    self.stateNumber = stateNumber
    self.withinMilliseconds = withinMilliseconds
    self.allowedLatenessMilliseconds = allowedLatenessMilliseconds
    self.exact = exact
    self.memoryByteCount = memoryByteCount
    self.bucketsPerWindow = bucketsPerWindow
    self.usesEventTime = usesEventTime
  }

  // Sixteenths of the memory: tables three times two, filters six, the store's cache two; two are left for what a flush takes (an order of
  // 12 bytes a key, and as much in the store's writer, of 64 bytes a key in the table), for tables that are frozen a little late, and for
  // the hashes that the newest checkpoint's filters lack (8 bytes each, at most a quarter of a segment).

  /// Bytes that a table may take before it should be frozen; another may still be on its way to disk, or wait to be used again.
  package var tableByteLimit: Int { memoryByteCount / 16 * 2 }
  /// Bytes of tables that stay searchable after their flush: one that was full, at the end of an epoch, or several smaller ones.
  package var flushedByteLimit: Int { memoryByteCount / 64 * 9 }
  /// Bytes that all filters together may take.
  package var filterByteLimit: Int { memoryByteCount / 16 * 6 }
  /// Bytes for the store's cache, of this state's memory.
  package static func cacheByteCount(memoryByteCount: Int) -> Int { memoryByteCount / 16 * 2 }

  /// The windows' arithmetic.
  package var window: BucketWindow {
    let lateness = usesEventTime ? allowedLatenessMilliseconds : 0
    let (sum, overflow) = withinMilliseconds.addingReportingOverflow(lateness)
    let (remembered, buckets) = (overflow ? Int64.max : sum, Int64(bucketsPerWindow))
    let width = remembered / buckets + (remembered % buckets == 0 ? 0 : 1)
    return BucketWindow(
      state: stateNumber, within: withinMilliseconds, lateness: lateness, width: max(width, bucketMillisecondsMin))
  }
}

/// Which bucket a time belongs to, which two times are duplicates, when a bucket can go. Right for every Int64.
///
/// A time has a bucket on each level, and an entry may be in any of them: which one is a matter of how many buckets there are
/// (``BucketChoice``). Buckets of several levels overlap.
package struct BucketWindow: Hashable, Sendable {
  /// The state whose buckets these are.
  package let state: UInt16
  /// Milliseconds; at least 1.
  package let within: Int64
  /// Milliseconds; at least 0.
  package let lateness: Int64
  /// Milliseconds of event time that a bucket of level 0 spans; at least 1.
  package let width: Int64
  /// The coarsest level there is.
  package let levelMax: UInt8

  package init(state: UInt16, within: Int64, lateness: Int64, width: Int64) {
    self.state = state
    self.within = within
    self.lateness = lateness
    self.width = width
    levelMax = UInt8((width.leadingZeroBitCount - 1) / 2)
  }

  /// Milliseconds that a bucket of a level spans.
  package func span(_ level: UInt8) -> Int64 { width << (2 * Int64(level)) }

  /// The bucket of a level that an entry with this t0 may be in.
  package func bucket(of time: Int64, level: UInt8 = 0) -> BucketID {
    BucketID(state: state, level: level, number: floorDivide(time, span(level)))
  }

  /// The last time that belongs to a bucket.
  package func lastTime(of bucket: BucketID) -> Int64 {
    let (end, overflow) = (bucket.number &+ 1).multipliedReportingOverflow(by: span(bucket.level))
    return overflow || bucket.number == .max ? (bucket.number < 0 ? .min : .max) : end &- 1
  }

  /// The first time of a bucket; wraps below Int64.min, which ``time(fromRelative:in:)`` undoes.
  package func start(of bucket: BucketID) -> Int64 { bucket.number &* span(bucket.level) }

  /// How far into its bucket a time stands: less than its span.
  package func relative(_ time: Int64, in bucket: BucketID) -> UInt64 { UInt64(bitPattern: time &- start(of: bucket)) }

  /// Undoes ``relative(_:in:)``.
  package func time(fromRelative relative: UInt64, in bucket: BucketID) -> Int64 { start(of: bucket) &+ Int64(bitPattern: relative) }

  /// Whether a record of time `time` is a duplicate of an entry.
  @inline(__always)
  package func isDuplicate(_ time: Int64, of first: Int64) -> Bool {
    let distance = time > first ? UInt64(bitPattern: time &- first) : UInt64(bitPattern: first &- time)
    return distance < UInt64(within)
  }

  /// The oldest t0 of an entry of interest to a record of this time. An older one is at least a window older: the record is kept and
  /// replaces it, just as if the entry weren't there.
  package func oldestTime(for time: Int64) -> Int64 {
    let (oldest, overflow) = time.subtractingReportingOverflow(within - 1)
    return overflow ? .min : oldest
  }

  /// The first t0 that must still be known under this watermark.
  ///
  /// A record that counts has t ≥ watermark − lateness, so entries with t0 ≤ watermark − lateness − within can't be told from absent ones.
  package func firstLiveTime(watermark: Int64) -> Int64 {
    let (afterLateness, overflow) = watermark.subtractingReportingOverflow(lateness)
    let (last, underflow) = afterLateness.subtractingReportingOverflow(within)
    return overflow || underflow ? .min : last + 1
  }
}

/// Chooses buckets for the entries of a flush, so that there are never many: RocksDB takes ever longer to create column families the more
/// there are, and a watermark that one partition holds back over a long backlog lets none go.
///
/// An entry goes to the finest level that has its bucket already, or fewer than ``DeduplicateOptions/bucketsPerLevelMax`` (more than a
/// window has, with what lateness and disorder add). Such a level covers at least that many times its span, so there are about as many
/// levels as the live time has digits to base four. Which bucket an entry is in never shows: all that may hold it are searched.
package struct BucketChoice {
  private let window: BucketWindow
  private let perLevelMax: Int
  private var known: Set<BucketID> = []
  private var counts: [UInt8: Int] = [:]

  /// - Parameter buckets: those that there are, and haven't expired; of several parts each counts as the bucket.
  package init(_ options: DeduplicateOptions, buckets: some Sequence<BucketID>) {
    window = options.window
    perLevelMax = options.bucketsPerLevelMax
    for bucket in buckets { add(bucket.whole) }
  }

  /// The bucket for an entry with this t0; from now on it is there.
  package mutating func choose(_ time: Int64) -> BucketID {
    var bucket = window.bucket(of: time)
    while !known.contains(bucket), counts[bucket.level, default: 0] >= perLevelMax, bucket.level < window.levelMax {
      bucket = window.bucket(of: time, level: bucket.level + 1)
    }
    if bucket.level > 0 { Reach.mark(.r18CoarserBucket) }
    add(bucket)
    return bucket
  }

  private mutating func add(_ bucket: BucketID) {
    if known.insert(bucket).inserted { counts[bucket.level, default: 0] += 1 }
  }
}

/// `a / b` rounded towards minus infinity; `b` is positive.
@inline(__always)
package func floorDivide(_ a: Int64, _ b: Int64) -> Int64 {
  let quotient = a / b
  return a % b < 0 ? quotient - 1 : quotient
}
