package import MillBase
internal import MillTestKit

/// The engine's way to the ``SimDisk``; tells the ``LogWatch`` what is written into the log's directory.
package final class TapDisk: Disk, @unchecked Sendable {
  /// Replaced where a scenario puts another state directory into the place of this one.
  var disk: SimDisk
  private let watch: LogWatch
  private(set) var ledger: LedgerWatch!
  /// With a `/` at its end.
  private let logDirectory: String
  /// Told of a segment before it is removed, with the positions in it.
  package var onSegmentRemoved: ((String, Range<UInt64>) -> Void)?

  init(_ disk: SimDisk, watch: LogWatch, logDirectory: String, ledgerDirectory: String) {
    self.disk = disk
    self.watch = watch
    self.logDirectory = logDirectory + "/"
    ledger = LedgerWatch(directory: ledgerDirectory) { [unowned self] in self.disk }
  }

  private func isLog(_ path: String) -> Bool { path.utf8.starts(with: logDirectory.utf8) }

  package func open(_ path: String, create: Bool) throws(DiskError) -> any DiskFile {
    let file = try disk.open(path, create: create)
    if ledger.isLedger(path) {
      ledger.opened(path, create: create, byteCount: file.byteCount)
      return LedgerFile(file, path: path, watch: ledger)
    }
    guard isLog(path) else { return file }
    if create { watch.created(path) }
    return TapFile(file, path: path, watch: watch)
  }

  package func read(_ path: String, offset: Int, count: Int) throws(DiskError) -> [UInt8] {
    try disk.read(path, offset: offset, count: count)
  }

  package func byteCount(_ path: String) throws(DiskError) -> Int { try disk.byteCount(path) }

  package func status(_ path: String, following: Bool) throws(DiskError) -> FileStatus { try disk.status(path, following: following) }

  package var userID: UInt32 { disk.userID }
  package func exists(_ path: String) -> Bool { disk.exists(path) }
  package func list(_ directory: String) throws(DiskError) -> [String] { try disk.list(directory) }
  package func createDirectory(_ path: String) throws(DiskError) { try disk.createDirectory(path) }

  package func rename(_ from: String, to: String) throws(DiskError) {
    try disk.rename(from, to: to)
    if isLog(from) { watch.renamed(from, to: to) }
    // The ledger's directory as a whole.
    if ledger.isLedger(from + "/") { ledger.forget() }
  }

  package func link(_ from: String, to: String) throws(DiskError) { try disk.link(from, to: to) }

  package func remove(_ path: String) throws(DiskError) {
    if isLog(path), path.hasSuffix(".seg"), let positions = watch.positions(path) { onSegmentRemoved?(path, positions) }
    try disk.remove(path)
    if isLog(path) { watch.removed(path) }
    if ledger.isLedger(path) { ledger.removed(path) }
  }

  package func removeTree(_ path: String) throws(DiskError) { try disk.removeTree(path) }
  package func syncDirectory(_ path: String) throws(DiskError) {
    try disk.syncDirectory(path)
    ledger.syncedDirectory(path)
  }

  package func syncFile(_ path: String) throws(DiskError) {
    try disk.syncFile(path)
    if isLog(path) { watch.synced(path, try disk.byteCount(path)) }
  }

  package func lock(_ path: String, holder: String) throws(DiskError) -> any DiskLock { try disk.lock(path, holder: holder) }
}

/// A file of the log, written through to the simulated disk. It keeps its first path: ``LogWatch`` follows renames.
private final class TapFile: DiskFile, @unchecked Sendable {
  private let file: any DiskFile
  private let path: String
  private let watch: LogWatch

  init(_ file: any DiskFile, path: String, watch: LogWatch) {
    self.file = file
    self.path = path
    self.watch = watch
  }

  var byteCount: Int { file.byteCount }

  func append(_ bytes: UnsafeRawBufferPointer) throws(DiskError) {
    try unsafe file.append(bytes)
    unsafe watch.appended(watch.current(path), bytes)
  }

  func sync() throws(DiskError) {
    let count = file.byteCount
    try file.sync()
    watch.synced(watch.current(path), count)
  }

  func truncate(to byteCount: Int) throws(DiskError) {
    try file.truncate(to: byteCount)
    watch.truncated(watch.current(path), to: byteCount)
  }

  func close() { file.close() }
}

/// A file of the ledger, written through to the simulated disk.
private final class LedgerFile: DiskFile, @unchecked Sendable {
  private let file: any DiskFile
  private let path: String
  private let watch: LedgerWatch

  init(_ file: any DiskFile, path: String, watch: LedgerWatch) {
    self.file = file
    self.path = path
    self.watch = watch
  }

  var byteCount: Int { file.byteCount }
  func append(_ bytes: UnsafeRawBufferPointer) throws(DiskError) { try unsafe file.append(bytes) }

  func sync() throws(DiskError) {
    try file.sync()
    watch.syncedFile(path, file.byteCount)
  }

  func truncate(to byteCount: Int) throws(DiskError) {
    try file.truncate(to: byteCount)
    watch.truncated(path, to: byteCount)
  }

  func close() { file.close() }
}
