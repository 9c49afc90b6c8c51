internal import Glibc

/// What the operating system knows of this process. Any thread; each call looks anew.
package struct ProcessFacts: Sendable {
  /// Processor time of all threads, user and system.
  package var cpuSeconds: Double
  package var residentByteCount: Int
  package var virtualByteCount: Int
  package var openFileCount: Int
  /// How many files may be open; Int.max: no limit.
  package var openFileCountMax: Int
  package var threadCount: Int

  package init() {
    var usage = rusage()
    unsafe getrusage(RUSAGE_SELF.rawValue, &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    cpuSeconds = seconds(usage.ru_utime) + seconds(usage.ru_stime)
    // Pages: size, resident, and more.
    let pages = Self.firstLine("/proc/self/statm").split(separator: " ").compactMap { Int($0) }
    let pageByteCount = sysconf(Int32(_SC_PAGESIZE))
    virtualByteCount = (pages.first ?? 0) * pageByteCount
    residentByteCount = (pages.dropFirst().first ?? 0) * pageByteCount
    openFileCount = Self.entryCount("/proc/self/fd")
    threadCount = Self.entryCount("/proc/self/task")
    var limit = rlimit()
    unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    openFileCountMax = limit.rlim_cur == rlim_t.max ? .max : Int(limit.rlim_cur)
  }

  private static func firstLine(_ path: String) -> String {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 512) { buffer, count in
      count = unsafe max(0, read(descriptor, buffer.baseAddress, 512))
    }
    return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }

  /// Entries of a directory of /proc, without the descriptor that reads it.
  private static func entryCount(_ path: String) -> Int {
    guard let stream = unsafe opendir(path) else { return 0 }
    defer { unsafe closedir(stream) }
    var count = 0
    while let entry = unsafe readdir(stream) {
      if unsafe entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
    }
    return path.hasSuffix("/fd") ? max(0, count - 1) : count
  }
}

/// Bytes that an unprivileged process may still write to the file system of `path`; nil where there is none.
package func freeDiskByteCount(at path: String) -> Int64? {
  var facts = statvfs()
  guard unsafe statvfs(path, &facts) == 0 else { return nil }
  return Int64(clamping: UInt64(facts.f_bavail) * UInt64(facts.f_frsize))
}
