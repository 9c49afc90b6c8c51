extension Array where Element == UInt8 {
  /// The bytes as a raw buffer, valid inside `body` only; unlike `withUnsafeBytes` it keeps a typed error.
  package func withRawBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try unsafe withUnsafeBufferPointer { (buffer) throws(E) in try unsafe body(UnsafeRawBufferPointer(buffer)) }
  }
}
