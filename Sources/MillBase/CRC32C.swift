internal import CPlatform

/// CRC-32C (Castagnoli) of `bytes`, going on from the CRC `seed` of what stands before them; 0 at the beginning.
///
/// `crc32c(crc32c(0, a), b)` is the CRC of a followed by b. Callable from any thread.
package func crc32c(_ seed: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
  unsafe mr_crc32c(seed, bytes.baseAddress, bytes.count)
}

/// The same as ``crc32c(_:_:)`` without the processor's instruction: what machines without it run.
package func crc32cByTable(_ seed: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
  unsafe mr_crc32c_table(seed, bytes.baseAddress, bytes.count)
}

/// CRC-32C of an array's bytes.
package func crc32c(_ seed: UInt32, _ bytes: [UInt8]) -> UInt32 {
  unsafe bytes.withRawBytes { unsafe crc32c(seed, $0) }
}
