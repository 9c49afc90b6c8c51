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
  /// A sorted file isn't what it was in the checkpoint before: the live state, or this copy of it, is damaged.
  case changed(path: String)
  /// A path that a manifest can't name.
  case unusablePath(path: String, why: String)

  package var description: String {
    switch self {
    case .disk(let error): "\(error)"
    case .outOfSpace(let path): "no space left for \(path)"
    case .published(let path): "\(path) is there already"
    case .changed(let path): "\(path), just copied from the running state, isn't what the checkpoint before it has under that name"
    case .unusablePath(let path, let why): "\(path): \(why)"
    }
  }

  /// A disk's error in the store's words.
  init(_ error: DiskError) {
    switch error {
    case .outOfSpace(let path): self = .outOfSpace(path: path)
    case .notFound, .exists, .syncFailed, .locked, .io, .untrusted: self = .disk(error)
    }
  }
}
