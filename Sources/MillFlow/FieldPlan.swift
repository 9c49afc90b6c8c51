/// Why a field or a source can't be as it was asked for. Not yet bound to a place in a file: who has the file adds that.
package struct PlanProblem: Error, Hashable, Sendable {
  /// Name of the field, or nil where it is about the source as a whole.
  package var field: String?
  /// Which setting of it: `type`, `from`, `default`, `format`, `coerce`, `truncate`, `event_time`, `name`.
  package var setting: String
  /// What is wrong, naming the value.
  package var message: String
  /// What would be right.
  package var remedy: String

  package init(field: String?, setting: String, message: String, remedy: String) {
    self.field = field
    self.setting = setting
    self.message = message
    self.remedy = remedy
  }
}

/// What a Kafka record carries beside its value.
package enum RecordMetadata: Hashable, Sendable {
  case key, timestamp, topic, partition, offset
  /// The last header of this name counts.
  case header(String)
}

/// Where a field's value comes from.
package enum FieldSource: Hashable, Sendable, CustomStringConvertible {
  /// Names of nested objects' keys from the outside in; at least one.
  case path([String])
  case metadata(RecordMetadata)

  /// As the pipeline file writes it: `a.b`, `$key`, `$headers.NAME`.
  package var description: String {
    switch self {
    case .path(let names): names.joined(separator: ".")
    case .metadata(.key): "$key"
    case .metadata(.timestamp): "$timestamp"
    case .metadata(.topic): "$topic"
    case .metadata(.partition): "$partition"
    case .metadata(.offset): "$offset"
    case .metadata(.header(let name)): "$headers.\(name)"
    }
  }

  /// Reads what ``description`` writes. A key of JSON that itself has a dot or begins with `$` can't be named so: give the path in parts.
  package static func parse(_ text: String, field: String) throws(PlanProblem) -> FieldSource {
    switch text {
    case "$key": return .metadata(.key)
    case "$timestamp": return .metadata(.timestamp)
    case "$topic": return .metadata(.topic)
    case "$partition": return .metadata(.partition)
    case "$offset": return .metadata(.offset)
    default: break
    }
    if text.hasPrefix("$headers."), text.utf8.count > 9 { return .metadata(.header(String(text.dropFirst(9)))) }
    if text.hasPrefix("$") {
      throw PlanProblem(
        field: field, setting: "from", message: "'\(text)' is no metadata of a record",
        remedy: "$key, $timestamp, $topic, $partition, $offset or $headers.NAME")
    }
    let names = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard names.allSatisfy({ !$0.isEmpty }) else {
      throw PlanProblem(
        field: field, setting: "from", message: "'\(text)' has an empty part",
        remedy: "names of keys joined by single dots, as in user.address.city")
    }
    return .path(names)
  }
}

/// How numbers are read into a Date or DateTime type. Texts are read as ISO 8601 whatever the format.
package enum FieldFormat: String, Hashable, Sendable, CaseIterable {
  case iso8601
  case unixSeconds = "unix_s"
  case unixMilliseconds = "unix_ms"
  case unixMicroseconds = "unix_us"
  case unixNanoseconds = "unix_ns"

  /// Digits behind the second that one unit of the number stands at; nil where numbers aren't taken.
  package var unixDigits: Int? {
    switch self {
    case .iso8601: nil
    case .unixSeconds: 0
    case .unixMilliseconds: 3
    case .unixMicroseconds: 6
    case .unixNanoseconds: 9
    }
  }
}

/// One field of a source: its type, where its value is found in a record, and how it is read.
package struct FieldPlan: Hashable, Sendable {
  package let name: String
  package let type: DataType
  package let source: FieldSource
  /// Text of the value that stands in for a missing one or a null; nil: none.
  package let defaultValue: String?
  package let format: FieldFormat
  /// String types: take any other value than a string too, as its source text.
  package let coerce: Bool
  /// Date and DateTime types: drop what the type has no digits for, towards the past.
  package let truncate: Bool
  /// The rules of the type's zone; nil is UTC.
  package let zone: ZoneRules?

  /// Checks that the parts fit each other; reads the zone's rules.
  package init(
    name: String, type: DataType, source: FieldSource? = nil, defaultValue: String? = nil, format: FieldFormat = .iso8601,
    coerce: Bool = false, truncate: Bool = false
  ) throws(PlanProblem) {
    self.name = name
    self.type = type
    self.source = source ?? .path([name])
    self.defaultValue = defaultValue
    self.format = format
    self.coerce = coerce
    self.truncate = truncate
    self.zone = try Self.zoneRules(of: type, field: name)
    try checkName()
    try checkSettings()
    try checkMetadata()
    if let defaultValue { try checkDefault(defaultValue) }
  }

  /// Whether the value is a point in time.
  package var isTime: Bool { type.base.isTime }

  private var holdsMilliseconds: Bool {
    if case .dateTime64(let precision, _) = type.base { precision >= 3 } else { false }
  }

  private static func zoneRules(of type: DataType, field: String) throws(PlanProblem) -> ZoneRules? {
    let name: String? =
      switch type.leaf {
      case .dateTime(let zone), .dateTime64(_, let zone): zone
      default: nil
      }
    guard let name else { return nil }
    do {
      return try ZoneRules.load(name)
    } catch {
      throw PlanProblem(
        field: field, setting: "type", message: error.message,
        remedy: "a zone of the tz database, as in 'Europe/Berlin', installed below \(ZoneRules.directory) (package tzdata)")
    }
  }

  private func checkName() throws(PlanProblem) {
    let isPrintable = name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "`") }
    guard !name.isEmpty, name.utf8.count <= 127, isPrintable, !name.hasPrefix("$") else {
      throw PlanProblem(
        field: name, setting: "name", message: "'\(name)' can't name a field",
        remedy: "1 to 127 bytes, no control characters or backticks, no $ in front")
    }
    if case .path(let names) = source, names.isEmpty || names.contains("") || names.count > RecordDecoder.depthMax {
      throw PlanProblem(
        field: name, setting: "from",
        message: "the path '\(source)' is empty, has an empty part or more than \(RecordDecoder.depthMax) of them",
        remedy: "names of keys joined by single dots, as in user.address.city")
    }
  }

  private func checkSettings() throws(PlanProblem) {
    if format != .iso8601, !type.leaf.isTime {
      throw PlanProblem(
        field: name, setting: "format", message: "format: \(format.rawValue) has no meaning for \(type)",
        remedy: "format belongs to Date, Date32, DateTime and DateTime64")
    }
    if truncate, !type.leaf.isTime {
      throw PlanProblem(
        field: name, setting: "truncate", message: "truncate has no meaning for \(type)",
        remedy: "truncate belongs to Date, Date32, DateTime and DateTime64")
    }
    if coerce, type.leaf != .string {
      throw PlanProblem(
        field: name, setting: "coerce", message: "coerce has no meaning for \(type)", remedy: "coerce belongs to String types")
    }
  }

  private func checkMetadata() throws(PlanProblem) {
    guard case .metadata(let metadata) = source else { return }
    let fits: Bool
    let allowed: String
    switch metadata {
    case .topic: (fits, allowed) = (type.base == .string, "String")
    case .key, .header: (fits, allowed) = (type.base != .bool && !type.isComposed, "any type but Bool, Array and Map")
    case .partition, .offset: (fits, allowed) = (type.base.isInteger, "an integer type")
    case .timestamp:
      (fits, allowed) = (isTime || type.base.isInteger, "Date, Date32, DateTime, DateTime64 or an integer type (milliseconds since 1970)")
    }
    guard fits else {
      throw PlanProblem(
        field: name, setting: "type", message: "\(source) can't be read as \(type)", remedy: "\(source) is taken as \(allowed)")
    }
    if metadata == .timestamp, isTime, !holdsMilliseconds, !truncate {
      throw PlanProblem(
        field: name, setting: "truncate", message: "$timestamp has milliseconds, \(type) doesn't",
        remedy: "DateTime64(3), or truncate: true")
    }
  }

  /// Throws where `text` is no value of this field, read by the code that reads records.
  package func checkDefault(_ text: String) throws(PlanProblem) {
    do {
      _ = try encodeDefault(text)
    } catch {
      throw PlanProblem(
        field: name, setting: "default", message: "default '\(text)' is no value of \(type): \(error.reason.sentence)",
        remedy: "a value that the field would take in a record")
    }
  }
}
