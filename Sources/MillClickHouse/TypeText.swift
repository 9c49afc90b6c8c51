package import MillFlow

/// Types in ClickHouse's words, as DESCRIBE prints them.
package enum TypeText {
  /// The type that `text` names; nil for one that no field can have.
  package static func parse(_ text: String) -> DataType? {
    if let simple = simple[text] { return simple }
    guard let open = text.firstIndex(of: "("), text.last == ")" else { return nil }
    let inside = String(text[text.index(after: open)..<text.index(before: text.endIndex)])
    switch text[..<open] {
    case "Nullable":
      guard let inner = parse(inside), !inner.isNullable, !isLowCardinality(inner) else { return nil }
      return .nullable(inner)
    case "LowCardinality":
      guard let inner = parse(inside), inner == .string || inner == .nullable(.string) else { return nil }
      return .lowCardinality(inner)
    case "DateTime":
      return zone(inside).map { .dateTime(zone: $0) }
    case "DateTime64":
      let parts = inside.split(separator: ",", maxSplits: 1).map { $0.drop { $0 == " " } }
      guard let first = parts.first, let precision = Int(first), (0...9).contains(precision) else { return nil }
      if parts.count == 1 { return .dateTime64(precision: precision, zone: nil) }
      return zone(String(parts[1])).map { .dateTime64(precision: precision, zone: $0) }
    case "Decimal":
      let parts = inside.split(separator: ",").compactMap { Int($0.drop { $0 == " " }) }
      guard parts.count == 2, (1...18).contains(parts[0]), (0...parts[0]).contains(parts[1]) else { return nil }
      return .decimal(precision: parts[0], scale: parts[1])
    default: return nil
    }
  }

  /// The type's text, as DESCRIBE prints it.
  package static func text(_ type: DataType) -> String {
    switch type {
    case .decimal(let precision, let scale): "Decimal(\(precision), \(scale))"
    case .dateTime(let zone): zone.map { "DateTime(\(SQL.text($0)))" } ?? "DateTime"
    case .dateTime64(let precision, let zone): zone.map { "DateTime64(\(precision), \(SQL.text($0)))" } ?? "DateTime64(\(precision))"
    case .nullable(let inner): "Nullable(\(text(inner)))"
    case .lowCardinality(let inner): "LowCardinality(\(text(inner)))"
    default: simple.first { $0.value == type }?.key ?? ""
    }
  }

  private static let simple: [String: DataType] = [
    "Bool": .bool, "Int8": .int8, "Int16": .int16, "Int32": .int32, "Int64": .int64, "UInt8": .uint8, "UInt16": .uint16,
    "UInt32": .uint32, "UInt64": .uint64, "Float32": .float32, "Float64": .float64, "String": .string, "Date": .date,
    "DateTime": .dateTime(zone: nil), "UUID": .uuid,
  ]

  private static func isLowCardinality(_ type: DataType) -> Bool {
    if case .lowCardinality = type { true } else { false }
  }

  private static func zone(_ quoted: String) -> String? {
    guard quoted.count > 2, quoted.first == "'", quoted.last == "'" else { return nil }
    return String(quoted.dropFirst().dropLast())
  }
}
