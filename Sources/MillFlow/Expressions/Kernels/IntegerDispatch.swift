/// An integer that a register can hold and Swift itself computes with: up to 128 bits.
typealias NativeInteger = FixedWidthInteger & BitwiseCopyable & Sendable

/// Makes a kernel for one integer type; the compiler specialises `make` for each.
protocol IntegerMaker {
  func make<T: NativeInteger>(_: T.Type) -> Kernel
}

extension DataType {
  /// The integer that values are kept as; nil for floats, texts, FixedString, UUID, IPv6, arrays and maps.
  var storage: DataType? {
    switch self {
    case _ where isInteger: self
    case .bool: .uint8
    case .enum8: .int8
    case .enum16: .int16
    case .date: .uint16
    case .date32: .int32
    case .dateTime, .ipv4: .uint32
    case .dateTime64: .int64
    case .decimal(let precision, _): precision <= 9 ? .int32 : precision <= 18 ? .int64 : precision <= 38 ? .int128 : .int256
    case .nullable(let inner): inner.storage
    default: nil
    }
  }

  /// Nil for integers of 256 bits, and for what is no integer.
  func dispatch(_ maker: some IntegerMaker) -> Kernel? {
    switch self {
    case .int8: maker.make(Int8.self)
    case .int16: maker.make(Int16.self)
    case .int32: maker.make(Int32.self)
    case .int64: maker.make(Int64.self)
    case .int128: maker.make(Int128.self)
    case .uint8: maker.make(UInt8.self)
    case .uint16: maker.make(UInt16.self)
    case .uint32: maker.make(UInt32.self)
    case .uint64: maker.make(UInt64.self)
    case .uint128: maker.make(UInt128.self)
    default: nil
    }
  }
}

/// Values of any integer type, as ``Wide``; for what is seldom.
@safe struct WideValues {
  private let view: View
  private let kind: IntegerKind

  init(_ view: View, _ kind: IntegerKind) {
    self.view = view
    self.kind = kind
  }

  subscript(row: Int) -> Wide {
    switch (kind.isSigned, kind.byteCount) {
    case (true, 1): Wide(Values<Int8>(view)[row])
    case (true, 2): Wide(Values<Int16>(view)[row])
    case (true, 4): Wide(Values<Int32>(view)[row])
    case (true, 8): Wide(Values<Int64>(view)[row])
    case (true, 16): Wide(Values<Int128>(view)[row])
    case (true, _): Wide(signed: Values<UInt256>(view)[row])
    case (false, 1): Wide(Values<UInt8>(view)[row])
    case (false, 2): Wide(Values<UInt16>(view)[row])
    case (false, 4): Wide(Values<UInt32>(view)[row])
    case (false, 8): Wide(Values<UInt64>(view)[row])
    case (false, 16): Wide(Values<UInt128>(view)[row])
    case (false, _): Wide(Values<UInt256>(view)[row])
    }
  }
}

/// Results of any integer type, from ``Wide``.
@safe struct WideResults {
  private let view: View
  private let kind: IntegerKind

  init(_ view: View, _ kind: IntegerKind) {
    self.view = view
    self.kind = kind
  }

  /// False where the value doesn't fit; nothing is written then.
  func store(_ value: Wide, _ row: Int) -> Bool {
    guard kind.holds(value) else { return false }
    let bits = value.bits
    switch kind.byteCount {
    case 1: Results<UInt8>(view)[row] = UInt8(truncatingIfNeeded: bits.low)
    case 2: Results<UInt16>(view)[row] = UInt16(truncatingIfNeeded: bits.low)
    case 4: Results<UInt32>(view)[row] = UInt32(truncatingIfNeeded: bits.low)
    case 8: Results<UInt64>(view)[row] = UInt64(truncatingIfNeeded: bits.low)
    case 16: Results<UInt128>(view)[row] = bits.low
    default: Results<UInt256>(view)[row] = bits
    }
    return true
  }
}

/// Kernels over any integer types by way of ``Wide``.
enum WideKernel {
  /// `body` gives nil where the result fits nothing.
  static func unary(_ from: IntegerKind, _ to: IntegerKind, _ code: FailureCode = .overflow, _ body: @escaping @Sendable (Wide) -> Wide?)
    -> Kernel
  {
    { call in
      let (a, out) = (WideValues(call.argument(0), from), WideResults(call.output, to))
      call.rows.each { row in
        guard let value = body(a[row]), out.store(value, row) else { return call.fail(row, code) }
      }
    }
  }

  static func binary(
    _ left: IntegerKind, _ right: IntegerKind, _ to: IntegerKind,
    _ body: @escaping @Sendable (Wide, Wide) -> Result<Wide, RowProblem>
  ) -> Kernel {
    { call in
      let (a, b, out) = (WideValues(call.argument(0), left), WideValues(call.argument(1), right), WideResults(call.output, to))
      call.rows.each { row in
        switch body(a[row], b[row]) {
        case .success(let value): if !out.store(value, row) { call.fail(row, .overflow) }
        case .failure(let problem): call.fail(row, problem.code)
        }
      }
    }
  }
}

/// Why one value can't be had.
struct RowProblem: Error {
  var code: FailureCode
}

extension Wide? {
  /// Nil means that it doesn't fit.
  var orOverflow: Result<Wide, RowProblem> { map { .success($0) } ?? .failure(RowProblem(code: .overflow)) }
}
