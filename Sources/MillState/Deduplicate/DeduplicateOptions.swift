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
  /// Memory for tables (one half, shared by the active and the frozen ones) and filters (the other).
  package var memoryByteCount: Int
  /// About how many buckets the time for which a key is remembered (window and lateness) is cut into. At least 1.
  package var bucketsPerWindow: Int
  /// No bucket is shorter: RocksDB takes ever longer to create column families the more there are. At least 1.
  package var bucketMillisecondsMin: Int64
  /// Whether times are event times; under processing time (the epoch's clock) nothing is ever late.
  package var usesEventTime: Bool

  package init(
    stateNumber: UInt16, withinMilliseconds: Int64, allowedLatenessMilliseconds: Int64, exact: Bool = false,
    memoryByteCount: Int = 256 << 20, bucketsPerWindow: Int = 8, usesEventTime: Bool = true,
    bucketMillisecondsMin: Int64 = 60_000
  ) {
    precondition(withinMilliseconds > 0, "withinMilliseconds = \(withinMilliseconds): must be at least 1")
    precondition(allowedLatenessMilliseconds >= 0, "allowedLatenessMilliseconds = \(allowedLatenessMilliseconds): must be at least 0")
    precondition(bucketsPerWindow > 0, "bucketsPerWindow = \(bucketsPerWindow): must be at least 1")
    precondition(bucketMillisecondsMin > 0, "bucketMillisecondsMin = \(bucketMillisecondsMin): must be at least 1")
    self.bucketMillisecondsMin = bucketMillisecondsMin
    self.stateNumber = stateNumber
    self.withinMilliseconds = withinMilliseconds
    self.allowedLatenessMilliseconds = allowedLatenessMilliseconds
    self.exact = exact
    self.memoryByteCount = memoryByteCount
    self.bucketsPerWindow = bucketsPerWindow
    self.usesEventTime = usesEventTime
  }

  /// Bytes that a table may take before it should be frozen: half of the tables' half, as one may still be on its way to disk.
  package var tableByteLimit: Int { memoryByteCount / 4 }
  /// Bytes that all filters together may take.
  package var filterByteLimit: Int { memoryByteCount / 2 }

  /// The windows' arithmetic.
  package var window: BucketWindow {
    let lateness = usesEventTime ? allowedLatenessMilliseconds : 0
    let (sum, overflow) = withinMilliseconds.addingReportingOverflow(lateness)
    let (remembered, buckets) = (overflow ? Int64.max : sum, Int64(bucketsPerWindow))
    let width = remembered / buckets + (remembered % buckets == 0 ? 0 : 1)
    return BucketWindow(within: withinMilliseconds, lateness: lateness, width: max(width, bucketMillisecondsMin))
  }
}

/// Which bucket a time belongs to, which two times are duplicates, when a bucket can go. Right for every Int64.
package struct BucketWindow: Hashable, Sendable {
  /// Milliseconds; at least 1.
  package let within: Int64
  /// Milliseconds; at least 0.
  package let lateness: Int64
  /// Milliseconds of event time that a bucket spans; at least 1.
  package let width: Int64

  package init(within: Int64, lateness: Int64, width: Int64) {
    self.within = within
    self.lateness = lateness
    self.width = width
  }

  /// The bucket of an entry with this t0.
  package func bucket(of time: Int64) -> Int64 { floorDivide(time, width) }

  /// The first time of a bucket; wraps below Int64.min, which ``time(fromRelative:in:)`` undoes.
  package func start(of bucket: Int64) -> Int64 { bucket &* width }

  /// How far into its bucket a time stands: less than ``width``.
  package func relative(_ time: Int64, in bucket: Int64) -> UInt64 { UInt64(bitPattern: time &- start(of: bucket)) }

  /// Undoes ``relative(_:in:)``.
  package func time(fromRelative relative: UInt64, in bucket: Int64) -> Int64 { start(of: bucket) &+ Int64(bitPattern: relative) }

  /// Whether a record of time `time` is a duplicate of an entry.
  @inline(__always)
  package func isDuplicate(_ time: Int64, of first: Int64) -> Bool {
    let distance = time > first ? UInt64(bitPattern: time &- first) : UInt64(bitPattern: first &- time)
    return distance < UInt64(within)
  }

  /// The first bucket that may hold an entry of interest to a record of this time. An entry of an earlier one is at least a window
  /// older: the record is kept and replaces it, just as if the entry weren't there.
  package func firstBucket(for time: Int64) -> Int64 {
    let (oldest, overflow) = time.subtractingReportingOverflow(within - 1)
    return bucket(of: overflow ? .min : oldest)
  }

  /// The first bucket that must still be there under this watermark.
  ///
  /// A record that counts has t ≥ watermark − lateness, so entries with t0 ≤ watermark − lateness − within can't be told from absent ones.
  package func firstLiveBucket(watermark: Int64) -> Int64 {
    let kept = mutated(.dropBucketEarly) ? 1 : within
    let (afterLateness, overflow) = watermark.subtractingReportingOverflow(lateness)
    let (last, underflow) = afterLateness.subtractingReportingOverflow(kept)
    return overflow || underflow ? .min : floorDivide(last + 1, width)
  }
}

/// `a / b` rounded towards minus infinity; `b` is positive.
@inline(__always)
package func floorDivide(_ a: Int64, _ b: Int64) -> Int64 {
  let quotient = a / b
  return a % b < 0 ? quotient - 1 : quotient
}
