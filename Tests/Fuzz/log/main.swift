// Feeds the log's reader segments that libFuzzer has written: it must end in a prefix of records or a named error. What it accepts must
// open, read back the same, and go on.
internal import FuzzDriver
internal import MillBase
internal import MillLog
internal import MillTestKit

private func check(_ files: LogFiles) {
  let disk = SimDisk()
  let contents: LogContents
  do {
    try files.write(to: disk)
    contents = try LogFiles.read(disk, vouched: files.vouched)
  } catch let error as LogError {
    switch error {
    case .corrupt, .otherPipeline, .newerVersion: return
    default: fail("the reader ends with \(error)")
    }
  } catch {
    fail("the files can't be written: \(error)")
  }
  demand(contents.durableEvidence <= contents.end, "all before \(contents.durableEvidence) was durable, the end is \(contents.end)")
  for (index, entry) in contents.entries.enumerated() {
    demand(entry.position == contents.firstPosition + UInt64(index), "entry \(index) is position \(entry.position)")
  }
  demand(contents.firstPosition + UInt64(contents.entries.count) == contents.end, "the end is \(contents.end)")
  do {
    try goOn(disk, contents, vouched: files.vouched)
  } catch {
    fail("a log that was read doesn't open: \(error)")
  }
}

/// Opens what was read, appends to it, and reads it again.
private func goOn(_ disk: SimDisk, _ contents: LogContents, vouched: LogPosition) throws {
  let options = LogOptions(segmentByteCount: 1 << 20, keepsSpare: false)
  let log = try EpochLog.begin(disk, directory: LogFiles.directory, pipeline: LogFiles.pipeline, contents: contents, options: options)
  for entry in contents.entries {
    guard case .chunk(let byteCount) = entry.item else { continue }
    let chunk = try log.readChunk(entry.position)
    demand(chunk.count == byteCount, "chunk \(entry.position) has \(chunk.count) bytes, not \(byteCount)")
  }
  let ack = LogRecord.ack(Ack(destination: .table, batch: 7))
  let position = try log.append(ack)
  demand(position == contents.end, "the next record is \(position), not \(contents.end)")
  // What was vouched for and is missing is the caller's to judge, once.
  let again = try LogFiles.read(disk, vouched: min(vouched, contents.end))
  // Segments before the last stay as they are; bytes behind the last record of one are no harm.
  let last = try disk.list(LogFiles.directory).last { $0.hasSuffix(".seg") } ?? ""
  demand(again.droppedTail?.path.hasSuffix(last) != true, "a torn tail was kept: \(again.droppedTail!)")
  demand(again.firstPosition == contents.firstPosition && again.end == contents.end + 1, "\(again.firstPosition)..<\(again.end)")
  demand(Array(again.entries.dropLast()) == contents.entries, "the records have changed")
  demand(again.entries.last?.item == .record(ack), "the last record isn't the one appended")
}

unsafe runFuzzer(seeds: LogFiles.seeds()) { data in check(LogFiles(unsafe Array(data))) }
