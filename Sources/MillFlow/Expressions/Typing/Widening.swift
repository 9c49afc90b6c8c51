/// Which types hold all values of others, each as it is: what meets in a union.
extension DataType {
  /// Whether each value of `other` is one of this type too. Both without Nullable and LowCardinality. No cast of these can fail.
  ///
  /// Times keep their zone. Of DateTime64 the nanoseconds end in 2262, so that only values of nanoseconds and DateTime fit in there.
  func holds(_ other: DataType) -> Bool {
    if self == other { return true }
    if let wide = IntegerKind(self), let narrow = IntegerKind(other) {
      return wide.isSigned == narrow.isSigned && wide.byteCount > narrow.byteCount
    }
    switch (self, other) {
    case (.float64, .float32), (.date32, .date): return true
    case (.decimal(let digits, let scale), .decimal(let fewer, let lower)): return scale >= lower && digits - scale >= fewer - lower
    case (.dateTime64(_, let zone), .dateTime(let same)): return zone == same
    case (.dateTime64(let precision, let zone), .dateTime64(let lower, let same)):
      return zone == same && precision > lower && precision < 9
    default: return false
    }
  }

  /// The one of some types that holds the values of all, Nullable where one of them is, LowCardinality where all are and nothing else
  /// differs; nil: none does.
  package static func union(_ types: [DataType]) -> DataType? {
    let bases = types.map(\.base)
    guard let wide = bases.first(where: { wide in bases.allSatisfy(wide.holds) }) else { return nil }
    let type = wide.nullable(types.contains(where: \.isNullable))
    return types.allSatisfy(\.isLowCardinality) && bases.allSatisfy { $0 == wide } ? .lowCardinality(type) : type
  }

  private var isLowCardinality: Bool { if case .lowCardinality = self { true } else { false } }
}

extension Expression {
  /// A field in a type that holds all its values (``DataType/union(_:)``): a copy, for which no row fails.
  package init(field: Int, of schema: Schema, as type: DataType) {
    let named = schema.fields[field]
    let typer = Typer(text: "cast(\(named.name) as \(type))", schema: schema)
    do throws(ExpressionProblem) {
      var node = try typer.cast(Node(.field(field), named.type.plain, 0), to: type, orNull: false, 0)
      if case .field = node.kind {
        // Only the encoding differs; a column has the type that it is declared as.
        node = Node(.call(Operation("cast", nulls: .seen, Copying.kernel(width: node.type.width)), [node]), node.type, 0)
      }
      self.init(text: typer.text, root: node, type: type, fields: [field])
    } catch {
      preconditionFailure("\(named.type) as \(type): \(error.message)")
    }
  }
}
