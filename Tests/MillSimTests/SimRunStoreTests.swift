import MillBase
import MillSim
import MillState
import MillTestKit
import Testing

struct SimRunStoreTests {
  private let bucket = BucketID(state: 0, level: 2, number: -3)

  private func run(_ pairs: [(String, String)]) -> SortedRun {
    var run = SortedRun()
    for (key, value) in pairs.sorted(by: { Array($0.0.utf8).lexicographicallyPrecedes(Array($1.0.utf8)) }) {
      run.keyBytes += Array(key.utf8)
      run.keyEnds.append(UInt32(run.keyBytes.count))
      run.valueBytes += Array(value.utf8)
      run.valueEnds.append(UInt32(run.valueBytes.count))
    }
    return run
  }

  private func look(_ store: any RunStore, _ keys: [String]) throws -> [String?] {
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

  private func opener(_ disk: SimDisk) -> SimRunStoreOpener {
    SimRunStoreOpener(disk: disk, draws: .stream(seed: 1, "store"), trace: Trace(kept: 0) { 0 })
  }

  @Test func `the newest value of a key counts, also after a checkpoint is opened`() throws {
    let disk = SimDisk(seed: 1)
    let store = try opener(disk).open("/live")
    try store.ingest(run([("a", "1"), ("bb", "2")]), into: bucket)
    try store.ingest(run([("a", "3")]), into: bucket)
    #expect(try look(store, ["a", "b", "bb"]) == ["3", nil, "2"])
    try store.checkpoint(to: "/copy")
    try store.ingest(run([("a", "4")]), into: bucket)
    #expect(try look(opener(disk).open("/copy"), ["a", "bb"]) == ["3", "2"])
  }

  @Test func `a dropped bucket is gone and leaves no file`() throws {
    let disk = SimDisk(seed: 1)
    let store = try opener(disk).open("/live")
    try store.ingest(run([("a", "1")]), into: bucket)
    try store.drop(bucket)
    #expect(store.buckets() == [])
    #expect(try disk.list("/live") == [])
  }

  @Test func `a damaged run is refused by name`() throws {
    let disk = SimDisk(seed: 1)
    let store = try opener(disk).open("/live")
    try store.ingest(run([("a", "1")]), into: bucket)
    let path = try "/live/" + #require(disk.list("/live").first)
    try disk.flipBit(path, byteOffset: 1, bit: 0)
    #expect(throws: RunStoreError.self) { try opener(disk).open("/live") }
  }
}

extension RunStore {
  /// A run of one piece.
  fileprivate func ingest(_ run: SortedRun, into bucket: BucketID) throws(RunStoreError) {
    var piece: SortedRun? = run
    try ingest({ piece.take() }, into: bucket)
  }
}
