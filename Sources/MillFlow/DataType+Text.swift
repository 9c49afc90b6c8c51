extension DataType: CustomStringConvertible {
  /// ClickHouse's canonical text, as `DESCRIBE` prints it.
  package var description: String {
    switch self {
    case .bool: "Bool"
    case .int8: "Int8"
    case .int16: "Int16"
    case .int32: "Int32"
    case .int64: "Int64"
    case .int128: "Int128"
    case .int256: "Int256"
    case .uint8: "UInt8"
    case .uint16: "UInt16"
    case .uint32: "UInt32"
    case .uint64: "UInt64"
    case .uint128: "UInt128"
    case .uint256: "UInt256"
    case .float32: "Float32"
    case .float64: "Float64"
    case .decimal(let precision, let scale): "Decimal(\(precision), \(scale))"
    case .string: "String"
    case .fixedString(let byteCount): "FixedString(\(byteCount))"
    case .date: "Date"
    case .date32: "Date32"
    case .dateTime(let zone): zone.map { "DateTime('\($0)')" } ?? "DateTime"
    case .dateTime64(let precision, let zone): zone.map { "DateTime64(\(precision), '\($0)')" } ?? "DateTime64(\(precision))"
    case .uuid: "UUID"
    case .ipv4: "IPv4"
    case .ipv6: "IPv6"
    case .enum8(let names): "Enum8(\(names))"
    case .enum16(let names): "Enum16(\(names))"
    case .array(let element): "Array(\(element))"
    case .map(let key, let value): "Map(\(key), \(value))"
    case .nullable(let inner): "Nullable(\(inner))"
    case .lowCardinality(let inner): "LowCardinality(\(inner))"
    }
  }
}
