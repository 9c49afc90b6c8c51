import MillBase
import MillLog
import MillTestKit
import MillVerify
import Testing

private let lineage = Lineage(77)

private func batch(_ destination: Destination, _ number: BatchNumber, rows: UInt64) -> SealedBatch {
  let name = destination == .table ? "out" : "dead"
  let digits = String(number)
  let padded = String(repeating: "0", count: 20 - digits.count) + digits
  return SealedBatch(
    destination: destination, number: number, rowStart: 0, rowCount: rows, digest: Digest128(low: 0, high: 0),
    token: "mr-\(lineage)-\(name)-\(padded)-00000000000000000000000000000000", chunks: [], originChunkCount: 0, byteCount: 0,
    target: destination == .table ? "d.t" : "", columns: [])
}

private func epoch(_ epoch: EpochNumber, _ start: Int64, _ next: Int64) -> LogRecord {
  .intent(
    Intent(
      epoch: epoch, clockMilliseconds: 1, planHash: 7, ranges: [PartitionRange(partition: 0, start: start, next: next)],
      inputDigest: Digest128(low: 0, high: 0)))
}

private func seal(_ epoch: EpochNumber, _ batches: [SealedBatch], emitted: UInt64, undecodable: UInt64) -> LogRecord {
  var counters = Counters()
  (counters.records, counters.emitted, counters.deadLettered) = (emitted + undecodable, emitted, undecodable)
  let covered = Set(batches.map(\.destination)).sorted { $0.rawValue < $1.rawValue }
  return .seal(
    Seal(
      epoch: epoch, covered: covered.map { Seal.Coverage(destination: $0, firstEpoch: epoch) }, batches: batches, counters: counters))
}

/// What `verify` makes of a log with these records.
private func tally(_ records: [LogRecord]) throws -> HistoryTally {
  let disk = SimDisk()
  let contents = try EpochLog.read(disk, directory: "state/log", pipeline: "orders", vouched: 0)
  let log = try EpochLog.begin(
    disk, directory: "state/log", pipeline: "orders", contents: contents, options: LogOptions(segmentByteCount: 1 << 20))
  for record in records { _ = try log.append(record) }
  _ = try log.sync()
  var tally = HistoryTally()
  _ = try HistoryReader(disk, stateDirectory: "state", pipeline: "orders").forEach { tally.take($0, isInLog: true) }
  return tally
}

@Suite struct HistoryTallyTests {
  /// Two records of epoch 1 can't be decoded; its rows are sealed, its dead letters not yet when the engine dies.
  private let before = [epoch(1, 0, 10), seal(1, [batch(.table, 1, rows: 8)], emitted: 8, undecodable: 2)]
  private let after = [
    epoch(2, 14, 20), seal(2, [batch(.table, 2, rows: 5), batch(.deadLetters, 1, rows: 1)], emitted: 5, undecodable: 1),
  ]

  @Test func `dead letters whose records were given up before they were sealed are no disagreement`() throws {
    let tally = try tally(before + [.gap(Gap(slot: Slot(.first, 0), start: 4, next: 14))] + after)
    #expect(tally.disagreements.isEmpty && tally.givenUpMax == [.table: 0, .deadLetters: 2])
  }

  @Test func `dead letters that are short without a loss are a disagreement`() throws {
    let behind = try tally(before + [.gap(Gap(slot: Slot(.first, 0), start: 10, next: 14))] + after)
    #expect(behind.disagreements == ["up to epoch 2: 3 records were late or dead-lettered, 1 are sealed for the dead letters"])
  }

  @Test func `no more dead letters may be short than were not sealed when their records were given up`() throws {
    let more = [epoch(2, 14, 20), seal(2, [batch(.table, 2, rows: 3), batch(.deadLetters, 1, rows: 1)], emitted: 3, undecodable: 3)]
    let short = try tally(before + [.gap(Gap(slot: Slot(.first, 0), start: 4, next: 14))] + more)
    #expect(short.disagreements.count == 1)
  }

  @Test func `more dead letters than records that were late or undecodable are a disagreement beside any loss`() throws {
    let more = [epoch(2, 14, 20), seal(2, [batch(.table, 2, rows: 6), batch(.deadLetters, 1, rows: 9)], emitted: 6, undecodable: 0)]
    #expect(try tally(before + [.gap(Gap(slot: Slot(.first, 0), start: 4, next: 14))] + more).disagreements.count == 1)
  }

  @Test func `a retire whose batch's seal is gone leaves no row count below none`() throws {
    let letter = batch(.deadLetters, 1, rows: 1)
    let tally = try tally([.retire(Retire(destination: .table, batch: 5, wallMilliseconds: 1, replacements: [letter]))])
    #expect(tally.tableRows == 0 && tally.deadLetterRows == 1)
  }
}
