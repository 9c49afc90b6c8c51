package import MillBase

/// Why the log can't do what it was asked for. Positions and paths stand in every case that has them.
package enum LogError: Error, Hashable, Sendable, CustomStringConvertible {
  case disk(DiskError)
  /// The log is as before the call; the same call works again once there is room.
  case outOfSpace(path: String)
  /// A sync or a write failed: what is on the disk isn't known. Only a restart helps (protocol R5).
  case poisoned(reason: String)
  /// Something vouches for the record at `position`, and it isn't there as it was written.
  case corrupt(path: String, position: LogPosition, why: String)
  /// The directory holds the log of another pipeline; the names' hashes.
  case otherPipeline(path: String, expected: UInt64, found: UInt64)
  /// A newer release wrote the segment.
  case newerVersion(path: String, found: UInt32, supported: UInt32)
  /// More than a segment can hold; see ``LogOptions/payloadByteCountMax``.
  case recordTooLarge(byteCount: Int, limit: Int)
  /// Asked for a position that is no `chunk` record between the log's first position and its end.
  case noChunk(position: LogPosition)

  package var description: String {
    switch self {
    case .disk(let error): "\(error)"
    case .outOfSpace(let path): "no space left for \(path)"
    case .poisoned(let reason): reason
    case .corrupt(let path, let position, let why): "\(path): record \(position) is damaged: \(why)"
    case .otherPipeline(let path, _, _): "\(path) is another pipeline's"
    case .newerVersion(let path, let found, let supported): "\(path) has format \(found), this program reads up to \(supported)"
    case .recordTooLarge(let byteCount, let limit): "a record of \(byteCount) bytes, where a segment takes \(limit)"
    case .noChunk(let position): "no chunk of a batch stands at position \(position)"
    }
  }

  /// A disk's error in the log's words.
  init(_ error: DiskError) {
    switch error {
    case .outOfSpace(let path): self = .outOfSpace(path: path)
    case .notFound, .exists, .syncFailed, .locked, .io, .untrusted: self = .disk(error)
    }
  }
}

/// Runs calls on a disk, with their errors in the log's words.
func onDisk<R>(_ body: () throws(DiskError) -> R) throws(LogError) -> R {
  do throws(DiskError) {
    return try body()
  } catch {
    throw LogError(error)
  }
}

/// Sizes of the log.
package struct LogOptions: Hashable, Sendable {
  /// A segment has at most so many bytes.
  package var segmentByteCount: Int
  /// Whether a file of a segment's size is kept to be given up when a start on a full disk has to copy (protocol R5).
  package var keepsSpare: Bool

  /// A seal of more has several records.
  package var sealByteCountMax: Int

  /// `sealByteCountMax`: nil: what a record takes.
  package init(segmentByteCount: Int = 64 << 20, keepsSpare: Bool = true, sealByteCountMax: Int? = nil) {
    let least = LogFormat.segmentHeaderByteCount + LogFormat.recordHeaderByteCount + 1
    let most = LogFormat.segmentByteCountMax
    precondition((least...most).contains(segmentByteCount), "a segment of \(segmentByteCount) bytes: must be \(least)...\(most)")
    self.segmentByteCount = segmentByteCount
    self.keepsSpare = keepsSpare
    let payload = segmentByteCount - LogFormat.segmentHeaderByteCount - LogFormat.recordHeaderByteCount
    self.sealByteCountMax = min(payload, sealByteCountMax ?? payload)
  }

  /// The longest payload of a record.
  package var payloadByteCountMax: Int {
    segmentByteCount - LogFormat.segmentHeaderByteCount - LogFormat.recordHeaderByteCount
  }
}
