package import MillBase

/// Which checkpoint: the epoch at whose end it stands, and the lineage the epoch belongs to. Also its directory's name.
package struct CheckpointID: Hashable, Sendable, CustomStringConvertible {
  package var lineage: Lineage
  package var epoch: EpochNumber

  package init(lineage: Lineage, epoch: EpochNumber) {
    self.lineage = lineage
    self.epoch = epoch
  }

  /// `<lineage>-<epoch, 20 digits>`.
  package var description: String { "\(lineage)-\(epoch.paddedDecimal)" }

  /// Reads what ``description`` writes; nil for anything else.
  package init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, let lineage = Lineage(hex: parts[0]), let epoch = UInt64(parts[1]) else { return nil }
    self.init(lineage: lineage, epoch: epoch)
    if description != text { return nil }
  }
}

/// Why a checkpoint can't be published or read.
package enum CheckpointError: Error, Hashable, Sendable, CustomStringConvertible {
  case disk(DiskError)
  /// Nothing counts as published; the same call works again once there is room.
  case outOfSpace(path: String)
  /// There is one with a manifest already; it is never written over.
  case published(path: String)
  /// A path that a manifest can't name.
  case unusablePath(path: String, why: String)

  package var description: String {
    switch self {
    case .disk(let error): "\(error)"
    case .outOfSpace(let path): "no space left for \(path)"
    case .published(let path): "\(path) is there already"
    case .unusablePath(let path, let why): "\(path): \(why)"
    }
  }

  /// A disk's error in the store's words.
  init(_ error: DiskError) {
    switch error {
    case .outOfSpace(let path): self = .outOfSpace(path: path)
    case .notFound, .exists, .syncFailed, .locked, .io: self = .disk(error)
    }
  }
}

/// SHA-256 of sorted files (`.sst`) that were read whole in this process, by name and size: checkpoints share them as hard links, and one
/// that was hashed under one checkpoint needn't be under the next. Other files are read each time: the same name and size says nothing
/// there.
package struct KnownDigests: Sendable {
  private struct Key: Hashable {
    var name: String
    var byteCount: UInt64
  }

  private var digests: [Key: [UInt8]] = [:]

  package init() {}

  package mutating func insert(path: String, byteCount: UInt64, sha256: [UInt8]) {
    guard path.hasSuffix(".sst") else { return }
    digests[Key(name: Self.lastComponent(path), byteCount: byteCount)] = sha256
  }

  /// 32 bytes, or nil for a file not seen yet.
  package func sha256(path: String, byteCount: UInt64) -> [UInt8]? {
    digests[Key(name: Self.lastComponent(path), byteCount: byteCount)]
  }

  /// Forgets all but the files of a manifest.
  package mutating func keep(_ files: [Manifest.File]) {
    let kept = Set(files.map { Key(name: Self.lastComponent($0.path), byteCount: $0.byteCount) })
    digests = digests.filter { kept.contains($0.key) }
  }

  private static func lastComponent(_ path: String) -> String {
    path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[path.utf8.index(after: $0)...]) } ?? path
  }
}
