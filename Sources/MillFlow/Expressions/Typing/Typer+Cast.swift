extension Typer {
  /// `cast(node as type)`, or with `orNull` NULL where that fails.
  func cast(_ value: Node, to declared: DataType, orNull: Bool, _ offset: Int, name: String = "cast") throws(ExpressionProblem) -> Node {
    let target = declared.plain
    if orNull, target.isComposed { throw problem("\(target) can't be NULL", offset) }
    let isNullable = target.isNullable || orNull
    if value.isNullLiteral {
      guard isNullable else { throw problem("NULL is no \(target): write cast(null as Nullable(\(target)))", offset) }
      return null(target.bare, offset)
    }
    var node = try meeting(value, target)
    if node.type.isNullable, !isNullable { node = try apply(Nulls.assumeNotNull(node.type), [node], node.type.bare, offset) }
    if node.type.bare == target.bare {
      if node.type.isNullable == isNullable { return node }
      let copy = Operation(name, nulls: .seen, Copying.kernel(width: target.width))
      return try apply(copy, [node], target.nullable(true), offset)
    }
    guard let kernel = try conversion(from: node.type.bare, to: target.bare, orNull: orNull, offset) else {
      throw problem("\(settledType(value)) can't be cast to \(target)" + castRemedy(node.type.bare, target.bare), offset)
    }
    return try apply(Operation(name, kernel), [node], target.bare.nullable(isNullable), offset)
  }

  private func castRemedy(_ from: DataType, _ to: DataType) -> String {
    if from.isFloat, to.isDecimal { return ": a Float has no exact places, take cast(toString(x) as \(to)), or round it first" }
    if to == .bool { return ": compare it, as in x != 0 or x = 'true'" }
    return ""
  }

  /// The kernel that turns values of one bare type into another; nil where there is none.
  private func conversion(from: DataType, to: DataType, orNull: Bool, _ offset: Int) throws(ExpressionProblem) -> Kernel? {
    if to == .string { return from.isComposed ? nil : TextOutput.kernel(from) }
    if from == .string { return try reading(to, orNull: orNull, offset) }
    if from.isTime || to.isTime { return try Times.conversion(from, to, orNull: orNull, zones(from, to, offset)) }
    if to.isFloat {
      if from == .float32 { return { Conversion.floatToDouble(&$0) } }
      if from == .float64 { return Conversion.doubleToFloat(orNull: orNull) }
      return decimal(from).map { Conversion.toFloat($0.side, is32: to == .float32) }
    }
    if from.isFloat { return IntegerKind(to).map { Conversion.fromFloat(is32: from == .float32, $0, orNull: orNull) } }
    if let source = IntegerKind(from), let target = IntegerKind(to) { return Conversion.integers(source, target, orNull: orNull) }
    if let source = decimal(from), let target = decimal(to) {
      return Conversion.decimals(source.side, target.side, precision: to.isDecimal ? target.precision : nil, orNull: orNull)
    }
    switch (from, to) {
    case (.bool, _), (.enum8, _), (.enum16, _):
      guard let source = from.storage.flatMap(IntegerKind.init), let target = IntegerKind(to) else { return nil }
      return Conversion.integers(source, target, orNull: orNull)
    default: return nil
    }
  }

  /// Reads texts as those of records are.
  private func reading(_ type: DataType, orNull: Bool, _ offset: Int) throws(ExpressionProblem) -> Kernel? {
    guard type != .bool, !type.isComposed else { return nil }
    do throws(PlanProblem) {
      return TextInput.kernel(try FieldPlan(name: "text", type: type), orNull: orNull)
    } catch {
      throw problem(error.message, offset)
    }
  }

  /// The rules of two types' zones; nil is UTC.
  func zones(_ from: DataType, _ to: DataType, _ offset: Int) throws(ExpressionProblem) -> (from: ZoneRules?, to: ZoneRules?) {
    (try zone(from, offset), try zone(to, offset))
  }

  func zone(_ type: DataType, _ offset: Int) throws(ExpressionProblem) -> ZoneRules? {
    let name: String? =
      switch type.bare {
      case .dateTime(let zone), .dateTime64(_, let zone): zone
      default: nil
      }
    return try name.map { (name) throws(ExpressionProblem) in try zone(named: name, offset) }
  }

  func zone(named name: String, _ offset: Int) throws(ExpressionProblem) -> ZoneRules {
    do throws(ZoneProblem) { return try ZoneRules.load(name) } catch { throw problem(error.message, offset) }
  }
}
