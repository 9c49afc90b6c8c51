internal import MillBase
internal import MillFlow

extension ColumnEncoder {
  /// Integers in more bytes than they had. Sign and value survive; a target's own sign doesn't matter to its bytes, as it is wider.
  func widen(_ from: IntegerShape, _ to: IntegerShape, _ out: inout GrowableBytes) {
    switch (from.isSigned, from.byteCount) {
    case (true, 1): widen(Int8.self, to, &out)
    case (true, 2): widen(Int16.self, to, &out)
    case (true, 4): widen(Int32.self, to, &out)
    case (true, 8): widen(Int64.self, to, &out)
    case (true, _): widen(Int128.self, to, &out)
    case (false, 1): widen(UInt8.self, to, &out)
    case (false, 2): widen(UInt16.self, to, &out)
    case (false, 4): widen(UInt32.self, to, &out)
    case (false, 8): widen(UInt64.self, to, &out)
    case (false, _): widen(UInt128.self, to, &out)
    }
  }

  private func widen<From: FixedWidthInteger & BitwiseCopyable>(_: From.Type, _ to: IntegerShape, _ out: inout GrowableBytes) {
    switch to.byteCount {
    case 2: widen(From.self, as: UInt16.self, &out)
    case 4: widen(From.self, as: UInt32.self, &out)
    case 8: widen(From.self, as: UInt64.self, &out)
    case 16: widen(From.self, as: UInt128.self, &out)
    default:
      out.reserve(rows.count * 32)
      for row in rows {
        let value = load(From.self, row)
        out.append(UInt128(truncatingIfNeeded: value).littleEndian)
        out.append(value < 0 ? UInt128.max : 0)
      }
    }
  }

  private func widen<From: FixedWidthInteger & BitwiseCopyable, To: FixedWidthInteger & BitwiseCopyable>(
    _: From.Type, as _: To.Type, _ out: inout GrowableBytes
  ) {
    out.reserve(rows.count * MemoryLayout<To>.size)
    for row in rows {
      unsafe out.end.storeBytes(of: To(truncatingIfNeeded: load(From.self, row)), as: To.self)
      out.count += MemoryLayout<To>.size
    }
  }

  @inline(__always)
  private func load<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type, _ row: Int) -> T {
    unsafe source.bytes.base.loadUnaligned(fromByteOffset: row * MemoryLayout<T>.size, as: T.self)
  }
}
