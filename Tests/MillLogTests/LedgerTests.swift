import MillBase
import MillLog
import MillTestKit
import Testing

private let lineage = Lineage(0xfeed)

/// A pipeline's log, a batch an epoch, on a disk of its own.
private struct Writer {
  let disk = SimDisk()
  var log: EpochLog
  var ledger: Ledger
  var epoch: EpochNumber = 0
  var positions: [Int64]

  init(partitions: Int = 3, segmentByteCount: Int = 4096) throws {
    positions = [Int64](repeating: 40, count: partitions)
    let contents = try EpochLog.read(disk, directory: "s/log", pipeline: "p", vouched: 0)
    ledger = try Ledger.open(disk, directory: "s/ledger", pipeline: "p", log: contents)
    log = try EpochLog.begin(
      disk, directory: "s/log", pipeline: "p", contents: contents,
      options: LogOptions(segmentByteCount: segmentByteCount, keepsSpare: false))
  }

  mutating func writeEpoch() throws {
    epoch += 1
    let ranges = positions.indices.map { index in
      let start = positions[index]
      positions[index] += Int64(index + 100)
      return PartitionRange(partition: Int32(index), start: start, next: positions[index])
    }
    let digest = Digest128(low: epoch &* 0x9e37_79b9_7f4a_7c15, high: epoch)
    _ = try log.append(.intent(Intent(epoch: epoch, clockMilliseconds: 1, planHash: 2, ranges: ranges, inputDigest: digest)))
    let chunk = try log.appendChunk([1, 2, 3])
    var counters = Counters()
    counters.records = 303
    counters.emitted = 300
    counters.duplicate = 3
    let batch = SealedBatch(
      destination: .table, number: epoch, rowStart: 0, rowCount: 300, digest: digest,
      token: TokenParts(prefix: "mr-\(lineage)-events-", number: epoch, digest: digest).text, chunks: [chunk], originChunkCount: 0,
      byteCount: 3, target: "d.t", columns: [BatchColumn(name: "id", type: "UInt64")], contentSum: digest.low)
    _ = try log.append(
      .seal(
        Seal(epoch: epoch, covered: [Seal.Coverage(destination: .table, firstEpoch: epoch)], batches: [batch], counters: counters)))
    _ = try log.append(.ack(Ack(destination: .table, batch: epoch)))
  }

  func truncate() throws {
    let end = try log.sync()
    try log.truncate(before: end, into: ledger)
  }

  func history() throws -> (entries: [HistoryEntry], gaps: [HistoryReader.Gap]) {
    var entries: [HistoryEntry] = []
    let gaps = try HistoryReader(disk, stateDirectory: "s", pipeline: "p").forEach { entries.append($0) }
    return (entries, gaps)
  }

  var batches: [HistoryBatch] {
    get throws {
      try history().entries.flatMap { entry in if case .seal(let seal) = entry { seal.batches } else { [HistoryBatch]() } }
    }
  }

  /// As a start does.
  mutating func reopen() throws {
    let contents = try EpochLog.read(disk, directory: "s/log", pipeline: "p", vouched: 0)
    ledger = try Ledger.open(disk, directory: "s/ledger", pipeline: "p", log: contents)
    log = try EpochLog.begin(
      disk, directory: "s/log", pipeline: "p", contents: contents, options: LogOptions(segmentByteCount: 4096, keepsSpare: false))
  }

  func ledgerFiles() throws -> [String] { try disk.list("s/ledger").map { "s/ledger/" + $0 } }

  func write(_ bytes: [UInt8], to path: String) throws {
    try disk.remove(path)
    let file = try disk.open(path, create: true)
    try unsafe bytes.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
    file.close()
  }
}

@Suite struct LedgerTests {
  @Test func `truncated batches keep their token, rows, content sum, ranges and counters`() throws {
    var writer = try Writer()
    for _ in 0..<200 { try writer.writeEpoch() }
    let before = try writer.batches
    try writer.truncate()
    #expect(writer.log.firstPosition > 600)
    let (entries, gaps) = try writer.history()
    #expect(gaps == [])
    #expect(try writer.batches == before && before.count == 200)
    #expect(
      entries.first
        == .epochs(
          through: 1, [40, 40, 40].enumerated().map { OffsetRange(slot: Slot(.first, Int32($0)), start: $1, next: $1 + Int64($0) + 100) }))
    let counters = entries.compactMap { entry in if case .seal(let seal) = entry { seal.counters } else { nil } }
    #expect(counters.count == 200 && counters.allSatisfy { $0.records == 303 && $0.isWhole })
  }

  @Test(arguments: [(3, 64), (100, 500)])
  func `a batch of three partitions takes at most 64 bytes, one of a hundred 500`(_ partitions: Int, _ most: Int) throws {
    var writer = try Writer(partitions: partitions, segmentByteCount: 50_000)
    for _ in 0..<500 { try writer.writeEpoch() }
    try writer.truncate()
    let bytes = try writer.ledgerFiles().reduce(0) { $0 + (try writer.disk.byteCount($1)) }
    let batches = Int(writer.log.firstPosition / 4)
    #expect(batches > 250 && bytes / batches <= most, "\(bytes) bytes for \(batches) batches")
  }

  @Test func `a changed byte anywhere in the ledger shows as a gap, and nothing wrong is told`() throws {
    var writer = try Writer()
    for _ in 0..<40 { try writer.writeEpoch() }
    try writer.truncate()
    let whole = try writer.batches
    let path = try writer.ledgerFiles()[0]
    let bytes = try writer.disk.read(path)
    #expect(bytes.count > 1000)
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 0x20
      try writer.write(changed, to: path)
      let (entries, gaps) = try writer.history()
      let told = entries.flatMap { entry in if case .seal(let seal) = entry { seal.batches } else { [HistoryBatch]() } }
      #expect(!gaps.isEmpty && told.count < whole.count && told.allSatisfy(whole.contains), "byte \(index)")
    }
  }

  @Test func `without its ledger, or with a part of it, a truncated log says which positions are lost, also after the next start`() throws {
    var writer = try Writer()
    for _ in 0..<100 { try writer.writeEpoch() }
    try writer.truncate()
    let path = try writer.ledgerFiles()[0]
    let bytes = try writer.disk.read(path)
    try writer.write(Array(bytes[..<(bytes.count - 1)]), to: path)
    #expect(try writer.history().gaps.map(\.positions.upperBound) == [writer.log.firstPosition])
    try writer.disk.remove(path)
    let lost = 0..<writer.log.firstPosition
    #expect(try writer.history().gaps.map(\.positions) == [lost])
    try writer.reopen()
    #expect(writer.ledger.missing == lost)
    for _ in 0..<100 { try writer.writeEpoch() }
    try writer.truncate()
    #expect(writer.log.firstPosition > lost.upperBound)
    #expect(try writer.history().gaps.map(\.positions) == [lost])
  }

  @Test func `the ledger of a log that was deleted is set aside, and the new log's history is its own`() throws {
    var writer = try Writer()
    for _ in 0..<100 { try writer.writeEpoch() }
    try writer.truncate()
    let old = try writer.disk.read(try writer.ledgerFiles()[0])
    try writer.disk.removeTree("s/log")
    writer.epoch = 0
    try writer.reopen()
    #expect(writer.ledger.missing == nil)
    for _ in 0..<50 { try writer.writeEpoch() }
    try writer.truncate()
    #expect(try writer.history().gaps == [])
    #expect(try writer.batches.count == 50)
    #expect(try writer.disk.read("s/ledger.old-1/00000000000000000000.led") == old)
  }

  @Test func `the ledger of another log that has gone as far tells nothing of this one's batches`() throws {
    var (writer, other) = (try Writer(), try Writer())
    other.positions[0] += 1
    for _ in 0..<40 {
      try writer.writeEpoch()
      try other.writeEpoch()
    }
    try writer.truncate()
    try other.truncate()
    let path = try writer.ledgerFiles()[0]
    try writer.write(try other.disk.read(path), to: path)
    let gaps = try writer.history().gaps
    #expect(gaps.map(\.positions) == [0..<writer.log.firstPosition] && gaps[0].why.contains("another log"))
  }

  @Test func `of what crashed between ledger and removal each batch is told once`() throws {
    var writer = try Writer()
    for _ in 0..<100 { try writer.writeEpoch() }
    let before = try writer.batches
    let segments = try writer.disk.list("s/log").map { ($0, try writer.disk.read("s/log/" + $0)) }
    try writer.truncate()
    // The ledger has all of it, and the log too.
    for (name, bytes) in segments where !writer.disk.exists("s/log/" + name) {
      let file = try writer.disk.open("s/log/" + name, create: true)
      try unsafe bytes.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
      file.close()
    }
    #expect(try writer.batches == before)
    try writer.reopen()
    #expect(writer.ledger.end == 0 && writer.ledger.missing == nil)
    try writer.truncate()
    #expect(try writer.batches == before)
    #expect(try writer.history().gaps == [])
  }

  @Test func `a damaged block whose CRC fits is read or refused, never trapped on`() throws {
    var samples = Samples(random: SeededRandom(21))
    var random = SeededRandom(22)
    var refused = 0
    for _ in 0..<3000 {
      let intent = samples.intent()
      let seal = samples.seal()
      let entries = [LogRecord.intent(intent), .seal(seal), .seal(seal)].compactMap { HistoryEntry($0) }
      var bytes = LedgerPayload.encode(entries)
      var told: [HistoryEntry] = []
      try LedgerPayload.decode(bytes, 0..<bytes.count) { told.append($0) }
      #expect(told == entries)
      for _ in 0..<random.next(in: 1...3) { bytes[random.next(below: bytes.count)] = UInt8(random.next(below: 256)) }
      let end = random.next(in: 0...bytes.count)
      do {
        try LedgerPayload.decode(bytes, 0..<end) { _ in }
      } catch is ByteReaderError {
        refused += 1
      }
    }
    #expect(refused > 500)
  }
}
