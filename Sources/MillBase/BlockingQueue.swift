internal import Glibc

/// A first-in first-out queue between threads; taking waits until something is there, the queue is closed, or the time is over.
@safe package final class BlockingQueue<Element: Sendable>: @unchecked Sendable {
  // pthread objects must not move, so they stand on the heap; every access to `items` and `isClosed` is under `lock`.
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let filled: UnsafeMutablePointer<pthread_cond_t>
  private var items: [Element] = []
  private var isClosed = false
  private var isNudged = false

  package init() {
    unsafe lock = .allocate(capacity: 1)
    unsafe filled = .allocate(capacity: 1)
    unsafe lock.initialize(to: pthread_mutex_t())
    unsafe filled.initialize(to: pthread_cond_t())
    unsafe pthread_mutex_init(lock, nil)
    var attributes = pthread_condattr_t()
    unsafe pthread_condattr_init(&attributes)
    unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    unsafe pthread_cond_init(filled, &attributes)
    unsafe pthread_condattr_destroy(&attributes)
  }

  deinit {
    unsafe pthread_cond_destroy(filled)
    unsafe pthread_mutex_destroy(lock)
    unsafe filled.deallocate()
    unsafe lock.deallocate()
  }

  /// Adds an element; false when the queue is closed.
  @discardableResult
  package func put(_ element: Element) -> Bool {
    unsafe pthread_mutex_lock(lock)
    let isOpen = !isClosed
    if isOpen { items.append(element) }
    unsafe pthread_cond_signal(filled)
    unsafe pthread_mutex_unlock(lock)
    return isOpen
  }

  /// Ends a wait without an element; where nobody waits, the next one.
  package func nudge() {
    unsafe pthread_mutex_lock(lock)
    isNudged = true
    unsafe pthread_cond_signal(filled)
    unsafe pthread_mutex_unlock(lock)
  }

  /// All that is there, oldest first; waits at most `milliseconds` for the first (nil: as long as it takes). Empty: time over, closed, or
  /// nudged.
  package func takeAll(waitingMilliseconds milliseconds: Int64?) -> [Element] {
    unsafe pthread_mutex_lock(lock)
    defer {
      isNudged = false
      unsafe pthread_mutex_unlock(lock)
    }
    if mustWait, milliseconds != 0 {
      if let milliseconds {
        var until = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &until)
        until.tv_sec += Int(milliseconds / 1000)
        until.tv_nsec += Int(milliseconds % 1000) * 1_000_000
        if until.tv_nsec >= 1_000_000_000 {
          until.tv_sec += 1
          until.tv_nsec -= 1_000_000_000
        }
        while mustWait {
          if unsafe pthread_cond_timedwait(filled, lock, &until) == ETIMEDOUT { break }
        }
      } else {
        while mustWait { unsafe pthread_cond_wait(filled, lock) }
      }
    }
    let taken = items
    items.removeAll(keepingCapacity: true)
    return taken
  }

  /// Under the lock.
  private var mustWait: Bool { items.isEmpty && !isClosed && !isNudged }

  /// Nothing more is taken in; who waits comes back.
  package func close() {
    unsafe pthread_mutex_lock(lock)
    isClosed = true
    unsafe pthread_cond_broadcast(filled)
    unsafe pthread_mutex_unlock(lock)
  }

  package var isFinished: Bool {
    unsafe pthread_mutex_lock(lock)
    defer { unsafe pthread_mutex_unlock(lock) }
    return isClosed && items.isEmpty
  }
}
