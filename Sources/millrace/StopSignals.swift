internal import Glibc
internal import MillBase
internal import Synchronization

/// Signals as a request to stop: SIGTERM, SIGINT, and SIGHUP (a terminal that was closed) where it isn't ignored. The first asks for a
/// clean stop, a second one ends the process at once; so does SIGQUIT by itself, which Swift's own handler would only report.
///
/// The signals are blocked in every thread and taken by one of our own, so that nothing runs inside a signal handler.
final class StopSignals: Sendable {
  /// A second signal so soon is the first one: GNU timeout sends to its child and to the group, and so do shells.
  private static let sameMilliseconds: Int64 = 1_000

  private let requested = Atomic(false)
  private let action: @Sendable () -> Void

  private init(_ action: @escaping @Sendable () -> Void) { self.action = action }

  /// Starts the thread; `action` runs on it at the first signal. Call it before any other thread is begun: threads inherit the mask.
  static func install(_ action: @escaping @Sendable () -> Void = {}) -> StopSignals {
    let signals = StopSignals(action)
    var set = watchedSignals()
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    var thread = pthread_t()
    let context = unsafe Unmanaged.passRetained(signals).toOpaque()
    let code = unsafe pthread_create(&thread, nil, { context in unsafe takeSignals(context) }, context)
    precondition(code == 0, "pthread_create for signals failed with errno \(code)")
    pthread_detach(thread)
    return signals
  }

  /// Whether a stop has been asked for.
  var isRequested: Bool { requested.load(ordering: .acquiring) }

  /// Blocks until a stop is asked for.
  func wait() {
    while !isRequested { usleep(50_000) }
  }

  /// The signals' own thread, for as long as the process lives.
  fileprivate func takeAll() {
    var set = watchedSignals()
    var firstAt: Int64 = 0
    while true {
      var signal: Int32 = 0
      guard unsafe sigwait(&set, &signal) == 0 else { continue }
      if signal == SIGQUIT { endAtOnce("SIGQUIT") }
      if requested.exchange(true, ordering: .acquiringAndReleasing) {
        if monotonicMilliseconds() - firstAt >= Self.sameMilliseconds { endAtOnce("second signal") }
        continue
      }
      firstAt = monotonicMilliseconds()
      action()
    }
  }

  private func endAtOnce(_ why: String) -> Never {
    Output.live("")
    Output.errorLine("\(why): ending at once; the next start recovers")
    _exit(ExitCode.failed.rawValue)
  }
}

private func watchedSignals() -> sigset_t {
  var set = sigset_t()
  unsafe sigemptyset(&set)
  for signal in [SIGTERM, SIGINT, SIGQUIT] { unsafe sigaddset(&set, signal) }
  if !ignoresHangUp { unsafe sigaddset(&set, SIGHUP) }
  return set
}

private func takeSignals(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  if let context = unsafe context { unsafe Unmanaged<StopSignals>.fromOpaque(context).takeRetainedValue().takeAll() }
  return nil
}
