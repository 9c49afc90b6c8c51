internal import Glibc

/// The machine's clocks: CLOCK_REALTIME, and CLOCK_BOOTTIME for what must not go back. Callable from any thread.
package final class SystemClock: Clock {
  package init() {}

  package func now() -> Instant {
    Instant(wallMilliseconds: Self.milliseconds(CLOCK_REALTIME), monotonicMilliseconds: Self.milliseconds(CLOCK_BOOTTIME))
  }

  private static func milliseconds(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    let code = unsafe clock_gettime(clock, &time)
    precondition(code == 0, "clock_gettime(\(clock)) failed with errno \(errno)")
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}
