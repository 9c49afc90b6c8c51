internal import Glibc
internal import Synchronization

extension RealDisk {
  /// So many threads at most: each takes a core, and the disk may be slower than two of them.
  private static let readersMax = 4

  /// As many threads as there are processors: a start waits for nothing else meanwhile.
  package func digests(_ paths: [String], progress: (_ byteCount: UInt64) -> Void) -> [FileDigest?] {
    let work = DigestWork(self, paths)
    let readers = max(1, min(sysconf(Int32(_SC_NPROCESSORS_ONLN)), Self.readersMax, paths.count))
    let helpers = (1..<readers).map { index in NamedThread("mill-digest-\(index)") { while work.readNext() {} } }
    while work.readNext() { progress(work.byteCount) }
    for helper in helpers { helper.join() }
    return work.digests
  }
}

/// Files that several threads read, each the next one that nobody has begun. Any thread.
private final class DigestWork: Sendable {
  private struct State {
    var next = 0
    var byteCount: UInt64 = 0
    /// Index: path.
    var digests: [FileDigest?]
  }

  private let disk: RealDisk
  private let paths: [String]
  private let state: Mutex<State>

  init(_ disk: RealDisk, _ paths: [String]) {
    self.disk = disk
    self.paths = paths
    state = Mutex(State(digests: Array(repeating: nil, count: paths.count)))
  }

  /// Of files that have been read.
  var byteCount: UInt64 { state.withLock(\.byteCount) }
  var digests: [FileDigest?] { state.withLock(\.digests) }

  /// Reads one; false: none is left.
  func readNext() -> Bool {
    let index = state.withLock { state in
      defer { state.next += 1 }
      return state.next
    }
    guard index < paths.count else { return false }
    // Whoever uses the file asks for it again, and gets the error.
    guard let digest = try? disk.digest(paths[index]) else { return true }
    state.withLock {
      $0.digests[index] = digest
      $0.byteCount += digest.byteCount
    }
    return true
  }
}
