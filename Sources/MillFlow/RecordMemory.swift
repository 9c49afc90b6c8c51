/// Memory that the record buffers of a source lend each other.
///
/// Records come from one partition at a time, so that a buffer is large for an epoch and empty for the next ones: with memory of its own
/// each would hold the largest epoch's, or ask the system for fresh pages each time, which cost more than what is written to them. Flow
/// thread only.
@safe package final class RecordMemory {
  /// Room for records: their bytes (`capacity`, and ``RecordBuffer/slack`` behind), and an array that was emptied.
  @safe struct Block {
    var bytes: UnsafeMutableRawPointer
    var capacity: Int
    var entries: [RecordEntry] = []

    init(capacity: Int) {
      unsafe bytes = .allocate(byteCount: capacity + RecordBuffer.slack, alignment: 64)
      self.capacity = capacity
    }

    func deallocate() { unsafe bytes.deallocate() }
  }

  /// What is taken of a record; nil: all of it.
  package let limits: RecordLimits?
  /// Records beyond the limits are taken whole all the same: an older release that they are replayed for had none.
  package var takesWhole = false

  private static let capacityMin = 64 << 10
  /// The last one that came back is the last: it is the likeliest to be in the processor's cache.
  private var idle: [Block] = []
  private var idleByteCount = 0
  private var lentByteCount = 0
  /// As much as was lent at once in the last epochs: idle blocks and lent ones together are no more.
  private var byteLimit = 0
  private var mostLentByteCount = 0

  package init(limits: RecordLimits? = nil) { self.limits = limits }

  deinit {
    for block in idle { block.deallocate() }
  }

  /// A block with room for at least so many bytes; the caller gives it back.
  func take(_ byteCount: Int) -> Block {
    let block: Block
    if let at = idle.lastIndex(where: { $0.capacity >= byteCount }) {
      block = idle.remove(at: at)
      idleByteCount -= block.capacity
    } else {
      block = Block(capacity: max(byteCount, Self.capacityMin))
    }
    lentByteCount += block.capacity
    mostLentByteCount = max(mostLentByteCount, lentByteCount)
    byteLimit = max(byteLimit, lentByteCount)
    shrink()
    return block
  }

  func giveBack(_ block: Block) {
    lentByteCount -= block.capacity
    idle.append(block)
    idleByteCount += block.capacity
    if lentByteCount == 0 {
      // The backlog's memory goes when it has been worked off, not between two of its epochs.
      byteLimit = max(mostLentByteCount, byteLimit - byteLimit / 16)
      mostLentByteCount = 0
    }
    shrink()
  }

  private func shrink() {
    while idleByteCount + lentByteCount > byteLimit, let at = idle.indices.min(by: { idle[$0].capacity < idle[$1].capacity }) {
      let smallest = idle.remove(at: at)
      idleByteCount -= smallest.capacity
      smallest.deallocate()
    }
  }
}
