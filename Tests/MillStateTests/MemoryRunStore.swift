import MillBase
import MillState
import Synchronization

/// A run store of dictionaries. Checkpoints are copies kept under their directory's name.
final class MemoryRunStore: RunStore {
  typealias Buckets = [BucketID: [[UInt8]: [UInt8]]]
  private let content: Mutex<Buckets>
  private let checkpoints: MemoryRunStores
  /// The next ingests that fail for want of space.
  let failures = Mutex(0)
  /// Keys asked for so far.
  let asked = Mutex(0)

  init(_ buckets: Buckets, _ checkpoints: MemoryRunStores) {
    content = Mutex(buckets)
    self.checkpoints = checkpoints
  }

  func buckets() -> [BucketID] { content.withLock { $0.keys.sorted() } }

  func ingest(_ nextPiece: () -> SortedRun?, into bucket: BucketID) throws(RunStoreError) {
    let fails = failures.withLock { (left: inout Int) -> Bool in
      left -= 1
      return left >= 0
    }
    if fails { throw .outOfSpace("memory") }
    var previous: [UInt8]?
    while let run = nextPiece() {
      precondition(run.keyEnds.count == run.valueEnds.count && run.count > 0)
      for index in 0..<run.count {
        let key = part(run.keyBytes, run.keyEnds, index)
        if let previous { precondition(previous.lexicographicallyPrecedes(key), "keys out of order") }
        previous = key
        content.withLock { $0[bucket, default: [:]][key] = part(run.valueBytes, run.valueEnds, index) }
      }
    }
  }

  func drop(_ bucket: BucketID) { content.withLock { $0[bucket] = nil } }

  func lookup(_ bucket: BucketID, keys: [UInt8], ends: [UInt32], into values: inout [[UInt8]?]) {
    asked.withLock { $0 += ends.count }
    let known = content.withLock { $0[bucket] ?? [:] }
    values = ends.indices.map { known[part(keys, ends, $0)] }
  }

  func checkpoint(to directory: String) { content.withLock { buckets in checkpoints.keep(buckets, directory) } }

  func close() {}

  var copy: Buckets { content.withLock { $0 } }
}

/// Opens ``MemoryRunStore``s; shares their checkpoints.
final class MemoryRunStores: RunStoreOpener {
  private let checkpoints = Mutex<[String: MemoryRunStore.Buckets]>([:])

  func keep(_ buckets: MemoryRunStore.Buckets, _ directory: String) { checkpoints.withLock { $0[directory] = buckets } }

  func open(_ directory: String) -> any RunStore { MemoryRunStore(checkpoints.withLock { $0[directory] ?? [:] }, self) }
}

extension RunStore {
  /// A run of one piece.
  func ingest(_ run: SortedRun, into bucket: BucketID) throws(RunStoreError) {
    var piece: SortedRun? = run
    try ingest({ piece.take() }, into: bucket)
  }
}

/// Part `index` of flat bytes.
func part(_ bytes: [UInt8], _ ends: [UInt32], _ index: Int) -> [UInt8] {
  Array(bytes[(index == 0 ? 0 : Int(ends[index - 1]))..<Int(ends[index])])
}
