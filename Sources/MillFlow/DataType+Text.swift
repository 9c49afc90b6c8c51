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

extension DataType: CustomStringConvertible {
  /// ClickHouse's canonical text, as `DESCRIBE` prints it.
  package var description: String {
    switch self {
    case .bool: "Bool"
    case .int8: "Int8"
    case .int16: "Int16"
    case .int32: "Int32"
    case .int64: "Int64"
    case .uint8: "UInt8"
    case .uint16: "UInt16"
    case .uint32: "UInt32"
    case .uint64: "UInt64"
    case .float32: "Float32"
    case .float64: "Float64"
    case .decimal(let precision, let scale): "Decimal(\(precision), \(scale))"
    case .string: "String"
    case .date: "Date"
    case .dateTime(let zone): zone.map { "DateTime('\($0)')" } ?? "DateTime"
    case .dateTime64(let precision, let zone): zone.map { "DateTime64(\(precision), '\($0)')" } ?? "DateTime64(\(precision))"
    case .uuid: "UUID"
    case .nullable(let inner): "Nullable(\(inner))"
    case .lowCardinality(let inner): "LowCardinality(\(inner))"
    }
  }

  /// The type without Nullable and LowCardinality: what its values are.
  package var base: DataType {
    switch self {
    case .nullable(let inner), .lowCardinality(let inner): inner.base
    default: self
    }
  }

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
private struct TypeReader {
  static let plain: [String: DataType] = [
    "Bool": .bool, "Int8": .int8, "Int16": .int16, "Int32": .int32, "Int64": .int64,
    "UInt8": .uint8, "UInt16": .uint16, "UInt32": .uint32, "UInt64": .uint64,
    "Float32": .float32, "Float64": .float64, "String": .string, "Date": .date, "UUID": .uuid,
  ]
  static let withArguments = ["Decimal", "Decimal32", "Decimal64", "DateTime", "DateTime64", "Nullable", "LowCardinality"]
  static let notYet: Set<String> = [
    "Int128", "Int256", "UInt128", "UInt256", "BFloat16", "Decimal128", "Decimal256", "FixedString", "Date32", "Enum", "Enum8", "Enum16",
    "IPv4", "IPv6", "Array", "Map", "Tuple", "Nested", "JSON", "Object", "Variant", "Dynamic", "Time", "Time64", "Point", "Ring", "Polygon",
    "MultiPolygon", "LineString", "MultiLineString", "AggregateFunction", "SimpleAggregateFunction", "Interval", "Nothing",
  ]

  let text: String
  private let bytes: [UInt8]
  private var index = 0
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
    guard depth <= 8 else { throw problem("types are nested too deeply") }
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
    case "DateTime":
      guard take("(") else { return .dateTime(zone: nil) }
      let zone = try zoneName(name)
      try expect(")", after: "the zone")
      return .dateTime(zone: zone)
    case "DateTime64": return try dateTime64()
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
    if Self.notYet.contains(name) { return problem("\(name) is a type of ClickHouse that fields can't have yet") }
    let nearest = nearestKnown(to: name, among: Self.plain.keys.sorted() + Self.withArguments)
    let hint = nearest.map { ", did you mean \($0)?" } ?? ""
    return problem("'\(name)' is no type\(hint)", nearest: nearest)
  }

  private mutating func number(_ what: String, in range: ClosedRange<Int>) throws(TypeProblem) -> Int {
    skipSpaces()
    let start = index
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
    guard precision <= 18 else { throw problem("Decimal of more than 18 digits is a type of ClickHouse that fields can't have yet") }
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

  private mutating func nullable() throws(TypeProblem) -> DataType {
    guard take("(") else { throw problem("Nullable needs its type, as in Nullable(String)") }
    let inner = try type()
    try expect(")", after: "the type in Nullable")
    switch inner {
    case .nullable: throw problem("Nullable can't stand in Nullable")
    case .lowCardinality: throw problem("write LowCardinality(Nullable(String)), ClickHouse has no Nullable(LowCardinality)")
    default: return .nullable(inner)
    }
  }

  private mutating func lowCardinality() throws(TypeProblem) -> DataType {
    guard take("(") else { throw problem("LowCardinality needs its type, as in LowCardinality(String)") }
    let inner = try type()
    try expect(")", after: "the type in LowCardinality")
    switch inner {
    case .string, .nullable(.string): return .lowCardinality(inner)
    default: throw problem("LowCardinality is taken of String and Nullable(String) only, not of \(inner)")
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
