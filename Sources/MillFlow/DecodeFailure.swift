/// Why a record can't be decoded. The raw value is stable: dead letters, counters and users' queries name it.
package enum DecodeReason: String, Hashable, Sendable, CaseIterable {
  case tombstone
  case emptyPayload = "empty_payload"
  case tooLarge = "too_large"
  case malformedJSON = "malformed_json"
  case invalidUTF8 = "invalid_utf8"
  case loneSurrogate = "lone_surrogate"
  case tooDeep = "too_deep"
  case notAnObject = "not_an_object"
  case trailingBytes = "trailing_bytes"
  case missingField = "missing_field"
  case wrongType = "wrong_type"
  case notANumber = "not_a_number"
  case outOfRange = "out_of_range"
  case losesDigits = "loses_digits"
  case invalidUUID = "invalid_uuid"
  case invalidIP = "invalid_ip"
  case unknownName = "unknown_name"
  case nullItem = "null_item"
  case invalidDate = "invalid_date"
  case noSuchLocalTime = "no_such_local_time"
  case aheadOfTimestamp = "ahead_of_timestamp"
  case aheadOfClock = "ahead_of_clock"
  case noTimestamp = "no_timestamp"

  /// What is wrong, in words, without a full stop.
  package var sentence: String {
    switch self {
    case .tombstone: "the record has no value (tombstone)"
    case .emptyPayload: "the record's value is empty"
    case .tooLarge: "larger than max_record_bytes allows"
    case .malformedJSON: "not JSON by RFC 8259"
    case .invalidUTF8: "not valid UTF-8"
    case .loneSurrogate: "an escaped surrogate stands without its other half"
    case .tooDeep: "values are nested more than \(RecordDecoder.depthMax) deep"
    case .notAnObject: "the value is no JSON object"
    case .trailingBytes: "something stands after the object"
    case .missingField: "the value is missing or null, and the field is neither Nullable nor has a default"
    case .wrongType: "the value's kind is not one the type takes"
    case .notANumber: "the text is not exactly one number"
    case .outOfRange: "the value is out of the type's range"
    case .losesDigits: "the type can't hold all digits of the value"
    case .invalidUUID: "not the 36 characters of a UUID"
    case .invalidIP: "not an IP address of the type's kind"
    case .unknownName: "not a name of the Enum, nor a number that has one"
    case .nullItem: "a null stands in an Array or Map whose values aren't Nullable"
    case .invalidDate: "not a date or time in ISO 8601 or YYYY-MM-DD hh:mm:ss[.fraction]"
    case .noSuchLocalTime: "clocks of the type's zone never show this time"
    case .aheadOfTimestamp: "the event time is further ahead of the record's timestamp than max_ahead allows"
    case .aheadOfClock: "the event time is further ahead of the clock than max_ahead allows"
    case .noTimestamp: "the record has no timestamp to hold the event time against"
    }
  }
}

/// One record that gave no row.
package struct DecodeFailure: Hashable, Sendable {
  /// Index into ``RecordBuffer/entries``.
  package var entryIndex: Int
  package var reason: DecodeReason
  /// Index into ``SourcePlan/fields``, or -1 where the record as a whole is to blame.
  package var field: Int
  /// For people: the place and the beginning of the value.
  package var detail: String
}

/// What decoding code throws: no text, so that nothing is allocated before it is known to be wanted.
struct DecodeFault: Error {
  var reason: DecodeReason
  /// Index of the byte in the payload (or of the value's first one).
  var position: Int32
}
