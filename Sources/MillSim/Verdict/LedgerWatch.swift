internal import MillBase

/// What of the ledger is durable, read off the calls that reach the disk. It believes nothing that the engine says.
package final class LedgerWatch {
  private let disk: () -> any Disk
  /// With a `/` at its end.
  private let directory: String
  /// Bytes of each file that a sync has covered.
  private var synced: [String: Int] = [:]
  /// Files whose name was durable at least once.
  private var named: Set<String> = []

  init(directory: String, disk: @escaping () -> any Disk) {
    self.directory = directory + "/"
    self.disk = disk
  }

  func isLedger(_ path: String) -> Bool { path.utf8.starts(with: directory.utf8) }

  func opened(_ path: String, create: Bool, byteCount: Int) {
    if create {
      synced[path] = 0
      named.remove(path)
    } else if synced[path] == nil {
      // It stood there before anybody looked.
      synced[path] = byteCount
      named.insert(path)
    }
  }

  func syncedFile(_ path: String, _ byteCount: Int) { synced[path] = max(synced[path] ?? 0, byteCount) }
  func truncated(_ path: String, to byteCount: Int) { synced[path] = min(synced[path] ?? 0, byteCount) }
  func removed(_ path: String) { synced[path] = nil }

  func syncedDirectory(_ path: String) {
    if path + "/" == directory { named.formUnion(synced.keys) }
  }

  /// The files are other ones now.
  func forget() {
    synced = [:]
    named = []
  }

  /// Whether durable blocks tell of all these log positions.
  func holds(_ positions: Range<UInt64>) -> Bool {
    var missing = positions
    for path in synced.keys.sorted() where named.contains(path) {
      // What can't be read holds nothing.
      guard let bytes = try? disk().read(path, offset: 0, count: synced[path] ?? 0) else { continue }
      var offset = 36
      while offset + 28 <= bytes.count {
        let first = little(bytes, offset + 4, 8)
        let end = little(bytes, offset + 12, 8)
        offset += 28 + Int(little(bytes, offset, 4))
        guard offset <= bytes.count else { break }
        if first <= missing.lowerBound, end > missing.lowerBound { missing = min(end, missing.upperBound)..<missing.upperBound }
      }
    }
    return missing.isEmpty
  }

  private func little(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
    (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
  }
}
