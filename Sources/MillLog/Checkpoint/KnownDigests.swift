package import MillBase

/// SHA-256 of files that were read whole in this process, so that what several checkpoints share is read once.
///
/// Checkpoints share sorted files (`.sst`) and parts of filters (`filter-…`) as hard links, whose bytes never change. A file is known by
/// what it is (device and inode), not by its name: where RocksDB has to copy, each checkpoint has files of its own with the names and sizes
/// of the others', and only its own bytes say whether it is whole. A filter's name and size say nothing of what it holds: it counts as
/// known only where it is a link to a file that was read. Other files are read each time.
///
/// An inode's number may be used again once its file is gone. So what isn't asked for between two calls of ``forgetUnused()`` is forgotten:
/// known are then only files of the newest checkpoint, which is there until the next one is.
package struct KnownDigests: Sendable {
  private struct Key: Hashable {
    var name: Substring
    var byteCount: UInt64
    var identity: FileIdentity
  }

  private var digests: [Key: FileDigest] = [:]
  private var used: Set<Key> = []
  /// What the sorted files of the live store hold, by their names: the store writes none of them twice, so that another content is rot.
  private var contents: [Substring: FileDigest] = [:]

  package init() {}

  /// SHA-256 (32 bytes) and size of a file as it is on the disk.
  package mutating func digest(_ disk: any Disk, _ path: String) throws(DiskError) -> FileDigest {
    guard let (key, isUsable) = try Self.key(disk, path) else { return try disk.digest(path) }
    used.insert(key)
    if let known = digests[key], isUsable { return known }
    let read = try disk.digest(path)
    digests[key] = read
    return read
  }

  /// Reads those of these files that ``digest(_:_:)`` will then know, the largest first, so that threads that share them end together. What
  /// can't be read it is asked for again, and tells why.
  package mutating func read(_ disk: any Disk, _ paths: [String], progress: (_ done: UInt64, _ all: UInt64) -> Void) {
    var wanted: [Key: String] = [:]
    for path in paths {
      guard let (key, isUsable) = try? Self.key(disk, path), isUsable, digests[key] == nil, wanted[key] == nil else { continue }
      wanted[key] = path
    }
    let order = wanted.sorted { ($0.key.byteCount, $0.value) > ($1.key.byteCount, $1.value) }
    let all = order.reduce(0) { $0 &+ $1.key.byteCount }
    let read = disk.digests(order.map(\.value)) { progress($0, all) }
    for ((key, _), digest) in zip(order, read) { digests[key] = digest }
  }

  /// What a file is known by; nil: it is read each time. `isUsable`: what was read of it before holds for it.
  private static func key(_ disk: any Disk, _ path: String) throws(DiskError) -> (Key, isUsable: Bool)? {
    let name = lastComponent(path)
    let isFilter = name.hasPrefix("filter-")
    guard isFilter || name.hasSuffix(".sst") else { return nil }
    let status = try disk.status(path, following: true)
    let key = Key(name: name, byteCount: UInt64(try disk.byteCount(path)), identity: status.identity)
    return (key, isUsable: !isFilter || status.linkCount > 1)
  }

  /// Notes what the sorted files of the live store hold, which is cloned from the checkpoint that has these.
  package mutating func expect(_ files: [Manifest.File]) {
    for file in files where file.path.hasSuffix(".sst") {
      contents[Self.lastComponent(file.path)] = FileDigest(byteCount: file.byteCount, sha256: file.sha256)
    }
  }

  /// The first of these files that holds something else than it did. Where there is none, they are what is expected from now on.
  mutating func changed(_ files: [Manifest.File]) -> String? {
    var found: [Substring: FileDigest] = [:]
    for file in files where file.path.hasSuffix(".sst") {
      let name = Self.lastComponent(file.path)
      let digest = FileDigest(byteCount: file.byteCount, sha256: file.sha256)
      if let expected = contents[name], expected != digest { return file.path }
      found[name] = digest
    }
    contents = found
    return nil
  }

  /// Forgets what wasn't asked for since the call before.
  package mutating func forgetUnused() {
    digests = digests.filter { used.contains($0.key) }
    used = []
  }

  private static func lastComponent(_ path: String) -> Substring {
    path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path[path.utf8.index(after: $0)...] } ?? path[...]
  }
}
