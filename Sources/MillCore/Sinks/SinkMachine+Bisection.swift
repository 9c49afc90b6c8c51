internal import MillBase
internal import MillLog

/// R11: a batch that the server refuses gives way to its halves, one of too many table partitions to pieces of fewer, a single row to its
/// dead letter.
///
/// The replacements' numbers go on where the batches' do: a number stands for at most one INSERT's window entries, and what the table has
/// is in order (R9, R15). They are sent one at a time, while nothing else is under way.
extension SinkMachine {
  /// The server doesn't take the batch's rows, by an answer to the attempt of `step`.
  mutating func refused(_ index: Int, _ step: Delivery.Step, _ refusal: Delivery.Refusal) {
    guard let table else { return }
    deliveries[index].refusal = refusal
    deliveries[index].readyAt = nil
    let isDoubtful = deliveries[index].hasOpenAttempt || deliveries[index].wasRecovered
    if table.mode == .atLeastOnce {
      deliveries[index].step = .refused
    } else if !isDoubtful, step == .sendPlain, refusal.kind != .dataAmidst, refusal.kind != .tooLarge || !table.hasProvenance {
      Reach.mark(.r11RefusedClean)
      deliveries[index].step = .refused
    } else if table.hasProvenance {
      // Its rows are counted once no attempt can write any more.
      next(index, isDoubtful ? .settled : .countRefused)
    } else {
      Reach.mark(.r11UnknownOutcome)
      end(
        Stop(
          .promise, rule: "R11",
          "the server refuses rows of \(words(index)); whether an attempt has written some of them is not known, and the table has no provenance column to count by. Look whether its rows are there; delivery: at_least_once sends what the server takes of them again"
        ))
    }
  }

  mutating func takeRefusedCount(_ index: Int, _ answer: SinkAnswer) {
    guard let rows = counted(index, .countRefused, answer) else { return }
    let batch = deliveries[index].batch
    if rows == 0 {
      Reach.mark(.r11CountedNone)
      deliveries[index].step = .refused
      deliveries[index].readyAt = nil
    } else if rows == batch.rowCount {
      Reach.mark(.r11CountedAll)
      commit(index)
    } else {
      end(
        Stop(
          .promise, rule: "R11",
          "the server refuses rows of \(words(index)), but \(rows) of them are in the table already, in other table partitions: change the table so that it takes the rest, then start again"
        ))
    }
  }

  private func words(_ index: Int) -> String {
    let (batch, refusal) = (deliveries[index].batch, deliveries[index].refusal)
    return "batch \(batch.token) (\(batch.rowCount) rows) into \(batch.target) (code \(refusal?.code ?? 0): \(refusal?.message ?? ""))"
  }

  // MARK: - One at a time

  /// Whether a batch that wasn't begun may be, as far as bisection goes: nothing newer while one is bisected, a piece only alone. What an
  /// earlier life may have sent is settled before.
  func bisectionAllows(_ index: Int, _ table: TableFacts) -> Bool {
    // One that was refused, and whose rows all turned out to be there, is a batch like any other.
    guard !deliveries[..<index].contains(where: { $0.isPiece || $0.refusal != nil && !$0.isCommitted }) else {
      return mayHaveBeenSent(index)
    }
    return !deliveries[index].isPiece || (isAlone(but: index) && (openAttempts.oldestInLog == nil || table.mode == .atLeastOnce))
  }

  /// Whether the table may have rows of a batch that wasn't begun, so that the window must not forget its token. Where there are pieces,
  /// all that was sent before had been settled, or refused, when the first of them was made.
  private func mayHaveBeenSent(_ index: Int) -> Bool {
    deliveries[index].wasRecovered && !deliveries.contains(where: \.isPiece)
  }

  /// Whether all others that were ever sent are settled, or have nothing anywhere.
  private func isAlone(but index: Int) -> Bool {
    deliveries.indices.allSatisfy {
      $0 == index || deliveries[$0].step == .refused || (!deliveries[$0].isBegun && !mayHaveBeenSent($0))
    }
  }

  /// Orders the retire that is due, and what it waits for.
  mutating func advanceBisection(_ table: TableFacts) {
    guard let first = deliveries.firstIndex(where: { $0.step == .refused || $0.isPiece }) else { return endBisection() }
    if deliveries.contains(where: { ($0.ackPosition ?? 0) >= durableEnd }) { order(.sync) }
    if openAttempts.oldestInLog != nil { openAttempts.isNeeded = true }
    // One batch is bisected to its end before the next, and the first half before the second.
    guard deliveries[first].step == .refused, isAlone(but: first) else { return }
    guard surroundings.mayRetire, knowsPieces(first, table) else { return }
    retire(first)
  }

  /// Rows of many partitions come mixed: half of them touch as many. The server is asked once; without an answer it is halves.
  private mutating func knowsPieces(_ index: Int, _ table: TableFacts) -> Bool {
    let batch = deliveries[index].batch
    guard deliveries[index].refusal?.kind == .tooManyPartitions, batch.rowCount > 1 else { return true }
    if deliveries[index].cut == .unasked {
      deliveries[index].cut = .asked
      exchange(.pieces(batch, partitionsMax: table.partitionsMax), .pieces(batch.key))
    }
    return deliveries[index].cut == .answered
  }

  mutating func takePieces(_ index: Int, _ answer: SinkAnswer) {
    require(deliveries[index].cut == .asked, "pieces of batch \(deliveries[index].batch.token) were not asked for")
    deliveries[index].cut = .answered
    guard case .pieces(let pieces) = answer, pieces.count > 1 else { return }
    Reach.mark(.r11CutByPartition)
    deliveries[index].pieces = pieces
  }

  /// How a refused batch goes on.
  private func remedy(_ refusal: Delivery.Refusal, _ batch: SealedBatch, _ pieceCount: Int) -> String {
    switch refusal.kind {
    case .tooManyPartitions: "sending it in \(pieceCount) pieces (batch.partitions_max)"
    case .tooLarge:
      "something before ClickHouse does not take \(batch.byteCount) bytes at once: sending it in halves. Write a smaller batch.max_bytes, or raise that limit (nginx: client_max_body_size)"
    default: "sending it in halves; single rows that are refused go to the dead letters"
    }
  }

  private mutating func retire(_ index: Int) {
    let batch = deliveries[index].batch
    guard let refusal = deliveries[index].refusal else { return }
    let rows: [[Range<Int>]]?
    if batch.rowCount > 1 {
      let middle = Int(batch.rowCount) / 2
      rows = deliveries[index].pieces ?? [[0..<middle], [middle..<Int(batch.rowCount)]]
    } else if refusal.kind != .tooManyPartitions, refusal.kind != .tooLarge {
      rows = nil
    } else {
      return end(Stop(.promise, rule: "R9", "one row touches too many table partitions: \(words(index))"))
    }
    if !deliveries[index].isPiece {
      endBisection()
      bisection = (batch.token, 0)
      say(
        .warning,
        "\(batch.target) does not take batch \(batch.token) of \(batch.rowCount) rows whole (code \(refusal.code): \(refusal.message)): \(remedy(refusal, batch, rows?.count ?? 0))"
      )
    }
    order(.retire(batch, refusal, rows: rows))
  }

  /// The retire is durable: the batch is gone, its replacements are there.
  /// - Parameter logBegin: as ``Delivery/logBegin``, of the pieces.
  mutating func takeRetired(_ retire: Retire, at position: LogPosition, logBegin: UInt64) {
    let index = delivery(retire.key)
    let batch = deliveries[index].batch
    guard retire.replacements.reduce(0, { $0 + $1.rowCount }) == batch.rowCount else {
      return end(Stop(.failed, rule: "P2", "batch \(batch.token): its \(batch.rowCount) rows do not add up to those that replace it"))
    }
    // It was counted before it was retired, and none of its rows is there.
    settleDoubt(deliveries[index])
    deliveries.remove(at: index)
    var next = index
    for piece in retire.replacements {
      if piece.destination == destination {
        Reach.mark(.r11Halved)
        var delivery = Delivery(batch: piece, seal: position, wasRecovered: false, isPiece: true)
        delivery.sealedWall = retire.wallMilliseconds
        delivery.logBegin = logBegin
        deliveries.insert(delivery, at: next)
        next += 1
      } else {
        Reach.mark(.r11DeadLetter)
        batches.refused.add(batch)
        bisection?.refused += piece.rowCount
      }
    }
  }

  private mutating func endBisection() {
    guard let (token, refused) = bisection, !surroundings.isSealing else { return }
    bisection = nil
    Reach.mark(.r11Done)
    say(.info, "batch \(token) is in the table\(refused == 0 ? "" : ", but for \(refused) refused rows, which are dead letters")")
  }
}
