internal import MillBase
internal import MillLog
internal import Synchronization

/// The chunks of sealed batches that have not been sent yet: a batch that goes to the table right after its seal is not read back from the
/// log. Each is given out once; what is sent again, and what has no room here, comes from the log. Any thread.
final class SealedChunks: Sendable {
  private struct Kept {
    /// By the position of a batch's first chunk, which no other batch has.
    var chunks: [LogPosition: [[UInt8]]] = [:]
    var byteCount = 0
  }

  private let byteCountMax: Int
  private let kept = Mutex(Kept())

  init(byteCountMax: Int) { self.byteCountMax = byteCountMax }

  /// Keeps the chunks of a batch that is durable, where there is room.
  func keep(_ prepared: PreparedBatch) {
    guard let first = prepared.batch.chunks.first else { return }
    let chunks = Array(prepared.chunks.dropLast(Int(prepared.batch.originChunkCount)))
    let byteCount = chunks.reduce(0) { $0 + $1.count }
    kept.withLock { kept in
      guard kept.byteCount + byteCount <= byteCountMax else { return }
      kept.byteCount += byteCount
      kept.chunks[first] = chunks
    }
  }

  /// The chunks of a batch, without those of its origins; nil where they have to be read.
  func take(_ batch: SealedBatch) -> [[UInt8]]? {
    guard let first = batch.chunks.first else { return nil }
    return kept.withLock { kept in
      guard let chunks = kept.chunks.removeValue(forKey: first) else { return nil }
      kept.byteCount -= chunks.reduce(0) { $0 + $1.count }
      return chunks
    }
  }
}
