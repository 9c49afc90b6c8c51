package import MillBase

/// What a log holds, without the bytes of its chunks; as much of it as its reader was asked to keep (``LogKeep``).
package struct LogContents: Sendable {
  /// A record, or where one with a batch's bytes stands.
  package enum Item: Hashable, Sendable {
    /// Never a `chunk`.
    case record(LogRecord)
    case chunk(byteCount: Int)
  }

  package struct Entry: Hashable, Sendable {
    package var position: LogPosition
    package var item: Item
  }

  /// What was no whole record at the end, and was never promised to be there.
  package struct DroppedTail: Hashable, Sendable {
    package var path: String
    package var byteCount: Int
    package var why: String
  }

  /// What is known of a record that makes batches beside what it says.
  package struct Sealed: Hashable, Sendable {
    /// The epoch's; nil where the log doesn't have its intent any more, and of a retire.
    package var clockMilliseconds: Int64?
    /// Bytes of the log before the first chunk of its batches.
    package var byteCountBefore: UInt64

    package init(clockMilliseconds: Int64?, byteCountBefore: UInt64) {
      self.clockMilliseconds = clockMilliseconds
      self.byteCountBefore = byteCountBefore
    }
  }

  /// Ascending; where all is kept, of all positions from ``firstPosition`` on without gaps.
  package internal(set) var entries: [Entry] = []
  /// By position, of the seals and retires in ``entries``.
  package internal(set) var sealed: [LogPosition: Sealed] = [:]
  /// Of all records, those that aren't kept too.
  package internal(set) var byteCount: UInt64 = 0
  /// Where the intents end, those that aren't kept too.
  package internal(set) var cutEnds: [Slot: Int64] = [:]
  package internal(set) var firstPosition: LogPosition = 0
  /// The position that the next record gets. May be lower than the position that the caller vouched for: then the directory was rolled
  /// back (protocol R15, R17), which the caller judges.
  package internal(set) var end: LogPosition = 0
  /// Everything before it is known to have been durable from what the log itself says.
  package internal(set) var durableEvidence: LogPosition = 0
  package internal(set) var droppedTail: DroppedTail?

  /// Oldest first; the last one is copied at ``EpochLog/begin(_:directory:pipeline:contents:options:)``.
  var segments: [LogSegment] = []
  /// Names of segments that a newer copy replaces.
  var obsolete: [String] = []
  /// CRC of the last record.
  var chain: UInt32 = 0

  /// Of a log that isn't there.
  package init() {}
}

/// A segment that counts.
struct LogSegment: Sendable {
  var name: SegmentName
  /// CRC of the record before its first.
  var chain: UInt32
  /// Header and whole records; a torn tail isn't counted. 0: the header itself is torn.
  var byteCount: Int
  var chunks: [ChunkPlace] = []
}

/// Where a `chunk` record begins in its segment, and what its CRC goes on from.
struct ChunkPlace: Sendable {
  var position: LogPosition
  var offset: UInt32
  var byteCount: UInt32
  var chain: UInt32

  /// The record's bytes, checked, out of its segment; ``LogError/noChunk(position:)`` where that is gone.
  func read(_ disk: any Disk, _ path: String) throws(LogError) -> [UInt8] {
    let whole = LogFormat.recordHeaderByteCount + Int(byteCount)
    var bytes: [UInt8]
    do throws(DiskError) {
      bytes = try disk.read(path, offset: Int(offset), count: whole)
    } catch .notFound {
      // Truncated since.
      throw .noChunk(position: position)
    } catch {
      throw LogError(error)
    }
    guard bytes.count == whole else {
      throw .corrupt(path: path, position: position, why: "the record of \(whole) bytes is cut off after \(bytes.count)")
    }
    let header = unsafe bytes.withRawBytes { unsafe RecordHeader($0, at: 0) }
    bytes.removeFirst(LogFormat.recordHeaderByteCount)
    let expected = unsafe bytes.withRawBytes { unsafe header.expectedChecksum(chain: chain, payload: $0) }
    guard header.position == position, header.byteCount == byteCount, header.checksum == expected else {
      throw .corrupt(path: path, position: position, why: "the record's CRC is \(header.checksum), its bytes give \(expected)")
    }
    return bytes
  }
}
