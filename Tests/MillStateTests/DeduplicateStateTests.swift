import MillBase
import MillState
import MillTestKit
import Synchronization
import Testing

/// Memory all the way down.
struct MemoryGround: Ground {
  let disk: any Disk = SimDisk()
  let memory = MemoryRunStores()
  var stores: any RunStoreOpener { memory }
  var root: String { "/state" }

  func clone(_ directory: String, to live: String) throws {
    guard let store = memory.open(directory) as? MemoryRunStore else { return }
    memory.keep(store.copy, live)
  }
}

@Suite struct DeduplicateStateTests {
  @Test(arguments: [false, true])
  func `what is kept never depends on when tables are frozen, written, dropped or restored`(exact: Bool) throws {
    var restarts = 0
    for seed in 0..<UInt64(1000) {
      var schedule = try Schedule(seed, MemoryGround(), exact: exact)
      try schedule.run(epochs: 30)
      restarts += schedule.restarts
    }
    #expect(restarts > 100)
  }

  /// A state over an empty memory store, and its lane.
  private func makeState(
    within: Int64 = 100, lateness: Int64 = 0, memory: Int = 1 << 20, exact: Bool = false, partKeys: Int = 1 << 24
  ) -> (DeduplicateState, DeduplicateLane, MemoryRunStore, SimDisk) {
    let options = DeduplicateOptions(
      stateNumber: 1, withinMilliseconds: within, allowedLatenessMilliseconds: lateness, exact: exact, memoryByteCount: memory,
      bucketMillisecondsMin: 1, partKeysMax: partKeys)
    let store = MemoryRunStore([:], MemoryRunStores())
    let disk = SimDisk()
    let lane = DeduplicateLane(options: options, store: store, disk: disk)
    return (DeduplicateState(options: options, store: store, filters: lane.filters), lane, store, disk)
  }

  private func rows(_ keys: Range<Int>, time: Int64 = 0) -> [Row] {
    keys.map { Row(key: $0, time: time, partition: 3, offset: Int64($0)) }
  }

  private func kept(_ rows: [Row], _ state: DeduplicateState) throws -> Int {
    var block = Block(rows, exact: state.options.exact)
    return try block.run(state).count { $0 }
  }

  @Test func `a record within the window of the first is a duplicate on either side, one at its edge is not`() throws {
    let (state, _, _, _) = makeState(within: 100)
    let times: [Int64] = [1000, 1099, 901, 900, 1099, 1100, 1199, 1001, 1000]
    var block = Block(times.map { Row(key: 5, time: $0, partition: 0, offset: $0) }, exact: false)
    // 900 is kept and leaves t0 at 1000; 1100 is kept and moves it there; 1000 is then at the other edge.
    #expect(try block.run(state) == [true, false, false, true, false, true, false, false, true])
  }

  @Test func `rows marked as not counting are neither judged nor remembered`() throws {
    let (state, _, _, _) = makeState()
    var late = Block([Row(key: 1, time: 0, partition: 0, offset: 0, isLate: true)], exact: false)
    #expect(try late.run(state) == [false])
    #expect(state.fill.keyCount == 0)
    #expect(try kept([Row(key: 1, time: 0, partition: 0, offset: 1)], state) == 1)
  }

  @Test func `the store isn't asked for keys that no filter knows`() throws {
    let (state, lane, store, _) = makeState(memory: 64 << 20)
    _ = try kept(rows(0..<20_000), state)
    state.release(try lane.flush(state.freeze(epoch: 1)))
    #expect(state.unfilteredBucketCount == 0)
    #expect(try kept(rows(20_000..<40_000), state) == 20_000)
    #expect(store.asked.withLock { $0 } < 20_000 / 50)
    let again = DeduplicateState(options: state.options, store: store, filters: lane.filters)
    #expect(try kept(rows(0..<1000), again) == 0)
    #expect(again.storeHitCount == 1000)
  }

  @Test func `a key that comes again soon after its flush is found in memory, until newer tables take the room`() throws {
    // 9 of 64 parts for flushed tables: 9,216 keys of 64 bytes.
    let (state, lane, _, _) = makeState(memory: 4 << 20)
    func flush(_ keys: Range<Int>, _ epoch: EpochNumber) throws {
      _ = try kept(rows(keys), state)
      state.release(try lane.flush(state.freeze(epoch: epoch)))()
    }
    try flush(0..<4000, 1)
    try flush(4000..<8000, 2)
    #expect(try kept(rows(0..<8000), state) == 0)
    #expect(state.storeHitCount == 0)
    try flush(8000..<12_000, 3)
    #expect(try kept(rows(4000..<12_000), state) == 0)
    #expect(state.storeHitCount == 0)
    #expect(try kept(rows(0..<4000), state) == 0)
    #expect(state.storeHitCount == 4000)
    // One that has no room at all goes at once.
    try flush(20_000..<40_000, 4)
    #expect(state.tableByteCount == 0)
    #expect(try kept(rows(20_000..<40_000), state) == 0)
    #expect(state.storeHitCount == 24_000)
  }

  @Test(arguments: [false, true])
  func `a bucket of many keys goes on in parts; of a key in several of them the newest entry counts`(exact: Bool) throws {
    let (state, lane, store, disk) = makeState(within: 1000, exact: exact, partKeys: 100)
    func ask(_ key: Int, _ state: DeduplicateState) throws -> Int64? {
      try state.lookupOrigin(hash: Block.hash(key, exact: exact), key: exact ? Block.bytes(key) : [])?.time
    }
    var epoch: EpochNumber = 0
    func flush(_ rows: [Row]) throws {
      #expect(try kept(rows, state) == rows.count)
      epoch += 1
      state.release(try lane.flush(state.freeze(epoch: epoch)))()
    }
    // A window is shorter than a bucket: each key is kept four times in one.
    let narrow = DeduplicateOptions(
      stateNumber: 1, withinMilliseconds: 10, allowedLatenessMilliseconds: 0, exact: exact, bucketMillisecondsMin: 1000, partKeysMax: 100)
    let wideStore = MemoryRunStore([:], MemoryRunStores())
    let wideLane = DeduplicateLane(options: narrow, store: wideStore, disk: disk)
    let wide = DeduplicateState(options: narrow, store: wideStore, filters: wideLane.filters)
    for turn in 0..<4 {
      #expect(try kept(rows(0..<60, time: Int64(turn) * 20), wide) == 60)
      _ = wide.release(try wideLane.flush(wide.freeze(epoch: EpochNumber(turn + 1))))
    }
    #expect(wideStore.buckets().map(\.name) == ["s1.b0", "s1.b0.p1", "s1.b0.p2", "s1.b0.p3"])
    let fresh = DeduplicateState(options: narrow, store: wideStore, filters: wideLane.filters)
    #expect(try ask(5, fresh) == 60)
    // 69 is within the window of 60, 70 isn't; by an older part's 40 or 0 both would be kept.
    #expect(try kept(rows(0..<60, time: 69), fresh) == 0)
    #expect(fresh.storeHitCount == 60, "an older part isn't asked for what a newer one has")
    #expect(try kept(rows(0..<60, time: 70), fresh) == 60)

    // Filters of parts come back from a checkpoint, and the bucket goes with all of them.
    try flush(rows(0..<80))
    try flush(rows(80..<160))
    try flush(rows(160..<180))
    #expect(store.buckets().map(\.name) == ["s1.b0", "s1.b0.p1"])
    try disk.createDirectory("/c")
    _ = try lane.writeFilters(into: "/c")
    let again = DeduplicateLane(options: state.options, store: store, disk: disk)
    try again.restore(from: "/c")
    #expect(again.filters.unfiltered == [] && again.filters.ids == store.buckets() && again.filters.keyCount == 180)
    try lane.drop(state.expire(watermark: 5000))
    #expect(store.buckets() == [])
  }

  @Test func `a restart reads the filters and asks the store for no more than before`() throws {
    let (state, lane, store, disk) = makeState(memory: 64 << 20)
    for part in 0..<5 {
      _ = try kept(rows(part * 3000..<(part + 1) * 3000), state)
      state.release(try lane.flush(state.freeze(epoch: EpochNumber(part + 1))))
    }
    try disk.createDirectory("/c")
    _ = try lane.writeFilters(into: "/c")
    let asked = store.asked.withLock { $0 }
    let again = DeduplicateLane(options: state.options, store: store, disk: disk)
    #expect(again.filters.unfiltered == again.filters.ids)
    try again.restore(from: "/c")
    #expect(again.filters.unfiltered == [])
    #expect(again.filters.keyCount == 15_000)
    #expect(store.asked.withLock { $0 } == asked)
    let restarted = DeduplicateState(options: state.options, store: store, filters: again.filters)
    #expect(try kept(rows(0..<15_000), restarted) == 0)
    #expect(try kept(rows(15_000..<25_000), restarted) == 10_000)
    #expect(store.asked.withLock { $0 } - asked < 15_000 + 10_000 / 50)
  }

  @Test func `filter files that are torn or changed are refused by name`() throws {
    let (state, lane, store, disk) = makeState()
    _ = try kept(rows(0..<300), state)
    state.release(try lane.flush(state.freeze(epoch: 1)))
    try disk.createDirectory("/c")
    let names = try lane.writeFilters(into: "/c")
    #expect(names == ["filter-s1.b0.0", "filters-s1"])
    for name in names {
      let bytes = try disk.read("/c/" + name)
      for count in [0, 7, 20, bytes.count - 1] { try expectRefused(Array(bytes.prefix(count)), name, state.options, store) }
      for at in stride(from: 0, to: bytes.count, by: 13) where name == "filters-s1" || at < 8 || at >= 24 {
        var changed = bytes
        changed[at] ^= 0x10
        try expectRefused(changed, name, state.options, store)
      }
    }

    func expectRefused(_ bytes: [UInt8], _ name: String, _ options: DeduplicateOptions, _ store: MemoryRunStore) throws {
      let other = SimDisk()
      try other.createDirectory("/c")
      for file in names { try other.writeDurably(file == name ? bytes : disk.read("/c/" + file), to: "/c/" + file) }
      let lane = DeduplicateLane(options: options, store: store, disk: other)
      let error = #expect(throws: StateError.self) { try lane.restore(from: "/c") }
      guard case .corrupt(let path, _)? = error else {
        Issue.record("\(String(describing: error)) for \(bytes.count) bytes of \(name)")
        return
      }
      #expect(path == "/c/" + name)
    }
  }

  @Test func `the next checkpoint links the filters that haven't changed`() throws {
    let (state, lane, _, disk) = makeState(within: 800)
    _ = try kept(rows(0..<100, time: 0) + rows(100..<200, time: 500), state)
    state.release(try lane.flush(state.freeze(epoch: 1)))
    try disk.createDirectory("/a")
    try disk.createDirectory("/b")
    _ = try lane.writeFilters(into: "/a")
    _ = try kept(rows(200..<300, time: 500), state)
    state.release(try lane.flush(state.freeze(epoch: 2)))
    let names = try lane.writeFilters(into: "/b")
    #expect(names == ["filter-s1.b0.0", "filter-s1.b5.0", "filters-s1"])
    #expect(try disk.read("/a/filter-s1.b0.0") == disk.read("/b/filter-s1.b0.0"))
    #expect(try disk.read("/a/filter-s1.b5.0") != disk.read("/b/filter-s1.b5.0"))
    try disk.removeTree("/b")
    try disk.createDirectory("/c")
    #expect(try lane.writeFilters(into: "/c") == names)
  }

  @Test func `a bucket goes when no record that counts can need it, not before`() throws {
    let (state, lane, store, _) = makeState(within: 60, lateness: 20)
    _ = try kept(rows(0..<10, time: 9), state)
    state.release(try lane.flush(state.freeze(epoch: 1)))
    // The bucket holds t0 up to 9; a record at watermark - 20 is a duplicate of such a one up to watermark 88.
    #expect(state.expire(watermark: 88) == [])
    #expect(try kept(rows(0..<10, time: 68), state) == 0)
    let expired = state.expire(watermark: 89)
    #expect(expired == [BucketID(state: 1, number: 0)])
    try lane.drop(expired)
    #expect(store.buckets() == [])
    #expect(try kept(rows(0..<10, time: 69), state) == 10)
  }

  @Test func `a short window with a long lateness still makes few buckets`() {
    let window = DeduplicateOptions(stateNumber: 0, withinMilliseconds: 10_000, allowedLatenessMilliseconds: 3_600_000).window
    #expect(window.width == 451_250)
    #expect(DeduplicateOptions(stateNumber: 0, withinMilliseconds: 1, allowedLatenessMilliseconds: 0).window.width == 60_000)
    #expect(DeduplicateOptions(stateNumber: 0, withinMilliseconds: .max, allowedLatenessMilliseconds: .max).window.width == 1 << 60)
  }

  @Test func `a watermark held back over a year of short buckets leaves few of them, and no duplicate passes`() throws {
    let options = DeduplicateOptions(
      stateNumber: 1, withinMilliseconds: 600_000, allowedLatenessMilliseconds: 0, memoryByteCount: 64 << 20)
    let store = MemoryRunStore([:], MemoryRunStores())
    let lane = DeduplicateLane(options: options, store: store, disk: SimDisk())
    let state = DeduplicateState(options: options, store: store, filters: lane.filters)
    var model = Model(within: options.withinMilliseconds)
    let hour: Int64 = 3_600_000
    var most = 0
    func run(_ rows: [Row], epoch: EpochNumber) throws {
      var block = Block(rows, exact: false)
      #expect(try block.run(state) == rows.map { model.take($0) }, "epoch \(epoch)")
      state.release(try lane.flush(state.freeze(epoch: epoch)))
      most = max(most, store.buckets().count)
    }
    for day in Int64(0)..<365 {
      // Each key comes again within the window, after it, and days later; one partition stands still at time 0.
      let rows = (0..<24).flatMap { (at: Int64) -> [Row] in
        let time = day * 24 * hour + at * hour
        return [0, 500_000, 650_000].map { Row(key: Int(at % 7), time: time + $0, partition: 0, offset: time + $0) }
      }
      try run(rows, epoch: EpochNumber(day + 1))
    }
    // 525,600 minutes: 32 buckets on each of log4(525,600 / 32) levels.
    #expect(most > options.bucketsPerLevelMax && most <= 9 * options.bucketsPerLevelMax, "\(most) buckets")
    // The partition goes on: what it holds up no longer goes, and keys are remembered as before.
    for day in Int64(0)..<365 {
      try lane.drop(state.expire(watermark: day * 24 * hour))
      let rows = (0..<3).map { Row(key: Int($0), time: day * 24 * hour + Int64($0) * 100_000, partition: 1, offset: day) }
      try run(rows, epoch: EpochNumber(day + 400))
    }
    #expect(most <= 9 * options.bucketsPerLevelMax)
    try lane.drop(state.expire(watermark: 1000 * 24 * hour))
    #expect(store.buckets() == [] && lane.filters.ids == [])
  }

  @Test func `a bucket's name says its state, level and number, and nothing else is one`() {
    for bucket in [
      BucketID(state: 0, number: 0), BucketID(state: 65_535, number: .min), BucketID(state: 7, level: 1, number: -3),
      BucketID(state: 7, level: 31, number: .max), BucketID(state: 7, number: 2, part: 1),
      BucketID(state: 7, level: 1, number: -2, part: .max),
    ] { #expect(BucketID(bucket.name) == bucket) }
    #expect(BucketID(state: 3, number: -7).name == "s3.b-7" && BucketID(state: 3, level: 2, number: 5).name == "s3.b5.l2")
    #expect(BucketID(state: 3, level: 2, number: 5, part: 4).name == "s3.b5.l2.p4")
    for name in [
      "", "s1", "s1.b", "b1.s1", "s1.b+1", "s1.b1.", "s1.b1.l0", "s1.b1.l256", "s1.b1.l1.l1", "s01.b1", "s1.b1.x1", "s1.b1.p0",
      "s1.b1.p65536", "s1.b1.p1.l1", "s1.b1.p1.p1",
    ] {
      #expect(BucketID(name) == nil, "\(name)")
    }
  }

  @Test func `a checkpoint writes of a filter what has changed, in few files, and a restart reads it as it was`() throws {
    let (state, lane, store, disk) = makeState(memory: 64 << 20)
    var epoch = 0
    func flush(_ keys: Range<Int>) throws {
      _ = try kept(rows(keys), state)
      epoch += 1
      state.release(try lane.flush(state.freeze(epoch: EpochNumber(epoch))))()
    }
    // Of 16 bits each for three times as many keys: 1.2 MB.
    try flush(0..<200_000)
    try disk.createDirectory("/c0")
    #expect(try lane.writeFilters(into: "/c0") == ["filter-s1.b0.0", "filters-s1"])
    let whole = try disk.read("/c0/filter-s1.b0.0").count
    #expect(whole > 1_000_000)
    var written = 0
    for number in 1...30 {
      try flush(200_000 + (number - 1) * 1000..<200_000 + number * 1000)
      let directory = "/c\(number)"
      try disk.createDirectory(directory)
      let names = try lane.writeFilters(into: directory)
      #expect(names == (try disk.list(directory)))
      #expect(names.count <= 2 + 7, "\(names)")
      #expect(try disk.read(directory + "/filter-s1.b0.0").count == whole)
      written += try disk.read(directory + "/" + names[names.count - 2]).count
      // Only the newest is left, as retention would have it.
      try disk.removeTree("/c\(number - 1)")
      let again = DeduplicateLane(options: state.options, store: store, disk: disk)
      try again.restore(from: directory)
      #expect(again.filters.keyCount == lane.filters.keyCount && again.filters.unfiltered == [])
      let restarted = DeduplicateState(options: state.options, store: store, filters: again.filters)
      #expect(try kept(rows(199_000..<200_000 + number * 1000), restarted) == 0)
      #expect(try kept(rows(1_000_000..<1_010_000), restarted) == 10_000)
      #expect(restarted.storeLookupCount < 1000 + number * 1000 + 200)
    }
    #expect(written < whole, "30 checkpoints of 1,000 keys of 8 bytes, each in about three files")

    // With many keys since it was written it is written whole; and when the older checkpoint is gone.
    try flush(300_000..<360_000)
    try disk.createDirectory("/full")
    #expect(try lane.writeFilters(into: "/full") == ["filter-s1.b0.0", "filters-s1"])
    try flush(400_000..<400_100)
    try disk.removeTree("/full")
    try disk.createDirectory("/gone")
    #expect(try lane.writeFilters(into: "/gone") == ["filter-s1.b0.0", "filters-s1"])
  }

  @Test func `a filter of which the older checkpoint has lost a file is written anew, and that one's are left as they are`() throws {
    let (state, lane, store, disk) = makeState(memory: 1 << 20)
    for epoch in 1...3 {
      _ = try kept(rows(epoch * 1000..<epoch * 1000 + [1000, 50, 10][epoch - 1]), state)
      state.release(try lane.flush(state.freeze(epoch: EpochNumber(epoch))))
      if epoch == 3 { try disk.remove("/c2/filter-s1.b0.0.d0") }
      try disk.createDirectory("/c\(epoch)")
      _ = try lane.writeFilters(into: "/c\(epoch)")
    }
    #expect(try disk.list("/c3") == ["filter-s1.b0.0", "filters-s1"])
    let (old, new) = (try disk.read("/c2/filter-s1.b0.0"), try disk.read("/c3/filter-s1.b0.0"))
    #expect(old.count == new.count && old != new)
    let again = DeduplicateLane(options: state.options, store: store, disk: disk)
    try again.restore(from: "/c3")
    #expect(again.filters.keyCount == 1060)
  }

  @Test func `a damaged file of keys of a filter is an error that names it`() throws {
    let (state, lane, store, disk) = makeState(memory: 1 << 20)
    for epoch in 1...2 {
      _ = try kept(rows(epoch * 1000..<epoch * 1000 + (epoch == 1 ? 1000 : 100)), state)
      state.release(try lane.flush(state.freeze(epoch: EpochNumber(epoch))))
      try disk.createDirectory("/c\(epoch)")
      _ = try lane.writeFilters(into: "/c\(epoch)")
    }
    let path = "/c2/filter-s1.b0.0.d0"
    var bytes = try disk.read(path)
    #expect(bytes.count == 16 + 100 * 8)
    bytes[99] ^= 1
    try disk.remove(path)
    try disk.writeDurably(bytes, to: path)
    let again = DeduplicateLane(options: state.options, store: store, disk: disk)
    #expect(throws: StateError.corrupt(path: path, reason: "816 bytes that aren't keys of the filter, or whose checksum is wrong")) {
      try again.restore(from: "/c2")
    }
  }

  @Test(arguments: [1, 2]) func `filters listed by a release without levels or parts are read`(version: UInt8) throws {
    let (state, lane, store, disk) = makeState()
    _ = try kept(rows(0..<300), state)
    state.release(try lane.flush(state.freeze(epoch: 1)))
    try disk.createDirectory("/c")
    _ = try lane.writeFilters(into: "/c")
    // state 1, one bucket, (level 0,) number 0, one segment
    let body: [UInt8] = [1, 0, 1, 0, 0, 0] + [UInt8](repeating: 0, count: version == 1 ? 8 : 9) + [1, 0, 0, 0]
    let old = Array("MRFLTL0\(version)".utf8) + Self.checksum(body) + body
    try disk.remove("/c/filters-s1")
    try disk.writeDurably(old, to: "/c/filters-s1")
    let again = DeduplicateLane(options: state.options, store: store, disk: disk)
    try again.restore(from: "/c")
    #expect(again.filters.unfiltered == [] && again.filters.keyCount == 300)
  }

  /// The sum of a filter's files, as ``FilterFormat`` documents it.
  private static func checksum(_ bytes: [UInt8]) -> [UInt8] {
    var sum = UInt64(bytes.count) ^ 0x9E37_79B9_7F4A_7C15
    for start in stride(from: 0, through: bytes.count - bytes.count % 8, by: 8) {
      let word = bytes[start..<min(start + 8, bytes.count)].enumerated().reduce(UInt64(0)) {
        $0 | UInt64($1.element) << UInt64(8 * $1.offset)
      }
      sum = (sum ^ word) &* 0xD6E8_FEB8_6659_FD93
      sum ^= sum >> 32
    }
    return (0..<8).map { UInt8(truncatingIfNeeded: sum >> UInt64(8 * $0)) }
  }

  @Test func `a flush that found no room is done by doing it again`() throws {
    let (state, lane, store, _) = makeState(within: 8000)
    _ = try kept(rows(0..<50, time: 0) + rows(50..<100, time: 5000), state)
    let frozen = state.freeze(epoch: 1)
    store.failures.withLock { $0 = 1 }
    #expect(throws: RunStoreError.outOfSpace("memory")) { try lane.flush(frozen) }
    #expect(try kept(rows(0..<50, time: 0), state) == 0)
    let flushed = try lane.flush(frozen)
    #expect(flushed.keyCount == 100)
    state.release(flushed)
    #expect(try kept(rows(0..<50, time: 0) + rows(50..<100, time: 5000), state) == 0)
  }

  @Test func `filters are halved before one is given up, and still know each key, also after a restart`() throws {
    let (state, lane, store, disk) = makeState(within: 800, memory: 17_000)
    for bucket in 0..<6 {
      _ = try kept(rows(bucket * 1000..<bucket * 1000 + 1000, time: Int64(bucket) * 100), state)
      state.release(try lane.flush(state.freeze(epoch: EpochNumber(bucket + 1))))
      #expect(lane.filters.byteCount <= state.options.filterByteLimit)
    }
    #expect(lane.filters.unfiltered.isEmpty)
    #expect(lane.filters.byteCount * 8 < 6000 * 12, "all have room only with fewer bits a key than any is made with")
    try disk.createDirectory("/checkpoint")
    _ = try lane.writeFilters(into: "/checkpoint")
    let again = DeduplicateLane(options: state.options, store: store, disk: disk)
    try again.restore(from: "/checkpoint")
    #expect(again.filters.byteCount == lane.filters.byteCount && again.filters.unfiltered.isEmpty)
    let restarted = DeduplicateState(options: state.options, store: store, filters: again.filters)
    for bucket in 0..<6 {
      #expect(try kept(rows(bucket * 1000..<bucket * 1000 + 1000, time: Int64(bucket) * 100), restarted) == 0)
    }
    #expect(try kept(rows(10_000..<10_500, time: 550), restarted) == 500)
  }

  @Test func `filters give way to the store's own, the oldest first, when memory is short`() throws {
    let (state, lane, _, _) = makeState(within: 800, memory: 1000)
    for bucket in 0..<6 {
      _ = try kept(rows(bucket * 100..<bucket * 100 + 100, time: Int64(bucket) * 100), state)
      state.release(try lane.flush(state.freeze(epoch: EpochNumber(bucket + 1))))
      #expect(lane.filters.byteCount <= state.options.filterByteLimit)
    }
    let given = lane.filters.unfiltered.map(\.number)
    #expect(!given.isEmpty && given.count < 6 && given == Array(0..<Int64(given.count)))
    for bucket in 0..<6 { #expect(try kept(rows(bucket * 100..<bucket * 100 + 100, time: Int64(bucket) * 100), state) == 0) }
  }

  @Test(arguments: [false, true])
  func `where a key was first seen can be asked wherever it is kept`(exact: Bool) throws {
    let (state, lane, _, _) = makeState(exact: exact)
    let origin = RecordOrigin(time: 33, partition: 3, offset: 9)
    func ask(_ key: Int) throws -> RecordOrigin? {
      try state.lookupOrigin(hash: Block.hash(key, exact: exact), key: exact ? Block.bytes(key) : [])
    }
    _ = try kept(rows(5..<20, time: 33), state)
    #expect(try ask(9) == origin)
    let frozen = state.freeze(epoch: 1)
    #expect(try ask(9) == origin)
    state.release(try lane.flush(frozen))
    #expect(try ask(9) == origin)
    #expect(try ask(44) == nil)
  }

  @Test func `a table asks to be frozen once its share of memory is used, and takes more until then`() throws {
    let (state, _, _, _) = makeState(memory: 60_000)
    #expect(!state.needsFreeze)
    _ = try kept(rows(0..<100), state)
    #expect(!state.needsFreeze && state.fill.fraction < 1)
    _ = try kept(rows(100..<70_000), state)
    #expect(state.needsFreeze && state.fill.keyCount == 70_000)
    #expect(try kept(rows(0..<70_000), state) == 0)
  }
}
