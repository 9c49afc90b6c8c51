/// Whether an integer type has a sign, and its width.
struct IntegerKind: Hashable, Sendable {
  var isSigned: Bool
  /// 1, 2, 4, 8, 16 or 32.
  var byteCount: Int

  init(isSigned: Bool, byteCount: Int) {
    self.isSigned = isSigned
    self.byteCount = byteCount
  }

  init?(_ type: DataType) {
    switch type {
    case .int8, .int16, .int32, .int64, .int128, .int256: self.init(isSigned: true, byteCount: type.width)
    case .uint8, .uint16, .uint32, .uint64, .uint128, .uint256: self.init(isSigned: false, byteCount: type.width)
    default: return nil
    }
  }

  var type: DataType {
    switch (isSigned, byteCount) {
    case (true, 1): .int8
    case (true, 2): .int16
    case (true, 4): .int32
    case (true, 8): .int64
    case (true, 16): .int128
    case (true, _): .int256
    case (false, 1): .uint8
    case (false, 2): .uint16
    case (false, 4): .uint32
    case (false, 8): .uint64
    case (false, 16): .uint128
    case (false, _): .uint256
    }
  }

  /// Decimal digits of its greatest value.
  var digitCount: Int {
    switch byteCount {
    case 1: 3
    case 2: 5
    case 4: 10
    case 8: isSigned ? 19 : 20
    case 16: 39
    default: isSigned ? 77 : 78
    }
  }

  func holds(_ value: Wide) -> Bool { value.fits(byteCount: byteCount, isSigned: isSigned) }

  /// The width that sums and products take: twice as wide below 8 bytes.
  var next: Int { byteCount < 8 ? byteCount * 2 : byteCount }

  /// The least type that holds both; nil where there is none, or where ClickHouse has none for signed and UInt64.
  func joined(_ other: IntegerKind) -> IntegerKind? {
    if isSigned == other.isSigned { return IntegerKind(isSigned: isSigned, byteCount: max(byteCount, other.byteCount)) }
    let (signed, unsigned) = isSigned ? (self, other) : (other, self)
    if unsigned.byteCount < signed.byteCount { return signed }
    guard unsigned.byteCount != 8, unsigned.byteCount != 32 else { return nil }
    return IntegerKind(isSigned: true, byteCount: unsigned.byteCount * 2)
  }
}

extension DataType {
  /// The most digits that a Decimal of the same width has.
  static func decimalClass(_ digits: Int) -> Int { digits <= 9 ? 9 : digits <= 18 ? 18 : digits <= 38 ? 38 : 76 }

  /// The least type that holds the values of two; nil where there is none.
  package func joined(_ other: DataType) -> DataType? {
    let (a, b) = (bare, other.bare)
    if a == b { return a }
    if let first = IntegerKind(a), let second = IntegerKind(b) { return first.joined(second)?.type }
    switch (a, b) {
    case (.float32, .float64), (.float64, .float32): return .float64
    case (.float32, _), (.float64, _):
      guard let kind = IntegerKind(b), kind.byteCount <= 4 else { return nil }
      return kind.byteCount <= 2 ? a : .float64
    case (_, .float32), (_, .float64): return b.joined(a)
    case (.decimal(let p, let s), .decimal(let q, let t)):
      // Of the same scale, and where one holds the other, as declared; else of the whole width.
      if s == t { return .decimal(precision: max(p, q), scale: s) }
      let digits = max(p - s, q - t) + max(s, t)
      return digits > 76 ? nil : .decimal(precision: Self.decimalClass(digits), scale: max(s, t))
    case (.decimal(let p, let s), _):
      guard let kind = IntegerKind(b) else { return nil }
      let digits = max(p - s, kind.digitCount) + s
      return digits > 76 ? nil : .decimal(precision: Self.decimalClass(digits), scale: s)
    case (_, .decimal): return b.joined(a)
    case (.array(let x), .array(let y)):
      guard let item = x.plain.joined(y.plain) else { return nil }
      return .array(item.nullable(x.isNullable || y.isNullable))
    default: return nil
    }
  }
}

extension Typer {
  /// The type that all values have or can be brought to, bare; literals adapt.
  func commonType(_ nodes: [Node], _ what: String, _ offset: Int) throws(ExpressionProblem) -> DataType {
    var common: (type: DataType, node: Node)?
    func join(_ type: DataType, _ node: Node) throws(ExpressionProblem) {
      guard let before = common else { return common = (type.bare, node) }
      guard let joined = before.type.joined(type) else {
        throw problem(
          "\(what) have no common type: \(before.type) (column \(problem("", before.node.offset).column)) and \(type.bare); cast one of them",
          node.offset)
      }
      common = (joined, node)
    }
    for node in nodes where !node.isLiteral { try join(node.type, node) }
    for node in nodes {
      guard let literal = node.number else { continue }
      if let type = common?.type {
        let met = try meeting(node, type)
        if met.type == type { continue }
        if type.isFloat, !literal.isFloat { continue }
      }
      try join(node.type, node)
    }
    return common?.type ?? .string
  }

  /// An array that stands in the text, its items in another type.
  private func items(of node: Node, to item: DataType) throws(ExpressionProblem) -> Node {
    guard case .array(let from) = node.type, let constant = node.constant else {
      throw problem("\(node.type) can't become \(DataType.array(item)); only an array that stands in the text can", node.offset)
    }
    let reader = Items(from)
    var parts: [Node] = []
    unsafe constant.bytes.withUnsafeBufferPointer { buffer in
      // Never empty: it has its count.
      let bytes = unsafe Slice(base: buffer.baseAddress!, count: buffer.count)
      var index = 0
      for _ in 0..<bytes.count(at: &index) {
        let value = reader.next(bytes, &index).map { unsafe Constant(Array($0.raw)) } ?? Constant(nullOf: from)
        parts.append(Node(.constant(value), from.plain, node.offset))
      }
    }
    var converted: [Node] = []
    for part in parts { converted.append(try self.converted(part, to: item.plain, keepsNull: true)) }
    let result = try call("array", converted, node.offset)
    guard result.constant != nil else { throw problem("an item of the array is no \(item)", node.offset) }
    return result
  }

  /// A value in a type that holds it; NULL stays NULL, and nothing is lost.
  func converted(_ node: Node, to type: DataType, keepsNull: Bool) throws(ExpressionProblem) -> Node {
    let met = try meeting(node, type)
    if met.type.bare == type.bare { return met }
    if case .array(let item) = type.bare { return try items(of: met, to: item) }
    return try cast(met, to: type.bare.nullable(met.type.isNullable), orNull: false, node.offset)
  }
}
