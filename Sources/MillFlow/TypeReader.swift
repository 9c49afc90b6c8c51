internal import MillBase

/// Why a text is no type that a field can have.
package struct TypeProblem: Error, Hashable, Sendable {
  /// The whole text that was given.
  package var text: String
  /// What is wrong and what would be right, as a sentence without a full stop.
  package var message: String
  /// The known name nearest to the one given, where there is one near enough.
  package var nearest: String?
}

extension DataType {
  /// Reads a type as ClickHouse writes it; spaces between its parts don't matter, letter case does.
  package static func parse(_ text: String) throws(TypeProblem) -> DataType {
    var reader = TypeReader(text: text)
    let type = try reader.type()
    reader.skipSpaces()
    if let rest = reader.rest { throw reader.problem("'\(rest)' stands after the type") }
    return type
  }
}

/// Reads one type text from left to right.
struct TypeReader {
  static let plain: [String: DataType] = [
    "Bool": .bool, "Int8": .int8, "Int16": .int16, "Int32": .int32, "Int64": .int64, "Int128": .int128, "Int256": .int256,
    "UInt8": .uint8, "UInt16": .uint16, "UInt32": .uint32, "UInt64": .uint64, "UInt128": .uint128, "UInt256": .uint256,
    "Float32": .float32, "Float64": .float64, "String": .string, "Date": .date, "Date32": .date32, "UUID": .uuid,
    "IPv4": .ipv4, "IPv6": .ipv6,
  ]
  static let withArguments = [
    "Decimal", "Decimal32", "Decimal64", "Decimal128", "Decimal256", "FixedString", "DateTime", "DateTime64", "Enum", "Enum8", "Enum16",
    "Array", "Map", "Nullable", "LowCardinality",
  ]

  let text: String
  let bytes: [UInt8]
  var index = 0
  private var depth = 0

  init(text: String) {
    self.text = text
    self.bytes = Array(text.utf8)
  }

  var rest: String? { index < bytes.count ? String(decoding: bytes[index...], as: UTF8.self) : nil }

  func problem(_ message: String, nearest: String? = nil) -> TypeProblem { TypeProblem(text: text, message: message, nearest: nearest) }

  mutating func skipSpaces() {
    while index < bytes.count, bytes[index] == 0x20 || bytes[index] == 0x09 { index += 1 }
  }

  mutating func take(_ character: Character) -> Bool {
    skipSpaces()
    guard index < bytes.count, bytes[index] == character.asciiValue else { return false }
    index += 1
    return true
  }

  mutating func expect(_ character: Character, after what: String) throws(TypeProblem) {
    guard take(character) else { throw problem("'\(character)' is missing after \(what)") }
  }

  mutating func type() throws(TypeProblem) -> DataType {
    depth += 1
    guard depth <= 16 else { throw problem("types are nested more than 16 deep") }
    defer { depth -= 1 }
    skipSpaces()
    let start = index
    while index < bytes.count, isNameByte(bytes[index]) { index += 1 }
    let name = String(decoding: bytes[start..<index], as: UTF8.self)
    guard !name.isEmpty else { throw problem(bytes.isEmpty ? "the type is empty" : "a type's name is missing") }
    if let plain = Self.plain[name] {
      guard !take("(") else { throw problem("\(name) takes no arguments") }
      return plain
    }
    switch name {
    case "Decimal": return try decimal()
    case "Decimal32": return try decimal(name, precision: 9)
    case "Decimal64": return try decimal(name, precision: 18)
    case "Decimal128": return try decimal(name, precision: 38)
    case "Decimal256": return try decimal(name, precision: 76)
    case "FixedString": return try fixedString()
    case "DateTime":
      guard take("(") else { return .dateTime(zone: nil) }
      let zone = try zoneName(name)
      try expect(")", after: "the zone")
      return .dateTime(zone: zone)
    case "DateTime64": return try dateTime64()
    case "Enum", "Enum8", "Enum16": return try enumeration(name)
    case "Array": return .array(try item(argument(of: name, example: "Array(String)")))
    case "Map": return try map()
    case "Nullable": return try nullable()
    case "LowCardinality": return try lowCardinality()
    default: throw unknown(name)
    }
  }

  private func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "_"):
      true
    default: false
    }
  }

  private func unknown(_ name: String) -> TypeProblem {
    if let way = Self.refused[name] { return problem("\(name) is a type of ClickHouse that fields can't have: \(way)") }
    let nearest = nearestKnown(to: name, among: (Self.plain.keys + Self.withArguments).sorted())
    let hint = nearest.map { ", did you mean \($0)?" } ?? ""
    return problem("'\(name)' is no type\(hint)", nearest: nearest)
  }

  /// Types of ClickHouse that no field can have, and what to use instead.
  private static let refused: [String: String] = {
    var refused: [String: String] = [
      "Tuple": "give each element a field and a column of its own",
      "Nested": "ClickHouse stores it as arrays, so give each of its columns a field of type Array(T), with columns: {table column: field}",
      "BFloat16": "take Float32", "Time": "take Int32 seconds", "Time64": "take Decimal seconds",
      "AggregateFunction": "insert plain values, and let a materialized view aggregate them",
      "SimpleAggregateFunction": "insert plain values, and let a materialized view aggregate them", "Nothing": "take Nullable(String)",
    ]
    for name in ["JSON", "Object", "Variant", "Dynamic"] {
      refused[name] = "take String with coerce: true, which keeps the value's source text, and a String column"
    }
    for name in ["Point", "Ring", "Polygon", "MultiPolygon", "LineString", "MultiLineString", "Geometry"] {
      refused[name] = "take Array(Float64), or a field for each number"
    }
    for unit in ["Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour", "Day", "Week", "Month", "Quarter", "Year"] {
      refused["Interval" + unit] = "take Int64"
    }
    return refused
  }()

  mutating func number(_ what: String, in range: ClosedRange<Int>) throws(TypeProblem) -> Int {
    skipSpaces()
    let start = index
    if range.lowerBound < 0, index < bytes.count, bytes[index] == UInt8(ascii: "-") { index += 1 }
    while index < bytes.count, bytes[index] >= 0x30, bytes[index] <= 0x39 { index += 1 }
    let digits = String(decoding: bytes[start..<index], as: UTF8.self)
    guard !digits.isEmpty else { throw problem("\(what) is missing, must be \(range.lowerBound)...\(range.upperBound)") }
    guard let value = Int(digits), range.contains(value) else {
      throw problem("\(what) is \(digits), must be \(range.lowerBound)...\(range.upperBound)")
    }
    return value
  }

  private mutating func decimal() throws(TypeProblem) -> DataType {
    guard take("(") else { throw problem("Decimal needs its digits, as in Decimal(18, 2)") }
    let precision = try number("the precision of Decimal", in: 1...76)
    let scale = take(",") ? try number("the scale of Decimal", in: 0...precision) : 0
    try expect(")", after: "the digits of Decimal")
    return .decimal(precision: precision, scale: scale)
  }

  private mutating func decimal(_ name: String, precision: Int) throws(TypeProblem) -> DataType {
    guard take("(") else { throw problem("\(name) needs its scale, as in \(name)(2)") }
    let scale = try number("the scale of \(name)", in: 0...precision)
    try expect(")", after: "the scale of \(name)")
    return .decimal(precision: precision, scale: scale)
  }

  private mutating func fixedString() throws(TypeProblem) -> DataType {
    guard take("(") else { throw problem("FixedString needs its length, as in FixedString(16)") }
    let byteCount = try number("the length of FixedString", in: 1...DataType.fixedStringMax)
    try expect(")", after: "the length of FixedString")
    return .fixedString(byteCount: byteCount)
  }

  private mutating func dateTime64() throws(TypeProblem) -> DataType {
    guard take("(") else { return .dateTime64(precision: 3, zone: nil) }
    let precision = try number("the precision of DateTime64", in: 0...9)
    let zone = take(",") ? try zoneName("DateTime64") : nil
    try expect(")", after: "the arguments of DateTime64")
    return .dateTime64(precision: precision, zone: zone)
  }

  private mutating func zoneName(_ type: String) throws(TypeProblem) -> String {
    guard take("'") else { throw problem("\(type) takes a zone in single quotes, as in 'Europe/Berlin'") }
    let start = index
    while index < bytes.count, bytes[index] != UInt8(ascii: "'") { index += 1 }
    guard index < bytes.count else { throw problem("the zone's closing quote is missing") }
    let name = String(decoding: bytes[start..<index], as: UTF8.self)
    index += 1
    guard isZoneName(name) else { throw problem("'\(name)' is no name of a time zone") }
    return name
  }

  /// The one type in parentheses.
  private mutating func argument(of name: String, example: String) throws(TypeProblem) -> DataType {
    guard take("(") else { throw problem("\(name) needs its type, as in \(example)") }
    let inner = try type()
    try expect(")", after: "the type in \(name)")
    return inner
  }

  private mutating func map() throws(TypeProblem) -> DataType {
    guard take("(") else { throw problem("Map needs its types, as in Map(String, UInt64)") }
    let key = try type()
    guard key == .string || key == .lowCardinality(.string) else {
      throw problem("the keys of a Map are \(key), but those of JSON's objects are texts: Map(String, …) or Map(LowCardinality(String), …)")
    }
    try expect(",", after: "the key's type in Map")
    let value = try item(type())
    try expect(")", after: "the types in Map")
    return .map(key: key, value: value)
  }

  /// A type inside an Array or Map.
  private func item(_ type: DataType) throws(TypeProblem) -> DataType {
    guard case .fixedString(let byteCount) = type.leaf, byteCount > DataType.fixedStringItemMax else { return type }
    throw problem("the length of a FixedString in an Array or Map is \(byteCount), must be 1...\(DataType.fixedStringItemMax): take String")
  }

  private mutating func nullable() throws(TypeProblem) -> DataType {
    let inner = try argument(of: "Nullable", example: "Nullable(String)")
    switch inner {
    case .nullable: throw problem("Nullable can't stand in Nullable")
    case .lowCardinality(let bare):
      throw problem("write LowCardinality(Nullable(\(bare.base))), ClickHouse has no Nullable(LowCardinality)")
    case .array, .map: throw problem("ClickHouse has no Nullable(\(inner)): an empty one, as a default, may stand for NULL")
    default: return .nullable(inner)
    }
  }

  private mutating func lowCardinality() throws(TypeProblem) -> DataType {
    let inner = try argument(of: "LowCardinality", example: "LowCardinality(String)")
    let value = if case .nullable(let bare) = inner { bare } else { inner }
    switch value {
    case .decimal, .dateTime64, .enum8, .enum16, .array, .map, .nullable, .lowCardinality:
      throw problem("ClickHouse has no LowCardinality(\(inner)): write \(inner)")
    default: return .lowCardinality(inner)
    }
  }
}

/// Whether a text may name a zone of the tz database: `Area/Place` without anything that could lead out of its directory.
func isZoneName(_ name: String) -> Bool {
  guard !name.isEmpty, name.utf8.count <= 64, !name.hasPrefix("/"), !name.contains("..") else { return false }
  return name.utf8.allSatisfy { byte in
    (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) || (byte >= 0x30 && byte <= 0x39) || byte == 0x2F || byte == 0x2B || byte == 0x2D
      || byte == 0x5F
  }
}
