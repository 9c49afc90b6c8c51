/// A moment as the engine sees it: a wall clock for data, and one that never goes back for waiting.
package struct Instant: Hashable, Sendable {
  /// Milliseconds since 1970 UTC; may jump.
  package var wallMilliseconds: Int64
  /// Milliseconds since some fixed moment; never goes back, counts through suspend (CLOCK_BOOTTIME).
  package var monotonicMilliseconds: Int64

  package init(wallMilliseconds: Int64, monotonicMilliseconds: Int64) {
    self.wallMilliseconds = wallMilliseconds
    self.monotonicMilliseconds = monotonicMilliseconds
  }
}

/// The seam to time.
package protocol Clock: AnyObject, Sendable {
  func now() -> Instant
  /// Nanoseconds since some fixed moment, to measure how long something took. For metrics only: a simulated clock stands still.
  func nanoseconds() -> Int64
}

extension Clock {
  package func nanoseconds() -> Int64 { 0 }
}
