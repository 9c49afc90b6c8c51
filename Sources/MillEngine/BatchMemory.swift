internal import MillBase
internal import MillFlow
internal import Synchronization

/// The memory of one table's rows, used again: fresh pages for a hundred megabytes cost more than what is written to them.
///
/// At most one block is kept, as large as the largest batch so far.
final class BatchMemory: Sendable {
  private let block = Mutex<RowBlock?>(nil)

  /// A block to fill that has rows no more; nil where none has come back. Any thread.
  func takeBlock() -> RowBlock? {
    block.withLock { block in
      defer { block = nil }
      return block
    }
  }

  /// Takes back a block that nobody reads any more. Any thread.
  func giveBack(_ used: RowBlock) {
    used.removeAll()
    block.withLock { $0 = used }
  }
}

/// The memory that batches are encoded into, one after the other, used again likewise. Log lane only.
final class EncodingMemory: @unchecked Sendable {
  private var encoding = GrowableBytes()

  /// Bytes to encode into, of any content.
  func take() -> GrowableBytes {
    var memory = GrowableBytes()
    swap(&memory, &encoding)
    return memory
  }

  /// Takes back what was encoded into.
  func giveBack(_ used: consuming GrowableBytes) { encoding = used }
}
