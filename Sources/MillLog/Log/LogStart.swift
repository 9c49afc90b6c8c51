internal import MillBase

/// What happens to the log's files before anything is appended (protocol R5).
///
/// What recovery read may be in the page cache only: a sync may have failed in the process before. So what is kept of the last segment
/// goes into a new file under another name; only when that and its name are durable does the old one go.
struct LogStart {
  private static let pieceByteCount = 1 << 20

  private let disk: any Disk
  private let directory: String
  private let pipeline: UInt64
  private let contents: LogContents
  private let options: LogOptions

  init(_ disk: any Disk, directory: String, pipeline: UInt64, contents: LogContents, options: LogOptions) {
    self.disk = disk
    self.directory = directory
    self.pipeline = pipeline
    self.contents = contents
    self.options = options
  }

  /// Returns the segment to append to, open.
  func run() throws(LogError) -> (any DiskFile, LogSegment) {
    try onDisk { () throws(DiskError) in
      try disk.createDirectoryDurably(directory)
      for name in try disk.list(directory) where EpochLog.isTemporary(name) { try disk.remove(path(name)) }
    }
    let segment = try onDisk { () throws(DiskError) in try makeSegmentGivingUpSpare() }
    FaultPoint.hit(.startCopied)
    return try onDisk { () throws(DiskError) in
      for name in contents.obsolete { try disk.remove(path(name)) }
      if let last = contents.segments.last { try disk.remove(path(last.name.text)) }
      // A segment behind the new end must not come back when the log has got there again.
      if !contents.obsolete.isEmpty { try disk.syncDirectory(directory) }
      try keepSpare()
      return (try disk.open(path(segment.name.text), create: false), segment)
    }
  }

  private func path(_ name: String) -> String { directory + "/" + name }

  private func makeSegmentGivingUpSpare() throws(DiskError) -> LogSegment {
    do throws(DiskError) {
      return try makeSegment()
    } catch .outOfSpace where disk.exists(path(LogFormat.spareName)) {
      Reach.mark(.r5OutOfSpace)
      try disk.remove(path(LogFormat.spareName))
      return try makeSegment()
    }
  }

  /// A durable segment that holds what is kept of the last one; empty where there is none.
  private func makeSegment() throws(DiskError) -> LogSegment {
    let last = contents.segments.last
    let name = SegmentName(
      firstPosition: last?.name.firstPosition ?? contents.end, generation: last.map { $0.name.generation + 1 } ?? 1)
    let header = SegmentHeader(
      pipeline: pipeline, firstPosition: name.firstPosition, generation: name.generation, durableEnd: contents.end,
      chain: last?.chain ?? contents.chain)
    let temporary = path(name.text + LogFormat.temporarySuffix)
    if disk.exists(temporary) { try disk.remove(temporary) }
    var segment = LogSegment(name: name, chain: header.chain, byteCount: LogFormat.segmentHeaderByteCount)
    do throws(DiskError) {
      let file = try disk.open(temporary, create: true)
      defer { file.close() }
      try append(header.bytes, to: file)
      if let last, last.byteCount > 0 {
        try copyRecords(of: last, to: file)
        segment.byteCount = last.byteCount
        segment.chunks = last.chunks
        Reach.mark(.r5TailCopied)
      }
      try file.sync()
    } catch {
      // Its space is needed for the second try, or for others.
      if case .outOfSpace = error, disk.exists(temporary) { try disk.remove(temporary) }
      throw error
    }
    try disk.rename(temporary, to: path(name.text))
    try disk.syncDirectory(directory)
    return segment
  }

  private func copyRecords(of segment: LogSegment, to file: any DiskFile) throws(DiskError) {
    let source = path(segment.name.text)
    var offset = LogFormat.segmentHeaderByteCount
    while offset < segment.byteCount {
      let piece = try disk.read(source, offset: offset, count: min(Self.pieceByteCount, segment.byteCount - offset))
      if FaultPoint.strikes(.startCopyTorn) {
        try append(Array(piece.prefix(piece.count / 2)), to: file)
        FaultPoint.end(.startCopyTorn)
      }
      if piece.isEmpty { throw .io(path: source, operation: "read of bytes that were there before", errno: 5) }
      try append(piece, to: file)
      offset += piece.count
    }
  }

  /// Makes the spare file where there is none or a smaller one. A full disk is no error: the log works without it, until a start with no
  /// room for a copy.
  private func keepSpare() throws(DiskError) {
    guard options.keepsSpare else { return }
    let spare = path(LogFormat.spareName)
    if disk.exists(spare), try disk.byteCount(spare) >= options.segmentByteCount { return }
    let temporary = spare + LogFormat.temporarySuffix
    do throws(DiskError) {
      let file = try disk.open(temporary, create: true)
      defer { file.close() }
      let zeros = [UInt8](repeating: 0, count: min(Self.pieceByteCount, options.segmentByteCount))
      while file.byteCount < options.segmentByteCount {
        try append(Array(zeros.prefix(options.segmentByteCount - file.byteCount)), to: file)
      }
      try file.sync()
      try disk.rename(temporary, to: spare)
    } catch {
      guard case .outOfSpace = error else { throw error }
      if disk.exists(temporary) { try disk.remove(temporary) }
    }
  }

  private func append(_ bytes: [UInt8], to file: any DiskFile) throws(DiskError) {
    try unsafe bytes.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
  }
}
