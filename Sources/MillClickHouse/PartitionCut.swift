internal import MillCore
package import MillLog
internal import Synchronization

/// Cuts a batch of too many table partitions so that each piece touches few: the server works out which rows share one.
extension ClickHouseSink {
  func pieces(
    _ batch: SealedBatch, _ partitionsMax: Int, _ body: () throws -> [[UInt8]], _ done: @escaping @Sendable (SinkAnswer) -> Void
  ) {
    let (dialect, chosen) = state.withLock { ($0.dialect, $0.chosen) }
    guard let chosen, !chosen.isOnePart else { return done(.unanswered(reason: "\(options.table) has no partitions to cut by")) }
    let requests = Requests(options: options, dialect: dialect, isShared: chosen.isShared)
    var request: HTTPRequest
    do {
      let block = try Frames.decode(try body())
      request = requests.question(Statements.rowsByPartition(key: chosen.partitionKey), over: block, batch.columns, token: batch.token)
    } catch {
      return done(.unanswered(reason: "batch \(batch.number): its bytes can't be read from the log: \(error)"))
    }
    request.timeoutMilliseconds = options.insertTimeoutMilliseconds
    replicas.send(request) { [user = options.user] answer in
      switch Classification.questionAnswer(answer, user: user) {
      case .failure(let failure): done(failure.answer)
      case .success(let bytes):
        let pieces = PartitionCut.pieces(
          bytes, rowCount: Int(batch.rowCount), partitionsMax: partitionsMax, piecesMax: PartitionCut.piecesMax(of: batch))
        done(
          pieces.map(SinkAnswer.pieces) ?? .unanswered(reason: "unreadable answer: \(String(decoding: bytes.prefix(100), as: UTF8.self))"))
      }
    }
  }
}

/// Which rows go into which piece. Pure.
package enum PartitionCut {
  /// One retire names them all, each with its columns, and its record must fit into a segment of the log, which may be as small as 4 MiB.
  package static func piecesMax(of batch: SealedBatch) -> Int {
    let each = batch.columns.reduce(256 + 2 * batch.token.utf8.count) { $0 + $1.name.utf8.count + $1.type.utf8.count + 16 }
    return min(256, max(2, (1 << 20) / each))
  }

  /// Rows of each piece as runs of neighbours, every row in exactly one piece; no pieces where there are no more partitions than that. nil:
  /// the answer isn't about these rows.
  /// - Parameter answer: a line for each partition, `[0,5,6]`: the numbers of its rows, from 0.
  package static func pieces(_ answer: [UInt8], rowCount: Int, partitionsMax: Int, piecesMax: Int) -> [[Range<Int>]]? {
    let none = Int32(-1)
    var partitionOf = [Int32](repeating: none, count: rowCount)
    var (partition, seen) = (Int32(0), 0)
    var number: Int?
    for byte in answer {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        number = (number ?? 0) * 10 + Int(byte - UInt8(ascii: "0"))
        guard number! < rowCount else { return nil }
      case UInt8(ascii: ","), UInt8(ascii: "]"):
        guard let row = number, partitionOf[row] == none else { return nil }
        partitionOf[row] = partition
        seen += 1
        number = nil
      case UInt8(ascii: "\n"): partition += 1
      case UInt8(ascii: "["): break
      default: return nil
      }
    }
    guard seen == rowCount, partition > 0, partitionsMax > 0 else { return nil }
    let most = max(partitionsMax, (Int(partition) + piecesMax - 1) / piecesMax)
    guard Int(partition) > most else { return [] }
    var pieces: [[Range<Int>]] = Array(repeating: [], count: (Int(partition) + most - 1) / most)
    for row in 0..<rowCount {
      let piece = Int(partitionOf[row]) / most
      if let last = pieces[piece].last, last.upperBound == row {
        pieces[piece][pieces[piece].count - 1] = last.lowerBound..<(row + 1)
      } else {
        pieces[piece].append(row..<(row + 1))
      }
    }
    return pieces
  }
}
