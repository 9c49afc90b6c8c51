package import MillBase
internal import Synchronization

/// A clock that stands still until a test moves it. Callable from any thread.
package final class SimClock: Clock {
  private let instant: Mutex<Instant>

  /// Begins at a moment of 2026 by default, so that it differs from the monotonic clock.
  package init(wallMilliseconds: Int64 = 1_780_000_000_000, monotonicMilliseconds: Int64 = 1_000) {
    instant = Mutex(Instant(wallMilliseconds: wallMilliseconds, monotonicMilliseconds: monotonicMilliseconds))
  }

  package func now() -> Instant { instant.withLock { $0 } }

  /// Time passes: both clocks go on. `milliseconds` ≥ 0.
  package func advance(milliseconds: Int64) {
    precondition(milliseconds >= 0, "the monotonic clock can't go back by \(-milliseconds) ms")
    instant.withLock {
      $0.wallMilliseconds += milliseconds
      $0.monotonicMilliseconds += milliseconds
    }
  }

  /// Somebody sets the wall clock; the monotonic one doesn't notice.
  package func jumpWall(milliseconds: Int64) {
    instant.withLock { $0.wallMilliseconds += milliseconds }
  }
}
