internal import MillBase

/// What a path leads to: a file's bytes as the page cache shows them and as the disk holds them, or a directory's entries.
///
/// For a file with nothing unusual the disk's image is a prefix of the cache's, so that neither an append nor a sync copies the file.
struct SimInode {
  /// Bytes that reach the disk together or not at all.
  static let sectorByteCount = 512

  let isDirectory: Bool
  /// Names that lead here in the current view.
  var links = 1
  /// What reads see.
  private(set) var bytes: [UInt8] = []
  /// What the disk holds where that isn't the first `durableCount` of `bytes`.
  private var durable: [UInt8]?
  private var durableCount = 0
  /// The cache has not yet written what stands from here on.
  private var dirtyFrom = 0
  /// Dropped by a failed sync: the cache takes them for written, no later sync writes them.
  private var lost: [Range<Int>] = []
  /// The file before an unsynced truncation: a power cut may leave that.
  private var beforeTruncation: (bytes: [UInt8], dirtyFrom: Int)?
  /// A directory's names.
  var entries: [String: SimEntry] = [:]
  /// Names in ``entries`` that changed since the directory was synced, some more than once.
  var changedNames: [String] = []

  init(isDirectory: Bool) { self.isDirectory = isDirectory }

  mutating func append(_ more: UnsafeRawBufferPointer) { unsafe bytes.append(contentsOf: more) }

  mutating func truncate(to count: Int) {
    if count == bytes.count { return }
    if beforeTruncation == nil { beforeTruncation = (bytes, dirtyFrom) }
    if durable == nil && count < durableCount { durable = Array(bytes[..<durableCount]) }
    if count < bytes.count {
      bytes.removeLast(bytes.count - count)
      lost = lost.compactMap { $0.lowerBound >= count ? nil : $0.clamped(to: 0..<count) }
    } else {
      bytes.append(contentsOf: repeatElement(0, count: count - bytes.count))
    }
    dirtyFrom = min(dirtyFrom, count)
  }

  mutating func sync() {
    if lost.isEmpty {
      durable = nil
    } else {
      var image = bytes
      for range in lost {
        for index in range { image[index] = durable.map { index < $0.count ? $0[index] : 0 } ?? 0 }
      }
      durable = image
    }
    durableCount = bytes.count
    dirtyFrom = bytes.count
    beforeTruncation = nil
  }

  /// A sync that fails: some of the dirty sectors are on the disk, the rest never will be, and the cache calls all of them clean.
  mutating func failSync(_ random: inout SeededRandom) {
    let image = imageAfterPowerCut(&random)
    lost = []
    for start in stride(from: 0, to: bytes.count, by: Self.sectorByteCount) {
      let range = start..<min(start + Self.sectorByteCount, bytes.count)
      if range.upperBound > image.count || bytes[range] != image[range] { lost.append(range) }
    }
    durable = image
    durableCount = 0
    dirtyFrom = bytes.count
    beforeTruncation = nil
  }

  /// The power goes: the cache is gone, what the disk has of the dirty sectors is any subset.
  mutating func cutPower(_ random: inout SeededRandom) {
    bytes = imageAfterPowerCut(&random)
    settle()
  }

  mutating func flip(byteOffset: Int, bit: Int) {
    bytes[byteOffset] ^= 1 << UInt8(bit)
    if durable != nil, byteOffset < durable!.count { durable![byteOffset] ^= 1 << UInt8(bit) }
  }

  /// The cache's bytes are the disk's.
  private mutating func settle() {
    durable = nil
    durableCount = bytes.count
    dirtyFrom = bytes.count
    lost = []
    beforeTruncation = nil
  }

  private func imageAfterPowerCut(_ random: inout SeededRandom) -> [UInt8] {
    if durable == nil && durableCount == bytes.count && beforeTruncation == nil { return bytes }
    let base = durable ?? Array(bytes[..<durableCount])
    var newest = (bytes: bytes, dirtyFrom: dirtyFrom)
    if let older = beforeTruncation, random.chance(0.5) { newest = older }
    let low = min(base.count, newest.bytes.count)
    let high = max(base.count, newest.bytes.count)
    let count =
      switch random.next(below: 4) {
      case 0: base.count
      case 1: random.next(in: low...high)
      default: newest.bytes.count
      }
    let keep = random.pick([0, 0.2, 0.5, 0.9, 1])
    var image = Array(base.prefix(count))
    image.append(contentsOf: repeatElement(0, count: count - image.count))
    var start = newest.dirtyFrom
    let end = min(count, newest.bytes.count)
    while start < end {
      let next = min((start / Self.sectorByteCount + 1) * Self.sectorByteCount, end)
      if random.chance(keep) { image.replaceSubrange(start..<next, with: newest.bytes[start..<next]) }
      start = next
    }
    return image
  }
}

/// One name in a directory: what it led to when the directory was last synced, and each change since. nil: no such name.
struct SimEntry {
  /// Number of ``values``' first, counted over the entry's life.
  var firstIndex = 0
  var values: [Int?]

  var current: Int? { values[values.count - 1] }
  var lastIndex: Int { firstIndex + values.count - 1 }
  /// No such name, durably.
  var isGone: Bool { values.count == 1 && values[0] == nil }

  mutating func sync() {
    firstIndex = lastIndex
    values = [current]
  }
}
