internal import MillBase
internal import MillLog

/// What a start asks the table before anything is written or sent: is it the one that was filled (C8), does it know more than this state
/// (R15)?
extension SinkMachine {
  /// - Parameter nextBatch: the number of the destination's next batch.
  /// - Returns: false after ordering a stop.
  mutating func checkTable(_ table: TableFacts, nextBatch: BatchNumber) -> Bool {
    guard !tableIdentity.isEmpty, !table.identity.isEmpty, tableIdentity != table.identity else { return true }
    guard nextBatch > 1 else {
      say(.info, "the table is another one than at the last start, or was altered; nothing was sent to that one")
      return true
    }
    guard !options.newLineage else {
      say(.warning, "--new-lineage: the table is another one, or was altered (identity \(table.identity), was \(tableIdentity))")
      return true
    }
    end(
      Stop(
        .promise, rule: "C8",
        "the table is not the one that was filled (identity \(table.identity), was \(tableIdentity)): it was dropped and made anew, and rows acked before are gone with it; or, on a server without table uuids, it was altered. Put it back, or go on from here as it is with --new-lineage"
      ))
    return false
  }

  /// Whether it is known what the table has of this state's lineage; asks where it isn't.
  mutating func knowsGreatest(of lineage: Lineage, nextBatch: BatchNumber) -> Bool {
    if case .some = greatestBatch { return true }
    guard !isAskingGreatest, (greatestRetryAt ?? 0) <= monotonic else { return false }
    greatestRetryAt = nil
    isAskingGreatest = true
    exchange(.greatestBatch(lineage), .greatest(lineage, nextBatch: nextBatch))
    return false
  }

  mutating func takeGreatest(_ answer: SinkAnswer, of lineage: Lineage, nextBatch: BatchNumber) {
    require(isAskingGreatest, "the greatest batch was told, which nobody has asked for")
    isAskingGreatest = false
    switch answer {
    case .greatestBatch(let number):
      sinkIsBack()
      if let number, number >= nextBatch, !options.newLineage {
        Reach.mark(.r15TableKnowsMore)
        return end(
          Stop(
            .promise, rule: "R15",
            "the table has rows of batch \(number) of lineage \(lineage), but this state has sealed only up to batch \(nextBatch - 1): the state directory was rolled back. Accept that rows may be doubled with --new-lineage"
          ))
      }
      greatestBatch = .some(number)
    case .denied(let reason): end(Stop(.failed, rule: "R15", reason))
    case .unanswered(let reason), .unknown(let reason), .notSent(let reason):
      sinkTrouble(reason)
      greatestRetryAt = monotonic + options.retryMilliseconds
    default:
      sinkTrouble("an answer that does not fit the question")
      greatestRetryAt = monotonic + options.retryMilliseconds
    }
  }

  /// The newest batch of this state's lineage that the table had rows of at the start; nil: none, or not asked.
  var greatestSent: BatchNumber? { greatestBatch ?? nil }
}
