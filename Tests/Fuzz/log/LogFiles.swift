internal import FuzzDriver
internal import MillBase
internal import MillLog
internal import MillTestKit

/// A log's files as libFuzzer's bytes have them: control u8 | vouched u8 | segments, each but the last with its length u16 before it.
///
/// Control bits: 1 computes the checksums anew, so that what is changed is seen behind them; 2 also numbers the records anew. A
/// segment's name says what its header says.
struct LogFiles {
  static let directory = "log"
  static let pipeline = "orders"

  var vouched: LogPosition = 0
  private var segments: [[UInt8]] = []

  init(_ bytes: [UInt8]) {
    guard bytes.count > 2 else { return }
    vouched = LogPosition(bytes[1])
    segments = pieces(of: bytes[2...])
    if bytes[0] & 1 != 0 { repair(numbers: bytes[0] & 2 != 0) }
  }

  func write(to disk: SimDisk) throws {
    try disk.createDirectory(Self.directory)
    for segment in segments {
      let path = "\(Self.directory)/\(Self.name(segment))"
      // Two headers may say the same; the first one has the name.
      if disk.exists(path) { continue }
      let file = try disk.open(path, create: true)
      try unsafe segment.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
      file.close()
    }
  }

  static func read(_ disk: SimDisk, vouched: LogPosition) throws(LogError) -> LogContents {
    try EpochLog.read(disk, directory: directory, pipeline: pipeline, vouched: vouched)
  }

  private static func name(_ segment: [UInt8]) -> String {
    let isWhole = segment.count >= LogFormat.segmentHeaderByteCount
    let (position, generation) = isWhole ? (integer(segment, 16, 8), integer(segment, 24, 8)) : (0, 0)
    return "\(padded(position))-\(padded(generation)).seg"
  }

  private static func padded(_ value: UInt64) -> String {
    let digits = String(value)
    return String(repeating: "0", count: 20 - digits.utf8.count) + digits
  }

  // MARK: Checksums

  /// Makes each header and each record that is there whole valid behind the one before.
  private mutating func repair(numbers: Bool) {
    let header = LogFormat.segmentHeaderByteCount
    var chain: UInt32 = 0
    var position: UInt64 = 0
    for index in segments.indices where segments[index].count >= header {
      if index == 0 {
        chain = UInt32(Self.integer(segments[0], 40, 4))
        position = Self.integer(segments[0], 16, 8)
      }
      if numbers { set(index, 16, 8, position) }
      set(index, 40, 4, UInt64(chain))
      set(index, 44, 4, UInt64(crc32c(0, Array(segments[index][..<44]))))
      var offset = header
      while offset + LogFormat.recordHeaderByteCount <= segments[index].count {
        let end = offset + LogFormat.recordHeaderByteCount + Int(Self.integer(segments[index], offset, 4))
        guard end <= segments[index].count else { break }
        if numbers { set(index, offset + 5, 8, position) }
        var checked = ByteWriter()
        checked.integer(chain)
        checked.raw(segments[index][offset..<offset + 21])
        checked.raw(segments[index][offset + LogFormat.recordHeaderByteCount..<end])
        chain = crc32c(0, checked.bytes)
        set(index, offset + 21, 4, UInt64(chain))
        position &+= 1
        offset = end
      }
    }
  }

  private static func integer(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
    (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
  }

  private mutating func set(_ segment: Int, _ offset: Int, _ count: Int, _ value: UInt64) {
    for byte in 0..<count { segments[segment][offset + byte] = UInt8(truncatingIfNeeded: value >> UInt64(8 * byte)) }
  }

  // MARK: Seeds

  /// A log of several segments with records of every kind, with each control byte; and its newest segment alone.
  static func seeds() -> [[UInt8]] {
    do {
      let whole = try makeSegments()
      var seeds: [[UInt8]] = []
      for control in 0..<4 as Range<UInt8> {
        seeds.append(join(control, whole))
        seeds.append(join(control, Array(whole.prefix(1))))
        seeds.append(join(control, Array(whole.suffix(1))))
      }
      return seeds
    } catch {
      fail("no log to begin with: \(error)")
    }
  }

  private static func join(_ control: UInt8, _ segments: [[UInt8]]) -> [UInt8] {
    [control, 2] + joined(segments)
  }

  private static func makeSegments() throws -> [[UInt8]] {
    let disk = SimDisk()
    let log = try EpochLog.begin(
      disk, directory: directory, pipeline: pipeline, contents: try read(disk, vouched: 0),
      options: LogOptions(segmentByteCount: 500, keepsSpare: false))
    let digest = Digest128(low: 3, high: 4)
    let batch = SealedBatch(
      destination: .table, number: 1, rowStart: 0, rowCount: 2, digest: digest, token: "t", chunks: [3, 4], originChunkCount: 1,
      byteCount: 9, target: "d.t", columns: [BatchColumn(name: "a", type: "Int64")])
    let records: [LogRecord] = [
      .restart(Restart(lineage: Lineage(5), instance: 6, lastKeptEpoch: 0, wallMilliseconds: 7)),
      .plan(PlanRecord(hash: 8, replayVersion: 1, text: "plan")),
      .intent(
        Intent(
          epoch: 1, clockMilliseconds: 9, planHash: 8,
          ranges: [PartitionRange(partition: 0, start: 0, next: 2), PartitionRange(partition: 1, start: 5, next: 6)], partitionCount: 3,
          idle: [2],
          inputDigest: digest)), .chunk([1, 2, 3, 4, 5, 6, 7, 8, 9]), .chunk([0, 0]),
      .seal(Seal(epoch: 1, covered: [Seal.Coverage(destination: .table, firstEpoch: 1)], batches: [batch])),
      .retire(Retire(destination: .table, batch: 1, wallMilliseconds: 10, replacements: [batch, batch])),
      .deadline(Deadline(destination: .table, batch: 1, seconds: 10)), .ack(Ack(destination: .deadLetters, batch: 1)),
      .gap(Gap(slot: Slot(.first, 1), start: 5, next: 9)),
    ]
    for (index, record) in (records + records).enumerated() {
      _ = try log.append(record)
      if index == 5 { try log.sync() }
    }
    return try disk.list(directory).filter { $0.hasSuffix(".seg") }.map { try disk.read("\(directory)/\($0)") }
  }
}
