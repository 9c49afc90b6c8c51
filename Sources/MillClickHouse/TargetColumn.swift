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
  /// The type without LowCardinality, at whatever depth, and without zones, which only matter for text: equal ones have equal values.
  private var plain: DataType {
    switch self {
    case .lowCardinality(let inner): inner.plain
    case .nullable(let inner): .nullable(inner.plain)
    case .array(let element): .array(element.plain)
    case .map(let key, let value): .map(key: key.plain, value: value.plain)
    case .dateTime: .dateTime(zone: nil)
    case .dateTime64(let precision, _): .dateTime64(precision: precision, zone: nil)
    default: self
    }
  }

  private var integerShape: IntegerShape? {
    guard isInteger, case .fixed(let byteCount) = layout else { return nil }
    switch self {
    case .int8, .int16, .int32, .int64, .int128, .int256: return IntegerShape(byteCount: byteCount, isSigned: true)
    default: return IntegerShape(byteCount: byteCount, isSigned: false)
    }
  }

  /// How a field of this type goes into a column of `column`; nil: it doesn't fit.
  package func fit(into column: DataType) -> Fit? {
    guard !isNullable || column.isNullable else { return nil }
    let from = base.plain
    let to = column.base.plain
    if from == to { return .same }
    guard let a = from.integerShape, let b = to.integerShape, b.byteCount > a.byteCount, b.isSigned || !a.isSigned else { return nil }
    return .widened(from: a, to: b)
  }
}
