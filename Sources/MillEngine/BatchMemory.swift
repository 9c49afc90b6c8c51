internal import MillBase
internal import MillFlow
internal import Synchronization

/// The memory of batches, used again: fresh pages for a hundred megabytes cost more than what is written to them.
///
/// At most one block and one encoding are kept, as large as the largest batch so far.
final class BatchMemory: @unchecked Sendable {
  private let block = Mutex<RowBlock?>(nil)
  /// Log lane only.
  private var encoding = GrowableBytes()

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

  /// Bytes to encode into, of any content. Log lane only.
  func takeEncoding() -> GrowableBytes {
    var memory = GrowableBytes()
    swap(&memory, &encoding)
    return memory
  }

  /// Takes back what was encoded into. Log lane only.
  func giveBack(_ used: consuming GrowableBytes) { encoding = used }
}
