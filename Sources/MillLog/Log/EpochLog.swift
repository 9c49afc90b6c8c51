package import MillBase
internal import Synchronization

/// The epoch log: records in order, appended by one instance, in segments (``LogFormat``).
///
/// - *Written* is a record whose `append` returned, *durable* one before ``durableEnd``.
/// - A segment is begun only when all before it is durable, and its name is durable before a record is written into it (protocol R1).
/// - After a failed sync or an unclear write nothing more is written: ``LogError/poisoned(reason:)`` from every later call (R5).
/// - Callable from any thread; a ``sync()`` doesn't hold up appends, but for the one that begins a segment.
package final class EpochLog: Sendable {
  private let disk: any Disk
  private let directory: String
  private let pipeline: UInt64
  private let options: LogOptions
  private let state: Mutex<State>
  /// One sync, and one truncation, at a time. Taken before `state`, never while holding it.
  private let syncing = Mutex(())
  private let truncating = Mutex(())

  private struct State {
    /// The last one is the one that is appended to.
    var segments: [LogSegment]
    var file: any DiskFile
    var end: LogPosition
    var durableEnd: LogPosition
    /// CRC of the last record.
    var chain: UInt32
    /// Of all records since the first that stood in the log when it was read; truncation takes nothing away.
    var writtenByteCount: UInt64
    /// Why nothing more is written.
    var failure: String?

    func check() throws(LogError) {
      if let failure { throw .poisoned(reason: failure) }
    }

    /// Where a chunk stands; nil for a position that has none.
    func chunk(_ position: LogPosition) -> (SegmentName, ChunkPlace)? {
      guard position < end, let segment = segments.last(where: { $0.name.firstPosition <= position }) else { return nil }
      var low = 0
      var high = segment.chunks.count
      while low < high {
        let middle = (low + high) / 2
        if segment.chunks[middle].position < position { low = middle + 1 } else { high = middle }
      }
      guard low < segment.chunks.count, segment.chunks[low].position == position else { return nil }
      return (segment.name, segment.chunks[low])
    }

    mutating func poison(_ error: DiskError) -> LogError {
      if case .syncFailed = error { Reach.mark(.r5SyncFailed) }
      failure = "\(error)"
      return .poisoned(reason: "\(error)")
    }
  }

  /// What stands in `directory`, which need not exist. `vouched`: positions before it are durable by what manifests and the witness say.
  /// `givesUpDamage`: the log ends at the first damage, whatever says that more was durable. `keep`: nil: all of it.
  package static func read(
    _ disk: any Disk, directory: String, pipeline: String, vouched: LogPosition, givesUpDamage: Bool = false, keep: LogKeep? = nil
  ) throws(LogError) -> LogContents {
    var reader = LogReader(
      disk, directory: directory, pipeline: pipeline, vouched: vouched, givesUpDamage: givesUpDamage, keep: keep)
    return try reader.read()
  }

  /// Whether a segment is called so.
  package static func isSegment(_ name: String) -> Bool { SegmentName(name) != nil }

  /// Whether what is under way in the log's directory is called so: a crash may leave it.
  static func isTemporary(_ name: String) -> Bool {
    guard name.hasSuffix(LogFormat.temporarySuffix) else { return false }
    let whole = String(name.dropLast(LogFormat.temporarySuffix.count))
    return isSegment(whole) || whole == LogFormat.spareName
  }

  /// Whether a file of the log's directory can be the log's, by its name.
  package static func isOwn(_ name: String) -> Bool { isSegment(name) || isTemporary(name) || name == LogFormat.spareName }

  /// Goes on behind what ``read(_:directory:pipeline:vouched:)`` found, all of which is durable when this returns (protocol R5).
  package static func begin(
    _ disk: any Disk, directory: String, pipeline: String, contents: LogContents, options: LogOptions = LogOptions()
  ) throws(LogError) -> EpochLog {
    let start = LogStart(disk, directory: directory, pipeline: LogFormat.pipelineHash(pipeline), contents: contents, options: options)
    let (file, segment) = try start.run()
    return EpochLog(disk, directory, pipeline, contents, file, segment, options)
  }

  private init(
    _ disk: any Disk, _ directory: String, _ pipeline: String, _ contents: LogContents, _ file: any DiskFile, _ segment: LogSegment,
    _ options: LogOptions
  ) {
    self.disk = disk
    self.directory = directory
    self.pipeline = LogFormat.pipelineHash(pipeline)
    self.options = options
    let segments = contents.segments.dropLast() + [segment]
    state = Mutex(
      State(
        segments: Array(segments), file: file, end: contents.end, durableEnd: contents.end, chain: contents.chain,
        writtenByteCount: contents.byteCount, failure: nil))
  }

  /// Bytes of all records that stood in the log when it was read, and of those since; truncation takes nothing away.
  package var writtenByteCount: UInt64 { state.withLock { $0.writtenByteCount } }

  /// A seal of more has several records.
  package var sealByteCountMax: Int { options.sealByteCountMax }

  /// The position that the next record gets.
  package var end: LogPosition { state.withLock { $0.end } }

  /// Every record before it is durable.
  package var durableEnd: LogPosition { state.withLock { $0.durableEnd } }

  /// The oldest position that is kept.
  package var firstPosition: LogPosition { state.withLock { $0.segments[0].name.firstPosition } }

  /// Bytes of all segments that are kept.
  package var byteCount: Int { state.withLock { $0.segments.reduce(0) { $0 + $1.byteCount } } }

  // MARK: Appending

  /// Writes a record and returns its position. Nothing is durable before ``sync()``.
  package func append(_ record: LogRecord) throws(LogError) -> LogPosition {
    try unsafe record.payload.withRawBytes { (payload) throws(LogError) in try unsafe append(record.kind, payload) }
  }

  /// Writes a `chunk` record, without a copy of its bytes.
  package func appendChunk(_ bytes: UnsafeRawBufferPointer) throws(LogError) -> LogPosition {
    try unsafe append(.chunk, bytes)
  }

  /// Writes a `chunk` record.
  package func appendChunk(_ bytes: [UInt8]) throws(LogError) -> LogPosition {
    try unsafe bytes.withRawBytes { (payload) throws(LogError) in try unsafe append(.chunk, payload) }
  }

  private func append(_ kind: LogRecord.Kind, _ payload: UnsafeRawBufferPointer) throws(LogError) -> LogPosition {
    guard payload.count <= options.payloadByteCountMax else {
      throw .recordTooLarge(byteCount: payload.count, limit: options.payloadByteCountMax)
    }
    return try state.withLock { (state) throws(LogError) in
      try state.check()
      let whole = LogFormat.recordHeaderByteCount + payload.count
      if state.segments[state.segments.count - 1].byteCount + whole > options.segmentByteCount { try beginSegment(&state) }
      var header = RecordHeader(byteCount: UInt32(payload.count), kind: kind, position: state.end, durableEnd: state.durableEnd)
      header.checksum = unsafe header.expectedChecksum(chain: state.chain, payload: payload)
      if let point = Self.tornPoint(kind), FaultPoint.strikes(point) { try unsafe tear(&state, header.bytes, payload, point) }
      try unsafe write(&state, header.bytes, payload)
      let last = state.segments.count - 1
      if kind == .chunk {
        let offset = UInt32(state.segments[last].byteCount)
        state.segments[last].chunks.append(
          ChunkPlace(position: state.end, offset: offset, byteCount: header.byteCount, chain: state.chain))
      }
      state.segments[last].byteCount += whole
      state.writtenByteCount += UInt64(whole)
      state.chain = header.checksum
      state.end += 1
      return header.position
    }
  }

  private static func tornPoint(_ kind: LogRecord.Kind) -> FaultPoint? {
    switch kind {
    case .intent: .intentTorn
    case .chunk: .chunkTorn
    case .seal: .sealTorn
    case .ack: .ackTorn
    default: nil
    }
  }

  /// A drill: half of the record, then the end.
  private func tear(
    _ state: inout State, _ header: [UInt8], _ payload: UnsafeRawBufferPointer, _ point: FaultPoint
  ) throws(LogError) -> Never {
    let record = unsafe header + Array(payload)
    try unsafe Array(record.prefix(record.count / 2)).withRawBytes { (half) throws(LogError) in try unsafe write(&state, [], half) }
    FaultPoint.end(point)
  }

  /// All of a record or, but for a dead disk, nothing of it.
  private func write(_ state: inout State, _ header: [UInt8], _ payload: UnsafeRawBufferPointer) throws(LogError) {
    do throws(DiskError) {
      if payload.count <= 16 << 10 {
        // One write where a copy costs less than a second call.
        var record = header
        unsafe record.append(contentsOf: payload)
        try unsafe record.withRawBytes { (raw) throws(DiskError) in try unsafe state.file.append(raw) }
      } else {
        try unsafe header.withRawBytes { (raw) throws(DiskError) in try unsafe state.file.append(raw) }
        try unsafe state.file.append(payload)
      }
    } catch {
      guard case .outOfSpace(let path) = error else { throw state.poison(error) }
      do throws(DiskError) {
        try state.file.truncate(to: state.segments[state.segments.count - 1].byteCount)
      } catch {
        throw state.poison(error)
      }
      Reach.mark(.r5OutOfSpace)
      throw .outOfSpace(path: path)
    }
  }

  /// Makes all so far durable and goes on in a new segment. Out of space: nothing has changed.
  private func beginSegment(_ state: inout State) throws(LogError) {
    do throws(DiskError) {
      try state.file.sync()
    } catch {
      throw state.poison(error)
    }
    state.durableEnd = state.end
    let name = SegmentName(firstPosition: state.end, generation: 0)
    let path = directory + "/" + name.text
    let header = SegmentHeader(
      pipeline: pipeline, firstPosition: state.end, generation: 0, durableEnd: state.end, chain: state.chain)
    do throws(DiskError) {
      let file = try disk.open(path, create: true)
      try unsafe header.bytes.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
      FaultPoint.hit(.segmentBegun)
      try file.sync()
      try disk.syncDirectory(directory)
      // The file before stays open until a sync that runs beside this has ended; then its last reference goes.
      state.file = file
    } catch {
      guard case .outOfSpace = error else { throw state.poison(error) }
      do throws(DiskError) {
        if disk.exists(path) {
          try disk.remove(path)
          // Shorter records may still go into the segment before: the name must not come back after them.
          try disk.syncDirectory(directory)
        }
      } catch {
        throw state.poison(error)
      }
      Reach.mark(.r5OutOfSpace)
      throw .outOfSpace(path: path)
    }
    state.segments.append(LogSegment(name: name, chain: state.chain, byteCount: LogFormat.segmentHeaderByteCount))
  }

  /// Makes durable what was written before the call, and returns the end of that. After an error the process has to stop.
  @discardableResult
  package func sync() throws(LogError) -> LogPosition {
    try syncing.withLock { _ throws(LogError) in
      let (file, end, durableEnd) = try state.withLock { (state) throws(LogError) in
        try state.check()
        return (state.file, state.end, state.durableEnd)
      }
      if durableEnd == end { return end }
      do throws(DiskError) {
        try file.sync()
      } catch {
        throw state.withLock { $0.poison(error) }
      }
      return try state.withLock { (state) throws(LogError) in
        // Of two syncs of one file that run together, the system tells an error to one only: where the other has failed, this one's
        // success says nothing.
        try state.check()
        state.durableEnd = max(state.durableEnd, end)
        return end
      }
    }
  }

  // MARK: Reading and truncating

  /// The bytes of the `chunk` record at a position, checked.
  package func readChunk(_ position: LogPosition) throws(LogError) -> [UInt8] {
    guard let (name, place) = state.withLock({ $0.chunk(position) }) else { throw .noChunk(position: position) }
    return try place.read(disk, directory + "/" + name.text)
  }

  /// Removes the segments that lie wholly before a position, oldest first, and returns how many. The one appended to always stays. Each
  /// goes only when the ledger durably has it (protocol R16). Out of space for the ledger: what was not removed stays.
  @discardableResult
  package func truncate(before position: LogPosition, into ledger: Ledger) throws(LogError) -> Int {
    try truncating.withLock { _ throws(LogError) in
      var removed = 0
      while true {
        let oldest = try state.withLock { (state) throws(LogError) -> LogSegment? in
          try state.check()
          return state.segments.count > 1 && state.segments[1].name.firstPosition <= position ? state.segments[0] : nil
        }
        guard let oldest else { return removed }
        let path = directory + "/" + oldest.name.text
        try note(oldest, path, ledger)
        do throws(DiskError) {
          try disk.remove(path)
          FaultPoint.hit(.segmentRemoved)
          // One at a time: a power cut must not leave an older segment where a newer one is gone.
          try disk.syncDirectory(directory)
        } catch {
          throw state.withLock { $0.poison(error) }
        }
        Reach.mark(.r16SegmentRemoved)
        state.withLock { _ = $0.segments.removeFirst() }
        removed += 1
      }
    }
  }

  private func note(_ segment: LogSegment, _ path: String, _ ledger: Ledger) throws(LogError) {
    let (entries, end, chain) = try SegmentReader.condense(disk, path: path, segment)
    try ledger.append(entries, segment.name.firstPosition..<end, logChain: chain)
  }
}
