// Feeds ledger files that libFuzzer has written to what `verify` reads and to what a start goes on from: each must end in entries, in a
// gap that is told, or in a named error; and what a start leaves must take the next segment.
internal import FuzzDriver
internal import MillBase
internal import MillLog
internal import MillTestKit
internal import MillVerify

private func check(_ files: LedgerFiles) {
  do {
    let disk = try files.disk()
    let gaps = walk(disk)
    // A start may set a foreign ledger aside, never fail over one.
    let contents = try EpochLog.read(disk, directory: LedgerFiles.log, pipeline: LedgerFiles.pipeline, vouched: 0)
    let ledger = try Ledger.open(disk, directory: LedgerFiles.ledger, pipeline: LedgerFiles.pipeline, log: contents)
    demand(ledger.end == contents.firstPosition, "the ledger ends at \(ledger.end), the log begins at \(contents.firstPosition)")
    if gaps == [] { demand(ledger.missing == nil, "\(ledger.missing!) is missing of a ledger that was read whole") }
    let log = try EpochLog.begin(
      disk, directory: LedgerFiles.log, pipeline: LedgerFiles.pipeline, contents: contents,
      options: LogOptions(segmentByteCount: 200, keepsSpare: false))
    for number in 0..<20 as Range<UInt64> { _ = try log.append(.ack(Ack(destination: .table, batch: number))) }
    _ = try log.sync()
    demand(try log.truncate(before: log.end - 1, into: ledger) > 0, "no segment has gone")
    guard let after = walk(disk) else { return }
    let behind = after.filter { $0.positions.upperBound > contents.firstPosition }
    demand(behind.isEmpty, "what was appended is not there: \(behind)")
  } catch {
    fail("a start ends with \(error)")
  }
}

/// What is missing; nil: a payload can't be read.
private func walk(_ disk: SimDisk) -> [HistoryReader.Gap]? {
  do {
    var tally = HistoryTally()
    let history = try HistoryReader(disk, stateDirectory: LedgerFiles.state, pipeline: LedgerFiles.pipeline)
    let gaps = try history.forEach { tally.take($0, isInLog: false) }
    // Read off, so that no sum overflows unseen.
    _ = (tally.tableRows, tally.deadLetterRows)
    return gaps
  } catch is ByteReaderError {
    return nil
  } catch {
    fail("the reader ends with \(error)")
  }
}

unsafe runFuzzer(seeds: LedgerFiles.seeds()) { data in check(LedgerFiles(unsafe Array(data))) }
