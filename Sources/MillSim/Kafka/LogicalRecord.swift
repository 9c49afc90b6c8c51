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
    /// The deduplication key; `event_id` is `e` and this number.
    package var id: UInt32
    /// The field `k`, which the table may be partitioned by.
    package var group: UInt32
    package var amount: Int64
    /// Event time, ms since 1970.
    package var at: Int64

    package init(id: UInt32, group: UInt32, amount: Int64, at: Int64) {
      self.id = id
      self.group = group
      self.amount = amount
      self.at = at
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
      bytes += "{\"event_id\":\"e".utf8
      bytes += String(event.id).utf8
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
