internal import MillBase

/// What one instruction does, over all rows of its selection. Holds no state: the same program runs on several threads.
typealias Kernel = @Sendable (inout KernelCall) -> Void

/// The rows that a kernel is to do: ascending indexes, or all below `count`.
@safe struct RowList {
  let indexes: UnsafePointer<UInt16>
  let count: Int
  /// The rows are `0 ..< count`.
  let isDense: Bool

  @inline(__always)
  func each(_ body: (Int) -> Void) {
    if isDense {
      for row in 0..<count { body(row) }
    } else {
      for index in 0..<count { body(Int(unsafe indexes[index])) }
    }
  }
}

/// One call of a kernel: its rows, arguments and result. Borrowed, the kernel keeps none of it.
@safe struct KernelCall {
  let rows: RowList
  private let arguments: UnsafePointer<View>
  let output: View
  private let register: Unmanaged<Register>
  private let codes: UnsafeMutablePointer<UInt8>
  /// The epoch's, milliseconds since 1970.
  let clock: Int64
  private(set) var failureCount = 0
  /// Texts of this piece passed what a register may hold: the piece is done anew, in parts.
  var isOverfull = false

  init(
    rows: RowList, arguments: UnsafePointer<View>, register: Register, codes: UnsafeMutablePointer<UInt8>, clock: Int64
  ) {
    self.rows = rows
    unsafe self.arguments = arguments
    self.output = register.view(isConstant: false)
    unsafe self.register = Unmanaged.passUnretained(register)
    unsafe self.codes = codes
    self.clock = clock
  }

  /// The row drops out; only a kernel that runs over it can fail it, so once.
  @inline(__always)
  mutating func fail(_ row: Int, _ code: FailureCode) {
    unsafe codes[row] = code.rawValue
    failureCount &+= 1
  }

  @inline(__always)
  func argument(_ index: Int) -> View { unsafe arguments[index] }

  @inline(__always)
  func values<T: BitwiseCopyable>(_ index: Int, _: T.Type = T.self) -> Values<T> { Values(argument(index)) }

  @inline(__always)
  func results<T: BitwiseCopyable>(_: T.Type = T.self) -> Results<T> { Results(output) }

  /// An argument's texts; `width` for FixedString and other fixed values.
  func slices(_ index: Int, width: Int = 0) -> Slices { Slices(argument(index), width: width) }

  func textWriter() -> TextWriter { TextWriter(unsafe register.takeUnretainedValue()) }

  @inline(__always)
  func setNull(_ row: Int) { output.setNull(row, 1) }
}

/// Where a kernel appends texts, one a row: `append` its parts, then `end`. ``finish(_:)`` when done.
@safe struct TextWriter {
  /// No result of a function is longer; a field may be.
  static let byteCountMax = 16 << 20
  /// What all texts of a register take before the piece is cut.
  static let registerByteCountMax = 256 << 20

  private let register: Unmanaged<Register>
  private var base: UnsafeMutableRawPointer
  private var capacity: Int
  private var count: Int
  private var start: Int
  private let starts: UnsafeMutablePointer<UInt32>
  private let ends: UnsafeMutablePointer<UInt32>
  private var isTooLong = false
  private var isOverfull = false

  init(_ register: Register) {
    unsafe self.register = Unmanaged.passUnretained(register)
    unsafe base = register.bytes.base
    capacity = register.bytes.capacity
    count = register.bytes.count
    start = count
    unsafe starts = register.starts.base.assumingMemoryBound(to: UInt32.self)
    unsafe ends = register.ends.base.assumingMemoryBound(to: UInt32.self)
  }

  /// Room for `more` bytes; false where the text or the register would be too long, and then nothing is written.
  @inline(__always)
  private mutating func room(_ more: Int) -> Bool {
    if capacity &- count >= more, count &- start &+ more <= Self.byteCountMax { return !isOverfull }
    return grow(more)
  }

  @inline(never)
  private mutating func grow(_ more: Int) -> Bool {
    guard count - start + more <= Self.byteCountMax else {
      isTooLong = true
      return false
    }
    guard !isOverfull, count + more <= Self.registerByteCountMax else {
      isOverfull = true
      return false
    }
    let register = unsafe register.takeUnretainedValue()
    register.bytes.count = count
    register.bytes.reserve(more)
    unsafe base = register.bytes.base
    capacity = register.bytes.capacity
    return true
  }

  @inline(__always)
  mutating func append(_ slice: Slice) {
    guard room(slice.count) else { return }
    unsafe (base + count).copyMemory(from: slice.base, byteCount: slice.count)
    count &+= slice.count
  }

  @inline(__always)
  mutating func append(_ byte: UInt8) {
    guard room(1) else { return }
    unsafe base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  /// `count` bytes, which `body` writes all.
  @inline(__always)
  mutating func append(count more: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Void) {
    guard room(more) else { return }
    unsafe body((base + count).assumingMemoryBound(to: UInt8.self))
    count &+= more
  }

  mutating func append(_ bytes: [UInt8]) {
    guard room(bytes.count) else { return }
    unsafe bytes.withUnsafeBytes { unsafe (base + count).copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(base), byteCount: $0.count) }
    count &+= bytes.count
  }

  mutating func append(_ text: String) { for byte in text.utf8 { append(byte) } }

  /// Ends the row's text. False where it was too long: it is empty then, and the row is to be failed.
  @inline(__always)
  mutating func end(_ row: Int) -> Bool {
    let isRight = !isTooLong
    if !isRight {
      count = start
      isTooLong = false
    }
    unsafe starts[row] = UInt32(truncatingIfNeeded: start)
    unsafe ends[row] = UInt32(truncatingIfNeeded: count)
    start = count
    return isRight
  }

  /// Ends the row's text, or fails the row.
  @inline(__always)
  mutating func end(_ row: Int, _ call: inout KernelCall) {
    if !end(row) { call.fail(row, .tooLong) }
  }

  /// Forgets what was appended since the last end.
  mutating func drop() {
    count = start
    isTooLong = false
  }

  /// Hands the texts to the register.
  func finish(_ call: inout KernelCall) {
    unsafe register.takeUnretainedValue().bytes.count = count
    if isOverfull { call.isOverfull = true }
  }
}
