extension Typer {
  /// The narrowest type that holds a number exactly: the least integer, a Decimal with its digits, Float64 where it has an exponent.
  func defaultType(_ literal: NumberLiteral, _ offset: Int) throws(ExpressionProblem) -> DataType {
    if literal.isFloat {
      guard floatValue(literal).isFinite else { throw problem("\(literal.text) is no finite Float64", offset) }
      return .float64
    }
    if literal.scale > 0 {
      let digits = max(literal.magnitude.digits.utf8.count, literal.scale)
      guard digits <= 76 else { throw problem("\(literal.text) has more than 76 digits", offset) }
      return .decimal(precision: digits, scale: literal.scale)
    }
    let types: [DataType] =
      literal.isNegative && !literal.isZero
      ? [.int8, .int16, .int32, .int64, .int128, .int256] : [.uint8, .uint16, .uint32, .uint64, .uint128, .uint256]
    guard let type = types.first(where: { integer(literal, $0) != nil }) else {
      throw problem("\(literal.text) is beyond Int256 and UInt256", offset)
    }
    return type
  }

  /// A literal with the type that it has alone; other nodes as they are. NULL stays a literal.
  func settled(_ node: Node) throws(ExpressionProblem) -> Node {
    guard let literal = node.number else { return node }
    guard let typed = constant(literal, node.type, node.offset) else { preconditionFailure("\(literal.text) is no \(node.type)") }
    return typed
  }

  /// A literal as it meets a type: of it, if that holds it exactly or is a Float, else as it is alone. NULL becomes the type's.
  func meeting(_ node: Node, _ type: DataType) throws(ExpressionProblem) -> Node {
    guard node.isLiteral else { return node }
    guard let literal = node.number else { return null(type.bare, node.offset) }
    if type.bare.isFloat, constant(literal, type.bare, node.offset) == nil {
      throw problem("\(literal.text) is no finite \(type.bare)", node.offset)
    }
    if let typed = constant(literal, type.bare, node.offset) { return typed }
    return try settled(node)
  }

  /// Two sides, each literal as it meets the other.
  func met(_ left: Node, _ right: Node) throws(ExpressionProblem) -> (Node, Node) {
    switch (left.isLiteral, right.isLiteral) {
    case (true, true):
      // A whole number takes the type of one with a fraction.
      let first = right.number.map { $0.scale > 0 || $0.isFloat } ?? false ? right : left.isNullLiteral ? right : left
      guard !first.isNullLiteral else { return (null(.uint8, left.offset), null(.uint8, right.offset)) }
      let typed = try settled(first)
      return first === right ? (try meeting(left, typed.type), typed) : (typed, try meeting(right, typed.type))
    case (true, false): return (try meeting(left, right.type), right)
    case (false, true): return (left, try meeting(right, left.type))
    case (false, false): return (left, right)
    }
  }

  /// The constant of a number in a type; nil where the type doesn't hold it.
  private func constant(_ literal: NumberLiteral, _ type: DataType, _ offset: Int) -> Node? {
    let value: Constant
    switch type {
    case .float32:
      let number = Float(literal.text) ?? .nan
      guard number.isFinite else { return nil }
      value = Constant(fixed: number)
    case .float64:
      let number = floatValue(literal)
      guard number.isFinite else { return nil }
      value = Constant(fixed: number)
    case .decimal(let precision, let scale):
      guard !literal.isFloat, literal.scale <= scale, let power = UInt256.powerOfTen(scale - literal.scale),
        let scaled = Wide(isNegative: literal.isNegative, magnitude: literal.magnitude).multiplied(by: Wide(power)),
        scaled.magnitude.digits.utf8.count <= precision
      else { return nil }
      value = Constant(scaled.bytes(count: type.width))
    default:
      guard let wide = integer(literal, type) else { return nil }
      value = Constant(wide.bytes(count: type.width))
    }
    return Node(.constant(value), type, offset)
  }

  private func floatValue(_ literal: NumberLiteral) -> Double { Double(literal.text) ?? .nan }

  /// The number where it is whole and within an integer type.
  private func integer(_ literal: NumberLiteral, _ type: DataType) -> Wide? {
    guard !literal.isFloat, literal.scale == 0, let kind = IntegerKind(type) else { return nil }
    let wide = Wide(isNegative: literal.isNegative, magnitude: literal.magnitude)
    return kind.holds(wide) ? wide : nil
  }
}
