/// Memory that the record buffers of a source lend each other.
///
/// Records come from one partition at a time, so that a buffer is large for an epoch and empty for the next ones: with memory of its own
/// each would hold the largest epoch's, or ask the system for fresh pages each time, which cost more than what is written to them. Flow
/// thread only.
@safe package final class RecordMemory {
  /// Room for records: their bytes (`capacity`, and ``RecordBuffer/slack`` behind), and an empty array.
  @safe struct Block {
    var bytes: UnsafeMutableRawPointer
    var capacity: Int
    var entries: [RecordEntry] = []

    var byteCount: Int { capacity + entries.capacity * MemoryLayout<RecordEntry>.stride }

    init(capacity: Int) {
      unsafe bytes = .allocate(byteCount: capacity + RecordBuffer.slack, alignment: 64)
      self.capacity = capacity
    }

    func deallocate() { unsafe bytes.deallocate() }
  }

  private static let capacityMin = 64 << 10
  /// Bytes of idle blocks at most.
  private let idleByteLimit: Int
  /// The last one that came back is the last: it is the likeliest to be in the processor's cache.
  private var idle: [Block] = []
  private var idleByteCount = 0

  package init(idleByteLimit: Int = 64 << 20) { self.idleByteLimit = idleByteLimit }

  deinit {
    for block in idle { block.deallocate() }
  }

  /// A block with room for at least so many bytes; the caller gives it back, or deallocates it.
  func take(_ byteCount: Int) -> Block {
    if let at = idle.lastIndex(where: { $0.capacity >= byteCount }) {
      let block = idle.remove(at: at)
      idleByteCount -= block.byteCount
      return block
    }
    return Block(capacity: max(byteCount, Self.capacityMin))
  }

  /// Takes a block back, or a smaller idle one's place where there are too many.
  func giveBack(_ block: Block) {
    idle.append(block)
    idleByteCount += block.byteCount
    while idleByteCount > idleByteLimit, let at = idle.indices.min(by: { idle[$0].byteCount < idle[$1].byteCount }) {
      let smallest = idle.remove(at: at)
      idleByteCount -= smallest.byteCount
      smallest.deallocate()
    }
  }
}
