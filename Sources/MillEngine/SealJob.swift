internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillFlow
internal import MillLog

/// Freezes what destinations have pending: encodes it, writes chunks and seal, syncs. Log lane.
///
/// The seal has several records where it has more batches than one takes; its position is the first one's.
final class SealJob: LogJob, @unchecked Sendable {
  /// What one table has pending.
  struct Table {
    /// Given back once encoded.
    var rows: RowBlock
    var memory: BatchMemory
    /// Nil: the table was never described, which only a start without rows leaves so.
    var encoder: BlockEncoder?
    /// `database.table`.
    var target: String
    /// The sink's name as it stands in tokens.
    var name: String
  }

  private let order: SealOrder
  private let tables: [Destination: Table]
  private let deadLetters: DeadLetterBlock?
  private let memory: EncodingMemory
  private let sealed: SealedChunks

  private var prepared: [PreparedBatch]?
  private var parts: [Seal] = []
  /// Of the parts that are written.
  private var positions: [LogPosition] = []

  init(
    order: SealOrder, tables: [Destination: Table], deadLetters: DeadLetterBlock?, memory: EncodingMemory, sealed: SealedChunks
  ) {
    self.order = order
    self.tables = tables
    self.deadLetters = deadLetters
    self.memory = memory
    self.sealed = sealed
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
    for batch in prepared! where batch.batch.destination.isTable { sealed.keep(batch) }
    return .sealed(seal, position: position, durableEnd: durable, logByteCount: log.writtenByteCount)
  }

  private func prepare() -> [PreparedBatch] {
    var all: [PreparedBatch] = []
    for part in order.parts {
      let total = tables[part.destination]?.rows.rowCount ?? deadLetters?.rowCount ?? 0
      var start = 0
      var number = part.firstNumber
      while start < total {
        let range = start..<min(total, start + Int(part.rowsPerBatch))
        all.append(freeze(part.destination, range, number))
        start = range.upperBound
        number += 1
      }
    }
    for table in tables.values { table.memory.giveBack(table.rows) }
    return all
  }

  private func freeze(_ destination: Destination, _ range: Range<Int>, _ number: BatchNumber) -> PreparedBatch {
    guard destination.isTable else {
      guard let deadLetters else { preconditionFailure("a seal of dead letters without any") }
      return PreparedBatch(
        deadLetters: deadLetters.lines(range), number: number, rowStart: UInt64(range.lowerBound), rowCount: UInt64(range.count),
        lineage: order.lineage, name: deadLettersTokenName)
    }
    guard let table = tables[destination], let encoder = table.encoder else {
      preconditionFailure("a seal of table rows without an encoder")
    }
    let rows = table.rows
    let encoded = encoder.encode(rows, rows: range, memory: memory.take())
    let token = makeToken(lineage: order.lineage, destination: table.name, batch: number, digest: encoded.digest)
    let chunks = encoder.freeze(encoded, token: token)
    memory.giveBack(encoded.takeMemory())
    let origins = Origins.encode(rows, rows: range)
    var batch = SealedBatch(
      destination: destination, number: number, rowStart: UInt64(range.lowerBound), rowCount: UInt64(range.count), digest: encoded.digest,
      token: token, chunks: [], originChunkCount: UInt32(origins.count), byteCount: chunks.reduce(0) { $0 + UInt64($1.count) },
      target: table.target, columns: encoder.batchColumns)
    batch.contentSum = ContentSum.sum(encoder.columns, rows, rows: range)
    return PreparedBatch(batch: batch, chunks: chunks + origins)
  }
}
