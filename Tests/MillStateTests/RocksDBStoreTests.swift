import Glibc
import MillBase
import MillState
import Synchronization
import Testing

/// A real directory that goes when the test ends, and RocksDB in it.
final class RocksDBGround: Ground, Sendable {
  let disk: any Disk = RealDisk()
  let stores: any RunStoreOpener = RocksDBStoreOpener(cacheByteCount: 8 << 20)
  let root: String

  init() throws {
    let parent = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    root = parent + "/mill-state-\(getpid())-\(UInt64.random(in: 0 ... .max).paddedHex)"
    try disk.createDirectory(root)
  }

  // What can't be removed is left to the system's own tidying.
  deinit { try? disk.removeTree(root) }

  /// Files of runs never change and are linked; the others are copied.
  func clone(_ directory: String, to live: String) throws {
    try disk.createDirectory(live)
    for name in try disk.list(directory) {
      if name.hasSuffix(".sst") {
        try disk.link(directory + "/" + name, to: live + "/" + name)
      } else {
        try disk.writeDurably(disk.read(directory + "/" + name), to: live + "/" + name)
      }
    }
  }

  func open(_ name: String = "live") throws -> RocksDBStore {
    guard let store = try stores.open(root + "/" + name) as? RocksDBStore else { throw RunStoreError.failed("not RocksDB") }
    return store
  }
}

@Suite struct RocksDBStoreTests {
  private func run(_ entries: [(String, String)]) -> SortedRun {
    var run = SortedRun()
    for (key, value) in entries {
      run.keyBytes += Array(key.utf8)
      run.keyEnds.append(UInt32(run.keyBytes.count))
      run.valueBytes += Array(value.utf8)
      run.valueEnds.append(UInt32(run.valueBytes.count))
    }
    return run
  }

  private func lookup(_ store: any RunStore, _ bucket: BucketID, _ keys: [String]) throws -> [String?] {
    var bytes: [UInt8] = []
    var ends: [UInt32] = []
    for key in keys {
      bytes += Array(key.utf8)
      ends.append(UInt32(bytes.count))
    }
    var values: [[UInt8]?] = []
    try store.lookup(bucket, keys: bytes, ends: ends, into: &values)
    return values.map { $0.map { String(decoding: $0, as: UTF8.self) } }
  }

  private let bucket = BucketID(state: 3, number: -7)

  /// `count` keys from `start` with this value, as wide as each other.
  private func numbered(_ start: Int, _ count: Int, value: String) -> SortedRun {
    run((start..<start + count).map { (UInt64($0).paddedHex, value) })
  }

  @Test(arguments: [false, true])
  func `what is kept over RocksDB is what the model keeps, through restarts from checkpoints`(exact: Bool) throws {
    var restarts = 0
    for seed in 0..<UInt64(5) {
      var schedule = try Schedule(seed, RocksDBGround(), exact: exact, bucketMilliseconds: 5000)
      try schedule.run(epochs: 40)
      try schedule.finish()
      try schedule.restart()
      try schedule.run(epochs: 5)
      restarts += schedule.restarts
      schedule.store.close()
    }
    #expect(restarts >= 5)
  }

  @Test func `the newest value of a key counts, a missing key and a missing bucket have none`() throws {
    let ground = try RocksDBGround()
    let store = try ground.open()
    defer { store.close() }
    #expect(try lookup(store, bucket, ["a"]) == [nil])
    try store.ingest(run([("", "empty"), ("a", "1"), ("c", "")]), into: bucket)
    try store.ingest(run([("a", "2"), ("b", "3")]), into: bucket)
    #expect(try lookup(store, bucket, ["", "a", "b", "c", "d"]) == ["empty", "2", "3", "", nil])
    #expect(try lookup(store, BucketID(state: 3, number: 7), ["a"]) == [nil])
    #expect(store.buckets() == [bucket])
    let many = (0..<2000).map { UInt64($0).paddedHex }
    try store.ingest(numbered(0, 1500, value: "x"), into: bucket)
    #expect(try lookup(store, bucket, many) == many.indices.map { $0 < 1500 ? "x" : nil })
  }

  @Test func `a checkpoint opens as the store was, whatever came after it`() throws {
    let ground = try RocksDBGround()
    let store = try ground.open()
    let other = BucketID(state: 4, number: .max)
    try store.ingest(run([("a", "1")]), into: bucket)
    try store.ingest(run([("a", "2")]), into: other)
    try store.checkpoint(to: ground.root + "/checkpoint")
    try store.ingest(run([("a", "9"), ("b", "9")]), into: bucket)
    try store.drop(other)
    #expect(store.buckets() == [bucket])
    store.close()
    for live in ["second", "third"] {
      try ground.clone(ground.root + "/checkpoint", to: ground.root + "/" + live)
      let clone = try ground.open(live)
      #expect(clone.buckets() == [bucket, other])
      #expect(try lookup(clone, bucket, ["a", "b"]) == ["1", nil])
      #expect(try lookup(clone, other, ["a"]) == ["2"])
      // What a clone does must not show in the checkpoint.
      try clone.ingest(run([("a", "7")]), into: bucket)
      try clone.drop(other)
      clone.close()
    }
  }

  @Test func `a dropped bucket gives its disk back and can be made anew`() throws {
    let ground = try RocksDBGround()
    let store = try ground.open()
    defer { store.close() }
    try store.ingest(numbered(0, 50_000, value: "value"), into: bucket)
    func files() throws -> Int { try ground.disk.list(ground.root + "/live").count { $0.hasSuffix(".sst") } }
    #expect(store.byteCount(of: bucket) > 100_000)
    #expect(try files() == 1)
    try store.drop(bucket)
    try store.drop(bucket)
    #expect(try files() == 0)
    #expect(store.buckets() == [] && store.byteCount(of: bucket) == 0)
    try store.ingest(run([("a", "1")]), into: bucket)
    #expect(try lookup(store, bucket, ["0000000000000001", "a"]) == [nil, "1"])
  }

  @Test func `look-ups on one thread find every key, never an older value, while another ingests, drops and checkpoints`() throws {
    let ground = try RocksDBGround()
    let store = try ground.open()
    defer { store.close() }
    let passing = BucketID(state: 3, number: 8)
    let keys = (0..<300).map { UInt64($0).paddedHex }
    try store.ingest(numbered(0, 300, value: "0"), into: bucket)
    try withThread {
      for round in 1...60 {
        try store.ingest(numbered(0, 300, value: String(round)), into: bucket)
        try store.ingest(numbered(0, 300, value: "p"), into: passing)
        if round % 20 == 0 { try store.checkpoint(to: ground.root + "/checkpoint-\(round)") }
        try store.drop(passing)
      }
    } meanwhile: {
      var last = [Int](repeating: 0, count: keys.count)
      for _ in 0..<400 {
        let seen = try lookup(store, bucket, keys).compactMap { $0.flatMap { Int($0) } }
        try #require(seen.count == keys.count)
        try #require(zip(last, seen).allSatisfy { $0 <= $1 })
        last = seen
        try #require(try lookup(store, passing, keys).allSatisfy { $0 == nil || $0 == "p" })
      }
    }
  }

  @Test func `expired windows are given back: a hundred windows on there are as many buckets and bytes as after three`() throws {
    let ground = try RocksDBGround()
    let store = try ground.open()
    defer { store.close() }
    let options = DeduplicateOptions(
      stateNumber: 1, withinMilliseconds: 600_000, allowedLatenessMilliseconds: 60_000, memoryByteCount: 1 << 20)
    let lane = DeduplicateLane(options: options, store: store, disk: ground.disk)
    let state = DeduplicateState(options: options, store: store, filters: lane.filters)
    var sizes: [(buckets: Int, bytes: Int)] = []
    var checkpoints: [String] = []
    for window in 0..<100 {
      for half in 0..<2 {
        let start = Int64(window) * 600_000 + Int64(half) * 300_000
        let rows = (0..<5000).map { (key: Int) -> Row in
          let number = (window * 2 + half) * 5000 + key
          return Row(key: number, time: start + Int64(key) * 60, partition: 0, offset: Int64(number))
        }
        var block = Block(rows, exact: false)
        #expect(try block.run(state).allSatisfy { $0 })
        state.release(try lane.flush(state.freeze(epoch: EpochNumber(window * 2 + half + 1))))
        try lane.drop(state.expire(watermark: start + 300_000))
      }
      let checkpoint = ground.root + "/checkpoint-\(window)"
      try ground.disk.createDirectory(checkpoint + "/filters")
      try store.checkpoint(to: checkpoint + "/store")
      _ = try lane.writeFilters(into: checkpoint + "/filters")
      checkpoints.append(checkpoint)
      if checkpoints.count > 3 { try ground.disk.removeTree(checkpoints.removeFirst()) }
      sizes.append((store.buckets().count, try byteCount(ground.root, ground.disk)))
    }
    let (early, late) = (sizes[4], sizes[99])
    #expect(early.buckets >= 8 && late.buckets <= early.buckets + 1, "\(early.buckets) buckets, then \(late.buckets)")
    #expect(early.bytes > 500_000 && late.bytes < early.bytes * 2, "\(early.bytes) bytes, then \(late.bytes)")
    #expect(lane.filters.ids.count == late.buckets)
  }

  /// Bytes of all files below a directory; a file that two names lead to counts twice.
  private func byteCount(_ path: String, _ disk: any Disk) throws -> Int {
    var sum = 0
    for name in try disk.list(path) {
      let child = path + "/" + name
      // A file can't be listed.
      sum += try (try? disk.list(child)) == nil ? disk.byteCount(child) : byteCount(child, disk)
    }
    return sum
  }

  /// Runs `body` on a thread of its own while `meanwhile` runs here; throws what either threw.
  private func withThread(_ body: @escaping @Sendable () throws -> Void, meanwhile: () throws -> Void) throws {
    final class Job: Sendable {
      let body: @Sendable () throws -> Void
      let error = Mutex<(any Error)?>(nil)
      init(_ body: @escaping @Sendable () throws -> Void) { self.body = body }
    }
    let job = Job(body)
    var thread = pthread_t()
    let started = unsafe pthread_create(
      &thread, nil,
      { argument in
        let job = unsafe Unmanaged<Job>.fromOpaque(argument!).takeRetainedValue()
        do { try job.body() } catch { job.error.withLock { $0 = error } }
        return nil
      }, Unmanaged.passRetained(job).toOpaque())
    try #require(started == 0)
    let result = Result { try meanwhile() }
    pthread_join(thread, nil)
    if let error = job.error.withLock({ $0 }) { throw error }
    try result.get()
  }

  @Test func `keys out of order are refused and leave the bucket as it was`() throws {
    let ground = try RocksDBGround()
    let store = try ground.open()
    defer { store.close() }
    try store.ingest(run([("b", "1")]), into: bucket)
    #expect(throws: RunStoreError.self) { try store.ingest(run([("c", "2"), ("b", "2")]), into: bucket) }
    #expect(throws: RunStoreError.self) { try store.ingest(run([("b", "2"), ("b", "3")]), into: bucket) }
    #expect(try lookup(store, bucket, ["b", "c"]) == ["1", nil])
    #expect(try ground.disk.list(ground.root + "/live").contains("ingest.tmp") == false)
  }

  @Test func `a file whose bytes have changed is an error that says corrupt`() throws {
    let ground = try RocksDBGround()
    let store = try ground.open()
    try store.ingest(numbered(0, 5000, value: "value"), into: bucket)
    try store.checkpoint(to: ground.root + "/checkpoint")
    store.close()
    let name = try #require(try ground.disk.list(ground.root + "/checkpoint").first { $0.hasSuffix(".sst") })
    let path = ground.root + "/checkpoint/" + name
    var bytes = try ground.disk.read(path)
    for at in 100..<2000 { bytes[at] ^= 0x55 }
    try ground.disk.writeDurably(bytes, to: path)
    let damaged = try ground.open("checkpoint")
    defer { damaged.close() }
    let error = #expect(throws: RunStoreError.self) { try lookup(damaged, bucket, (0..<5000).map { UInt64($0).paddedHex }) }
    guard case .corrupt(let text)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(text.contains("s3.b-7"))
  }

  @Test func `a directory that is no store isn't opened, nor one without a parent`() throws {
    let ground = try RocksDBGround()
    try ground.disk.createDirectory(ground.root + "/stray")
    try ground.disk.writeDurably([1], to: ground.root + "/stray/file")
    let error = #expect(throws: RunStoreError.self) { try ground.open("stray") }
    guard case .corrupt(let text)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(text.contains("no file CURRENT"))
    #expect(throws: RunStoreError.self) { try ground.open("missing/parent") }
  }
}
