package import MillBase

/// Reads ledger and log as one history, from a directory that may belong to a running instance: no lock, nothing is changed.
///
/// The log is read first and the ledger up to where the log began: a segment goes only when the ledger durably has it, so that nothing can
/// fall between the two. Memory: the log's entries, and one ledger file (16 MiB).
package struct HistoryReader {
  private let disk: any Disk
  private let logDirectory: String
  private let ledgerDirectory: String
  private let pipeline: String
  /// As it was when this was made.
  package let log: LogContents

  /// What can't be told any more.
  package struct Gap: Hashable, Sendable, CustomStringConvertible {
    package var positions: Range<LogPosition>
    package var why: String

    package var description: String { "log positions \(positions.lowerBound) to \(positions.upperBound - 1): \(why)" }
  }

  /// Reads the log. Throws ``LogError`` where that is damaged, or moved under its feet: a running instance truncates it and begins
  /// segments, so that the caller tries again.
  package init(_ disk: any Disk, stateDirectory: String, pipeline: String) throws(LogError) {
    self.disk = disk
    self.pipeline = pipeline
    ledgerDirectory = Self.ledgerDirectory(stateDirectory)
    logDirectory = stateDirectory + "/log"
    log = try EpochLog.read(disk, directory: logDirectory, pipeline: pipeline, vouched: 0)
  }

  /// Where the ledger of a state directory lies.
  package static func ledgerDirectory(_ stateDirectory: String) -> String { stateDirectory + "/ledger" }

  /// Whether a file of the ledger's directory can be the ledger's, by its name.
  package static func isLedgerFile(_ name: String) -> Bool { LedgerFormat.firstPosition(name) != nil }

  /// Hands every entry to `body`, in order, and returns what is missing in between. `fromLog` is called before the first of the log.
  package func forEach(fromLog: () -> Void = {}, _ body: (HistoryEntry) throws -> Void) throws -> [Gap] {
    // Of a seal whose last record hasn't come.
    var parts: [HistoryBatch] = []
    func take(_ entry: HistoryEntry) throws {
      switch entry {
      case .seal(let seal) where seal.continues: parts += seal.batches
      case .seal(var seal):
        seal.batches = parts + seal.batches
        parts = []
        try body(.seal(seal))
      case .restart:
        parts = []
        try body(entry)
      case .epochs, .gap, .retire, .ack: try body(entry)
      }
    }
    let gaps = try forEachInLedger(take)
    fromLog()
    for entry in log.entries {
      if case .record(let record) = entry.item, let entry = HistoryEntry(record) { try take(entry) }
    }
    return gaps
  }

  /// A batch whose seal the log still has, by its token.
  package func sealedBatch(_ token: String) -> SealedBatch? {
    for entry in log.entries {
      let batches: [SealedBatch]
      switch entry.item {
      case .record(.seal(let seal)): batches = seal.batches
      case .record(.retire(let retire)): batches = retire.replacements
      default: continue
      }
      if let batch = batches.first(where: { $0.token == token }) { return batch }
    }
    return nil
  }

  /// The bytes of the `chunk` record at a position, checked; ``LogError/noChunk(position:)`` where the log has none, or no more.
  package func readChunk(_ position: LogPosition) throws(LogError) -> [UInt8] {
    for segment in log.segments {
      guard let place = segment.chunks.first(where: { $0.position == position }) else { continue }
      return try place.read(disk, logDirectory + "/" + segment.name.text)
    }
    throw .noChunk(position: position)
  }

  private func forEachInLedger(_ body: (HistoryEntry) throws -> Void) throws -> [Gap] {
    var gaps: [Gap] = []
    var end: LogPosition = 0
    var damage: String?
    var logChain: UInt32?
    func reach(_ next: LogPosition) {
      if next > end { gaps.append(Gap(positions: end..<next, why: damage ?? "the ledger has nothing of them")) }
      end = max(end, next)
    }
    let names = disk.exists(ledgerDirectory) ? try disk.list(ledgerDirectory).filter { LedgerFormat.firstPosition($0) != nil } : []
    for name in names {
      guard let first = LedgerFormat.firstPosition(name), first < log.firstPosition else { break }
      let path = ledgerDirectory + "/" + name
      let bytes = try disk.read(path)
      let file = LedgerFile(bytes, pipeline: LogFormat.pipelineHash(pipeline))
      for (block, payload, _, _) in file.blocks where block.end <= log.firstPosition {
        reach(block.first)
        try LedgerPayload.decode(bytes, payload, body)
        end = block.end
        logChain = block.logChain
      }
      damage = file.damage.map { "\(path): \($0)" }
    }
    reach(log.firstPosition)
    if gaps.isEmpty, let logChain, let first = log.segments.first, logChain != first.chain {
      gaps.append(Gap(positions: 0..<end, why: "the ledger tells of another log, whose last record before position \(end) was another"))
    }
    return gaps
  }
}
