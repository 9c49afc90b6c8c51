internal import MillBase

/// What the newest checkpoint has of a filter segment: a file with all of it as it once was, and files of the keys that came since. So what
/// a checkpoint writes is in proportion to what has changed, not to the segment. State lane only.
struct FilterSegmentFiles {
  struct Delta {
    var path: String
    var keyCount: Int
  }

  /// Each has more than twice the keys of the one behind it, so that there are no more than bits in their number.
  static let deltasMax = 32

  /// The file of the whole segment; nil: it is to be written.
  private(set) var base: String?
  /// Oldest first; the keys of one stand in ``sinceBase`` behind those of the one before.
  private(set) var deltas: [Delta] = []
  /// The low halves of the hashes that were added since the base.
  private(set) var sinceBase: [UInt64] = []

  /// A key was added. With more than `room` since the base the segment is to be written whole: they would be a quarter of its bytes.
  mutating func note(_ low: UInt64, room: Int) {
    guard base != nil else { return }
    if sinceBase.count < room { sinceBase.append(low) } else { self = FilterSegmentFiles() }
  }

  /// The segment was written whole, or read so.
  mutating func wrote(base path: String) {
    self = FilterSegmentFiles()
    base = path
  }

  /// The same files under other names.
  mutating func moved(base path: String, deltas paths: [String]) {
    base = path
    for (at, path) in paths.enumerated() { deltas[at].path = path }
  }

  /// Which of the keys since the base a new file should have so that all are in one: at least those that none has, and those of small
  /// files before it, so that there are never more than the logarithm of the keys. Nil: all have one.
  mutating func nextDelta() -> Range<Int>? {
    var start = deltas.reduce(0) { $0 + $1.keyCount }
    guard start < sinceBase.count else { return nil }
    while let last = deltas.last, last.keyCount <= 2 * (sinceBase.count - start) {
      deltas.removeLast()
      start -= last.keyCount
    }
    return start..<sinceBase.count
  }

  mutating func wrote(delta path: String, keyCount: Int) {
    deltas.append(Delta(path: path, keyCount: keyCount))
    assert(deltas.count <= Self.deltasMax, "\(deltas.count) files of keys beside \(base ?? "none")")
  }
}
