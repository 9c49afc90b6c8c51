internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillLog

/// What writes batches into the log: one at a time, on the log lane; goes on where it was after a full disk.
protocol LogJob: AnyObject, Sendable {
  func run(_ log: EpochLog) throws(LogError) -> Event
}

/// A batch whose bytes are ready. Its positions grow as its chunks reach the log.
struct PreparedBatch {
  var batch: SealedBatch
  var chunks: [[UInt8]]

  init(batch: SealedBatch, chunks: [[UInt8]]) {
    self.batch = batch
    self.chunks = chunks
  }

  /// Of dead letters: `lines` as they will stand in the file.
  init(
    deadLetters lines: [UInt8], number: BatchNumber, rowStart: UInt64, rowCount: UInt64, lineage: Lineage, name: String
  ) {
    let digest = unsafe lines.withRawBytes { unsafe cityHash128($0) }
    chunks = Frames.encode(lines)
    batch = SealedBatch(
      destination: .deadLetters, number: number, rowStart: rowStart, rowCount: rowCount, digest: digest,
      token: makeToken(lineage: lineage, destination: name, batch: number, digest: digest), chunks: [], originChunkCount: 0,
      byteCount: chunks.reduce(0) { $0 + UInt64($1.count) }, target: "", columns: [])
  }

  mutating func write(to log: EpochLog) throws(LogError) {
    while batch.chunks.count < chunks.count {
      batch.chunks.append(try log.appendChunk(chunks[batch.chunks.count]))
      FaultPoint.hit(.amidChunks)
    }
  }
}
