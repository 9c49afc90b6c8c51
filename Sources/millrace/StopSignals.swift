internal import Glibc
internal import Synchronization

/// SIGTERM and SIGINT as a request: the first asks for a clean stop, a second one ends the process at once.
///
/// The signals are blocked in every thread and taken by one of our own, so that nothing runs inside a signal handler.
final class StopSignals: Sendable {
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
    while true {
      var signal: Int32 = 0
      guard unsafe sigwait(&set, &signal) == 0 else { continue }
      if requested.exchange(true, ordering: .acquiringAndReleasing) {
        Output.live("")
        Output.errorLine("second signal: ending at once; the next start recovers")
        _exit(ExitCode.failed.rawValue)
      }
      action()
    }
  }
}

private func watchedSignals() -> sigset_t {
  var set = sigset_t()
  unsafe sigemptyset(&set)
  unsafe sigaddset(&set, SIGTERM)
  unsafe sigaddset(&set, SIGINT)
  return set
}

private func takeSignals(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  if let context = unsafe context { unsafe Unmanaged<StopSignals>.fromOpaque(context).takeRetainedValue().takeAll() }
  return nil
}
