/// A field's or column's type, with ClickHouse's names. What a name means is ClickHouse's; `description` is its own text.
package indirect enum DataType: Hashable, Sendable {
  case bool
  case int8, int16, int32, int64
  case uint8, uint16, uint32, uint64
  case float32, float64
  /// Precision 1...18 digits; kept as Int32 up to 9 digits, else Int64.
  case decimal(precision: Int, scale: Int)
  case string
  case date
  case dateTime(zone: String?)
  /// Ticks of 10^-precision seconds in an Int64; precision 0...9.
  case dateTime64(precision: Int, zone: String?)
  case uuid
  case nullable(DataType)
  /// Only of String and Nullable(String).
  case lowCardinality(DataType)
}
