internal import MillBase
internal import MillFlow

extension DeadLetterBlock {
  /// What names a batch of these rows.
  func digest(_ range: Range<Int>) -> Digest128 { unsafe lines(range).withRawBytes { unsafe cityHash128($0) } }

  /// The bytes of some rows' lines.
  func lines(_ range: Range<Int>) -> [UInt8] {
    guard !range.isEmpty else { return [] }
    let start = range.lowerBound == 0 ? 0 : unsafe Int(ends.base.load(fromByteOffset: (range.lowerBound - 1) * 4, as: UInt32.self))
    let end = unsafe Int(ends.base.load(fromByteOffset: (range.upperBound - 1) * 4, as: UInt32.self))
    return unsafe Array(bytes.raw[start..<end])
  }
}
