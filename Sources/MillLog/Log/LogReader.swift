internal import MillBase

/// Reads a log from its first segment to the last whole record (protocol R5). Changes nothing.
///
/// Memory: the records that are kept but for chunks' bytes, where chunks stand, and one piece of a segment or one record, whichever is
/// larger.
struct LogReader {
  private let disk: any Disk
  private let directory: String
  private let pipeline: UInt64
  /// Positions before it are durable, as manifests and the witness say.
  private let vouched: LogPosition
  /// The operator has given up what can't be read, though it was durable: the first damage ends the log, whatever vouches for more.
  private let givesUpDamage: Bool
  private var contents = LogContents()
  private var sieve: LogSieve
  /// The segment that is being read, in pieces.
  private var window: SegmentWindow

  /// `keep`: nil: all.
  init(_ disk: any Disk, directory: String, pipeline: String, vouched: LogPosition, givesUpDamage: Bool, keep: LogKeep?) {
    sieve = LogSieve(keep)
    self.givesUpDamage = givesUpDamage
    self.disk = disk
    self.directory = directory
    self.pipeline = LogFormat.pipelineHash(pipeline)
    self.vouched = vouched
    window = SegmentWindow(disk, directory, byteCount: 0)
  }

  mutating func read() throws(LogError) -> LogContents {
    let names = try segmentNames()
    if let first = names.first {
      contents.firstPosition = first.firstPosition
      contents.end = first.firstPosition
    }
    for index in names.indices {
      do throws(LogError) {
        let next = index + 1 < names.count ? names[index + 1] : nil
        if try readSegment(names[index], next: next, isFirst: index == 0) { continue }
      } catch .corrupt(let path, _, let why) where givesUpDamage {
        contents.droppedTail = LogContents.DroppedTail(path: path, byteCount: window.byteCount, why: why)
        contents.obsolete.append(names[index].text)
      }
      contents.obsolete += names[(index + 1)...].map(\.text)
      break
    }
    contents.cutEnds = sieve.cutEnds
    return contents
  }

  /// The segments that count, oldest first; the others are noted as obsolete.
  private mutating func segmentNames() throws(LogError) -> [SegmentName] {
    guard disk.exists(directory) else { return [] }
    var names: [SegmentName] = []
    for text in try onDisk({ () throws(DiskError) in try disk.list(directory) }) where text.hasSuffix(LogFormat.segmentSuffix) {
      guard let name = SegmentName(text) else {
        let why = "the name has no position and generation, or a number that no log reaches"
        throw .corrupt(path: directory + "/" + text, position: 0, why: why)
      }
      names.append(name)
    }
    names.sort()
    var kept: [SegmentName] = []
    for name in names {
      if let last = kept.last, last.firstPosition == name.firstPosition {
        Reach.mark(.r5TwoSegmentsSamePositions)
        contents.obsolete.append(last.text)
        kept.removeLast()
      }
      kept.append(name)
    }
    return kept
  }

  /// Whether the log goes on behind it; what is damaged before its first record is thrown.
  private mutating func readSegment(_ name: SegmentName, next: SegmentName?, isFirst: Bool) throws(LogError) -> Bool {
    let path = directory + "/" + name.text
    let size = try onDisk { () throws(DiskError) in try disk.byteCount(path) }
    guard size <= LogFormat.segmentByteCountMax else {
      throw corrupt(path, "the segment has \(size) bytes, more than any has (\(LogFormat.segmentByteCountMax))")
    }
    window = SegmentWindow(disk, path, byteCount: size)
    if !isFirst && name.firstPosition != contents.end {
      throw corrupt(path, "the segment begins with \(name.firstPosition), the one before ends at \(contents.end)")
    }
    // A segment is begun only when all before it is durable (R1), and its name alone shows that it was begun.
    contents.durableEvidence = max(contents.durableEvidence, name.firstPosition, next?.firstPosition ?? 0)
    var segment = LogSegment(name: name, chain: contents.chain, byteCount: 0)
    if let why = try readHeader(name, &segment, isFirst: isFirst) {
      // Only a segment that was begun in the course of things can be seen before its header is whole.
      if name.generation > 0 || contents.end < max(vouched, contents.durableEvidence) { throw corrupt(path, why) }
      Reach.mark(.r5TornTail)
      contents.droppedTail = LogContents.DroppedTail(path: path, byteCount: size, why: why)
      contents.segments.append(segment)
      return true
    }
    while segment.byteCount < size {
      let why: String?
      do throws(LogError) {
        why = try readRecord(&segment)
      } catch .corrupt(_, _, let reason) where givesUpDamage {
        why = reason
      }
      if let why {
        try dropTail(path, at: segment.byteCount, size: size, why)
        break
      }
    }
    if contents.end < contents.durableEvidence, !givesUpDamage {
      throw corrupt(path, "the segment ends, but all before position \(contents.durableEvidence) was durable")
    }
    contents.segments.append(segment)
    return !(givesUpDamage && (contents.droppedTail != nil || contents.end < contents.durableEvidence))
  }

  /// nil, or what is wrong with the header.
  private mutating func readHeader(_ name: SegmentName, _ segment: inout LogSegment, isFirst: Bool) throws(LogError) -> String? {
    let path = window.path
    guard try window.load(0, LogFormat.segmentHeaderByteCount) else { return "the segment's header is cut off" }
    let header: SegmentHeader
    let version: UInt32
    do throws(ByteReaderError) {
      (header, version) = try SegmentHeader.read(Array(window.bytes[..<LogFormat.segmentHeaderByteCount]))
    } catch {
      return "the segment's header: \(error)"
    }
    guard (LogFormat.oldestVersion...LogFormat.version).contains(version) else {
      throw .newerVersion(path: path, found: version, supported: LogFormat.version)
    }
    guard header.pipeline == pipeline else { throw .otherPipeline(path: path, expected: pipeline, found: header.pipeline) }
    guard header.firstPosition == name.firstPosition, header.generation == name.generation else {
      throw corrupt(path, "the header is that of segment \(header.firstPosition), generation \(header.generation)")
    }
    guard isFirst || header.chain == contents.chain else {
      throw corrupt(path, "the segment goes on from a record with CRC \(header.chain), the last one has \(contents.chain)")
    }
    contents.chain = header.chain
    contents.durableEvidence = max(contents.durableEvidence, header.durableEnd)
    segment.chain = header.chain
    segment.byteCount = LogFormat.segmentHeaderByteCount
    return nil
  }

  /// Takes the record at the segment's end so far; nil, or what is wrong with it.
  private mutating func readRecord(_ segment: inout LogSegment) throws(LogError) -> String? {
    let offset = segment.byteCount
    guard try window.load(offset, LogFormat.recordHeaderByteCount) else { return "the record's header is cut off" }
    let header = window.header(offset)
    guard let kind = LogRecord.Kind(rawValue: header.kind) else { return "kind \(header.kind) isn't known" }
    guard header.position == contents.end else { return "the record says that it is \(header.position)" }
    guard header.durableEnd <= header.position else { return "the record calls \(header.durableEnd) durable, which is behind itself" }
    let whole = LogFormat.recordHeaderByteCount + Int(header.byteCount)
    guard try window.load(offset, whole) else { return "the record of \(whole) bytes is cut off" }
    let expected = window.expectedChecksum(header, at: offset, chain: contents.chain)
    guard header.checksum == expected else { return "the record's CRC is \(header.checksum), its bytes give \(expected)" }
    var item: LogContents.Item?
    if kind == .chunk {
      if sieve.keepsChunks { item = .chunk(byteCount: Int(header.byteCount)) }
      sieve.takeChunk(byteCountBefore: contents.byteCount)
      segment.chunks.append(
        ChunkPlace(position: contents.end, offset: UInt32(offset), byteCount: header.byteCount, chain: contents.chain))
    } else {
      do throws(ByteReaderError) {
        let record = try LogRecord(kind: kind, payload: window.payload(header, at: offset))
        let kept = sieve.take(record, at: contents.end, byteCountBefore: contents.byteCount)
        item = kept.record.map { .record($0) }
        if let sealed = kept.sealed { contents.sealed[contents.end] = sealed }
      } catch {
        // Its CRC fits: it was written like this, so it can't be torn.
        throw corrupt(window.path, "the payload of a \(kind) record, \(error)")
      }
    }
    if let item { contents.entries.append(LogContents.Entry(position: contents.end, item: item)) }
    contents.byteCount += UInt64(whole)
    contents.durableEvidence = max(contents.durableEvidence, header.durableEnd)
    contents.chain = header.checksum
    contents.end += 1
    segment.byteCount += whole
    return nil
  }

  /// The record at `offset` and all behind it is torn, unless something says that it was durable.
  private mutating func dropTail(_ path: String, at offset: Int, size: Int, _ why: String) throws(LogError) {
    if givesUpDamage {
      contents.droppedTail = LogContents.DroppedTail(path: path, byteCount: size - offset, why: why)
      return
    }
    let known = max(vouched, contents.durableEvidence)
    let evidence = known > contents.end ? known : try window.durableEndBehind(offset, position: contents.end)
    if evidence > contents.end {
      Reach.mark(.r5CorruptBeforeVouched)
      throw corrupt(path, "\(why) (at byte \(offset); all before position \(evidence) was durable)")
    }
    Reach.mark(.r5TornTail)
    contents.droppedTail = LogContents.DroppedTail(path: path, byteCount: size - offset, why: why)
  }

  private func corrupt(_ path: String, _ why: String) -> LogError { .corrupt(path: path, position: contents.end, why: why) }
}
