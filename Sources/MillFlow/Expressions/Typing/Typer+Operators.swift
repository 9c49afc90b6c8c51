extension Typer {
  func binary(_ sign: BinaryOperator, _ left: Node, _ right: Node, _ offset: Int) throws(ExpressionProblem) -> Node {
    sign.isComparison ? try comparison(sign, left, right, offset) : try arithmetic(sign, left, right, offset)
  }

  // MARK: Comparisons

  func comparison(_ sign: BinaryOperator, _ first: Node, _ second: Node, _ offset: Int) throws(ExpressionProblem) -> Node {
    var (left, right) = try met(first, second)
    if sign == .greater || sign == .greaterOrEqual { (left, right) = (right, left) }
    let test: Comparison.Test = sign == .equal || sign == .notEqual ? .equal : sign == .less || sign == .greater ? .less : .lessOrEqual
    let flip: UInt8 = sign == .notEqual ? 1 : 0
    let (a, b) = (left.type.bare, right.type.bare)
    if a.isNumber, b.isNumber, a != b {
      if let work = comparedAs(a, b) {
        left = try converted(left, to: work, keepsNull: true)
        right = try converted(right, to: work, keepsNull: true)
      } else {
        return try apply(Operation(sign.rawValue, Comparison.exact(a, b, test, flip)), [left, right], .bool, offset)
      }
    } else if !a.compares(with: b) {
      throw problem(
        "'\(sign.rawValue)' compares values of one type, these are \(first.type) and \(second.type)"
          + remedy(first.type.bare, second.type.bare), offset)
    }
    let type = left.type.bare
    guard let kernel = kernel(test, flip, type) else {
      throw problem(
        "'\(sign.rawValue)' can't compare \(type); \(type.isComposed ? "arrays and maps aren't compared" : "only = and != can")", offset)
    }
    return try apply(Operation(sign.rawValue, kernel), [left, right], .bool, offset)
  }

  private func kernel(_ test: Comparison.Test, _ flip: UInt8, _ type: DataType) -> Kernel? {
    switch type {
    case .string, .ipv6, .fixedString: return Comparison.bytes(width: type.width, test, flip)
    case .uuid: return test == .equal ? Comparison.bytes(width: 16, test, flip) : nil
    case .float32: return Comparison.native(Float.self, test, flip)
    case .float64: return Comparison.native(Double.self, test, flip)
    default:
      guard let storage = type.storage, let kind = IntegerKind(storage) else { return nil }
      return storage.dispatch(Comparison.Native(test: test, flip: flip)) ?? Comparison.exact(kind.type, kind.type, test, flip)
    }
  }

  /// A type that holds all values of two and compares fast; nil where there is none.
  private func comparedAs(_ a: DataType, _ b: DataType) -> DataType? {
    if let first = IntegerKind(a), let second = IntegerKind(b) {
      if let joined = first.joined(second), joined.byteCount <= 16 { return joined.type }
      return max(first.byteCount, second.byteCount) <= 8 ? .int128 : nil
    }
    if a.isFloat || b.isFloat {
      let other = a.isFloat ? b : a
      if other.isFloat { return .float64 }
      return IntegerKind(other).map { $0.byteCount <= 4 } ?? false ? .float64 : nil
    }
    if case .decimal(let p, let s) = a, case .decimal(let q, let t) = b, s == t { return .decimal(precision: max(p, q), scale: s) }
    return nil
  }

  private func remedy(_ a: DataType, _ b: DataType) -> String {
    switch (a, b) {
    case (.string, let other) where other.isNumber, (let other, .string) where other.isNumber:
      "; take toString of one or a conversion such as to\(other) of the other"
    case (.string, let other), (let other, .string): "; write cast(… as \(other)) of the String"
    case (.dateTime64, .dateTime64): "; bring them to one precision by toDateTime64(x, 3)"
    case let (x, y) where x.isTime && y.isTime: "; bring them to one type by cast(… as \(x))"
    case (.bool, _), (_, .bool): "; a Bool is no number"
    default: ""
    }
  }

  // MARK: Arithmetic

  func arithmetic(_ sign: BinaryOperator, _ first: Node, _ second: Node, _ offset: Int) throws(ExpressionProblem) -> Node {
    let (left, right) = try met(first, second)
    let (a, b) = (left.type.bare, right.type.bare)
    guard a.isNumber, b.isNumber else {
      let what = "'\(sign.rawValue)' takes two numbers, these are \(settledType(first)) and \(settledType(second))"
      if a == .string || b == .string, sign == .add { throw problem(what + "; texts are joined by ||", offset) }
      if a == .bool || b == .bool { throw problem(what + "; a Bool is no number: if(x, 1, 0)", offset) }
      throw problem(what, offset)
    }
    if let x = IntegerKind(a), let y = IntegerKind(b), sign != .divide { return try integers(sign, left, right, x, y, offset) }
    if a.isDecimal || b.isDecimal, !a.isFloat, !b.isFloat { return try decimals(sign, left, right, offset) }
    for type in [a, b] where (IntegerKind(type)?.byteCount ?? 0) > 8 && sign != .divide && (a.isFloat || b.isFloat) {
      throw problem("\(type) and a Float have no common type; cast one of them", offset)
    }
    let sides = [try converted(left, to: .float64, keepsNull: true), try converted(right, to: .float64, keepsNull: true)]
    return try apply(Operation(sign.rawValue, Arithmetic.floats(sign)), sides, .float64, offset)
  }

  /// The type of `sign` over integers: ClickHouse's.
  private func resultKind(_ sign: BinaryOperator, _ x: IntegerKind, _ y: IntegerKind) -> IntegerKind {
    let isSigned = x.isSigned || y.isSigned
    switch sign {
    case .modulo: return IntegerKind(isSigned: x.isSigned, byteCount: x.isSigned ? y.next : y.byteCount)
    case .divide: return IntegerKind(isSigned: isSigned, byteCount: x.byteCount)
    default: return IntegerKind(isSigned: isSigned || sign == .subtract, byteCount: max(x.next, y.next))
    }
  }

  /// `/` here is intDiv.
  func integers(_ sign: BinaryOperator, _ left: Node, _ right: Node, _ x: IntegerKind, _ y: IntegerKind, _ offset: Int)
    throws(ExpressionProblem) -> Node
  {
    let result = resultKind(sign, x, y)
    let isDivision = sign == .divide || sign == .modulo
    var work: IntegerKind?
    if !isDivision, result.joined(x) == result, result.joined(y) == result {
      work = result
    } else if max(x.byteCount, y.byteCount) <= 8 {
      work = isDivision ? x.joined(y) ?? IntegerKind(isSigned: true, byteCount: 16) : IntegerKind(isSigned: true, byteCount: 16)
    } else if isDivision {
      work = x.joined(y)
    }
    let name = sign == .divide ? "intDiv" : sign.rawValue
    guard let work, work.byteCount <= 16 else {
      return try apply(Operation(name, Arithmetic.wide(sign, x, y, result)), [left, right], result.type, offset)
    }
    let sides = [try converted(left, to: work.type, keepsNull: true), try converted(right, to: work.type, keepsNull: true)]
    let kernel =
      isDivision ? work.type.dispatch(Arithmetic.Division(isRest: sign == .modulo)) : work.type.dispatch(Arithmetic.Native(sign: sign))
    guard let kernel else { preconditionFailure("no kernel of '\(sign.rawValue)' for \(work.type)") }
    let value = try apply(Operation(name, kernel), sides, work.type, offset)
    if work == result { return value }
    return try apply(Operation(name, Conversion.integers(work, result, orNull: false)), [value], result.type, offset)
  }

  /// One side at least is a Decimal; an integer is one of all its digits.
  private func decimals(_ sign: BinaryOperator, _ left: Node, _ right: Node, _ offset: Int) throws(ExpressionProblem) -> Node {
    guard sign != .modulo else {
      throw problem("'%' isn't there for Decimals (ClickHouse's is inexact); cast both to integers, or to Float64", offset)
    }
    let (first, second) = (decimal(left.type.bare), decimal(right.type.bare))
    guard let first, let second else { preconditionFailure("no Decimals: \(left.type), \(right.type)") }
    let scale =
      sign == .multiply
      ? first.side.scale + second.side.scale : sign == .divide ? first.side.scale : max(first.side.scale, second.side.scale)
    let digits: Int
    switch (left.type.bare, right.type.bare) {
    case (.decimal, .decimal): digits = max(DataType.decimalClass(first.precision), DataType.decimalClass(second.precision))
    default: digits = DataType.decimalClass(min(76, max(first.precision - first.side.scale, second.precision - second.side.scale) + scale))
    }
    guard scale <= digits else {
      throw problem(
        "the result would have \(scale) places, a Decimal(\(digits), …) has at most \(digits): cast a side to a wider Decimal", offset)
    }
    let type = DataType.decimal(precision: digits, scale: scale)
    guard let result = type.storage.flatMap(IntegerKind.init) else { preconditionFailure("\(type)") }
    let kernel = DecimalArithmetic.kernel(sign, first.side, second.side, precision: digits, scale: scale, result: result)
    return try apply(Operation(sign.rawValue, kernel), [left, right], type, offset)
  }

  /// How an integer or Decimal is kept, and its digits.
  func decimal(_ type: DataType) -> (side: DecimalArithmetic.Side, precision: Int)? {
    guard let kind = type.storage.flatMap(IntegerKind.init) else { return nil }
    if case .decimal(let precision, let scale) = type { return (DecimalArithmetic.Side(kind: kind, scale: scale), precision) }
    return IntegerKind(type).map { (DecimalArithmetic.Side(kind: kind, scale: 0), $0.digitCount) }
  }
}

extension DataType {
  /// Whether values of both can be compared as they are kept: equal types, zones aside.
  func compares(with other: DataType) -> Bool {
    switch (self, other) {
    case (.dateTime, .dateTime): true
    case (.dateTime64(let p, _), .dateTime64(let q, _)): p == q
    default: self == other
    }
  }
}
