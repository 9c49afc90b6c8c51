internal import MillBase

/// Keys and values of one piece of a run: strictly ascending keys (memcmp order), flat.
///
/// Key i is `keyBytes[keyEnds[i-1] ..< keyEnds[i]]` (0 before the first), likewise values.
package struct SortedRun: Sendable {
  package var keyBytes: [UInt8] = []
  package var keyEnds: [UInt32] = []
  package var valueBytes: [UInt8] = []
  package var valueEnds: [UInt32] = []

  package init() {}

  package var count: Int { keyEnds.count }
}

/// A time bucket of one operator's state, or a part of one with many keys; each is a column family.
package struct BucketID: Hashable, Comparable, Sendable {
  /// The operator state's number within the pipeline.
  package var state: UInt16
  /// Each level's buckets span four times the time of those of the level below; 0 is the finest.
  package var level: UInt8
  /// Bucket number: event time (ms) divided by what the level's buckets span, rounded down.
  package var number: Int64
  /// Parts of a bucket span the same time. Each is begun when the one before has many keys, and from then on only read: what a look-up
  /// and a merge have to do with doesn't grow with the bucket. A key may be in several; its entry in the newest is its current one.
  package var part: UInt16

  package init(state: UInt16, level: UInt8 = 0, number: Int64, part: UInt16 = 0) {
    self.state = state
    self.level = level
    self.number = number
    self.part = part
  }

  package static func < (a: BucketID, b: BucketID) -> Bool {
    (a.state, a.level, a.number, a.part) < (b.state, b.level, b.number, b.part)
  }

  /// The first part, which stands for the whole bucket.
  package var whole: BucketID { BucketID(state: state, level: level, number: number) }

  /// `s<state>.b<number>`, with `.l<level>` and `.p<part>` behind it where they aren't 0: names column families and files.
  package var name: String { "s\(state).b\(number)" + (level == 0 ? "" : ".l\(level)") + (part == 0 ? "" : ".p\(part)") }

  /// Reads what ``name`` writes; nil for anything else.
  package init?(_ name: some StringProtocol) {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard 2...4 ~= parts.count, parts[0].first == "s", parts[1].first == "b", let state = UInt16(parts[0].dropFirst()),
      let number = Int64(parts[1].dropFirst())
    else { return nil }
    self.init(state: state, number: number)
    for word in parts[2...] {
      switch word.first {
      case "l":
        guard let found = UInt8(word.dropFirst()) else { return nil }
        level = found
      case "p":
        guard let found = UInt16(word.dropFirst()) else { return nil }
        part = found
      default: return nil
      }
    }
    if self.name != name { return nil }
  }
}

package enum RunStoreError: Error, Hashable, Sendable, CustomStringConvertible {
  case outOfSpace(String)
  case corrupt(String)
  case failed(String)

  package var description: String {
    switch self {
    case .outOfSpace(let place): "no space left (\(place))"
    case .corrupt(let reason), .failed(let reason): reason
    }
  }
}

/// The seam to RocksDB: sorted runs in, batched look-ups, buckets dropped whole, checkpoints.
///
/// Everything that changes the store is called from the state lane only, in epoch order (protocol R18). ``lookup(_:keys:into:)`` is called
/// from the flow thread and may run beside them. The real end is RocksDBStore, the simulated one lives in MillSim.
package protocol RunStore: AnyObject, Sendable {
  /// Buckets that exist.
  func buckets() -> [BucketID]
  /// Adds a run, whose keys ascend over all its pieces, one after the other until there is none; nothing is there of one that fails. The
  /// bucket is created when missing. Where a key is there already the new value counts.
  func ingest(_ nextPiece: () -> SortedRun?, into bucket: BucketID) throws(RunStoreError)
  /// The bucket with all its keys; no error where there is none.
  func drop(_ bucket: BucketID) throws(RunStoreError)
  /// For each key (ascending, `keyByteCount` bytes each in `keys` or by `ends` where lengths differ) the value, or nil. A bucket that
  /// isn't there has no keys.
  func lookup(_ bucket: BucketID, keys: [UInt8], ends: [UInt32], into values: inout [[UInt8]?]) throws(RunStoreError)
  /// Makes `directory` (which must not exist) hold the store as it is now, by hard links where it can. Not synced: the caller does that.
  func checkpoint(to directory: String) throws(RunStoreError)
  /// For people and their tools.
  func facts() -> RunStoreFacts
  func close()
}

/// How much a store holds now, as far as it knows.
package struct RunStoreFacts: Hashable, Sendable {
  package var bucketCount = 0
  /// An estimate; a key counts once for each run that has it.
  package var keyCount: UInt64 = 0
  package var fileCount = 0
  package var fileByteCount: UInt64 = 0
  /// Written since the store was opened: runs, and what merges made of them.
  package var flushedByteCount: UInt64 = 0
  package var mergedByteCount: UInt64 = 0
  /// Of caches and buffers.
  package var memoryByteCount: UInt64 = 0

  package init() {}
}

extension RunStore {
  /// Of a store that doesn't count.
  package func facts() -> RunStoreFacts { RunStoreFacts() }
}

/// Opens stores; the seam's constructor.
package protocol RunStoreOpener: AnyObject, Sendable {
  /// Opens the store in `directory`, which is a fresh clone of a checkpoint or doesn't exist yet (then it is created, empty).
  func open(_ directory: String) throws(RunStoreError) -> any RunStore
}
