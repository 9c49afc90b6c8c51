/// What the generator meant with a record: the truth that the oracle works from, without reading any JSON.
package struct LogicalRecord: Hashable, Sendable {
  /// What stands in the payload.
  package enum Content: Hashable, Sendable {
    case event(Event)
    /// No legal record of the plan: broken JSON, a missing field, a value out of range.
    case garbage([UInt8])
    case tombstone
  }

  package struct Event: Hashable, Sendable {
    /// The deduplication key, or a part of it; see ``eventID`` and ``sub``.
    package var id: UInt32
    /// How a key of two texts is cut out of `id`; 0: the key is one text.
    package var shape: UInt8
    /// The field `k`, which the table may be partitioned by.
    package var group: UInt32
    package var amount: Int64
    /// Event time, ms since 1970.
    package var at: Int64
    /// What a select has made of `event_id`; nil: nothing.
    package var text: String?
    /// What selects have added to the field `at`, which is no longer the event time then; ms.
    package var atShift: Int64 = 0

    package init(id: UInt32, shape: UInt8 = 0, group: UInt32, amount: Int64, at: Int64) {
      self.id = id
      self.shape = shape
      self.group = group
      self.amount = amount
      self.at = at
    }

    /// What stands between two texts of a key where their lengths don't count: the tag of a String and four zeros.
    private static let boundary = "\u{c}\0\0\0\0"

    private func digits(_ range: Range<Int>) -> String { String(String(1000 + id).dropFirst(range.lowerBound).prefix(range.count)) }

    /// The field `event_id`, the key or its first field. Of one `id` the two fields together read the same for each shape, but for what
    /// tells where one ends.
    package var eventID: String {
      if let text { return text }
      switch shape {
      case 0: return "e\(id)"
      case 1: return "e\(digits(0..<1))\(Self.boundary)\(digits(1..<3))"
      case 2, 4: return "e\(digits(0..<1))"
      default: return "e\(digits(0..<3))"
      }
    }

    /// The field `sub`, the key's second field; empty where it has one.
    package var sub: String {
      switch shape {
      case 0: ""
      case 1, 3: digits(3..<4)
      case 2: "\(digits(1..<3))\(Self.boundary)\(digits(3..<4))"
      default: digits(1..<4)
      }
    }
  }

  /// Kafka's timestamp, ms since 1970.
  package var timestamp: Int64
  package var key: [UInt8]?
  package var content: Content

  package init(timestamp: Int64, key: [UInt8]?, content: Content) {
    self.timestamp = timestamp
    self.key = key
    self.content = content
  }

  /// The payload's bytes; nil for a tombstone. `seconds`: event times are written as whole seconds.
  package func payload(seconds: Bool) -> [UInt8]? {
    switch content {
    case .event(let event):
      let at = seconds ? event.at / 1000 : event.at
      // Piece by piece, not as one interpolation: thousands of them are written.
      var bytes: [UInt8] = []
      bytes.reserveCapacity(96)
      bytes += "{\"event_id\":\"".utf8
      bytes += Self.escaped(event.eventID).utf8
      if event.shape > 0 {
        bytes += "\",\"sub\":\"".utf8
        bytes += Self.escaped(event.sub).utf8
      }
      bytes += "\",\"k\":".utf8
      bytes += String(event.group).utf8
      bytes += ",\"amount\":".utf8
      bytes += String(event.amount).utf8
      bytes += ",\"at\":".utf8
      bytes += String(at).utf8
      bytes.append(UInt8(ascii: "}"))
      return bytes
    case .garbage(let bytes): return bytes
    case .tombstone: return nil
    }
  }

  private static func escaped(_ text: String) -> String {
    if text.utf8.allSatisfy({ $0 >= 32 }) { return text }
    return text.unicodeScalars.map { $0 == "\u{c}" ? "\\f" : $0 == "\0" ? "\\u0000" : String($0) }.joined()
  }
}

/// Where a record stands in Kafka.
package struct Origin: Hashable, Comparable, Sendable, CustomStringConvertible {
  package var partition: Int32
  package var offset: Int64

  package init(partition: Int32, offset: Int64) {
    self.partition = partition
    self.offset = offset
  }

  package static func < (a: Origin, b: Origin) -> Bool { (a.partition, a.offset) < (b.partition, b.offset) }

  package var description: String { "\(partition)/\(offset)" }
}
