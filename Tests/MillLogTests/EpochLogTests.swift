import Glibc
import MillBase
import MillLog
import MillTestKit
import Testing

private let directory = "state/log"

private func read(_ disk: SimDisk, vouched: LogPosition = 0) throws(LogError) -> LogContents {
  try EpochLog.read(disk, directory: directory, pipeline: "orders", vouched: vouched)
}

private func start(_ disk: SimDisk, _ options: LogOptions = LogOptions(segmentByteCount: 600)) throws -> EpochLog {
  try EpochLog.begin(disk, directory: directory, pipeline: "orders", contents: try read(disk), options: options)
}

private func emptyLedger(_ disk: SimDisk) throws -> Ledger {
  try Ledger.open(disk, directory: "state/ledger", pipeline: "orders", log: LogContents())
}

private func ack(_ number: UInt64) -> LogRecord { .ack(Ack(destination: .table, batch: number)) }

/// The newest segment's path and size.
private func lastSegment(_ disk: SimDisk) throws -> (path: String, byteCount: Int) {
  let path = directory + "/" + (try disk.list(directory).last { $0.hasSuffix(".seg") }!)
  return (path, try disk.byteCount(path))
}

@Suite struct EpochLogTests {
  @Test func `records come back in order with their positions, chunks by their sizes`() throws {
    let disk = SimDisk()
    let log = try start(disk)
    #expect(try log.append(ack(1)) == 0)
    #expect(try log.appendChunk([1, 2, 3]) == 1)
    let lineage = Lineage(77)
    _ = try log.append(.restart(Restart(lineage: lineage, instance: 1, lastKeptEpoch: 0, wallMilliseconds: 5)))
    let contents = try read(disk)
    #expect(contents.entries.map(\.position) == [0, 1, 2])
    #expect(contents.entries[0].item == .record(ack(1)))
    #expect(contents.entries[1].item == .chunk(byteCount: 3))
    #expect(contents.end == 3 && log.end == 3 && log.durableEnd == 0)
    #expect(try log.sync() == 3)
    #expect(log.durableEnd == 3)
    #expect(throws: LogError.noChunk(position: 0)) { try log.readChunk(0) }
    #expect(throws: LogError.noChunk(position: 3)) { try log.readChunk(3) }
  }

  @Test func `a torn tail is dropped and the log opens again`() throws {
    let disk = SimDisk()
    let log = try start(disk)
    for number in 0..<3 as Range<UInt64> { _ = try log.append(ack(number)) }
    let (path, byteCount) = try lastSegment(disk)
    let file = try disk.open(path, create: false)
    try file.truncate(to: byteCount - 1)
    let contents = try read(disk)
    #expect(contents.end == 2)
    #expect(contents.droppedTail?.byteCount == 34)
    #expect(contents.droppedTail?.why == "the record of 35 bytes is cut off")
    #expect(try start(disk).append(ack(9)) == 2)
    #expect(try read(disk).droppedTail == nil)
  }

  @Test func `a tail of zeros holds no record`() throws {
    let disk = SimDisk()
    _ = try start(disk).append(ack(1))
    let file = try disk.open(try lastSegment(disk).path, create: false)
    try unsafe [UInt8](repeating: 0, count: 100).withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
    let contents = try read(disk)
    #expect(contents.end == 1)
    #expect(contents.droppedTail?.why == "kind 0 isn't known")
  }

  @Test func `what a manifest vouches for is never taken for a torn tail`() throws {
    let disk = SimDisk()
    let log = try start(disk)
    for number in 0..<3 as Range<UInt64> { _ = try log.append(ack(number)) }
    let (path, byteCount) = try lastSegment(disk)
    try disk.flipBit(path, byteOffset: byteCount - 1, bit: 3)
    #expect(try read(disk, vouched: 2).end == 2)
    let error = #expect(throws: LogError.self) { try read(disk, vouched: 3) }
    guard case .corrupt(path, position: 2, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func `any flipped bit before a synced record that others follow stops the log`() throws {
    let disk = SimDisk()
    let log = try start(disk, LogOptions(segmentByteCount: 4000))
    for number in 0..<4 as Range<UInt64> { _ = try log.append(ack(number)) }
    try log.sync()
    // Two records that were written when the first four were known durable.
    for number in 4..<6 as Range<UInt64> { _ = try log.append(ack(number)) }
    let (path, _) = try lastSegment(disk)
    for byteOffset in 0..<(48 + 4 * 35) {
      let damaged = disk.copy()
      try damaged.flipBit(path, byteOffset: byteOffset, bit: byteOffset % 8)
      let error = #expect(throws: LogError.self, "byte \(byteOffset)") { try read(damaged) }
      guard case .corrupt = error else {
        Issue.record("byte \(byteOffset): \(String(describing: error))")
        return
      }
    }
  }

  @Test func `damage anywhere gives a prefix of the log or an error, never a trap and never another record`() throws {
    let disk = SimDisk()
    let log = try start(disk)
    var samples = Samples(random: SeededRandom(3))
    var written: [LogContents.Item] = []
    while written.count < 12 {
      let record = samples.record()
      if record.payload.count > 500 { continue }
      _ = try log.append(record)
      if case .chunk(let bytes) = record { written.append(.chunk(byteCount: bytes.count)) } else { written.append(.record(record)) }
    }
    var random = SeededRandom(4)
    let names = try disk.list(directory).filter { $0.hasSuffix(".seg") }
    #expect(names.count > 2)
    for _ in 0..<2000 {
      let damaged = disk.copy()
      let path = directory + "/" + random.pick(names)
      let byteCount = try damaged.byteCount(path)
      if random.chance(0.3) {
        try damaged.open(path, create: false).truncate(to: random.next(below: byteCount))
      } else {
        for _ in 0..<random.next(in: 1...4) {
          try damaged.flipBit(path, byteOffset: random.next(below: byteCount), bit: random.next(below: 8))
        }
      }
      do {
        let contents = try read(damaged)
        #expect(contents.entries.map(\.item) == Array(written.prefix(contents.entries.count)))
        #expect(contents.firstPosition == 0)
      } catch {
        guard case .corrupt = error else {
          Issue.record("\(error)")
          continue
        }
      }
    }
  }

  @Test(arguments: [(UInt64.max, 0), (0, UInt64.max), (1 << 62, 3)] as [(UInt64, UInt64)])
  func `a segment with a number that no log reaches is an error, not an overflow`(position: UInt64, generation: UInt64) throws {
    let disk = SimDisk()
    let log = try start(disk)
    _ = try log.append(ack(1))
    var bytes = try disk.read(try lastSegment(disk).path)
    var numbers = ByteWriter()
    numbers.integer(position)
    numbers.integer(generation)
    bytes.replaceSubrange(16..<32, with: numbers.bytes)
    var checksum = ByteWriter()
    checksum.integer(crc32c(0, Array(bytes[..<44])))
    bytes.replaceSubrange(44..<48, with: checksum.bytes)
    let padded = [position, generation].map { String(repeating: "0", count: 20 - String($0).count) + String($0) }
    let hostile = SimDisk()
    try hostile.createDirectory(directory)
    let path = "\(directory)/\(padded.joined(separator: "-")).seg"
    try hostile.writeDurably(bytes, to: path)
    let error = #expect(throws: LogError.self) { try start(hostile) }
    guard case .corrupt(path, _, let why) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(why.contains("number"))
  }

  @Test func `a segment larger than any is an error, and isn't read into memory`() throws {
    let parent = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    let root = "\(parent)/millrace-log-\(getpid())"
    let disk = RealDisk()
    defer { try? disk.removeTree(root) }  // a leftover in the temporary directory harms no test
    let empty = try EpochLog.read(disk, directory: root, pipeline: "orders", vouched: 0)
    let log = try EpochLog.begin(disk, directory: root, pipeline: "orders", contents: empty, options: LogOptions(segmentByteCount: 600))
    _ = try log.append(ack(1))
    try log.sync()
    let path = root + "/" + (try disk.list(root).last { $0.hasSuffix(".seg") }!)
    // Without blocks on the disk.
    try disk.open(path, create: false).truncate(to: 5 << 30)
    let error = #expect(throws: LogError.self) { try EpochLog.read(disk, directory: root, pipeline: "orders", vouched: 0) }
    guard case .corrupt(path, _, let why) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(why == "the segment has 5368709120 bytes, more than any has (2147483648)")
  }

  @Test(arguments: [0, 1, 2])
  func `damage to what was durable stops, and given up it ends the log there for good`(place: Int) throws {
    let disk = SimDisk()
    let log = try start(disk)
    for number in 0..<60 as Range<UInt64> {
      _ = try log.append(ack(number))
      try log.sync()
    }
    let segments = try disk.list(directory).filter { $0.hasSuffix(".seg") }
    #expect(segments.count > 2)
    // In the records of the first segment, in the header of the second, in the records of the last.
    let path = directory + "/" + segments[place == 2 ? segments.count - 1 : place]
    var bytes = try disk.read(path)
    bytes[place == 1 ? 9 : bytes.count - 5] ^= 0x10
    try disk.remove(path)
    let file = try disk.open(path, create: true)
    try unsafe bytes.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
    try file.sync()
    try disk.syncDirectory(directory)
    #expect(throws: LogError.self) { try read(disk, vouched: place == 2 ? 60 : 0) }
    let contents = try EpochLog.read(disk, directory: directory, pipeline: "orders", vouched: 60, givesUpDamage: true)
    #expect(contents.end < 60 && contents.droppedTail != nil)
    let again = try EpochLog.begin(
      disk, directory: directory, pipeline: "orders", contents: contents, options: LogOptions(segmentByteCount: 600))
    for number in 100..<120 as Range<UInt64> { _ = try again.append(ack(number)) }
    try again.sync()
    var random = SeededRandom(7)
    disk.crash(&random)
    #expect(try read(disk, vouched: again.end).end == contents.end + 20)
  }

  @Test func `another pipeline's log is refused`() throws {
    let disk = SimDisk()
    _ = try start(disk)
    let error = #expect(throws: LogError.self) { try EpochLog.read(disk, directory: directory, pipeline: "other", vouched: 0) }
    guard case .otherPipeline = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func `after a failed sync nothing more is written, and a restart makes durable what it read`() throws {
    let disk = SimDisk()
    let log = try start(disk)
    for number in 0..<3 as Range<UInt64> { _ = try log.append(ack(number)) }
    disk.failNextSync()
    let error = #expect(throws: LogError.self) { try log.sync() }
    guard case .poisoned = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(throws: LogError.self) { try log.append(ack(4)) }
    #expect(throws: LogError.self) { try log.sync() }
    #expect(throws: LogError.self) { try log.truncate(before: 1, into: emptyLedger(disk)) }
    disk.kill9()
    let end = try start(disk).end
    #expect(end == 3)
    var random = SeededRandom(1)
    disk.crash(&random)
    #expect(try read(disk).end == end)
  }

  @Test func `segments wholly before a position are removed, the one appended to never`() throws {
    let disk = SimDisk()
    let log = try start(disk)
    for number in 0..<60 as Range<UInt64> { _ = try log.appendChunk([UInt8(number)]) }
    try log.sync()
    let segments = try disk.list(directory).filter { $0.hasSuffix(".seg") }.count
    #expect(segments > 2)
    let ledger = try emptyLedger(disk)
    #expect(try log.truncate(before: 1, into: ledger) == 0)
    #expect(try log.readChunk(0) == [0])
    #expect(try log.truncate(before: 60, into: ledger) == segments - 1)
    #expect(ledger.end == log.firstPosition)
    #expect(throws: LogError.noChunk(position: 0)) { try log.readChunk(0) }
    #expect(try log.readChunk(59) == [59])
    let contents = try read(disk)
    #expect(contents.firstPosition == log.firstPosition && contents.end == 60)
    #expect(try start(disk).append(ack(1)) == 60)
  }

  @Test func `a start on a full disk copies into the space of the spare segment`() throws {
    let disk = SimDisk()
    let log = try start(disk)
    for number in 0..<9 as Range<UInt64> { _ = try log.append(ack(number)) }
    disk.capacity = disk.usedByteCount
    disk.kill9()
    #expect(try start(disk).end == 9)
    disk.kill9()
    // The spare is there again: the old segment's space was enough.
    #expect(try start(disk).end == 9)
  }

  @Test func `a chunk whose bytes have changed isn't handed out`() throws {
    let disk = SimDisk()
    let log = try start(disk)
    let position = try log.appendChunk([UInt8](repeating: 7, count: 50))
    let (path, byteCount) = try lastSegment(disk)
    try disk.flipBit(path, byteOffset: byteCount - 9, bit: 0)
    let error = #expect(throws: LogError.self) { try log.readChunk(position) }
    guard case .corrupt = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func `a record larger than a segment is refused before anything is written`() throws {
    let disk = SimDisk()
    let options = LogOptions(segmentByteCount: 600)
    let log = try start(disk, options)
    let most = options.payloadByteCountMax
    #expect(throws: LogError.recordTooLarge(byteCount: most + 1, limit: most)) {
      try log.appendChunk([UInt8](repeating: 1, count: most + 1))
    }
    #expect(try log.appendChunk([UInt8](repeating: 1, count: most)) == 0)
  }
}
