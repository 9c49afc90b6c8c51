internal import MillBase

/// The values of one step of a program over the rows of a piece, up to ``Register/rowCountMax``.
///
/// A fixed value stands at row · width, as in ``Column``. A text is the bytes `starts[row] ..< ends[row]`: rows may be written in any
/// order, and some not at all. `nulls` has one byte a row, always. One owner, the evaluator.
final class Register {
  static let rowCountMax = 4096

  /// Bytes of a value; 0: a text.
  let width: Int
  var bytes: GrowableBytes
  var starts: GrowableBytes
  var ends: GrowableBytes
  var nulls: GrowableBytes

  /// Room for `rowCount` rows, all zero.
  init(width: Int, rowCount: Int) {
    self.width = width
    bytes = GrowableBytes(capacity: width == 0 ? 4096 : rowCount * width)
    starts = GrowableBytes(capacity: width == 0 ? rowCount * 4 : 0)
    ends = GrowableBytes(capacity: width == 0 ? rowCount * 4 : 0)
    nulls = GrowableBytes(capacity: rowCount)
    unsafe bytes.base.initializeMemory(as: UInt8.self, repeating: 0, count: bytes.capacity)
    unsafe starts.base.initializeMemory(as: UInt8.self, repeating: 0, count: starts.capacity)
    unsafe ends.base.initializeMemory(as: UInt8.self, repeating: 0, count: ends.capacity)
    unsafe nulls.base.initializeMemory(as: UInt8.self, repeating: 0, count: nulls.capacity)
  }

  /// Valid until a text is written.
  func view(isConstant: Bool) -> View {
    unsafe View(
      bytes: bytes.base, starts: starts.base.assumingMemoryBound(to: UInt32.self), ends: ends.base.assumingMemoryBound(to: UInt32.self),
      nulls: nulls.base.assumingMemoryBound(to: UInt8.self), mask: isConstant ? 0 : -1)
  }
}

/// Where a kernel finds the values of an argument, or puts its results. Borrowed for one call.
@safe struct View {
  let bytes: UnsafeMutableRawPointer
  let starts: UnsafeMutablePointer<UInt32>
  let ends: UnsafeMutablePointer<UInt32>
  let nulls: UnsafeMutablePointer<UInt8>
  /// A row's index is taken modulo this: 0 for a constant, which has one row only.
  let mask: Int

  @inline(__always)
  func isNull(_ row: Int) -> Bool { unsafe nulls[row & mask] != 0 }

  @inline(__always)
  func null(_ row: Int) -> UInt8 { unsafe nulls[row & mask] }

  @inline(__always)
  func setNull(_ row: Int, _ value: UInt8) { unsafe nulls[row] = value }
}

/// Fixed values of an argument by row.
@safe struct Values<T: BitwiseCopyable> {
  private let base: UnsafePointer<T>
  private let mask: Int

  @inline(__always)
  init(_ view: View) {
    unsafe base = UnsafePointer(view.bytes.assumingMemoryBound(to: T.self))
    mask = view.mask
  }

  @inline(__always)
  subscript(row: Int) -> T { unsafe base[row & mask] }
}

/// Fixed results by row.
@safe struct Results<T: BitwiseCopyable> {
  private let base: UnsafeMutablePointer<T>

  @inline(__always)
  init(_ view: View) { unsafe base = view.bytes.assumingMemoryBound(to: T.self) }

  @inline(__always)
  subscript(row: Int) -> T {
    get { unsafe base[row] }
    nonmutating set { unsafe base[row] = newValue }
  }
}

/// One text of an argument, or a part of one. Borrowed for the kernel's call.
@safe struct Slice {
  let base: UnsafePointer<UInt8>
  let count: Int

  @inline(__always)
  subscript(index: Int) -> UInt8 {
    assert(index >= 0 && index < count)
    return unsafe base[index]
  }

  @inline(__always)
  func part(_ start: Int, _ end: Int) -> Slice {
    assert(start >= 0 && start <= end && end <= count)
    return unsafe Slice(base: base + start, count: end - start)
  }

  var raw: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: base, count: count) }
}

/// Texts, or fixed values as bytes, of an argument by row.
@safe struct Slices {
  private let base: UnsafePointer<UInt8>
  private let starts: UnsafePointer<UInt32>
  private let ends: UnsafePointer<UInt32>
  private let mask: Int
  /// Bytes of a fixed value; 0: texts.
  private let width: Int

  init(_ view: View, width: Int) {
    unsafe base = UnsafePointer(view.bytes.assumingMemoryBound(to: UInt8.self))
    unsafe starts = UnsafePointer(view.starts)
    unsafe ends = UnsafePointer(view.ends)
    mask = view.mask
    self.width = width
  }

  @inline(__always)
  subscript(row: Int) -> Slice {
    let row = row & mask
    if width > 0 { return unsafe Slice(base: base + row &* width, count: width) }
    let start = unsafe Int(starts[row])
    return unsafe Slice(base: base + start, count: Int(ends[row]) - start)
  }
}
