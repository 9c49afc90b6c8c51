import Glibc
import MillBase
import MillTestKit
import Testing

/// Runs `body` with a fresh directory that is removed afterwards.
private func inTemporaryDirectory(_ body: (_ disk: any Disk, _ directory: String) throws -> Void) throws {
  let root = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
  let directory = root + "/millrace-test-\(systemRandomUInt64().paddedHex)"
  let disk = RealDisk()
  try disk.createDirectory(directory)
  defer { #expect(throws: Never.self) { try disk.removeTree(directory) } }
  try body(disk, directory)
}

/// Appends an array.
private func append(_ bytes: [UInt8], _ file: any DiskFile) throws {
  try unsafe bytes.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
}

/// What every disk does while nothing fails.
private func checkContract(_ disk: any Disk, _ root: String) throws {
  let a = root + "/deep/er/a"
  #expect(throws: DiskError.notFound(path: a)) { try disk.open(a, create: true) }
  try disk.createDirectoryDurably(root + "/deep/er")
  try disk.createDirectory(root + "/deep/er")
  #expect(throws: DiskError.notFound(path: a)) { try disk.open(a, create: false) }
  #expect(throws: DiskError.notFound(path: a)) { try disk.read(a) }
  let file = try disk.open(a, create: true)
  #expect(throws: DiskError.exists(path: a)) { try disk.open(a, create: true) }
  try append([1, 2, 3, 4, 5], file)
  try append([], file)
  try file.sync()
  #expect(file.byteCount == 5)
  #expect(try disk.read(a) == [1, 2, 3, 4, 5])
  #expect(try disk.read(a, offset: 3, count: 9) == [4, 5])
  #expect(try disk.read(a, offset: 1, count: 2) == [2, 3])
  #expect(try disk.read(a, offset: 9, count: 2) == [])
  try file.truncate(to: 2)
  try append([9], file)
  #expect(try disk.read(a) == [1, 2, 9])
  file.close()
  let again = try disk.open(a, create: false)
  #expect(again.byteCount == 3)
  try append([8], again)
  again.close()
  #expect(try disk.byteCount(a) == 4)
  try disk.link(a, to: root + "/b")
  #expect(throws: DiskError.exists(path: root + "/b")) { try disk.link(a, to: root + "/b") }
  #expect(try disk.identity(a) == disk.identity(root + "/b"))
  let paths = (0..<9).map { root + "/digest\($0)" }
  for (index, path) in paths.enumerated() where index != 4 {
    let file = try disk.open(path, create: true)
    try append([UInt8](repeating: UInt8(index), count: 300_000 * index), file)
    file.close()
  }
  var told: [UInt64] = []
  let digests = disk.digests(paths) { told.append($0) }
  #expect(
    digests
      == (0..<9).map { index in
        let bytes = [UInt8](repeating: UInt8(index), count: 300_000 * index)
        return index == 4 ? nil : FileDigest(byteCount: UInt64(bytes.count), sha256: SHA256.digest(bytes))
      })
  #expect(told == told.sorted() && told.allSatisfy { $0 <= 300_000 * 32 })
  for path in paths where disk.exists(path) { try disk.remove(path) }
  #expect(disk.digests([]) { _ in }.isEmpty)
  try disk.rename(a, to: root + "/deep/c")
  #expect(try disk.identity(root + "/b") == disk.identity(root + "/deep/c"))
  try disk.open(root + "/other", create: true).close()
  #expect(try disk.identity(root + "/b") != disk.identity(root + "/other"))
  try disk.remove(root + "/other")
  #expect(!disk.exists(a) && disk.exists(root + "/deep/c"))
  #expect(try disk.list(root) == ["b", "deep"])
  try disk.remove(root + "/deep/c")
  #expect(try disk.read(root + "/b") == [1, 2, 9, 8])
  #expect(throws: DiskError.notFound(path: a)) { try disk.remove(a) }
  #expect(throws: DiskError.notFound(path: a)) { try disk.rename(a, to: root + "/d") }
  try disk.writeDurably([7, 7], to: root + "/b")
  try disk.writeDurably([6], to: root + "/b")
  #expect(try disk.read(root + "/b") == [6])
  try disk.syncFile(root + "/b")
  try disk.syncDirectory(root)
  #expect(throws: DiskError.self) { try disk.createDirectory(root + "/b/x") }
  #expect(throws: DiskError.self) { try disk.list(root + "/b") }
  #expect(throws: DiskError.self) { try disk.remove(root + "/deep") }
  try disk.rename(root + "/deep", to: root + "/moved")
  #expect(try disk.list(root + "/moved") == ["er"])
  try disk.removeTree(root + "/moved")
  try disk.removeTree(root + "/moved")
  #expect(try disk.list(root) == ["b"])
  #expect(try disk.digest(root + "/b") == FileDigest(byteCount: 1, sha256: SHA256.digest([6])))
  let lock = try disk.lock(root + "/LOCK", holder: "pid 1")
  #expect(throws: DiskError.locked(path: root + "/LOCK", holder: "pid 1")) { try disk.lock(root + "/LOCK", holder: "pid 2") }
  lock.release()
  try disk.lock(root + "/LOCK", holder: "pid 3").release()
}

@Suite struct DiskTests {
  @Test func `the real disk does what the seam says`() throws {
    try inTemporaryDirectory { disk, directory in try checkContract(disk, directory) }
  }

  @Test func `the simulated disk does what the seam says`() throws {
    let disk = SimDisk()
    try disk.createDirectory("/root")
    try checkContract(disk, "/root")
  }

  @Test func `files are for their owner only, and a lock doesn't follow a symbolic link`() throws {
    try inTemporaryDirectory { disk, directory in
      _ = try disk.open(directory + "/a", create: true)
      try disk.createDirectory(directory + "/d")
      var status = stat()
      #expect(unsafe stat(directory + "/a", &status) == 0)
      #expect(status.st_mode & 0o777 == 0o600)
      #expect(unsafe stat(directory + "/d", &status) == 0)
      #expect(status.st_mode & 0o777 == 0o700)
      #expect(unsafe symlink(directory + "/a", directory + "/LOCK") == 0)
      #expect(throws: DiskError.io(path: directory + "/LOCK", operation: "open", errno: ELOOP)) {
        try disk.lock(directory + "/LOCK", holder: "x")
      }
      // A tree is removed without what its links lead to.
      #expect(unsafe symlink(directory + "/d", directory + "/link") == 0)
      try disk.removeTree(directory + "/link")
      #expect(disk.exists(directory + "/d"))
    }
  }

  @Test func `a full device is out of space`() throws {
    // Every write to it fails with ENOSPC.
    let file = try RealDisk().open("/dev/full", create: false)
    #expect(throws: DiskError.outOfSpace(path: "/dev/full")) { try append([1], file) }
  }

  @Test func `the real clocks go on`() {
    let clock = SystemClock()
    let first = clock.now()
    let second = clock.now()
    #expect(second.monotonicMilliseconds >= first.monotonicMilliseconds)
    #expect(first.wallMilliseconds > 1_700_000_000_000)
  }
}

@Suite struct SimDiskTests {
  /// How a file ends after a power cut, over many of them.
  private func outcomes(_ prepare: (SimDisk) throws -> Void) throws -> Set<[UInt8]?> {
    let disk = SimDisk()
    try disk.createDirectoryDurably("d")
    try prepare(disk)
    var seen: Set<[UInt8]?> = []
    for seed in 0..<300 as Range<UInt64> {
      let cut = disk.copy()
      var random = SeededRandom(seed)
      cut.crash(&random)
      seen.insert(cut.exists("d/a") ? try cut.read("d/a") : nil)
    }
    return seen
  }

  @Test func `what was synced survives every power cut, and its name only once the directory was synced`() throws {
    let bytes = [UInt8](repeating: 5, count: 2000)
    let named = try outcomes { disk in
      let file = try disk.open("d/a", create: true)
      try append(bytes, file)
      try file.sync()
      try disk.syncDirectory("d")
    }
    #expect(named == [bytes])
    let unnamed = try outcomes { disk in
      let file = try disk.open("d/a", create: true)
      try append(bytes, file)
      try file.sync()
    }
    #expect(unnamed == [nil, bytes])
  }

  @Test func `unsynced bytes survive whole, torn, with holes, or not at all`() throws {
    let bytes = [UInt8](repeating: 5, count: 1500)
    let seen = try outcomes { disk in
      let file = try disk.open("d/a", create: true)
      try disk.syncDirectory("d")
      try append(bytes, file)
    }
    #expect(seen.contains(bytes) && seen.contains([]))
    let hole = [UInt8](repeating: 0, count: 512)
    #expect(seen.contains { $0!.count == 1500 && Array($0![..<512]) == hole && $0![600] == 5 }, "no hole before data")
    #expect(seen.contains { !$0!.isEmpty && $0!.count < 1500 }, "no torn end")
  }

  @Test func `a rename never loses both names, and may not have happened`() throws {
    let disk = SimDisk()
    try disk.createDirectoryDurably("d")
    for (name, byte) in [("a", 1), ("b", 2)] as [(String, UInt8)] { try disk.writeDurably([byte], to: "d/" + name) }
    try disk.rename("d/a", to: "d/b")
    var seen: Set<[[UInt8]]> = []
    for seed in 0..<200 as Range<UInt64> {
      let cut = disk.copy()
      var random = SeededRandom(seed)
      cut.crash(&random)
      seen.insert(try cut.list("d").map { try cut.read("d/" + $0) })
    }
    #expect(seen == [[[1], [2]], [[1]], [[1], [1]]])
  }

  @Test func `after a failed sync the cache shows what the disk has lost, and another sync doesn't bring it back`() throws {
    var losses = 0
    for seed in 0..<50 as Range<UInt64> {
      let disk = SimDisk(seed: seed)
      let file = try disk.open("a", create: true)
      try disk.syncDirectory("/")
      let bytes = [UInt8](repeating: 5, count: 5000)
      try append(bytes, file)
      disk.failNextSync()
      #expect(throws: DiskError.syncFailed(path: "a", errno: 5)) { try file.sync() }
      try file.sync()
      #expect(try disk.read("a") == bytes)
      var random = SeededRandom(seed)
      disk.crash(&random)
      if try disk.read("a") != bytes { losses += 1 }
    }
    #expect(losses > 10)
    #expect(losses <= 50)
  }

  @Test func `a full disk takes what fits, and goes on when there is room`() throws {
    let disk = SimDisk()
    let file = try disk.open("a", create: true)
    disk.capacity = 10
    #expect(throws: DiskError.outOfSpace(path: "a")) { try append([UInt8](repeating: 1, count: 12), file) }
    #expect(file.byteCount == 10)
    try file.truncate(to: 3)
    try append([1, 1], file)
    try disk.remove("a")
    #expect(disk.usedByteCount == 0)
    #expect(disk.faultCount(.outOfSpace) == 1 && disk.faultCount(.shortAppend) == 1)
  }

  @Test func `a killed process keeps its bytes and loses its files and locks`() throws {
    let disk = SimDisk()
    let file = try disk.open("a", create: true)
    try append([1, 2], file)
    let lock = try disk.lock("LOCK", holder: "one")
    disk.kill9()
    #expect(try disk.read("a") == [1, 2])
    #expect(throws: DiskError.self) { try append([3], file) }
    let other = try disk.lock("LOCK", holder: "two")
    lock.release()
    #expect(throws: DiskError.locked(path: "LOCK", holder: "two")) { try disk.lock("LOCK", holder: "three") }
    other.release()
  }

  @Test func `the simulated clock moves only when told`() {
    let clock = SimClock(wallMilliseconds: 100, monotonicMilliseconds: 5)
    clock.advance(milliseconds: 7)
    clock.jumpWall(milliseconds: -50)
    #expect(clock.now() == Instant(wallMilliseconds: 57, monotonicMilliseconds: 12))
  }
}
