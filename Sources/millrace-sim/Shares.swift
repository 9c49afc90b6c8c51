internal import Glibc
internal import MillBase
internal import MillSim

/// Many seeds in several processes of this program, each with every so manieth seed: switches and counters of a process stay its own, and
/// what a seed does can't depend on its neighbours.
enum Shares {
  /// One process of them, seen from the one that started it.
  private struct Worker {
    var process: pid_t
    var output: Int32
    var bytes: [UInt8] = []
    /// The newest seed that came to its end.
    var seed: Substring = "none"
  }

  /// Runs all seeds in `jobs` processes and adds up what they say. A process that ends otherwise than by its own will is named with the
  /// seed before, and ends this one too.
  static func run(_ seeds: ClosedRange<UInt64>, _ profile: Profile, minutes: Double?, jobs: Int) -> Summary {
    var summary = Summary()
    var workers: [Worker] = []
    // A seed takes and gives back the same few megabytes; the system need not hear of it each time.
    for name in ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"] { unsafe setenv(name, "500000000", 0) }
    for index in 0..<jobs {
      var words = ["millrace-sim", "--share", "\(index)/\(jobs)", "--seeds", "\(seeds.lowerBound)..\(seeds.upperBound)"]
      words += ["--profile", profile.rawValue]
      if let minutes { words += ["--minutes", "\(minutes)"] }
      workers.append(start(words))
    }
    while !workers.isEmpty {
      var waiting = workers.map { pollfd(fd: $0.output, events: Int16(POLLIN), revents: 0) }
      let ready = unsafe poll(&waiting, nfds_t(waiting.count), -1)
      if ready < 0, errno != EINTR { fail("poll: errno \(errno)") }
      for index in workers.indices.reversed() where waiting[index].revents != 0 {
        if !read(&workers[index], &summary) { end(workers.remove(at: index)) }
      }
    }
    return summary
  }

  /// A share's own work: every `count`-th seed from the `index`-th on, told line by line.
  static func work(_ seeds: ClosedRange<UInt64>, _ profile: Profile, index: UInt64, count: UInt64, minutes: Double?) {
    let start = seconds(CLOCK_MONOTONIC)
    var faults = FaultTally()
    var next = seeds.lowerBound.addingReportingOverflow(index)
    while !next.overflow, next.partialValue <= seeds.upperBound {
      if let minutes, seconds(CLOCK_MONOTONIC) - start > minutes * 60 { break }
      let outcome = simulate(seed: next.partialValue, profile: profile)
      faults.add(outcome.faults)
      tell(Summary.lines(of: outcome))
      next = next.partialValue.addingReportingOverflow(count)
    }
    tell(Summary.closing(faults))
  }

  // At once: a process that dies has told of every seed before.
  private static func tell(_ lines: [String]) {
    let bytes = Array((lines.map { $0.split(separator: "\n").joined(separator: " ") }.joined(separator: "\n") + "\n").utf8)
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { unsafe write(STDOUT_FILENO, $0.baseAddress! + sent, bytes.count - sent) }
      if count < 0, errno != EINTR { exit(1) }
      sent += max(0, count)
    }
  }

  private static func start(_ words: [String]) -> Worker {
    var ends: [Int32] = [0, 0]
    guard unsafe pipe(&ends) == 0 else { fail("pipe: errno \(errno)") }
    // Those that are started later must not hold it open.
    _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
    unsafe posix_spawn_file_actions_addclose(&actions, ends[1])
    var texts: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) }
    unsafe texts.append(nil)
    var process: pid_t = 0
    let failed = unsafe posix_spawn(&process, "/proc/self/exe", &actions, nil, &texts, environ)
    guard failed == 0 else { fail("another process of this program can't be started: errno \(failed)") }
    unsafe texts.forEach { unsafe free($0) }
    unsafe posix_spawn_file_actions_destroy(&actions)
    close(ends[1])
    return Worker(process: process, output: ends[0])
  }

  /// Takes what a process has said; false at its end.
  private static func read(_ worker: inout Worker, _ summary: inout Summary) -> Bool {
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    let count = unsafe piece.withUnsafeMutableBytes { unsafe Glibc.read(worker.output, $0.baseAddress, $0.count) }
    if count < 0, errno == EINTR { return true }
    guard count > 0 else { return false }
    worker.bytes += piece[..<count]
    guard let last = worker.bytes.lastIndex(of: UInt8(ascii: "\n")) else { return true }
    for line in String(decoding: worker.bytes[..<last], as: UTF8.self).split(separator: "\n") {
      guard summary.take(line) else { fail("a process said: \(line)") }
      if line.hasPrefix("seed ") { worker.seed = line.split(separator: " ")[1] }
    }
    worker.bytes.removeSubrange(...last)
    return true
  }

  private static func end(_ worker: Worker) {
    close(worker.output)
    var status: Int32 = 0
    while unsafe waitpid(worker.process, &status, 0) < 0 {
      if errno != EINTR { fail("waitpid: errno \(errno)") }
    }
    if status != 0 { crashed("a process ended with wait status \(status) in the seed after \(worker.seed)") }
  }

  private static func crashed(_ text: String) -> Never {
    print(text)
    exit(1)
  }
}
