internal import Glibc

/// The machine's clocks: CLOCK_REALTIME, and CLOCK_BOOTTIME for what must not go back. Callable from any thread.
package final class SystemClock: Clock {
  package init() {}

  package func now() -> Instant {
    Instant(wallMilliseconds: Self.milliseconds(CLOCK_REALTIME), monotonicMilliseconds: Self.milliseconds(CLOCK_BOOTTIME))
  }

  package func nanoseconds() -> Int64 {
    let time = Self.time(CLOCK_MONOTONIC)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  private static func milliseconds(_ clock: clockid_t) -> Int64 {
    let time = time(clock)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  private static func time(_ clock: clockid_t) -> timespec {
    var time = timespec()
    let code = unsafe clock_gettime(clock, &time)
    precondition(code == 0, "clock_gettime(\(clock)) failed with errno \(errno)")
    return time
  }
}
