internal import MillBase

extension Anchor {
  /// ``Anchor/checksum`` of a record; nil stands for a null key or payload.
  package static func checksum(key: UnsafeRawBufferPointer?, payload: UnsafeRawBufferPointer?) -> UInt32 {
    unsafe part(payload, after: part(key, after: 0))
  }

  private static func part(_ bytes: UnsafeRawBufferPointer?, after checksum: UInt32) -> UInt32 {
    let count = unsafe Int32(bytes?.count ?? -1).littleEndian
    let counted = unsafe withUnsafeBytes(of: count) { unsafe crc32c(checksum, $0) }
    guard let bytes = unsafe bytes else { return counted }
    return unsafe crc32c(counted, bytes)
  }
}
