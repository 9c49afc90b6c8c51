/// Where librdkafka's log lines go; called from its threads. Level as in syslog: 3 error, 4 warning, 5 notice, 6 info, 7 debug.
package typealias KafkaLog = @Sendable (_ level: Int, _ line: String) -> Void

/// What went wrong in a call to librdkafka, before it is known what that means to the caller.
package struct KafkaFailure: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Kind: Hashable, Sendable {
    /// Brokers down, leader moving, time-out, credentials or certificates refused.
    case unreachable
    /// A right is missing.
    case denied
    case unknownTopic
    /// The offset asked for isn't there.
    case positionLost
    /// Bytes that fail a checksum or can't be understood.
    case damaged
    /// A batch whose checksum is right and that can't be unpacked: too large for the client, or made wrong.
    case unreadable
    case exists
    /// The brokers have no such call.
    case unsupported
    /// An argument or property that no waiting mends.
    case rejected
    case queueFull
  }

  package var kind: Kind
  /// librdkafka's words; who prints them masks secrets.
  package var text: String
  /// The text is the code's alone; what the client hears next may say more.
  var isBare = false
  /// Where the batch begins that it is about; of ``Kind/unreadable``.
  package var offset: Int64?

  package init(_ kind: Kind, _ text: String) {
    self.kind = kind
    self.text = text
  }

  package var description: String { text }

  /// A client that isn't made: librdkafka names the property whose file it can't use, not the file.
  static func unusable(_ settings: [KafkaOptions.Setting], _ text: String) -> KafkaFailure {
    let file = settings.first { $0.name.hasSuffix(".location") && text.hasPrefix("\($0.name) ") }
    return KafkaFailure(.rejected, file.map { "\($0.name): \($0.value):" + text.dropFirst($0.name.count) } ?? text)
  }
}

/// One record as librdkafka lends it.
@safe struct FetchedRecord: ~Copyable {
  let partition: Int32
  let offset: Int64
  /// Milliseconds since 1970, -1 where the record has none.
  let timestamp: Int64
  /// nil: null.
  let key: UnsafeRawBufferPointer?
  let payload: UnsafeRawBufferPointer?
  /// In the form of ``RecordEntry/headersByteCount``; nil: none.
  let headers: UnsafeRawBufferPointer?
}

/// What stands between records in a fetch queue.
package enum FetchEvent: Hashable, Sendable {
  /// Nothing more can be read now; the next record will stand at `offset` or later.
  case end(partition: Int32, offset: Int64)
  case failed(partition: Int32, KafkaFailure)
}
