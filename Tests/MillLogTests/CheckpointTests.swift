import MillBase
import MillLog
import MillTestKit
import Testing

private let directory = "state/checkpoints"

/// A manifest of this lineage and epoch whose position grows with the epoch.
private func manifest(_ epoch: EpochNumber) -> Manifest {
  var samples = Samples(random: SeededRandom(epoch))
  var manifest = samples.manifest()
  manifest.lineage = Lineage(5)
  manifest.epoch = epoch
  manifest.position = epoch * 10
  return manifest
}

private func content(_ epoch: EpochNumber, _ index: Int) -> [UInt8] {
  var random = SeededRandom(epoch).split(UInt64(index))
  return random.bytes(600 * index + 1)
}

private func write(_ bytes: [UInt8], _ disk: SimDisk, _ path: String) throws {
  let file = try disk.open(path, create: true)
  try unsafe bytes.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
}

/// Takes a checkpoint as the engine does: files of its own, none of them synced.
private func publish(_ disk: SimDisk, _ epoch: EpochNumber, _ known: inout KnownDigests) throws -> Manifest {
  let store = CheckpointStore(disk, directory: directory)
  let path = try store.begin(CheckpointID(lineage: Lineage(5), epoch: epoch))
  try disk.createDirectory(path + "/shard-0")
  for index in 0..<3 {
    let file = try disk.open(path + (index == 0 ? "/filter-\(epoch)" : "/shard-0/\(epoch)-\(index).sst"), create: true)
    try unsafe content(epoch, index).withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
  }
  return try store.publish(manifest(epoch), known: &known)
}

private func list(_ disk: SimDisk, _ verification: CheckpointStore.Verification = .full) throws -> [CheckpointStore.Checkpoint] {
  var known = KnownDigests()
  return try CheckpointStore(disk, directory: directory).list(verification, known: &known)
}

@Suite struct CheckpointTests {
  @Test func `checkpoints are listed newest first with what their manifests say`() throws {
    let disk = SimDisk()
    var known = KnownDigests()
    let first = try publish(disk, 1, &known)
    let second = try publish(disk, 2, &known)
    #expect(first.files.map(\.path) == ["filter-1", "shard-0/1-1.sst", "shard-0/1-2.sst"])
    #expect(first.files.map(\.sha256) == (0..<3).map { SHA256.digest(content(1, $0)) })
    #expect(try list(disk).map(\.state) == [.valid(second), .valid(first)])
    #expect(throws: CheckpointError.published(path: directory + "/0000000000000005-00000000000000000002")) {
      try publish(disk, 2, &known)
    }
  }

  @Test func `a damaged, missing or longer file, or a damaged manifest, makes a checkpoint invalid`() throws {
    let disk = SimDisk()
    var known = KnownDigests()
    let published = try publish(disk, 1, &known)
    let path = CheckpointStore(disk, directory: directory).path(of: CheckpointID(lineage: Lineage(5), epoch: 1))
    func isValid(_ verification: CheckpointStore.Verification = .full, _ damage: (SimDisk) throws -> Void) throws -> Bool {
      let damaged = disk.copy()
      try damage(damaged)
      return try list(damaged, verification)[0].state == .valid(published)
    }
    #expect(try isValid { _ in })
    #expect(try !isValid { try $0.flipBit(path + "/shard-0/1-1.sst", byteOffset: 7, bit: 1) })
    #expect(try isValid(.manifestOnly) { try $0.flipBit(path + "/shard-0/1-1.sst", byteOffset: 7, bit: 1) })
    #expect(try !isValid(.manifestOnly) { try $0.remove(path + "/filter-1") })
    #expect(try !isValid(.manifestOnly) { try $0.open(path + "/filter-1", create: false).truncate(to: 9) })
    #expect(try !isValid { try $0.flipBit(path + "/MANIFEST", byteOffset: 30, bit: 1) })
    #expect(try !isValid { try $0.rename(path, to: directory + "/\(CheckpointID(lineage: Lineage(5), epoch: 3))") })
  }

  /// A store's checkpoint: `run.sst` beside what is its own, by a link or, on another file system, by a copy.
  private func publishShared(_ disk: SimDisk, _ epoch: EpochNumber, _ known: inout KnownDigests) throws -> Manifest {
    let store = CheckpointStore(disk, directory: directory)
    let path = try store.begin(CheckpointID(lineage: Lineage(5), epoch: epoch))
    try disk.createDirectory(path + "/shard-0")
    if try disk.identity("live.sst").device == disk.status(path, following: true).identity.device {
      try disk.link("live.sst", to: path + "/shard-0/run.sst")
    } else {
      try write(try disk.read("live.sst"), disk, path + "/shard-0/run.sst")
    }
    return try store.publish(manifest(epoch), known: &known)
  }

  private func diskWithRun(elsewhere: Bool) throws -> SimDisk {
    let disk = SimDisk()
    if elsewhere { disk.mount(directory) }
    try write(content(1, 2), disk, "live.sst")
    return disk
  }

  @Test(arguments: [false, true]) func `a rotten file damages the checkpoints that have it, and no other`(elsewhere: Bool) throws {
    for rotten in 1...3 as ClosedRange<EpochNumber> {
      let disk = try diskWithRun(elsewhere: elsewhere)
      var known = KnownDigests()
      for epoch in 1...3 as ClosedRange<EpochNumber> {
        _ = try publishShared(disk, epoch, &known)
        known.forgetUnused()
      }
      let path = CheckpointStore(disk, directory: directory).path(of: CheckpointID(lineage: Lineage(5), epoch: rotten))
      try disk.flipBit(path + "/shard-0/run.sst", byteOffset: 700, bit: 3)
      let whole = try list(disk).filter { $0.manifest != nil }.map(\.id.epoch)
      #expect(whole == (elsewhere ? [3, 2, 1].filter { $0 != rotten } : []), "checkpoint \(rotten) is rotten")
    }
  }

  @Test func `a copy of a file that has changed is not published, a link of what was read is`() throws {
    for elsewhere in [false, true] {
      let disk = try diskWithRun(elsewhere: elsewhere)
      var known = KnownDigests()
      let first = try publishShared(disk, 1, &known)
      known.forgetUnused()
      // The library copies rot as it finds it.
      try disk.flipBit("live.sst", byteOffset: 3, bit: 0)
      if elsewhere {
        #expect(throws: CheckpointError.self) { try publishShared(disk, 2, &known) }
      } else {
        #expect(try publishShared(disk, 2, &known).files == first.files)
      }
    }
  }

  @Test func `a filter's file is known only as a link to one that was read`() throws {
    let disk = SimDisk()
    var known = KnownDigests()
    try write(content(1, 1), disk, "filter-s1.b0.0")
    let first = try known.digest(disk, "filter-s1.b0.0")
    // Written anew, under the number that the file had.
    try disk.flipBit("filter-s1.b0.0", byteOffset: 9, bit: 1)
    let second = try known.digest(disk, "filter-s1.b0.0")
    #expect(second != first)
    #expect(try disk.digest("filter-s1.b0.0") == second)
    try disk.createDirectory("next")
    try disk.link("filter-s1.b0.0", to: "next/filter-s1.b0.0")
    try disk.flipBit("filter-s1.b0.0", byteOffset: 9, bit: 1)
    #expect(try known.digest(disk, "next/filter-s1.b0.0") == second)
    // The list of them is each checkpoint's own.
    try write(content(2, 2), disk, "filters-s1")
    try disk.link("filters-s1", to: "next/filters-s1")
    _ = try known.digest(disk, "filters-s1")
    try disk.flipBit("filters-s1", byteOffset: 9, bit: 1)
    let list = try disk.digest("filters-s1")
    #expect(try known.digest(disk, "next/filters-s1") == list)
  }

  @Test(arguments: [false, true]) func `progress counts each byte once, up to all of them`(elsewhere: Bool) throws {
    let disk = try diskWithRun(elsewhere: elsewhere)
    var known = KnownDigests()
    for epoch in 1...3 as ClosedRange<EpochNumber> { _ = try publishShared(disk, epoch, &known) }
    var told: [UInt64] = []
    var fresh = KnownDigests()
    _ = try CheckpointStore(disk, directory: directory).list(.full, known: &fresh) { done, all in
      told.append(done)
      #expect(all == 1201 * (elsewhere ? 3 : 1))
    }
    #expect(told == (elsewhere ? [1201, 2402, 3603] : [1201]))
  }

  @Test func `what was read long ago is read anew: its inode may be another file's by now`() throws {
    let disk = try diskWithRun(elsewhere: false)
    var known = KnownDigests()
    let path = "live.sst"
    let before = try known.digest(disk, path).sha256
    try disk.flipBit(path, byteOffset: 3, bit: 0)
    known.forgetUnused()
    #expect(try known.digest(disk, path).sha256 == before)
    known.forgetUnused()
    known.forgetUnused()
    #expect(try known.digest(disk, path).sha256 != before)
  }

  @Test func `what an interrupted publication has left is removed at start`() throws {
    let disk = SimDisk()
    var known = KnownDigests()
    _ = try publish(disk, 1, &known)
    try disk.createDirectory(directory + "/\(CheckpointID(lineage: Lineage(5), epoch: 2))/shard-0")
    try disk.createDirectory(directory + "/look-77.tmp/store")
    for foreign in ["thesis.tmp", "look-x.tmp", "look-077.tmp", "5-2", "0000000000000005-2"] {
      try disk.createDirectory("\(directory)/\(foreign)/chapters")
    }
    let removed = try CheckpointStore(disk, directory: directory).prepare()
    #expect(removed == ["0000000000000005-00000000000000000002", "look-77.tmp"])
    let kept = ["0000000000000005-00000000000000000001", "0000000000000005-2", "5-2", "look-077.tmp", "look-x.tmp", "thesis.tmp"]
    #expect(try disk.list(directory) == kept)
    #expect(try list(disk).count == 1)
  }

  @Test func `a removed checkpoint is gone, also after a power cut in the midst of it, or still whole`() throws {
    try everywhere { disk, known in
      _ = try publish(disk, 1, &known)
      _ = try publish(disk, 2, &known)
    } script: { disk, _ in
      try CheckpointStore(disk, directory: directory).remove(CheckpointID(lineage: Lineage(5), epoch: 1))
    } check: { disk, isWhole, _ in
      let found = try list(disk)
      #expect(found.allSatisfy { $0.manifest != nil })
      #expect(found.map(\.id.epoch) == [2] || !isWhole && found.map(\.id.epoch) == [2, 1])
    }
  }

  @Test func `wherever the power goes in a publication, a checkpoint is whole or isn't there, and a published one stays`() throws {
    var halves = 0
    try everywhere { disk, known in
      _ = try publish(disk, 1, &known)
    } script: { disk, known in
      _ = try publish(disk, 2, &known)
    } check: { disk, isWhole, random in
      // What a start finds counts from then on.
      try CheckpointStore(disk, directory: directory).prepare()
      let found = try list(disk)
      #expect(found.allSatisfy { $0.manifest != nil }, "\(found)")
      let epochs = found.map(\.id.epoch)
      #expect(epochs == [2, 1] || !isWhole && epochs == [1], "\(epochs)")
      if epochs == [1] {
        halves += 1
        var known = KnownDigests()
        _ = try publish(disk, 2, &known)
      }
      disk.crash(&random)
      #expect(try list(disk).map(\.id.epoch) == [2, 1])
    }
    #expect(halves > 20)
  }

  /// Ends the process in each of a script's operations, by a kill or several power cuts.
  private func everywhere(
    prepare: (SimDisk, inout KnownDigests) throws -> Void, script: (SimDisk, inout KnownDigests) throws -> Void,
    check: (SimDisk, _ isWhole: Bool, inout SeededRandom) throws -> Void
  ) throws {
    var random = SeededRandom(21)
    let prepared = SimDisk(seed: 1)
    try CheckpointStore(prepared, directory: directory).prepare()
    var digests = KnownDigests()
    try prepare(prepared, &digests)
    var operation = 1
    while true {
      let disk = prepared.copy()
      disk.stopAfter(operations: operation)
      do {
        var known = digests
        try script(disk, &known)
      } catch {
        guard disk.isStopped else { throw error }
      }
      let isWhole = !disk.isStopped
      for subset in 0..<8 {
        let crashed = disk.copy()
        if subset > 0 { crashed.crash(&random) }
        try check(crashed, isWhole, &random)
      }
      if isWhole { return }
      operation += 1
    }
  }
}
