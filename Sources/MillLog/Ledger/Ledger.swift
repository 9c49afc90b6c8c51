package import MillBase
internal import Synchronization

/// What the log said before it was truncated, for `verify`; appended right before a segment goes (protocol R16), and never truncated.
///
/// A block a log segment, each synced before the segment is removed. So the log vouches for the ledger: all before the log's first position
/// must be in it, and what lies behind is in the log too and is written anew (``open``). Control lane only, but for ``end``.
package final class Ledger: Sendable {
  private let disk: any Disk
  private let directory: String
  private let pipeline: UInt64
  /// A file that has so many bytes gets no further block: a start reads the newest file only.
  private let fileByteCountMax: Int
  private let state: Mutex<State>

  private struct State {
    /// The file that is appended to; nil: the next block begins one.
    var file: (any DiskFile)?
    var end: LogPosition
    /// CRC of the log record before `end`.
    var logChain: UInt32
    /// CRC of the last block.
    var chain: UInt32
    var failure: String?
  }

  /// Goes on where the log begins: what the ledger has of later positions is dropped, as the log still has it. What is missing before stays
  /// missing: ``missing`` says so. A ledger that isn't this log's is set aside, under another name.
  package static func open(
    _ disk: any Disk, directory: String, pipeline: String, log: LogContents, fileByteCountMax: Int = 16 << 20
  ) throws(LogError) -> Ledger {
    var start = LedgerStart(disk, directory: directory, pipeline: LogFormat.pipelineHash(pipeline), log: log)
    try start.run()
    return Ledger(disk, directory, fileByteCountMax, start)
  }

  private init(_ disk: any Disk, _ directory: String, _ fileByteCountMax: Int, _ start: LedgerStart) {
    self.disk = disk
    self.directory = directory
    self.fileByteCountMax = fileByteCountMax
    pipeline = start.pipeline
    missing = start.missing
    state = Mutex(
      State(file: start.file, end: start.first, logChain: start.logChain, chain: start.chain, failure: nil))
  }

  /// Positions that neither the ledger nor the log has any more; `verify` can't prove what was sealed there.
  package let missing: Range<LogPosition>?

  /// All before it is durably in the ledger, but for what is ``missing``.
  package var end: LogPosition { state.withLock { $0.end } }

  /// Takes in a log segment that is about to go. Out of space: nothing has changed. After any other error the process has to stop.
  func append(_ entries: [HistoryEntry], _ positions: Range<LogPosition>, logChain: UInt32) throws(LogError) {
    try state.withLock { (state) throws(LogError) in
      if let failure = state.failure { throw .poisoned(reason: failure) }
      // A removal that failed after its block was written is tried again.
      if positions.upperBound <= state.end { return }
      precondition(positions.lowerBound == state.end, "a block of positions \(positions) behind \(state.end)")
      if let file = state.file, file.byteCount >= fileByteCountMax {
        file.close()
        state.file = nil
      }
      let block = LedgerBlock(first: positions.lowerBound, end: positions.upperBound, logChain: logChain)
      let payload = LedgerPayload.encode(entries)
      do throws(DiskError) {
        if let file = state.file {
          try append(block, payload, to: file, &state)
        } else {
          try begin(block, payload, &state)
        }
      } catch {
        if case .outOfSpace(let path) = error { throw .outOfSpace(path: path) }
        state.failure = "\(error)"
        throw .poisoned(reason: "\(error)")
      }
    }
  }

  private func append(_ block: LedgerBlock, _ payload: [UInt8], to file: any DiskFile, _ state: inout State) throws(DiskError) {
    let before = file.byteCount
    let (bytes, checksum) = block.bytes(chain: state.chain, payload: payload)
    do throws(DiskError) {
      try unsafe bytes.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
      try file.sync()
    } catch {
      if case .outOfSpace = error { try file.truncate(to: before) }
      throw error
    }
    state.chain = checksum
    state.end = block.end
    state.logChain = block.logChain
  }

  private func begin(_ block: LedgerBlock, _ payload: [UInt8], _ state: inout State) throws(DiskError) {
    try disk.createDirectoryDurably(directory)
    let path = directory + "/" + LedgerFormat.name(block.first)
    let header = LedgerFileHeader(pipeline: pipeline, first: block.first, logChain: state.logChain, chain: state.chain).bytes
    var next = state
    next.chain = Self.checksum(header)
    do throws(DiskError) {
      let file = try disk.open(path, create: true)
      try unsafe header.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
      try append(block, payload, to: file, &next)
      try disk.syncDirectory(directory)
      next.file = file
    } catch {
      if case .outOfSpace = error, disk.exists(path) {
        try disk.remove(path)
        try disk.syncDirectory(directory)
      }
      throw error
    }
    state = next
  }

  /// That a header ends with.
  static func checksum(_ header: [UInt8]) -> UInt32 { crc32c(0, Array(header.dropLast(4))) }
}

/// What is looked at and cleared up before anything is appended.
struct LedgerStart {
  private let disk: any Disk
  private let directory: String
  let pipeline: UInt64
  private let log: LogContents

  /// The newest file that is gone on with; nil: none.
  private(set) var file: (any DiskFile)?
  /// CRC of its last block.
  private(set) var chain: UInt32 = 0
  private(set) var missing: Range<LogPosition>?

  /// Where the log begins.
  var first: LogPosition { log.firstPosition }
  /// CRC of the record before it.
  var logChain: UInt32 { log.segments.first?.chain ?? 0 }

  init(_ disk: any Disk, directory: String, pipeline: UInt64, log: LogContents) {
    self.disk = disk
    self.directory = directory
    self.pipeline = pipeline
    self.log = log
  }

  mutating func run() throws(LogError) {
    var names = try onDisk { () throws(DiskError) in disk.exists(directory) ? try disk.list(directory) : [] }
      .filter { LedgerFormat.firstPosition($0) != nil }
    var end: LogPosition = 0
    while let name = names.last {
      let path = directory + "/" + name
      let bytes = try onDisk { () throws(DiskError) in try disk.read(path) }
      let found = LedgerFile(bytes, pipeline: pipeline)
      // Of another pipeline, another format, or another log: what it says stays, for whoever looks for it.
      guard found.isOurs, isOfThisLog(found) else { return try setAside() }
      if LedgerFormat.firstPosition(name).map({ $0 >= first }) == true {
        // Whole or torn: all that it may tell is in the log still.
        try onDisk { () throws(DiskError) in
          try disk.remove(path)
          try disk.syncDirectory(directory)
        }
        names.removeLast()
        continue
      }
      guard let last = found.blocks.last(where: { $0.block.end <= first }) else { break }
      end = last.block.end
      chain = last.checksum
      if end == first { try goOn(path, last.endOffset) }
      break
    }
    if end < first { missing = end..<first }
  }

  private mutating func goOn(_ path: String, _ byteCount: Int) throws(LogError) {
    let file = try onDisk { () throws(DiskError) in
      let file = try disk.open(path, create: false)
      try file.truncate(to: byteCount)
      return file
    }
    self.file = file
  }

  /// Whether the log agrees with the blocks that tell of positions which it still has: a log that was born again counts from 0 too.
  private func isOfThisLog(_ found: LedgerFile) -> Bool {
    for (block, _, _, _) in found.blocks where block.end > first {
      guard log.segments.contains(where: { $0.name.firstPosition == block.end && $0.chain == block.logChain }) else { return false }
    }
    if let last = found.blocks.last(where: { $0.block.end <= first }), last.block.end == first { return last.block.logChain == logChain }
    return true
  }

  private mutating func setAside() throws(LogError) {
    try onDisk { () throws(DiskError) in
      var number = 1
      while disk.exists("\(directory).old-\(number)") { number += 1 }
      try disk.rename(directory, to: "\(directory).old-\(number)")
      try disk.syncDirectory(parentDirectory(of: directory))
    }
    if first > 0 { missing = 0..<first }
  }
}

/// A ledger file taken apart as far as it is whole.
struct LedgerFile {
  private(set) var header: LedgerFileHeader?
  private(set) var version: UInt32 = 0
  private(set) var blocks: [(block: LedgerBlock, payload: Range<Int>, checksum: UInt32, endOffset: Int)] = []
  /// Why it ends where it does; nil: it is whole.
  private(set) var damage: String?
  private let pipeline: UInt64

  init(_ bytes: [UInt8], pipeline: UInt64) {
    self.pipeline = pipeline
    do throws(ByteReaderError) {
      let (header, version, checksum) = try LedgerFileHeader.read(bytes)
      self.header = header
      self.version = version
      guard isOurs else {
        damage =
          version == LedgerFormat.version
          ? "it is another pipeline's" : "it has format \(version), this program reads \(LedgerFormat.version)"
        return
      }
      var chain = checksum
      var offset = LedgerFormat.fileHeaderByteCount
      var end = header.first
      while offset < bytes.count {
        let (block, payload, checksum) = try LedgerBlock.read(bytes, at: offset, chain: chain)
        guard block.first == end else {
          damage = "a block of positions \(block.first) to \(block.end) stands behind \(end)"
          return
        }
        offset = payload.upperBound
        end = block.end
        chain = checksum
        blocks.append((block, payload, checksum, offset))
      }
    } catch {
      damage = "\(error)"
    }
  }

  /// Whether this release wrote it for this pipeline; a header that can't be read counts as ours, torn or damaged.
  var isOurs: Bool { header.map { $0.pipeline == pipeline && version == LedgerFormat.version } ?? true }
}
