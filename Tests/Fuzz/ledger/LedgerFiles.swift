internal import FuzzDriver
internal import MillBase
internal import MillLog
internal import MillTestKit

/// A state directory whose log begins behind what its ledger tells, with ledger files as libFuzzer's bytes have them: control u8 | files,
/// each but the last with its length u16 before it.
///
/// Control bit 1 computes the checksums anew, so that what is changed is seen behind them. A file's name says what its header says.
struct LedgerFiles {
  static let state = "state"
  static let log = "state/log"
  static let ledger = "state/ledger"
  static let pipeline = "orders"

  private var files: [[UInt8]] = []

  init(_ bytes: [UInt8]) {
    guard bytes.count > 1 else { return }
    files = pieces(of: bytes[1...])
    if bytes[0] & 1 != 0 { repair() }
  }

  /// The log as it is made for the seeds, and these files.
  func disk() throws -> SimDisk {
    let disk = try Self.makeState()
    for name in try disk.list(Self.ledger) { try disk.remove("\(Self.ledger)/\(name)") }
    for file in files {
      let first = file.count >= LedgerFormat.fileHeaderByteCount ? Self.integer(file, 16, 8) : 0
      let digits = String(first)
      let path = "\(Self.ledger)/\(String(repeating: "0", count: 20 - digits.utf8.count) + digits).led"
      // Two headers may say the same; the first one has the name.
      if disk.exists(path) { continue }
      let open = try disk.open(path, create: true)
      try unsafe file.withRawBytes { (raw) throws(DiskError) in try unsafe open.append(raw) }
      open.close()
    }
    return disk
  }

  // MARK: Checksums

  /// Makes each header and each block that is there whole valid behind the one before.
  private mutating func repair() {
    var last: UInt32 = 0
    for index in files.indices where files[index].count >= LedgerFormat.fileHeaderByteCount {
      set(index, 28, last)
      var chain = crc32c(0, Array(files[index][..<32]))
      set(index, 32, chain)
      var offset = LedgerFormat.fileHeaderByteCount
      while offset + LedgerFormat.blockHeaderByteCount <= files[index].count {
        let payload = offset + LedgerFormat.blockHeaderByteCount
        let end = payload + Int(Self.integer(files[index], offset, 4))
        guard end <= files[index].count else { break }
        var checked = ByteWriter()
        checked.integer(chain)
        checked.raw(files[index][offset..<payload - 4])
        chain = crc32c(crc32c(0, checked.bytes), Array(files[index][payload..<end]))
        set(index, payload - 4, chain)
        offset = end
      }
      last = chain
    }
  }

  private static func integer(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
    (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
  }

  private mutating func set(_ file: Int, _ offset: Int, _ value: UInt32) {
    for byte in 0..<4 { files[file][offset + byte] = UInt8(truncatingIfNeeded: value >> UInt32(8 * byte)) }
  }

  // MARK: Seeds

  /// The ledger's files with either control byte, all of them and each alone.
  static func seeds() -> [[UInt8]] {
    do {
      let disk = try makeState()
      let files = try disk.list(ledger).map { try disk.read("\(ledger)/\($0)") }
      demand(files.count > 1, "\(files.count) ledger files to begin with")
      return [[files], files.map { [$0] }].joined().flatMap { files in (0..<2 as Range<UInt8>).map { join($0, files) } }
    } catch {
      fail("no ledger to begin with: \(error)")
    }
  }

  private static func join(_ control: UInt8, _ files: [[UInt8]]) -> [UInt8] {
    [control] + joined(files)
  }

  /// A log of which all but the end has gone into a ledger of several files.
  private static func makeState() throws -> SimDisk {
    let disk = SimDisk()
    let contents = try EpochLog.read(disk, directory: log, pipeline: pipeline, vouched: 0)
    let ledger = try Ledger.open(disk, directory: ledger, pipeline: pipeline, log: contents, fileByteCountMax: 300)
    let log = try EpochLog.begin(
      disk, directory: log, pipeline: pipeline, contents: contents, options: LogOptions(segmentByteCount: 500, keepsSpare: false))
    for number in 0..<3 as Range<UInt64> { for record in records(number) { _ = try log.append(record) } }
    _ = try log.sync()
    _ = try log.truncate(before: log.end - 1, into: ledger)
    return disk
  }

  private static func records(_ number: UInt64) -> [LogRecord] {
    let digest = Digest128(low: number, high: 4)
    func batch(_ destination: Destination, _ batch: UInt64) -> SealedBatch {
      let digits = String(batch)
      let token = "mr-\(Lineage(5))-out-\(String(repeating: "0", count: 20 - digits.utf8.count))\(digits)-\(digest)"
      return SealedBatch(
        destination: destination, number: batch, rowStart: 0, rowCount: 2, digest: digest, token: token, chunks: [], originChunkCount: 0,
        byteCount: 9, target: "d.t", columns: [BatchColumn(name: "a", type: "Int64")], contentSum: 7)
    }
    var counters = Counters()
    (counters.records, counters.emitted) = (2, 2)
    let start = Int64(number) * 4
    return [
      .restart(Restart(lineage: Lineage(5), instance: 6, lastKeptEpoch: number, wallMilliseconds: 7)),
      .intent(
        Intent(
          epoch: number + 1, clockMilliseconds: 9, planHash: 8,
          ranges: [PartitionRange(partition: 0, start: start, next: start + 2)], inputDigest: digest)),
      .gap(Gap(slot: Slot(.first, 0), start: start + 2, next: start + 4)),
      .seal(
        Seal(
          epoch: number + 1, covered: [Seal.Coverage(destination: .table, firstEpoch: number + 1)],
          batches: [batch(.table, 3 * number + 1)], counters: counters)),
      .retire(
        Retire(
          destination: .table, batch: 3 * number + 1, wallMilliseconds: 10,
          replacements: [batch(.table, 3 * number + 2), batch(.deadLetters, number + 1)])),
      .ack(Ack(destination: .deadLetters, batch: number + 1)),
    ]
  }
}
