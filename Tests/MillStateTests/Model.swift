import MillBase
import MillState

/// A row as the model sees it.
struct Row: Hashable {
  var key: Int
  var time: Int64
  var partition: Int32
  var offset: Int64
  var isLate = false
}

/// The contract in its own words: a dictionary of keys, nothing else.
struct Model {
  let within: Int64
  var first: [Int: Int64] = [:]

  /// Whether the row is kept.
  mutating func take(_ row: Row) -> Bool {
    guard let known = first[row.key] else {
      first[row.key] = row.time
      return true
    }
    let distance = Int128(row.time) - Int128(known)
    if distance.magnitude < UInt128(within) { return false }
    if distance > 0 { first[row.key] = row.time }
    return true
  }
}

/// Rows in the shape that ``DeduplicateState`` takes.
struct Block {
  var hashes: [Digest128] = []
  var keyBytes: [UInt8] = []
  var keyEnds: [UInt32] = []
  var times: [Int64] = []
  var partitions: [Int32] = []
  var offsets: [Int64] = []
  var keep: [UInt8] = []

  init(_ rows: some Sequence<Row>, exact: Bool) {
    for row in rows {
      hashes.append(Self.hash(row.key, exact: exact))
      if exact {
        keyBytes += Self.bytes(row.key)
        keyEnds.append(UInt32(keyBytes.count))
      }
      times.append(row.time)
      partitions.append(row.partition)
      offsets.append(row.offset)
      keep.append(row.isLate ? 0 : 7)
    }
  }

  /// Exact keys must survive that all hashes are one of three, so they get such hashes.
  static func hash(_ key: Int, exact: Bool) -> Digest128 {
    var random = SeededRandom(UInt64(exact ? key % 3 : key)).split("hash")
    return Digest128(low: random.next(), high: random.next())
  }

  /// Bytes of very different lengths, many the beginning of others, one of them empty.
  static func bytes(_ key: Int) -> [UInt8] { Array(repeating: UInt8(key % 2 == 0 ? 0 : 255), count: key / 2) + (key % 2 == 0 ? [] : [1]) }

  /// Which rows the state keeps.
  mutating func run(_ state: DeduplicateState) throws -> [Bool] {
    try state.deduplicate(
      hashes: hashes, keyBytes: keyBytes, keyEnds: keyEnds, times: times, partitions: partitions, offsets: offsets, keep: &keep)
    return keep.map { $0 != 0 }
  }
}
