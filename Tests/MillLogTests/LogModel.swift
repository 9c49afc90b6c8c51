import MillBase
import MillLog
import MillTestKit

/// A promise of the log that was broken.
struct BrokenPromise: Error, CustomStringConvertible {
  var description: String
}

func promise(_ holds: Bool, _ what: @autoclosure () -> String) throws(BrokenPromise) {
  if !holds { throw BrokenPromise(description: what()) }
}

/// A process that writes a log on a simulated disk, with what it was told and may rely on.
struct LogModel {
  static let stateDirectory = "state"
  static let directory = "state/log"
  static let pipeline = "orders"
  static let options = LogOptions(segmentByteCount: 1400)

  let disk: SimDisk
  var log: EpochLog?
  var ledger: Ledger?
  /// What was given to the log, by position; also what a call that failed was given.
  var written: [LogRecord] = []
  /// All before it was said to be durable.
  var durable: LogPosition = 0
  /// The highest position given to `truncate`.
  var truncated: LogPosition = 0
  var samples: Samples

  init(_ disk: SimDisk, seed: UInt64) {
    self.disk = disk
    samples = Samples(random: SeededRandom(seed))
  }

  func on(_ disk: SimDisk) -> LogModel {
    var model = LogModel(disk, seed: 0)
    model.written = written
    model.durable = durable
    model.truncated = truncated
    model.samples = samples
    return model
  }

  // MARK: Steps; each throws what the log throws

  mutating func start(vouched: LogPosition) throws {
    let contents = try EpochLog.read(disk, directory: Self.directory, pipeline: Self.pipeline, vouched: vouched)
    try check(contents)
    written.removeLast(written.count - Int(contents.end))
    try checkHistory()
    // So small that a block fills a file.
    ledger = try Ledger.open(
      disk, directory: HistoryReader.ledgerDirectory(Self.stateDirectory), pipeline: Self.pipeline, log: contents, fileByteCountMax: 100)
    try promise(ledger!.missing == nil, "the ledger lacks \(ledger!.missing!)")
    log = try EpochLog.begin(disk, directory: Self.directory, pipeline: Self.pipeline, contents: contents, options: Self.options)
    durable = contents.end
  }

  mutating func append() throws {
    let record = samples.record()
    try append(record)
  }

  mutating func append(_ record: LogRecord) throws {
    let expected = log!.end
    // What an append that failed left behind, another one writes over.
    written.removeLast(written.count - Int(expected))
    written.append(record)
    let position = try log!.append(record)
    try promise(position == expected, "position \(position), expected \(expected)")
  }

  mutating func sync() throws {
    let end = try log!.sync()
    try promise(end == log!.end, "a sync covers \(end) of \(log!.end)")
    durable = end
  }

  mutating func truncate() throws {
    let before = log!.durableEnd
    truncated = max(truncated, before)
    try log!.truncate(before: before, into: ledger!)
    try promise(ledger!.end >= log!.firstPosition, "the log begins with \(log!.firstPosition), the ledger ends at \(ledger!.end)")
    try checkHistory()
  }

  /// Chunks can be read back, by position.
  func readChunks() throws {
    for position in log!.firstPosition..<log!.end {
      if case .chunk(let bytes) = written[Int(position)] {
        try promise(try log!.readChunk(position) == bytes, "chunk \(position) has other bytes")
      }
    }
  }

  // MARK: Promises

  /// Ledger and log together tell what was written, whatever has been truncated.
  func checkHistory() throws {
    let reader = try HistoryReader(disk, stateDirectory: Self.stateDirectory, pipeline: Self.pipeline)
    var told = HistoryFold()
    let gaps = try reader.forEach { told.take($0) }
    try promise(gaps.isEmpty, "history lacks \(gaps)")
    var expected = HistoryFold()
    for record in written.prefix(Int(reader.log.end)) {
      if let entry = HistoryEntry(record) { expected.take(entry) }
    }
    // Of a seal whose last part isn't there nothing is told.
    expected.parts = []
    try promise(told == expected, "history tells \(told), written was \(expected)")
  }

  /// What was found is what was written, without gaps, and all of what was durable.
  func check(_ contents: LogContents) throws(BrokenPromise) {
    try promise(contents.firstPosition <= truncated, "begins with \(contents.firstPosition), truncated before \(truncated) only")
    try promise(contents.end >= durable, "ends at \(contents.end), \(durable) was durable")
    try promise(contents.end <= LogPosition(written.count), "ends at \(contents.end), \(written.count) were written")
    try promise(contents.durableEvidence <= contents.end, "calls \(contents.durableEvidence) durable, ends at \(contents.end)")
    var position = contents.firstPosition
    for entry in contents.entries {
      try promise(entry.position == position, "position \(entry.position) stands where \(position) belongs")
      let isSame =
        switch (entry.item, written[Int(position)]) {
        case (.chunk(let byteCount), .chunk(let bytes)): byteCount == bytes.count
        case (.record(let record), let other): record == other
        case (.chunk, _): false
        }
      try promise(isSame, "record \(position) is another one")
      position += 1
    }
    try promise(position == contents.end, "the entries end at \(position), the log at \(contents.end)")
  }

  /// Recovers, writes on, and finds all of it once more after another power cut.
  mutating func recoverAndGoOn(vouched: LogPosition, _ random: inout SeededRandom) throws {
    try start(vouched: vouched)
    let kept = durable
    disk.crash(&random)
    try start(vouched: kept)
    try promise(durable == kept, "the first recovery kept \(kept), the second \(durable)")
    try readChunks()
    try append()
    try sync()
    disk.crash(&random)
    try start(vouched: durable)
    try readChunks()
  }
}

/// What history comes to, read entry by entry: the seals, and which offsets the sealed epochs took.
struct HistoryFold: Equatable {
  private(set) var seals: [HistorySeal] = []
  private(set) var restarts: [HistoryEntry] = []
  private(set) var retires: [HistoryEntry] = []
  private(set) var gaps: [OffsetRange] = []
  /// By partition, ranges that touch as one.
  private(set) var sealed: [Slot: [OffsetRange]] = [:]
  private var unsealed: [Unsealed] = []
  /// Of a seal whose last record hasn't come.
  fileprivate var parts: [HistoryBatch] = []

  private struct Unsealed: Equatable {
    var through: EpochNumber
    var ranges: [OffsetRange]
  }

  mutating func take(_ entry: HistoryEntry) {
    switch entry {
    case .ack: break
    case .retire: retires.append(entry)
    case .gap(let range): gaps.append(range)
    case .restart(_, let lastKept, _):
      restarts.append(entry)
      unsealed.removeAll { $0.through > lastKept }
      parts = []
    case .epochs(let through, let ranges): unsealed.append(Unsealed(through: through, ranges: ranges))
    case .seal(let seal) where seal.continues: parts += seal.batches
    case .seal(var seal):
      seal.batches = parts + seal.batches
      parts = []
      seals.append(seal)
      for one in unsealed where one.through <= seal.epoch {
        for range in one.ranges {
          if let last = sealed[range.slot]?.last, last.next == range.start {
            sealed[range.slot]![sealed[range.slot]!.count - 1].next = range.next
          } else {
            sealed[range.slot, default: []].append(range)
          }
        }
      }
      unsealed.removeAll { $0.through <= seal.epoch }
    }
  }
}
