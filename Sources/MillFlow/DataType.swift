/// A field's or column's type, with ClickHouse's names. What a name means is ClickHouse's; `description` is its own text.
package indirect enum DataType: Hashable, Sendable {
  case bool
  case int8, int16, int32, int64, int128, int256
  case uint8, uint16, uint32, uint64, uint128, uint256
  case float32, float64
  /// Precision 1...76 digits; kept as Int32 up to 9 digits, Int64 up to 18, Int128 up to 38, else Int256.
  case decimal(precision: Int, scale: Int)
  case string
  /// 1...``fixedStringMax`` bytes; shorter texts are filled up with zero bytes.
  case fixedString(byteCount: Int)
  case date, date32
  case dateTime(zone: String?)
  /// Ticks of 10^-precision seconds in an Int64; precision 0...9.
  case dateTime64(precision: Int, zone: String?)
  case uuid
  case ipv4, ipv6
  case enum8(EnumNames), enum16(EnumNames)
  /// Of anything, arrays and maps included.
  case array(DataType)
  /// The key is String or LowCardinality(String), as the keys of JSON's objects are.
  case map(key: DataType, value: DataType)
  /// Of anything but arrays and maps.
  case nullable(DataType)
  /// Of String, FixedString, numbers save Decimal, Date, Date32, DateTime, UUID, IPv4 and IPv6, and of their Nullable.
  case lowCardinality(DataType)

  /// Every value of a FixedString column takes its full width in memory, whatever a record says.
  package static let fixedStringMax = 1024
  /// The same in arrays and maps, of whose items a record can have many.
  package static let fixedStringItemMax = 64
}

/// The names of an Enum8 or Enum16 and the numbers that they stand for.
package struct EnumNames: Hashable, Sendable {
  package struct Element: Hashable, Sendable {
    package var value: Int16
    /// Bytes, not a String: to String two ways of writing é are one name, to ClickHouse two.
    package var name: [UInt8]
  }

  /// By rising value, as ClickHouse prints them; at least one.
  package let elements: [Element]

  /// Nil without elements, or where a name or a value stands twice.
  init?(_ elements: [Element]) {
    guard !elements.isEmpty, Set(elements.map(\.name)).count == elements.count, Set(elements.map(\.value)).count == elements.count else {
      return nil
    }
    self.elements = elements.sorted { $0.value < $1.value }
  }

  /// The name of a value; nil where it has none.
  package func name(of value: Int16) -> [UInt8]? { elements.first { $0.value == value }?.name }
}

extension DataType {
  /// The type without Nullable and LowCardinality: what its values are.
  package var base: DataType {
    switch self {
    case .nullable(let inner), .lowCardinality(let inner): inner.base
    default: self
    }
  }

  /// What stands at the bottom of arrays and maps (their values), without Nullable and LowCardinality.
  package var leaf: DataType {
    switch base {
    case .array(let element): element.leaf
    case .map(_, let value): value.leaf
    default: base
    }
  }

  package var isNullable: Bool {
    switch self {
    case .nullable: true
    case .lowCardinality(let inner): inner.isNullable
    default: false
    }
  }

  /// Whether the type is an Array or a Map.
  package var isComposed: Bool {
    switch self {
    case .array, .map: true
    default: false
    }
  }

  /// Whether values are points in time.
  package var isTime: Bool {
    switch self {
    case .date, .date32, .dateTime, .dateTime64: true
    default: false
    }
  }

  /// Whether values are whole numbers of a fixed width.
  package var isInteger: Bool {
    switch self {
    case .int8, .int16, .int32, .int64, .int128, .int256, .uint8, .uint16, .uint32, .uint64, .uint128, .uint256: true
    default: false
    }
  }
}
