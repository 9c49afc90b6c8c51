package import MillBase

/// Checkpoints in a directory (protocol R14): `<directory>/<lineage>-<epoch>/` with files and, once it counts, a `MANIFEST`.
///
/// A checkpoint without a manifest is nothing; the manifest is the last thing of it that becomes durable. One thread at a time.
package struct CheckpointStore: Sendable {
  package static let manifestName = "MANIFEST"

  private let disk: any Disk
  package let directory: String

  /// Touches nothing; see ``prepare()``.
  package init(_ disk: any Disk, directory: String) {
    self.disk = disk
    self.directory = directory
  }

  /// How much of a checkpoint is looked at.
  package enum Verification: Hashable, Sendable {
    /// The manifest; the files' presence and sizes.
    case manifestOnly
    /// Also each file's SHA-256.
    case full
  }

  /// A checkpoint with a manifest, and what looking at it gave.
  package struct Checkpoint: Sendable {
    package var id: CheckpointID
    package var path: String
    package var state: State

    package enum State: Hashable, Sendable {
      case valid(Manifest)
      /// What is wrong, with the path, what was found and what would be right. Not a retained checkpoint (R16).
      case invalid(why: String)
      /// A newer release wrote it: not damage, a reason to stop.
      case newerVersion(found: UInt32, supported: UInt32)
    }

    package var manifest: Manifest? {
      if case .valid(let manifest) = state { manifest } else { nil }
    }
  }

  package func path(of id: CheckpointID) -> String { directory + "/\(id)" }

  /// At start: makes the directory, and removes what an interrupted publication or removal has left: checkpoints without a manifest.
  /// Whatever else lies there isn't ours. Returns what it removed.
  @discardableResult
  package func prepare() throws(CheckpointError) -> [String] {
    try stored { () throws(DiskError) in
      try disk.createDirectoryDurably(directory)
      var removed: [String] = []
      for name in try disk.list(directory) {
        let path = directory + "/" + name
        if Self.isLook(name) {
          try disk.removeTree(path)
          removed.append(name)
          continue
        }
        guard CheckpointID(name) != nil else { continue }
        if !disk.exists(path + "/" + Self.manifestName) {
          try disk.removeTree(path)
          removed.append(name)
        } else {
          // Who renamed the manifest into place may have died before its name was durable; from here on it counts.
          try disk.syncDirectory(path)
        }
      }
      try disk.syncDirectory(directory)
      return removed
    }
  }

  /// Of a clone that `millrace state` looks into: `look-<pid>.tmp`; a crash leaves it.
  package static func lookName(process: Int32) -> String { "look-\(process).tmp" }

  private static func isLook(_ name: String) -> Bool {
    guard name.hasPrefix("look-"), name.hasSuffix(".tmp") else { return false }
    return Int32(name.dropFirst(5).dropLast(4)).map { lookName(process: $0) == name } == true
  }

  /// Clears the place of a checkpoint that isn't published yet, and returns its path: nothing is there. The files are put there next.
  package func begin(_ id: CheckpointID) throws(CheckpointError) -> String {
    let path = path(of: id)
    if disk.exists(path + "/" + Self.manifestName) { throw .published(path: path) }
    try stored { () throws(DiskError) in try disk.removeTree(path) }
    return path
  }

  /// Makes the checkpoint of `manifest` durable with all files that stand in its directory, and returns the manifest as written.
  ///
  /// `manifest.files` is filled in here. Files, then their directories, then the manifest: it counts when this returns. What `known` has
  /// isn't read again; what is read is added.
  package func publish(_ manifest: Manifest, known: inout KnownDigests) throws(CheckpointError) -> Manifest {
    let path = path(of: CheckpointID(lineage: manifest.lineage, epoch: manifest.epoch))
    if disk.exists(path + "/" + Self.manifestName) { throw .published(path: path) }
    var manifest = manifest
    manifest.files = []
    try stored { () throws(DiskError) in try disk.createDirectory(path) }
    try collect(path, relative: "", into: &manifest.files, &known)
    if let changed = known.changed(manifest.files) { throw .changed(path: path + "/" + changed) }
    FaultPoint.hit(.checkpointFilesSynced)
    try stored { () throws(DiskError) in
      try disk.syncDirectory(directory)
      try disk.writeDurably(
        ManifestFormat.encode(manifest), to: path + "/" + Self.manifestName,
        faults: DurableWriteFaults(torn: .manifestTorn, written: .manifestWritten, renamed: .manifestRenamed))
    }
    return manifest
  }

  /// Syncs and hashes the files below a directory, then syncs the directory.
  private func collect(
    _ path: String, relative: String, into files: inout [Manifest.File], _ known: inout KnownDigests
  ) throws(CheckpointError) {
    for name in try stored({ () throws(DiskError) in try disk.list(path) }) {
      let child = path + "/" + name
      let childRelative = relative.isEmpty ? name : relative + "/" + name
      if childRelative == Self.manifestName + ".tmp" {
        // Of a publication that failed before.
        try stored { () throws(DiskError) in try disk.remove(child) }
        continue
      }
      if let problem = ManifestFormat.pathProblem(childRelative) { throw .unusablePath(path: childRelative, why: problem) }
      if isDirectory(child) {
        try collect(child, relative: childRelative, into: &files, &known)
      } else {
        files.append(try file(child, childRelative, &known))
      }
    }
    try stored { () throws(DiskError) in
      try disk.syncDirectory(path)
    }
  }

  private func file(_ path: String, _ relative: String, _ known: inout KnownDigests) throws(CheckpointError) -> Manifest.File {
    try stored { () throws(DiskError) in
      try disk.syncFile(path)
      let digest = try known.digest(disk, path)
      return Manifest.File(path: relative, byteCount: digest.byteCount, sha256: digest.sha256)
    }
  }

  /// Whether a path can be listed; a file can't.
  private func isDirectory(_ path: String) -> Bool {
    do throws(DiskError) {
      _ = try disk.list(path)
      return true
    } catch {
      return false
    }
  }

  /// All checkpoints that have a manifest, those that can't be used first, then newest first: by position in the log, which goes on
  /// through lineages. What `known` has isn't read again; what is read is added. `progress`: told, in a full verification, of bytes that
  /// have been read, and of how many there are, of sorted files and of filters that are links; files that are shared are read once.
  package func list(
    _ verification: Verification, known: inout KnownDigests, progress: (_ done: UInt64, _ all: UInt64) -> Void = { _, _ in }
  ) throws(CheckpointError) -> [Checkpoint] {
    guard disk.exists(directory) else { return [] }
    var checkpoints: [Checkpoint] = []
    for name in try stored({ () throws(DiskError) in try disk.list(directory) }) {
      guard let id = CheckpointID(name), isThere(id) else { continue }
      checkpoints.append(Checkpoint(id: id, path: path(of: id), state: try readManifest(id)))
    }
    if verification == .full {
      known.read(
        disk, checkpoints.flatMap { found in (found.manifest?.files ?? []).map { found.path + "/" + $0.path } }, progress: progress)
    }
    for index in checkpoints.indices {
      for file in checkpoints[index].manifest?.files ?? [] {
        guard let why = try problem(of: file, at: checkpoints[index].path + "/" + file.path, verification, &known) else { continue }
        checkpoints[index].state = .invalid(why: why)
        break
      }
    }
    // A running pipeline removes old ones while they are read, their manifests first: what is missing of those is no damage.
    checkpoints.removeAll { !isThere($0.id) }
    return checkpoints.sorted {
      ($0.manifest?.position ?? .max, $0.id.epoch, $0.id.lineage.value) > ($1.manifest?.position ?? .max, $1.id.epoch, $1.id.lineage.value)
    }
  }

  /// Whether a checkpoint counts still: its manifest is what goes first.
  package func isThere(_ id: CheckpointID) -> Bool { disk.exists(path(of: id) + "/" + Self.manifestName) }

  /// What a checkpoint's manifest says, its files not looked at. An error that isn't the checkpoint's own fault is thrown.
  private func readManifest(_ id: CheckpointID) throws(CheckpointError) -> Checkpoint.State {
    let path = path(of: id)
    let manifestPath = path + "/" + Self.manifestName
    let bytes: [UInt8]
    do throws(DiskError) {
      bytes = try disk.read(manifestPath)
    } catch .io(let path, let operation, let errno) {
      return .invalid(why: "\(path): \(operation) fails with errno \(errno)")
    } catch {
      throw CheckpointError(error)
    }
    let manifest: Manifest
    do throws(ManifestFormat.Failure) {
      manifest = try ManifestFormat.decode(bytes)
    } catch {
      switch error {
      case .newerVersion(let found, let supported): return .newerVersion(found: found, supported: supported)
      case .malformed(let reason): return .invalid(why: "\(manifestPath): \(reason)")
      }
    }
    let named = CheckpointID(lineage: manifest.lineage, epoch: manifest.epoch)
    guard named == id else { return .invalid(why: "\(manifestPath) is that of checkpoint \(named)") }
    return .valid(manifest)
  }

  /// What is wrong with the files of a checkpoint that stood in its directory `part`, where they have been linked to; nil: nothing.
  package func problem(of manifest: Manifest, part: String, linkedTo directory: String) throws(CheckpointError) -> String? {
    var known = KnownDigests()
    for file in manifest.files where file.path.hasPrefix(part + "/") {
      let path = directory + file.path.dropFirst(part.utf8.count)
      if let why = try problem(of: file, at: path, .full, &known) { return why }
    }
    return nil
  }

  /// nil for a file that is as the manifest says.
  private func problem(
    of file: Manifest.File, at path: String, _ verification: Verification, _ known: inout KnownDigests
  ) throws(CheckpointError) -> String? {
    do throws(DiskError) {
      let byteCount = try disk.byteCount(path)
      guard byteCount == Int(exactly: file.byteCount) else { return "\(path) has \(byteCount) bytes, must have \(file.byteCount)" }
      guard verification == .full, try known.digest(disk, path).sha256 != file.sha256 else { return nil }
      return "\(path) has another SHA-256 than its manifest says"
    } catch .notFound(let path) {
      return "\(path) is missing"
    } catch .io(let path, let operation, let errno) {
      return "\(path): \(operation) fails with errno \(errno)"
    } catch {
      throw CheckpointError(error)
    }
  }

  /// Removes a checkpoint; no error where there is none. Its manifest goes first: half of one is never taken for whole.
  package func remove(_ id: CheckpointID) throws(CheckpointError) {
    let path = path(of: id)
    try stored { () throws(DiskError) in
      if disk.exists(path + "/" + Self.manifestName) {
        try disk.remove(path + "/" + Self.manifestName)
        try disk.syncDirectory(path)
      }
      FaultPoint.hit(.checkpointHalfRemoved)
      try disk.removeTree(path)
      try disk.syncDirectory(directory)
    }
  }

  private func stored<R>(_ body: () throws(DiskError) -> R) throws(CheckpointError) -> R {
    do throws(DiskError) {
      return try body()
    } catch {
      throw CheckpointError(error)
    }
  }
}
