internal import Glibc
internal import Synchronization

/// The operating system's files. Callable from any thread.
///
/// Files are made with mode 0600, directories with 0700. Calls that a signal interrupts are made again, all but the syncs.
package final class RealDisk: Disk {
  /// How long syncs take; nil: nobody wants to know.
  private let syncs: Histogram?

  package init(syncs: Histogram? = nil) { self.syncs = syncs }

  package func open(_ path: String, create: Bool) throws(DiskError) -> any DiskFile {
    let flags = O_WRONLY | O_APPEND | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0)
    let descriptor = try openDescriptor(path, flags)
    do throws(DiskError) {
      return RealFile(path, descriptor, byteCount: try fileSize(path, descriptor), syncs)
    } catch {
      Glibc.close(descriptor)
      throw error
    }
  }

  package func read(_ path: String, offset: Int, count: Int) throws(DiskError) -> [UInt8] {
    let descriptor = try openDescriptor(path, O_RDONLY | O_CLOEXEC)
    defer { Glibc.close(descriptor) }
    let available = max(0, try fileSize(path, descriptor) - offset)
    return try readBytes(path, descriptor, offset: offset, count: min(count, available))
  }

  package func byteCount(_ path: String) throws(DiskError) -> Int {
    var status = stat()
    try check(path, "stat") { unsafe stat(path, &status) }
    return Int(status.st_size)
  }

  package func status(_ path: String, following: Bool) throws(DiskError) -> FileStatus {
    var status = stat()
    try check(path, "stat") { unsafe following ? stat(path, &status) : lstat(path, &status) }
    return fileStatus(status)
  }

  package var userID: UInt32 { geteuid() }

  /// When a file's bytes were last written, in nanoseconds since 1970; a time that no Int64 holds is the next one that it does.
  package func modifiedAt(_ path: String) throws(DiskError) -> Int64 {
    var status = stat()
    try check(path, "stat") { unsafe stat(path, &status) }
    let (seconds, nanoseconds) = (Int64(status.st_mtim.tv_sec), Int64(status.st_mtim.tv_nsec))
    let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    return overflow ? (seconds < 0 ? .min : .max) : whole &+ min(nanoseconds, .max - max(whole, 0))
  }

  package func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

  package func list(_ directory: String) throws(DiskError) -> [String] {
    guard let stream = unsafe opendir(directory) else { throw diskError(directory, "opendir", errno) }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = unsafe readdir(stream) else {
        if errno != 0 { throw diskError(directory, "readdir", errno) }
        return names.sorted()
      }
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != "." && name != ".." { names.append(name) }
    }
  }

  package func createDirectory(_ path: String) throws(DiskError) {
    if unsafe mkdir(path, 0o700) == 0 { return }
    switch errno {
    case EEXIST:
      guard isDirectory(path, following: true) else { throw .exists(path: path) }
    case ENOENT where parentDirectory(of: path) != path:
      try createDirectory(parentDirectory(of: path))
      if unsafe mkdir(path, 0o700) != 0 && errno != EEXIST { throw diskError(path, "mkdir", errno) }
    case let code: throw diskError(path, "mkdir", code)
    }
  }

  package func rename(_ from: String, to: String) throws(DiskError) {
    try check(from, "rename") { unsafe Glibc.rename(from, to) }
  }

  package func link(_ from: String, to: String) throws(DiskError) {
    if unsafe Glibc.link(from, to) == 0 { return }
    let code = errno
    throw diskError(code == EEXIST ? to : from, "link", code)
  }

  package func remove(_ path: String) throws(DiskError) {
    try check(path, "unlink") { unsafe unlink(path) }
  }

  package func removeTree(_ path: String) throws(DiskError) {
    guard isDirectory(path, following: false) else {
      if unsafe unlink(path) != 0 && errno != ENOENT { throw diskError(path, "unlink", errno) }
      return
    }
    for name in try list(path) { try removeTree(path + "/" + name) }
    if unsafe rmdir(path) != 0 && errno != ENOENT { throw diskError(path, "rmdir", errno) }
  }

  package func syncDirectory(_ path: String) throws(DiskError) {
    let descriptor = try openDescriptor(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { Glibc.close(descriptor) }
    try timedSync(path, syncs) { fsync(descriptor) }
  }

  package func syncFile(_ path: String) throws(DiskError) {
    let descriptor = try openDescriptor(path, O_RDONLY | O_CLOEXEC)
    defer { Glibc.close(descriptor) }
    try timedSync(path, syncs) { fsync(descriptor) }
  }

  package func lock(_ path: String, holder: String) throws(DiskError) -> any DiskLock {
    let descriptor = try openDescriptor(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW)
    do throws(DiskError) {
      var status = stat()
      try check(path, "fstat") { unsafe fstat(descriptor, &status) }
      let found = fileStatus(status)
      guard found.kind == .file, found.linkCount == 1 else {
        let what = found.kind == .file ? "has \(found.linkCount) names (hard links)" : "is no regular file"
        throw .untrusted(path: path, why: "\(what), so that it isn't written to: remove it")
      }
      if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
        let code = errno
        guard code == EWOULDBLOCK else { throw diskError(path, "flock", code) }
        let text = try readBytes(path, descriptor, offset: 0, count: 4096)
        throw .locked(path: path, holder: String(decoding: text, as: UTF8.self))
      }
      try check(path, "ftruncate") { ftruncate(descriptor, 0) }
      try unsafe Array(holder.utf8).withRawBytes { (raw) throws(DiskError) in
        try unsafe writeAll(path, descriptor, raw) { _ in }
      }
      try timedSync(path, syncs) { fsync(descriptor) }
      return RealLock(descriptor)
    } catch {
      Glibc.close(descriptor)
      throw error
    }
  }
}

/// A file of ``RealDisk``, opened with O_APPEND. ``sync()`` and ``byteCount`` may run beside ``append(_:)``; the rest belongs to one
/// thread.
private final class RealFile: DiskFile {
  private let path: String
  private let descriptor: Int32
  private let size: Atomic<Int>
  private let isClosed = Atomic<Bool>(false)
  private let syncs: Histogram?

  init(_ path: String, _ descriptor: Int32, byteCount: Int, _ syncs: Histogram?) {
    self.path = path
    self.descriptor = descriptor
    self.syncs = syncs
    size = Atomic(byteCount)
  }

  deinit { close() }

  var byteCount: Int { size.load(ordering: .acquiring) }

  func append(_ bytes: UnsafeRawBufferPointer) throws(DiskError) {
    checkOpen()
    try unsafe writeAll(path, descriptor, bytes) { size.add($0, ordering: .acquiringAndReleasing) }
  }

  func sync() throws(DiskError) {
    checkOpen()
    try timedSync(path, syncs) { fdatasync(descriptor) }
  }

  func truncate(to byteCount: Int) throws(DiskError) {
    checkOpen()
    try check(path, "ftruncate") { ftruncate(descriptor, byteCount) }
    size.store(byteCount, ordering: .releasing)
  }

  func close() {
    // What close reports about earlier writes, a sync has reported before: nothing counts as durable without one.
    if !isClosed.exchange(true, ordering: .acquiringAndReleasing) { Glibc.close(descriptor) }
  }

  /// The number of a closed descriptor may belong to another file by now.
  private func checkOpen() {
    precondition(!isClosed.load(ordering: .acquiring), "\(path) was used after it was closed")
  }
}

/// An flock; the kernel releases it with the process.
private final class RealLock: DiskLock {
  private let descriptor: Int32
  private let isReleased = Atomic<Bool>(false)

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit { release() }

  func release() {
    if !isReleased.exchange(true, ordering: .acquiringAndReleasing) { close(descriptor) }
  }
}

/// Makes one sync, which is never repeated, and measures it.
private func timedSync(_ path: String, _ times: Histogram?, _ call: () -> Int32) throws(DiskError) {
  let clock = SystemClock()
  let start = clock.nanoseconds()
  let code = call() == 0 ? 0 : errno
  times?.observe(nanoseconds: clock.nanoseconds() - start)
  if code != 0 { throw .syncFailed(path: path, errno: code) }
}

/// What an errno means for a file.
private func diskError(_ path: String, _ operation: String, _ code: Int32) -> DiskError {
  switch code {
  case ENOENT: .notFound(path: path)
  case EEXIST: .exists(path: path)
  case ENOSPC, EDQUOT: .outOfSpace(path: path)
  default: .io(path: path, operation: operation, errno: code)
  }
}

/// Makes a call that returns 0 or sets errno, again when a signal interrupts it.
private func check(_ path: String, _ operation: String, _ call: () -> Int32) throws(DiskError) {
  while call() != 0 {
    let code = errno
    if code != EINTR { throw diskError(path, operation, code) }
  }
}

private func openDescriptor(_ path: String, _ flags: Int32) throws(DiskError) -> Int32 {
  while true {
    let descriptor = unsafe Glibc.open(path, flags, 0o600)
    if descriptor >= 0 { return descriptor }
    let code = errno
    if code != EINTR { throw diskError(path, "open", code) }
  }
}

private func fileSize(_ path: String, _ descriptor: Int32) throws(DiskError) -> Int {
  var status = stat()
  try check(path, "fstat") { unsafe fstat(descriptor, &status) }
  return Int(status.st_size)
}

private func fileStatus(_ status: stat) -> FileStatus {
  let kind: FileStatus.Kind =
    switch status.st_mode & S_IFMT {
    case S_IFREG: .file
    case S_IFDIR: .directory
    case S_IFLNK: .link
    default: .other
    }
  return FileStatus(
    kind: kind, identity: FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)), owner: status.st_uid,
    mode: status.st_mode & 0o7777, linkCount: Int(status.st_nlink))
}

private func isDirectory(_ path: String, following: Bool) -> Bool {
  var status = stat()
  let code = unsafe following ? stat(path, &status) : lstat(path, &status)
  return code == 0 && status.st_mode & S_IFMT == S_IFDIR
}

/// Up to `count` bytes from `offset` on; fewer only at the file's end.
private func readBytes(_ path: String, _ descriptor: Int32, offset: Int, count: Int) throws(DiskError) -> [UInt8] {
  // No bytes are no buffer: Swift would write into the empty array that all threads share.
  if count <= 0 { return [] }
  var failure: Int32 = 0
  let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
    while filled < count {
      let got = unsafe pread(descriptor, buffer.baseAddress! + filled, count - filled, offset + filled)
      if got == 0 { break }
      if got < 0 {
        if errno == EINTR { continue }
        failure = errno
        break
      }
      filled += got
    }
  }
  if failure != 0 { throw diskError(path, "read", failure) }
  return bytes
}

/// Writes all bytes at the descriptor's place; `wrote` is told of each piece that got there.
private func writeAll(
  _ path: String, _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, wrote: (Int) -> Void
) throws(DiskError) {
  var written = 0
  while written < bytes.count {
    let got = unsafe write(descriptor, bytes.baseAddress! + written, bytes.count - written)
    if got < 0 {
      if errno == EINTR { continue }
      throw diskError(path, "write", errno)
    }
    written += got
    wrote(got)
  }
}
