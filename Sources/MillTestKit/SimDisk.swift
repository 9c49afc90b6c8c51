package import MillBase
internal import Synchronization

/// How often the simulated disk misbehaves by itself.
package struct SimDiskRates: Sendable {
  /// Probability that a file's sync fails and drops what it should have written, while the cache goes on showing it.
  package var failedSync = 0.0
  /// Probability that a directory's sync fails.
  package var failedDirectorySync = 0.0
  /// Probability that a read fails with EIO. Engines stop on it: for runs beyond the promise.
  package var failedRead = 0.0

  package init() {}
}

/// What ``SimDisk`` did to its user, to be counted.
package enum SimDiskFault: String, CaseIterable, Sendable {
  case failedSync, failedDirectorySync, failedRead, outOfSpace, shortAppend, bitFlip, powerCut, kill, stopped
}

/// A disk in memory that forgets what wasn't synced, in every way a real one may. Deterministic: the same calls and seeds, the same end.
///
/// - ``crash(_:)`` cuts the power: unsynced bytes survive as any subset of 512-byte sectors, unsynced names one by one.
/// - ``kill9()`` ends the process: what it wrote stays, locks go.
/// - Both make every open file and lock of the time before useless: calls on them throw.
/// - ``stopAfter(operations:)`` ends the process in the midst of a script, at an exact point.
///
/// Callable from any thread; a failure of its own user (a missing directory) is an error as on a real disk.
package final class SimDisk: Disk {
  private let state: Mutex<SimDiskState>

  /// `seed` decides about faults by rate and the length of cut-off appends.
  package init(seed: UInt64 = 0, rates: SimDiskRates = SimDiskRates()) {
    state = Mutex(SimDiskState(random: SeededRandom(seed).split("SimDisk"), rates: rates))
  }

  private init(copying state: SimDiskState) { self.state = Mutex(state) }

  // MARK: What a test does to it

  /// Cuts the power. Changes that were not synced survive or not as `random` says; everything left is durable.
  package func crash(_ random: inout SeededRandom) {
    let seed = random.next()
    state.withLock { $0.cutPower(SeededRandom(seed)) }
  }

  /// Kills the process: nothing written is lost, nothing becomes durable.
  package func kill9() { state.withLock { $0.kill() } }

  /// An independent disk in the same state, but for locks and open files: as after ``kill9()``. A copied directory, or a second try.
  package func copy() -> SimDisk {
    let copied = state.withLock { $0 }
    let disk = SimDisk(copying: copied)
    disk.state.withLock { $0.kill(counting: false) }
    return disk
  }

  /// The process ends in its `operations`-th change from now (syncs count): an append is cut off, anything else doesn't happen, and
  /// from there every call throws, until ``crash(_:)`` or ``kill9()``. 0: at once; nil: no such end.
  package func stopAfter(operations: Int?) { state.withLock { $0.operationsLeft = operations } }

  /// Changes and syncs asked for so far.
  package var operationCount: Int { state.withLock { $0.operationCount } }

  /// Whether ``stopAfter(operations:)`` has struck.
  package var isStopped: Bool { state.withLock { $0.operationsLeft == 0 } }

  package var rates: SimDiskRates {
    get { state.withLock { $0.rates } }
    set { state.withLock { $0.rates = newValue } }
  }

  /// Bytes that all files together may have; an append beyond it is short and throws ``DiskError/outOfSpace(path:)``. nil: no end.
  package var capacity: Int? {
    get { state.withLock { $0.capacity } }
    set { state.withLock { $0.capacity = newValue } }
  }

  /// What lies below `directory` is on a file system of its own from here on: no link and no rename leads in or out (EXDEV).
  package func mount(_ directory: String) { state.withLock { $0.mounts.append(SimDiskState.components(directory)) } }

  /// Bytes in all files.
  package var usedByteCount: Int { state.withLock { $0.usedByteCount } }

  /// The next sync of a file fails like one of ``SimDiskRates/failedSync``.
  package func failNextSync() { state.withLock { $0.failsNextSync = true } }

  /// Turns one bit over in a file, on the disk and in the cache.
  package func flipBit(_ path: String, byteOffset: Int, bit: Int) throws(DiskError) {
    try state.withLock { (state) throws(DiskError) in
      let inode = try state.file(path)
      state.inodes[inode].flip(byteOffset: byteOffset, bit: bit)
      state.count(.bitFlip)
    }
  }

  /// How often a fault has happened.
  package func faultCount(_ fault: SimDiskFault) -> Int { state.withLock { $0.faults[fault, default: 0] } }

  // MARK: Disk

  package func open(_ path: String, create: Bool) throws(DiskError) -> any DiskFile {
    let (inode, incarnation) = try state.withLock { (state) throws(DiskError) in
      if create { try state.create(path) }
      try state.checkRunning(path)
      return (try state.file(path), state.incarnation)
    }
    return SimFile(self, path, inode, incarnation)
  }

  package func read(_ path: String, offset: Int, count: Int) throws(DiskError) -> [UInt8] {
    try state.withLock { (state) throws(DiskError) in try state.read(path, offset: offset, count: count) }
  }

  package func byteCount(_ path: String) throws(DiskError) -> Int {
    try state.withLock { (state) throws(DiskError) in
      try state.checkRunning(path)
      return state.inodes[try state.file(path)].bytes.count
    }
  }

  package func status(_ path: String, following: Bool) throws(DiskError) -> FileStatus {
    try state.withLock { (state) throws(DiskError) in
      try state.checkRunning(path)
      guard let inode = state.find(path) else { throw .notFound(path: path) }
      let isDirectory = state.inodes[inode].isDirectory
      return FileStatus(
        kind: isDirectory ? .directory : .file, identity: FileIdentity(device: UInt64(state.device(path)), inode: UInt64(inode)),
        owner: userID, mode: isDirectory ? 0o700 : 0o600, linkCount: state.inodes[inode].links)
    }
  }

  package var userID: UInt32 { 1000 }

  package func exists(_ path: String) -> Bool { state.withLock { $0.find(path) != nil } }

  package func list(_ directory: String) throws(DiskError) -> [String] {
    try state.withLock { (state) throws(DiskError) in
      try state.checkRunning(directory)
      return state.names(in: try state.directory(directory))
    }
  }

  package func createDirectory(_ path: String) throws(DiskError) {
    try state.withLock { (state) throws(DiskError) in try state.createDirectory(path) }
  }

  package func rename(_ from: String, to: String) throws(DiskError) {
    try state.withLock { (state) throws(DiskError) in try state.rename(from, to: to) }
  }

  package func link(_ from: String, to: String) throws(DiskError) {
    try state.withLock { (state) throws(DiskError) in try state.link(from, to: to) }
  }

  package func remove(_ path: String) throws(DiskError) {
    try state.withLock { (state) throws(DiskError) in try state.remove(path) }
  }

  package func removeTree(_ path: String) throws(DiskError) {
    try state.withLock { (state) throws(DiskError) in try state.removeTree(path) }
  }

  package func syncDirectory(_ path: String) throws(DiskError) {
    try state.withLock { (state) throws(DiskError) in try state.syncDirectory(path) }
  }

  package func syncFile(_ path: String) throws(DiskError) {
    try state.withLock { (state) throws(DiskError) in try state.sync(try state.file(path), path) }
  }

  package func lock(_ path: String, holder: String) throws(DiskError) -> any DiskLock {
    let incarnation = try state.withLock { (state) throws(DiskError) in try state.lock(path, holder: holder) }
    return SimLock(self, path, incarnation)
  }

  // MARK: For its files and locks

  /// Runs `body` with the state unless the process that opened the file is gone.
  fileprivate func with<R>(
    _ path: String, _ incarnation: Int, _ body: (inout SimDiskState) throws(DiskError) -> sending R
  ) throws(DiskError) -> R {
    try state.withLock { (state) throws(DiskError) in
      guard state.incarnation == incarnation else { throw .io(path: path, operation: "use of a file of a process that is gone", errno: 9) }
      return try body(&state)
    }
  }

  fileprivate func unlock(_ path: String, _ incarnation: Int) {
    state.withLock { if $0.incarnation == incarnation { $0.locks[SimDiskState.components(path)] = nil } }
  }
}

/// An open file of a ``SimDisk``.
private final class SimFile: DiskFile {
  private let disk: SimDisk
  private let path: String
  private let inode: Int
  private let incarnation: Int
  private let isClosed = Atomic<Bool>(false)

  init(_ disk: SimDisk, _ path: String, _ inode: Int, _ incarnation: Int) {
    self.disk = disk
    self.path = path
    self.inode = inode
    self.incarnation = incarnation
  }

  /// 0 once its process is gone.
  var byteCount: Int {
    do throws(DiskError) {
      return try disk.with(path, incarnation) { $0.inodes[inode].bytes.count }
    } catch {
      return 0
    }
  }

  func append(_ bytes: UnsafeRawBufferPointer) throws(DiskError) {
    try checkOpen()
    try disk.with(path, incarnation) { (state) throws(DiskError) in try unsafe state.append(bytes, to: inode, path) }
  }

  func sync() throws(DiskError) {
    try checkOpen()
    try disk.with(path, incarnation) { (state) throws(DiskError) in try state.sync(inode, path) }
  }

  func truncate(to byteCount: Int) throws(DiskError) {
    try checkOpen()
    try disk.with(path, incarnation) { (state) throws(DiskError) in try state.truncate(inode, to: byteCount, path) }
  }

  func close() { isClosed.store(true, ordering: .releasing) }

  private func checkOpen() throws(DiskError) {
    if isClosed.load(ordering: .acquiring) { throw .io(path: path, operation: "use of a closed file", errno: 9) }
  }
}

/// A lock of a ``SimDisk``.
private final class SimLock: DiskLock {
  private let disk: SimDisk
  private let path: String
  private let incarnation: Int

  init(_ disk: SimDisk, _ path: String, _ incarnation: Int) {
    self.disk = disk
    self.path = path
    self.incarnation = incarnation
  }

  deinit { release() }

  func release() { disk.unlock(path, incarnation) }
}
