import MillBase
import MillLog
import MillTestKit
import Testing

/// What a start keeps of a long log.
@Suite struct LogKeepTests {
  private static let columns = (0..<20).map { BatchColumn(name: "column \($0)", type: "Nullable(String)") }

  private func batch(_ number: BatchNumber, _ chunks: [LogPosition], _ destination: Destination = .table) -> SealedBatch {
    SealedBatch(
      destination: destination, number: number, rowStart: 0, rowCount: 2, digest: Digest128(low: number, high: 1), token: "t\(number)",
      chunks: chunks, originChunkCount: 0, byteCount: 3, target: "d.t", columns: Self.columns)
  }

  private func intent(_ epoch: EpochNumber) -> LogRecord {
    .intent(
      Intent(
        epoch: epoch, clockMilliseconds: Int64(epoch) * 10, planHash: 1,
        ranges: [PartitionRange(partition: 0, start: Int64(epoch), next: Int64(epoch) + 1)], inputDigest: Digest128(low: 0, high: 0)))
  }

  /// Epochs of ten intents and a batch each; of the batches all but the listed ones are acked.
  private func log(epochs: EpochNumber, unacked: Set<BatchNumber>) throws -> (disk: SimDisk, end: LogPosition) {
    let disk = SimDisk()
    let log = try EpochLog.begin(
      disk, directory: "log", pipeline: "p", contents: LogContents(), options: LogOptions(segmentByteCount: 20_000, keepsSpare: false))
    _ = try log.append(.restart(Restart(lineage: Lineage(1), instance: 1, lastKeptEpoch: 0, wallMilliseconds: 0)))
    for epoch in 1...epochs {
      _ = try log.append(intent(epoch))
      guard epoch % 10 == 0 else { continue }
      let number = epoch / 10
      let chunk = try log.appendChunk([1, 2, 3])
      _ = try log.append(.seal(Seal(epoch: epoch, covered: [], batches: [batch(number, [chunk])])))
      if !unacked.contains(number) { _ = try log.append(.ack(Ack(destination: .table, batch: number))) }
    }
    try log.sync()
    return (disk, log.end)
  }

  private func read(_ disk: SimDisk, _ keep: LogKeep?) throws -> LogContents {
    try EpochLog.read(disk, directory: "log", pipeline: "p", vouched: 0, keep: keep)
  }

  private func batches(_ contents: LogContents) -> [BatchNumber] {
    contents.entries.flatMap { entry in
      if case .record(.seal(let seal)) = entry.item { seal.batches.map(\.number) } else { [BatchNumber]() }
    }
  }

  @Test func `what is kept doesn't grow with the intents and acked batches before the checkpoint`() throws {
    var kept: [Int] = []
    for epochs in [1000, 10_000] as [EpochNumber] {
      let (disk, end) = try log(epochs: epochs, unacked: [3, 40])
      let whole = try read(disk, nil)
      let keep = LogKeep(from: end - 5, batches: [Ack(destination: .table, batch: 3), Ack(destination: .table, batch: 40)])
      let contents = try read(disk, keep)
      #expect(contents.end == whole.end && contents.byteCount == whole.byteCount && contents.firstPosition == whole.firstPosition)
      // The first one is what is unsettled at a start; the last stands behind the position.
      #expect(batches(contents) == [1, 3, 40, epochs / 10])
      kept.append(contents.entries.count)
    }
    #expect(kept[0] == kept[1] && kept[0] < 15, "\(kept)")
  }

  @Test func `a seal that is kept knows its epoch's clock, and how much of the log stands before its chunks`() throws {
    let (disk, end) = try log(epochs: 200, unacked: [3])
    let whole = try read(disk, nil)
    let contents = try read(disk, LogKeep(from: end, batches: [Ack(destination: .table, batch: 3)]))
    for (position, sealed) in contents.sealed { #expect(whole.sealed[position] == sealed) }
    let third = try #require(contents.entries.first { if case .record(.seal(let seal)) = $0.item { seal.epoch == 30 } else { false } })
    let sealed = try #require(contents.sealed[third.position])
    #expect(sealed.clockMilliseconds == 300)
    var before: UInt64 = 0
    for entry in whole.entries where entry.position < third.position - 1 {
      guard case .record(let record) = entry.item else {
        before += 25 + 3
        continue
      }
      before += 25 + UInt64(record.payload.count)
    }
    #expect(sealed.byteCountBefore == before)
  }

  @Test func `an epoch that two seals name keeps its clock for both, and intents that aren't kept still say where the cuts end`() throws {
    let disk = SimDisk()
    let log = try EpochLog.begin(
      disk, directory: "log", pipeline: "p", contents: LogContents(), options: LogOptions(segmentByteCount: 20_000, keepsSpare: false))
    for epoch in 1...3 as ClosedRange<EpochNumber> { _ = try log.append(intent(epoch)) }
    // Dead letters of an epoch may be sealed after its rows.
    _ = try log.append(.seal(Seal(epoch: 3, covered: [], batches: [batch(1, [])])))
    _ = try log.append(.seal(Seal(epoch: 3, covered: [], batches: [batch(1, [], .deadLetters)])))
    try log.sync()
    let keep = LogKeep(
      from: log.end, batches: [Ack(destination: .table, batch: 1), Ack(destination: .deadLetters, batch: 1)])
    let contents = try read(disk, keep)
    #expect(contents.sealed.values.map(\.clockMilliseconds) == [30, 30])
    #expect(contents.cutEnds == [Slot(.first, 0): 4])
    #expect(!contents.entries.contains { if case .record(.intent) = $0.item { true } else { false } })
  }

  @Test func `of a seal of several records the last is kept with the others, and one without a last is forgotten`() throws {
    let disk = SimDisk()
    let log = try EpochLog.begin(
      disk, directory: "log", pipeline: "p", contents: LogContents(), options: LogOptions(segmentByteCount: 20_000, keepsSpare: false))
    _ = try log.append(intent(1))
    var seal = Seal(epoch: 1, covered: [], batches: [batch(1, []), batch(2, [])])
    seal.continues = true
    _ = try log.append(.seal(seal))
    _ = try log.append(.seal(Seal(epoch: 1, covered: [], batches: [batch(3, [])])))
    for number in [1, 3] as [BatchNumber] { _ = try log.append(.ack(Ack(destination: .table, batch: number))) }
    // Never ended.
    seal.batches = [batch(4, [])]
    _ = try log.append(.seal(seal))
    _ = try log.append(.restart(Restart(lineage: Lineage(1), instance: 1, lastKeptEpoch: 1, wallMilliseconds: 0)))
    _ = try log.append(.seal(Seal(epoch: 2, covered: [], batches: [batch(4, [])])))
    try log.sync()
    let contents = try read(disk, LogKeep(from: log.end, batches: [Ack(destination: .table, batch: 2)]))
    var parts = SealParts<LogPosition>()
    var whole: [[BatchNumber]] = []
    for entry in contents.entries {
      switch entry.item {
      case .record(.seal(let seal)):
        if let found = parts.take(seal, at: entry.position) { whole.append(found.flatMap { $0.seal.batches.map(\.number) }) }
      case .record(.restart): parts.restart()
      default: break
      }
    }
    #expect(whole.first == [1, 2] && whole.allSatisfy { !$0.contains(4) || $0 == [4] }, "\(whole)")
    let history = try HistoryReader(disk, stateDirectory: ".", pipeline: "p")
    var told: [[BatchNumber]] = []
    _ = try history.forEach { entry in if case .seal(let seal) = entry { told.append(seal.batches.map(\.number)) } }
    #expect(told == [[1, 2, 3], [4]])
  }
}
