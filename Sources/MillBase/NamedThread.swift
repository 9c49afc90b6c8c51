internal import CPlatform
internal import Glibc

/// An operating-system thread with a name that top and gdb show; it is joined by its owner.
@safe package final class NamedThread: @unchecked Sendable {
  private var thread = pthread_t()
  private var isJoined = false

  private final class Body {
    let name: String
    let run: @Sendable () -> Void

    init(name: String, run: @escaping @Sendable () -> Void) {
      self.name = name
      self.run = run
    }
  }

  /// Starts at once. `name`: at most 15 bytes.
  package init(_ name: String, stackByteCount: Int = 4 << 20, _ run: @escaping @Sendable () -> Void) {
    let body = unsafe Unmanaged.passRetained(Body(name: name, run: run))
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    unsafe pthread_attr_setstacksize(&attributes, stackByteCount)
    let failed = unsafe pthread_create(
      &thread, &attributes,
      { context in
        let body = unsafe Unmanaged<Body>.fromOpaque(context!).takeRetainedValue()
        unsafe mill_name_this_thread(body.name)
        body.run()
        return nil
      }, body.toOpaque())
    unsafe pthread_attr_destroy(&attributes)
    precondition(failed == 0, "no thread for \(name): errno \(failed)")
  }

  /// Waits for its end. Once, from another thread.
  package func join() {
    guard !isJoined else { return }
    isJoined = true
    pthread_join(thread, nil)
  }
}
