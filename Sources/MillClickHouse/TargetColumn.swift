package import MillFlow
package import MillLog

/// A column that a field of the rows feeds.
package struct TargetColumn: Hashable, Sendable {
  package var name: String
  package var type: DataType
  /// In the server's own words, as DESCRIBE printed it.
  package var typeText: String
  /// Index of the field's column in the RowBlock.
  package var source: Int

  package init(name: String, type: DataType, typeText: String, source: Int) {
    self.name = name
    self.type = type
    self.typeText = typeText
    self.source = source
  }

  package var batchColumn: BatchColumn { BatchColumn(name: name, type: typeText) }
}

/// How a field's values become a column's (pipeline format §1.3).
package enum Fit: Hashable, Sendable {
  case same
  /// An integer gets wider.
  case widened(from: IntegerShape, to: IntegerShape)
}

package struct IntegerShape: Hashable, Sendable {
  package var byteCount: Int
  package var isSigned: Bool
}

extension DataType {
  /// Without LowCardinality and Nullable.
  package var bare: DataType {
    switch self {
    case .nullable(let inner), .lowCardinality(let inner): inner.bare
    default: self
    }
  }

  package var integerShape: IntegerShape? {
    switch self {
    case .int8: IntegerShape(byteCount: 1, isSigned: true)
    case .int16: IntegerShape(byteCount: 2, isSigned: true)
    case .int32: IntegerShape(byteCount: 4, isSigned: true)
    case .int64: IntegerShape(byteCount: 8, isSigned: true)
    case .uint8: IntegerShape(byteCount: 1, isSigned: false)
    case .uint16: IntegerShape(byteCount: 2, isSigned: false)
    case .uint32: IntegerShape(byteCount: 4, isSigned: false)
    case .uint64: IntegerShape(byteCount: 8, isSigned: false)
    default: nil
    }
  }

  /// How a field of this type goes into a column of `column`; nil: it doesn't fit. Zones only matter for text, so they may differ.
  package func fit(into column: DataType) -> Fit? {
    guard !isNullable || column.isNullable else { return nil }
    let from = bare
    let to = column.bare
    if from == to { return .same }
    switch (from, to) {
    case (.dateTime, .dateTime): return .same
    case (.dateTime64(let a, _), .dateTime64(let b, _)): return a == b ? .same : nil
    default: break
    }
    guard let a = from.integerShape, let b = to.integerShape, b.byteCount > a.byteCount, b.isSigned || !a.isSigned else { return nil }
    return .widened(from: a, to: b)
  }
}
