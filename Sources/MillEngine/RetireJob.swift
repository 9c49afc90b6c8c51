internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillFlow
internal import MillLog

/// R11: cuts a refused batch's bytes, as they stand in the log, into those of its pieces, or writes the dead letter of its one row. Log
/// lane.
final class RetireJob: LogJob, @unchecked Sendable {
  private let order: RetireOrder
  /// By the source that a row comes from.
  private let letters: [SourceNumber: DeadLetterEncoder]
  /// Of the batch's destination, as it stands in tokens.
  private let name: String
  /// Name of the column that holds a batch's token.
  private let provenance: String?
  private let letterByteCountMax: Int
  private var prepared: [PreparedBatch]?
  private var position: LogPosition?

  init(
    order: RetireOrder, letters: [SourceNumber: DeadLetterEncoder], name: String, provenance: String?, letterByteCountMax: Int
  ) {
    self.order = order
    self.letterByteCountMax = letterByteCountMax
    self.letters = letters
    self.name = name
    self.provenance = provenance
  }

  func run(_ log: EpochLog) throws(LogError) -> Event {
    if prepared == nil {
      do {
        prepared = try prepare(log)
      } catch let error as LogError {
        throw error
      } catch {
        return .failed(Stop(.promise, rule: "R11", "the bytes of batch \(order.batch.token) in the log: \(error)"))
      }
    }
    for index in prepared!.indices { try prepared![index].write(to: log) }
    let retire = Retire(
      destination: order.batch.destination, batch: order.batch.number, wallMilliseconds: order.wallMilliseconds,
      replacements: prepared!.map(\.batch))
    let position: LogPosition
    if let known = self.position {
      position = known
    } else {
      position = try log.append(.retire(retire))
      self.position = position
    }
    FaultPoint.hit(.beforeRetireDurable)
    let durable = try log.sync()
    FaultPoint.hit(.afterRetireDurableBeforeSend)
    return .retired(retire, position: position, durableEnd: durable, logByteCount: log.writtenByteCount)
  }

  private func prepare(_ log: EpochLog) throws -> [PreparedBatch] {
    let chunks = try order.batch.chunks.map { position throws(LogError) in try log.readChunk(position) }
    let originChunkCount = Int(order.batch.originChunkCount)
    let block = try NativeBlock(try Frames.decode(Array(chunks.dropLast(originChunkCount))))
    let origins = try Origins.decode(Array(chunks.suffix(originChunkCount)))
    guard block.rowCount == Int(order.batch.rowCount), origins.count == block.rowCount else {
      throw RetireError(rowCount: block.rowCount, originCount: origins.count, sealed: order.batch.rowCount)
    }
    switch order.replacement {
    case .pieces(let first, let rows):
      return rows.enumerated().map { index, runs in
        piece(block, origins, runs, first + BatchNumber(index))
      }
    case .deadLetter(let number, let code, let message):
      return [try letter(block, origins[0], number, code, message)]
    }
  }

  private func piece(_ block: NativeBlock, _ origins: [Origin], _ runs: [Range<Int>], _ number: BatchNumber) -> PreparedBatch {
    let parent = order.batch
    let column = parent.columns.last.flatMap { $0.name == provenance ? $0 : nil }
    let columnCount = parent.columns.count - (column == nil ? 0 : 1)
    let encoded = block.encodedRows(runs, columnCount: columnCount)
    var batch = parent
    batch.number = number
    batch.rowStart += UInt64(runs.first?.lowerBound ?? 0)
    batch.rowCount = UInt64(encoded.rowCount)
    batch.digest = encoded.digest
    batch.token = makeToken(lineage: order.lineage, destination: name, batch: number, digest: encoded.digest)
    batch.chunks = []
    batch.contentSum = block.contentSum(runs, columnCount: columnCount)
    var chunks = BlockEncoder.freeze(encoded, columnCount: columnCount, provenance: column, token: batch.token)
    batch.byteCount = chunks.reduce(0) { $0 + UInt64($1.count) }
    let origins = Origins.encode(runs.flatMap { origins[$0] }[...])
    batch.originChunkCount = UInt32(origins.count)
    chunks += origins
    return PreparedBatch(batch: batch, chunks: chunks)
  }

  private func letter(
    _ block: NativeBlock, _ origin: Origin, _ number: BatchNumber, _ code: Int, _ message: String
  ) throws -> PreparedBatch {
    let parent = order.batch
    let slot = Slot(rawValue: origin.partition)
    guard let letters = letters[slot.source] else { throw UnknownSource(number: slot.source) }
    let line = letters.refusedLine(
      partition: slot.partition, offset: origin.offset, code: code, message: message, table: parent.target, batch: parent.token,
      row: block.row(0).filter { $0.name != provenance }, byteCountMax: letterByteCountMax)
    return PreparedBatch(
      deadLetters: line, number: number, rowStart: parent.rowStart, rowCount: 1, lineage: order.lineage,
      name: deadLettersTokenName)
  }
}

/// A row comes from a source that never was.
private struct UnknownSource: Error, CustomStringConvertible {
  var number: SourceNumber

  var description: String { "a row comes from source number \(number.rawValue), which isn't known" }
}

/// The log's bytes of a batch aren't what its record says.
private struct RetireError: Error, CustomStringConvertible {
  var rowCount: Int
  var originCount: Int
  var sealed: UInt64

  var description: String { "\(rowCount) rows and \(originCount) origins stand there, \(sealed) were sealed" }
}
