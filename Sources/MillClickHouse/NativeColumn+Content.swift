internal import MillBase
internal import MillFlow

extension NativeColumn {
  /// What value `row` counts in a ``ContentSum``; nothing where it is NULL.
  func contentValue(_ row: Int, of bytes: [UInt8]) -> UInt64 {
    if let nullsStart, bytes[nullsStart + row] != 0 { return 0 }
    switch values {
    case .fixed(let start, let width):
      let word = Self.word(bytes, start + row * width, min(width, 8))
      switch type {
      case .int8: return UInt64(bitPattern: Int64(Int8(truncatingIfNeeded: word)))
      case .int16: return UInt64(bitPattern: Int64(Int16(truncatingIfNeeded: word)))
      case .int32: return UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: word)))
      default: return word
      }
    case .texts(let begins):
      let text = Self.text(bytes, begins[row], begins[row + 1])
      return unsafe text.withUnsafeBytes { unsafe cityHash64($0) }
    case .dictionary(let keys, let start, let indexWidth):
      let key = Int(Self.word(bytes, start + row * indexWidth, indexWidth))
      return isNullAtZero && key == 0 ? 0 : keys.contentValue(key, of: bytes)
    case .list: preconditionFailure("a list doesn't count")
    }
  }
}
