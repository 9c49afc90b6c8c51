internal import Glibc

/// What can go wrong with a file. The path is part of every case, so that a message can name it.
package enum DiskError: Error, Hashable, Sendable, CustomStringConvertible {
  case notFound(path: String)
  case exists(path: String)
  /// ENOSPC or EDQUOT; some bytes of a write may have reached the file.
  case outOfSpace(path: String)
  /// A sync that returned an error. It is never repeated (protocol R5); the process stops.
  case syncFailed(path: String, errno: Int32)
  /// Another process holds the lock; `holder` is what it wrote into the file.
  case locked(path: String, holder: String)
  case io(path: String, operation: String, errno: Int32)
  /// It may lead to what others own; nothing was changed. `why` goes on from the path.
  case untrusted(path: String, why: String)

  package var description: String {
    switch self {
    case .notFound(let path): "\(path) is not there"
    case .exists(let path): "\(path) is there already"
    case .outOfSpace(let path): "no space left for \(path)"
    case .syncFailed(let path, let code): "\(path): fsync failed: \(systemMessage(code))"
    case .locked(let path, let holder): "\(path) is locked by \(holder)"
    case .io(let path, let operation, let code): "\(path): \(operation) failed: \(systemMessage(code))"
    case .untrusted(let path, let why): "\(path) \(why)"
    }
  }
}

/// What the system calls an error number.
private func systemMessage(_ code: Int32) -> String { unsafe String(cString: strerror(code)) + " (\(code))" }

/// The seam to the file system. Paths are UTF-8 and absolute or relative to the working directory.
///
/// Nothing survives a power cut before it is synced: a file's bytes by ``DiskFile/sync()``, the names in a directory (created,
/// renamed, linked, removed) by ``syncDirectory(_:)``. The real end is ``RealDisk``; the simulated one lives in MillTestKit.
/// Callable from any thread; a single file belongs to one thread at a time unless its own documentation says more.
package protocol Disk: AnyObject, Sendable {
  /// Opens `path` for appending at its end. `create` makes a new empty file and fails with ``DiskError/exists(path:)`` where there is one.
  func open(_ path: String, create: Bool) throws(DiskError) -> any DiskFile
  /// The bytes `offset ..< offset + count`, fewer where the file ends before.
  func read(_ path: String, offset: Int, count: Int) throws(DiskError) -> [UInt8]
  func byteCount(_ path: String) throws(DiskError) -> Int
  /// Size and SHA-256 of each of these files, in their order, maybe several at a time; nil where one can't be read. `progress`: told on the
  /// calling thread how many bytes of them have been read.
  func digests(_ paths: [String], progress: (_ byteCount: UInt64) -> Void) -> [FileDigest?]
  /// What a path leads to. `following`: false: a symbolic link itself.
  func status(_ path: String, following: Bool) throws(DiskError) -> FileStatus
  /// The user that files are made for.
  var userID: UInt32 { get }
  func exists(_ path: String) -> Bool
  /// The names in a directory, sorted; without `.` and `..`.
  func list(_ directory: String) throws(DiskError) -> [String]
  /// With the missing parents; no error where it is there already. Mode 0700.
  func createDirectory(_ path: String) throws(DiskError)
  /// Replaces `to` in one step.
  func rename(_ from: String, to: String) throws(DiskError)
  func link(_ from: String, to: String) throws(DiskError)
  func remove(_ path: String) throws(DiskError)
  /// A directory with all it holds; no error where there is none.
  func removeTree(_ path: String) throws(DiskError)
  func syncDirectory(_ path: String) throws(DiskError)
  /// Makes the bytes of an existing file durable, whoever wrote them.
  func syncFile(_ path: String) throws(DiskError)
  /// Takes an exclusive lock on `path` (created when missing; a regular file with one name) until the returned object goes; writes `holder`
  /// into it, durably.
  func lock(_ path: String, holder: String) throws(DiskError) -> any DiskLock
}

/// A file, whatever its names are, as long as it is there: a number may be given to another file after that.
package struct FileIdentity: Hashable, Sendable {
  package var device: UInt64
  package var inode: UInt64

  package init(device: UInt64, inode: UInt64) {
    self.device = device
    self.inode = inode
  }
}

/// What a file system says of a file or directory.
package struct FileStatus: Hashable, Sendable {
  package enum Kind: Sendable { case file, directory, link, other }

  package var kind: Kind
  package var identity: FileIdentity
  /// User id.
  package var owner: UInt32
  /// The permission bits, set-user-id, set-group-id and sticky.
  package var mode: UInt32
  /// Hard links.
  package var linkCount: Int

  package init(kind: Kind, identity: FileIdentity, owner: UInt32, mode: UInt32, linkCount: Int) {
    self.kind = kind
    self.identity = identity
    self.owner = owner
    self.mode = mode
    self.linkCount = linkCount
  }
}

/// An open file at whose end bytes are appended.
package protocol DiskFile: AnyObject, Sendable {
  /// Bytes in the file now.
  var byteCount: Int { get }
  /// Appends all of `bytes` or throws; after a throw, part of them may be in the file: ``truncate(to:)`` before going on.
  func append(_ bytes: UnsafeRawBufferPointer) throws(DiskError)
  /// fdatasync. Callable while another thread appends; it covers what was appended before the call.
  func sync() throws(DiskError)
  func truncate(to byteCount: Int) throws(DiskError)
  func close()
}

/// Holds a lock on a file until it is released or the process ends.
package protocol DiskLock: AnyObject, Sendable {
  func release()
}

extension Disk {
  /// One after the other, so that a simulated disk stays a function of its seed.
  package func digests(_ paths: [String], progress: (_ byteCount: UInt64) -> Void) -> [FileDigest?] {
    var read: UInt64 = 0
    return paths.map { path in
      // Whoever uses the file asks for it again, and gets the error.
      guard let digest = try? digest(path) else { return nil }
      read += digest.byteCount
      progress(read)
      return digest
    }
  }

  /// Which file a path leads to: hard links of one have the same.
  package func identity(_ path: String) throws(DiskError) -> FileIdentity { try status(path, following: true).identity }

  /// The whole file.
  package func read(_ path: String) throws(DiskError) -> [UInt8] { try read(path, offset: 0, count: Int.max) }

  /// Writes a new file beside `path`, syncs it, renames it into place and syncs the directory: all or nothing after a power cut.
  /// `faults`: where a drill ends the process on the way.
  package func writeDurably(_ bytes: [UInt8], to path: String, faults: DurableWriteFaults? = nil) throws(DiskError) {
    let temporary = path + ".tmp"
    if exists(temporary) { try remove(temporary) }
    let file = try open(temporary, create: true)
    defer { file.close() }
    try unsafe bytes.withRawBytes { (raw) throws(DiskError) in
      if let faults, FaultPoint.strikes(faults.torn) {
        try unsafe file.append(UnsafeRawBufferPointer(rebasing: raw[..<(raw.count / 2)]))
        FaultPoint.end(faults.torn)
      }
      try unsafe file.append(raw)
    }
    try file.sync()
    if let faults { FaultPoint.hit(faults.written) }
    try rename(temporary, to: path)
    if let faults { FaultPoint.hit(faults.renamed) }
    try syncDirectory(parentDirectory(of: path))
  }
}

/// The steps of a durable write at which a drill can end the process: half of the bytes are there; all, under the other name; renamed,
/// and the directory not synced.
package struct DurableWriteFaults: Sendable {
  package var torn, written, renamed: FaultPoint

  package init(torn: FaultPoint, written: FaultPoint, renamed: FaultPoint) {
    (self.torn, self.written, self.renamed) = (torn, written, renamed)
  }
}

/// What stands before the last `/` of a path; `.` where there is none.
package func parentDirectory(of path: String) -> String {
  guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}
