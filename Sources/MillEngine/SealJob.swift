internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillFlow
internal import MillLog

/// Freezes what destinations have pending: encodes it, writes chunks and seal, syncs. Log lane.
///
/// The seal has several records where it has more batches than one takes; its position is the first one's.
final class SealJob: LogJob, @unchecked Sendable {
  private let order: SealOrder
  /// Nil once encoded.
  private var rows: RowBlock?
  private let deadLetters: DeadLetterBlock?
  private let encoder: BlockEncoder?
  private let memory: BatchMemory
  private let sealed: SealedChunks
  private let destinationName: (Destination) -> String
  private let target: String

  private var prepared: [PreparedBatch]?
  private var parts: [Seal] = []
  /// Of the parts that are written.
  private var positions: [LogPosition] = []

  init(
    order: SealOrder, rows: RowBlock?, deadLetters: DeadLetterBlock?, encoder: BlockEncoder?, memory: BatchMemory, sealed: SealedChunks,
    target: String, destinationName: @escaping (Destination) -> String
  ) {
    self.order = order
    self.rows = rows
    self.deadLetters = deadLetters
    self.encoder = encoder
    self.memory = memory
    self.sealed = sealed
    self.target = target
    self.destinationName = destinationName
  }

  func run(_ log: EpochLog) throws(LogError) -> Event {
    if prepared == nil { prepared = prepare() }
    for index in prepared!.indices { try prepared![index].write(to: log) }
    let seal = Seal(
      epoch: order.epoch, covered: order.parts.map { Seal.Coverage(destination: $0.destination, firstEpoch: $0.firstEpoch) },
      batches: prepared!.map(\.batch), counters: order.counters)
    if parts.isEmpty {
      parts = seal.split(payloadByteCountMax: log.sealByteCountMax)
      FaultPoint.hit(.beforeSeal)
    }
    while positions.count < parts.count {
      positions.append(try log.append(.seal(parts[positions.count])))
      if positions.count == parts.count { FaultPoint.hit(.sealWritten) }
    }
    let position = positions[0]
    let durable = try log.sync()
    for batch in prepared! where batch.batch.destination == .table { sealed.keep(batch) }
    return .sealed(seal, position: position, durableEnd: durable, logByteCount: log.writtenByteCount)
  }

  private func prepare() -> [PreparedBatch] {
    var all: [PreparedBatch] = []
    for part in order.parts {
      let total = part.destination == .table ? rows?.rowCount ?? 0 : deadLetters?.rowCount ?? 0
      var start = 0
      var number = part.firstNumber
      while start < total {
        let range = start..<min(total, start + Int(part.rowsPerBatch))
        all.append(freeze(part.destination, range, number))
        start = range.upperBound
        number += 1
      }
    }
    if let rows {
      self.rows = nil
      memory.giveBack(rows)
    }
    return all
  }

  private func freeze(_ destination: Destination, _ range: Range<Int>, _ number: BatchNumber) -> PreparedBatch {
    let name = destinationName(destination)
    switch destination {
    case .table:
      guard let rows, let encoder else { preconditionFailure("a seal of table rows without an encoder") }
      let encoded = encoder.encode(rows, rows: range, memory: memory.takeEncoding())
      let token = makeToken(lineage: order.lineage, destination: name, batch: number, digest: encoded.digest)
      let chunks = encoder.freeze(encoded, token: token)
      memory.giveBack(encoded.takeMemory())
      let origins = Origins.encode(rows, rows: range)
      var batch = SealedBatch(
        destination: .table, number: number, rowStart: UInt64(range.lowerBound), rowCount: UInt64(range.count), digest: encoded.digest,
        token: token, chunks: [], originChunkCount: UInt32(origins.count), byteCount: chunks.reduce(0) { $0 + UInt64($1.count) },
        target: target, columns: encoder.batchColumns)
      batch.contentSum = ContentSum.sum(encoder.columns, rows, rows: range)
      return PreparedBatch(batch: batch, chunks: chunks + origins)
    case .deadLetters:
      guard let deadLetters else { preconditionFailure("a seal of dead letters without any") }
      return PreparedBatch(
        deadLetters: deadLetters.lines(range), number: number, rowStart: UInt64(range.lowerBound), rowCount: UInt64(range.count),
        lineage: order.lineage, name: name)
    }
  }
}
