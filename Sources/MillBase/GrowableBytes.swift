/// Bytes on the heap with one owner, appended at the end. Not zeroed; no copy on write, no exclusivity check in a hot loop.
@safe package struct GrowableBytes: ~Copyable {
  package private(set) var base: UnsafeMutableRawPointer
  package private(set) var capacity: Int
  /// Bytes in use; a caller that wrote behind ``end`` after ``reserve(_:)`` adds what it wrote.
  package var count = 0

  package init(capacity: Int = 64) {
    self.capacity = max(capacity, 64)
    unsafe self.base = .allocate(byteCount: self.capacity, alignment: 64)
  }

  deinit { unsafe base.deallocate() }

  /// Where the next byte goes; valid until the next ``reserve(_:)``.
  package var end: UnsafeMutableRawPointer { unsafe base + count }

  package var raw: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: base, count: count) }

  /// Makes room for `more` bytes behind ``count``.
  @inline(__always)
  package mutating func reserve(_ more: Int) {
    if capacity - count < more { grow(more) }
  }

  @inline(never)
  private mutating func grow(_ more: Int) {
    capacity = max(capacity * 2, count + more)
    let grown = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 64)
    unsafe grown.copyMemory(from: base, byteCount: count)
    unsafe base.deallocate()
    unsafe base = grown
  }

  package mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let from = bytes.baseAddress, bytes.count > 0 else { return }
    reserve(bytes.count)
    unsafe end.copyMemory(from: from, byteCount: bytes.count)
    count += bytes.count
  }

  package mutating func append<T: BitwiseCopyable>(_ value: T) {
    reserve(MemoryLayout<T>.size)
    unsafe end.storeBytes(of: value, as: T.self)
    count += MemoryLayout<T>.size
  }
}
