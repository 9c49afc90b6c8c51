internal import MillBase

extension Function {
  /// Values as ClickHouse's for the same types.
  static let hashes: [Function] = [
    Function("cityHash64", "(x, …)", 1...Int.max) { (call) throws(ExpressionProblem) in try hash(call, .city) },
    Function("sipHash64", "(x, …)", 1...Int.max) { (call) throws(ExpressionProblem) in try hash(call, .sip) },
    Function("xxHash64", "(x, …)", 1...Int.max) { (call) throws(ExpressionProblem) in try hash(call, .xx) },
    Function("MD5", "(s)", 1...1) { (call) throws(ExpressionProblem) in try digest(call, 16) { unsafe md5($0.raw) } },
    Function("SHA256", "(s)", 1...1) { (call) throws(ExpressionProblem) in
      try digest(call, 32) { bytes in
        var hash = SHA256()
        unsafe hash.update(bytes.raw)
        return hash.digest()
      }
    },
  ]

  enum HashKind: Sendable {
    case city, sip, xx

    @inline(__always)
    func bytes(_ slice: Slice) -> UInt64 {
      switch self {
      case .city: unsafe cityHash64(slice.raw)
      case .sip: unsafe sipHash64(slice.raw)
      case .xx: unsafe xxHash64(slice.raw)
      }
    }

    /// Two hashes as one.
    func joined(_ a: UInt64, _ b: UInt64) -> UInt64 {
      if self != .sip { return cityHashPair(a, b) }
      return unsafe withUnsafeBytes(of: (a, b)) { pair in
        unsafe bytes(Slice(base: pair.bindMemory(to: UInt8.self).baseAddress!, count: 16))
      }
    }
  }

  private static func hash(_ call: Call, _ kind: HashKind) throws(ExpressionProblem) -> Node {
    var result: Node?
    for index in call.arguments.indices {
      let node = try call.argument(index)
      let type = node.type.bare
      guard !type.isComposed else { throw call.wrong(index, wanted: "no array or map") }
      let width = type.width
      // Whole numbers of up to 8 bytes have a hash of their own, the same for all their widths.
      let isPlain = kind == .city && width <= 8 && isWhole(type)
      let one = try call.result([node], .uint64) { call in
        let (slices, out) = (call.slices(0, width: width), call.results(UInt64.self))
        call.rows.each { row in out[row] = isPlain ? intHash64(slices[row].number(width)) : kind.bytes(slices[row]) }
      }
      guard let before = result else {
        result = one
        continue
      }
      result = try call.result([before, one], .uint64) { call in
        let (a, b, out) = (call.values(0, UInt64.self), call.values(1, UInt64.self), call.results(UInt64.self))
        call.rows.each { row in out[row] = kind.joined(a[row], b[row]) }
      }
    }
    guard let result else { preconditionFailure("\(call.name) without arguments") }
    return result
  }

  /// What ClickHouse keeps as a plain number; Decimals and DateTime64 it hashes by their bytes.
  private static func isWhole(_ type: DataType) -> Bool {
    switch type {
    case .decimal, .dateTime64, .fixedString, .string: false
    default: true
    }
  }

  private static func digest(_ call: Call, _ count: Int, _ body: @escaping @Sendable (Slice) -> [UInt8])
    throws(ExpressionProblem) -> Node
  {
    try call.result([call.text(0)], .fixedString(byteCount: count)) { call in
      let (slices, output) = (call.slices(0), call.output)
      call.rows.each { row in
        let digest = body(slices[row])
        unsafe (output.bytes + row * count).copyMemory(from: digest, byteCount: count)
      }
    }
  }

  /// What ClickHouse does to whole numbers: the last steps of MurmurHash.
  @inline(__always)
  private static func intHash64(_ value: UInt64) -> UInt64 {
    var x = value ^ 0x4cf2_d2ba_ae6d_a887
    x ^= x >> 33
    x &*= 0xff51_afd7_ed55_8ccd
    x ^= x >> 33
    x &*= 0xc4ce_b9fe_1a85_ec53
    return x ^ x >> 33
  }
}

extension Slice {
  /// The bytes of a fixed value of up to 8 as a number without a sign.
  @inline(__always)
  fileprivate func number(_ width: Int) -> UInt64 {
    switch width {
    case 1: UInt64(self[0])
    case 2: UInt64(load(UInt16.self))
    case 4: UInt64(load(UInt32.self))
    default: load(UInt64.self)
    }
  }
}
