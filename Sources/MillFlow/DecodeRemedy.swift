/// What mends a record that gave no row, for people. Not in dead letters: their bytes are a function of the record alone (R3).
extension DecodeFailure {
  /// Where the record stands, what is wrong with it and what mends it, without a full stop.
  package func example(_ plan: SourcePlan, _ buffer: RecordBuffer, partition: Int32) -> String {
    let entry = buffer.entries[entryIndex]
    let place = "partition \(partition), offset \(entry.offset): \(detail)"
    guard let remedy = remedy(plan, buffer) else { return place }
    return "\(place); remedy: \(remedy)"
  }

  /// Nil where none is known.
  package func remedy(_ plan: SourcePlan, _ buffer: RecordBuffer) -> String? {
    if field < 0, let framing = framing(buffer) { return framing }
    return reason.remedy(field < 0 ? nil : plan.fields[field], takesNull: field != plan.eventTime?.fieldIndex)
  }

  /// Serializers of a schema registry write a zero byte and the schema's number before the value.
  private func framing(_ buffer: RecordBuffer) -> String? {
    let entry = buffer.entries[entryIndex]
    guard entry.payloadByteCount >= 5 else { return nil }
    let bytes = unsafe UnsafeRawBufferPointer(start: buffer.bytes + entry.payloadStart, count: 5)
    guard unsafe bytes[0] == 0 else { return nil }
    let schema = unsafe UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
    return
      "the record begins with 0x00 and four bytes: it is framed by a schema registry (schema id \(schema)); only plain JSON is read in this version"
  }
}

extension DecodeReason {
  /// - Parameters:
  ///   - field: the one that is to blame; nil: the record as a whole.
  ///   - takesNull: false of one that must not be NULL, such as the event time.
  package func remedy(_ field: FieldPlan?, takesNull: Bool = true) -> String? {
    switch self {
    case .tombstone, .emptyPayload: return "on_error: skip passes over all records that can't be decoded"
    case .tooLarge: return "max_record_bytes of the source bounds it, up to 256MiB"
    case .malformedJSON, .invalidUTF8, .notAnObject, .trailingBytes:
      return "the value of each record must be one JSON object; is this the right topic?"
    case .missingField:
      guard let field else { return nil }
      let absence = takesNull ? field.type.takingNull.map { "; \($0) takes its absence" } : nil
      return "from: names where it stands; default: fills it in" + (absence ?? "")
    case .wrongType: return field.map { wrongType($0.type.base) }
    case .notANumber: return "String takes any text"
    case .outOfRange: return "a wider type, or String with coerce: true"
    case .losesDigits:
      guard let type = field?.type.leaf else { return nil }
      return type.isTime ? "truncate: true cuts them off" : "a type with more digits, or String with coerce: true"
    case .unknownName: return "add the name to the Enum, or take String"
    case .nullItem: return "make what stands in it Nullable"
    case .invalidDate: return "format: unix_s, unix_ms, unix_us or unix_ns for numbers, or String"
    case .aheadOfTimestamp: return "mend the producer's clock, or what it writes as the time; event_time.max_ahead allows more"
    case .aheadOfClock:
      return "mend the producer's clock, or this machine's where nearly all records are so; event_time.max_ahead allows more"
    case .invalidUUID, .invalidIP: return "String takes any text"
    default: return nil
    }
  }

  private func wrongType(_ type: DataType) -> String {
    if type == .string { return "coerce: true keeps its text" }
    if type.isTime { return "format: unix_s, unix_ms, unix_us or unix_ns takes numbers" }
    return "a type that takes it, or String with coerce: true"
  }
}

extension DataType {
  /// The type that takes NULL too; nil where ClickHouse has none.
  fileprivate var takingNull: DataType? {
    switch self {
    case .array, .map, .nullable: nil
    case .lowCardinality(let inner): .lowCardinality(.nullable(inner))
    default: .nullable(self)
    }
  }
}
