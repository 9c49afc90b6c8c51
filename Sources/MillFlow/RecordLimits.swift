/// How large a record may be, and how much of one a dead letter holds.
package struct RecordLimits: Hashable, Sendable {
  /// Bytes of key, value and headers (where a field reads them) together. A record with more is none: its dead letter says `too_large`.
  package var recordByteCountMax: Int
  /// Bytes of the key, and of the value, that a dead letter holds at most, as they stand in the source.
  package var letterByteCountMax: Int

  package init(recordByteCountMax: Int, letterByteCountMax: Int) {
    self.recordByteCountMax = recordByteCountMax
    self.letterByteCountMax = letterByteCountMax
  }

  /// Bytes of a row's Arrays and Maps. Their items can take many times what they take in a record, so that whoever writes a record of
  /// ordinary size could fill the memory.
  package var rowByteCountMax: Int { min(4 * recordByteCountMax, 1 << 30) }
}

/// What is known of a record of which only the beginnings of key and value were taken.
package struct RecordCut: Hashable, Sendable {
  /// As in ``RecordEntry``, of the whole record; -1: null.
  package var keyByteCount: Int32
  package var payloadByteCount: Int32
  package var headersByteCount: Int32
  /// ``Anchor/checksum`` of the whole record.
  package var checksum: UInt32
}
