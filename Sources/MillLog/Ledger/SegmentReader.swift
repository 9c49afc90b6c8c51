internal import MillBase

/// Reads the records of one segment but for its chunks, whose bytes are passed over unread.
struct SegmentReader {
  /// What history the segment tells, and the CRC of its last record. Throws where a record isn't as it was written.
  static func condense(
    _ disk: any Disk, path: String, _ segment: LogSegment
  ) throws(LogError) -> (entries: [HistoryEntry], end: LogPosition, chain: UInt32) {
    var window = SegmentWindow(disk, path, byteCount: segment.byteCount)
    var condenser = HistoryCondenser()
    var offset = LogFormat.segmentHeaderByteCount
    var position = segment.name.firstPosition
    var chain = segment.chain
    func corrupt(_ why: String) -> LogError { .corrupt(path: path, position: position, why: why) }
    while offset < segment.byteCount {
      guard try window.load(offset, LogFormat.recordHeaderByteCount) else { throw corrupt("the record's header is cut off") }
      let header = window.header(offset)
      let whole = LogFormat.recordHeaderByteCount + Int(header.byteCount)
      guard header.position == position, let kind = LogRecord.Kind(rawValue: header.kind) else {
        throw corrupt("the record says that it is \(header.position), of kind \(header.kind)")
      }
      if kind != .chunk {
        guard try window.load(offset, whole), header.checksum == window.expectedChecksum(header, at: offset, chain: chain) else {
          throw corrupt("the record's CRC doesn't fit its bytes")
        }
        do throws(ByteReaderError) {
          condenser.add(try LogRecord(kind: kind, payload: window.payload(header, at: offset)))
        } catch {
          throw corrupt("the payload of a \(kind) record, \(error)")
        }
      }
      chain = header.checksum
      position += 1
      offset += whole
    }
    return (condenser.finish(), position, chain)
  }
}
