internal import MillBase
internal import MillLog

/// What each answer means for a batch (R7–R10).
extension SinkMachine {
  mutating func takeDelivery(_ index: Int, _ step: Delivery.Step, _ answer: SinkAnswer) {
    switch step {
    case .sendPlain: takePlain(index, answer)
    case .sendGuarded: takeGuarded(index, answer)
    case .countInDoubt: takeDoubtCount(index, answer)
    case .count: takeCount(index, answer)
    case .countFirst: takeFirstCount(index, answer)
    case .listBeforeGuard, .listForDeath: takeList(index, step, answer)
    case .countRefused: takeRefusedCount(index, answer)
    case .countBeforeGuard, .countAfterDeath, .countAfterGuard: takeProof(index, step, answer)
    case .timeBeforeGuard, .timeAfterGuard, .timeForDeath: takeTime(index, step, answer)
    case .deadlineDurable, .settled, .refused, .done: break
    }
  }

  private mutating func takePlain(_ index: Int, _ answer: SinkAnswer) {
    guard let mode = table?.mode else { return }
    switch answer {
    case .committed:
      switch mode {
      case .tokenOnly:
        Reach.mark(.r10TokenOnly)
        commit(index)
      case .atLeastOnce:
        Reach.mark(.r10AtLeastOnce)
        commit(index)
      case .tokenAndProvenance, .readBack:
        // Success of one attempt says nothing about another of the same batch: the token may be burnt (clickhouse.md §0.0).
        if deliveries[index].hasOpenAttempt {
          Reach.mark(.r9SuccessInDoubt)
          next(index, .count)
        } else {
          Reach.mark(.r9CleanCommit)
          if mode == .readBack || countIsProven { commit(index) } else { next(index, .countFirst) }
        }
      }
    case .unknown(let reason):
      open(index)
      again(index, stepToSendAgain(index), reason)
    case .viewFailed(let code, let message):
      open(index)
      deliveries[index].viewFailures += 1
      deliveries[index].viewFailure = "code \(code): \(message)"
      // The view gets the rows by the same token once more; that must not write them into the table again (R9).
      guard deliveries[index].viewFailures < 10, table?.reserve != nil, !isForgotten(index) else {
        return viewRefuses(index)
      }
      again(index, .sendPlain, "a view on the table failed: \(deliveries[index].viewFailure)")
    case .notSent(let reason): again(index, stepToSendAgain(index), reason)
    case .refused(let kind, let code, let message): takeRefusal(index, .sendPlain, kind, code, message)
    default: again(index, stepToSendAgain(index), "an answer that does not fit the question")
    }
  }

  private func isForgotten(_ index: Int) -> Bool { table.map { mayBeForgotten(deliveries[index], $0) } ?? true }

  /// A stop was asked for, and the last try has no answer. The next start counts the batch and finds all of its rows in the table: it isn't
  /// sent to the view again.
  var stopAmidViewFailure: Stop? {
    guard let delivery = deliveries.first(where: { $0.viewFailures > 0 && !$0.isCommitted }) else { return nil }
    let batch = delivery.batch
    return Stop(
      .promise, rule: "R7",
      "stopped while a view on \(batch.target) refuses batch \(batch.token) (\(delivery.viewFailure)): its rows are in the table, and the next start won't send them to the view again. Look whether the view has them; where it hasn't, mend it and give it these rows by hand, then start again"
    )
  }

  private mutating func viewRefuses(_ index: Int) {
    let batch = deliveries[index].batch
    end(
      Stop(
        .promise, rule: "R7",
        "a view on \(batch.target) refuses batch \(batch.token) (\(deliveries[index].viewFailure)): its rows are in the table, or will be at the next start, but not in the view, which won't get them. Mend or detach the view, give it these rows by hand, then start again"
      ))
  }

  /// Why a table may hold more rows of a batch than it was sealed with, by how this table is written to.
  private var causesOfMore: String {
    var causes = [
      "somebody else has written rows under its name (copied them, attached a part, restored a backup)",
      "a request came later than `settle` (\(tableOptions.settleMilliseconds) ms) allows for",
    ]
    if let table, table.mode == .tokenAndProvenance, let reserve = table.reserve {
      causes.append(
        "other writers of the table made more than \(reserve) entries in its deduplication window of \(table.window) while a lost answer was settled (raise the window, or set window_reserve: unlimited)"
      )
    }
    return causes.dropLast().joined(separator: ", ") + ", or " + (causes.last ?? "")
  }

  private mutating func open(_ index: Int) {
    doubt(index)
    deliveries[index].hasOpenAttempt = table?.mode != .atLeastOnce
    deliveries[index].openedAt = monotonic
    openAttempts.isNeeded = true
  }

  private mutating func takeRefusal(_ index: Int, _ step: Delivery.Step, _ kind: RefusalKind, _ code: Int, _ message: String) {
    let batch = deliveries[index].batch
    let what = "batch \(batch.token) (\(batch.rowCount) rows) into \(batch.target): code \(code): \(message)"
    let next = step == .sendPlain ? stepToSendAgain(index) : step
    switch kind {
    case .transient: again(index, next, "code \(code): \(message)")
    case .schema:
      deliveries[index].schemaFailures += 1
      guard deliveries[index].schemaFailures < 5 else { return end(Stop(.promise, rule: "R6", "the table no longer takes \(what)")) }
      describeRetryAt = monotonic + options.retryMilliseconds
      again(index, next, "code \(code): \(message)")
    case .tooLarge where batch.rowCount == 1:
      again(
        index, next,
        "one row of \(batch.byteCount) bytes is more than what stands before ClickHouse takes (\(message)): raise its limit for bodies (nginx: client_max_body_size)"
      )
    case .data, .dataAmidst, .tooManyPartitions, .tooLarge:
      refused(index, step, Delivery.Refusal(kind: kind, code: code, message: message))
    case .configuration: end(Stop(.failed, rule: "R7", "the server does not let us insert \(what)"))
    }
  }

  /// R9: a batch in doubt, before anything of it is sent again. What the count finds is there for good.
  private mutating func takeDoubtCount(_ index: Int, _ answer: SinkAnswer) {
    guard let table, let rows = counted(index, .countInDoubt, answer) else { return }
    if rows == deliveries[index].batch.rowCount {
      Reach.mark(.r9DoubtCountedAll)
      commit(index)
    } else if rows == 0, mayRepeat(index, table) {
      Reach.mark(.r9DoubtCountedNone)
      next(index, .sendPlain)
    } else {
      Reach.mark(rows == 0 ? .r9RepeatUntrusted : .r9DoubtCountedSome)
      deliveries[index].deadline = max(deliveries[index].deadline, deliveries[index].recordedDeadline ?? 0)
      next(index, stepToDeath(index))
    }
  }

  private mutating func takeCount(_ index: Int, _ answer: SinkAnswer) {
    guard let rows = counted(index, .count, answer) else { return }
    if rows == deliveries[index].batch.rowCount {
      Reach.mark(.r9CountProved)
      commit(index)
    } else if let table, mayRepeat(index, table) {
      Reach.mark(.r9BurntToken)
      next(index, .listBeforeGuard)
    } else {
      next(index, stepToDeath(index))
    }
  }

  /// Once a life: what has surely been written must be seen, or no later count means anything.
  private mutating func takeFirstCount(_ index: Int, _ answer: SinkAnswer) {
    guard let rows = counted(index, .countFirst, answer) else { return }
    let batch = deliveries[index].batch
    guard rows == batch.rowCount else {
      return end(
        Stop(
          .promise, rule: "R8",
          "\(batch.target) shows \(rows) of \(batch.rowCount) rows of batch \(batch.token), which it has just taken: a row policy or a setting of the user's profile (additional_table_filters, a limit) hides rows from this user, or rows are being deleted. Without counting, a doubt can't be settled"
        ))
    }
    Reach.mark(.r8CountProven)
    countIsProven = true
    commit(index)
  }

  /// The count, or nil when the question has to be asked again or the process ends.
  mutating func counted(_ index: Int, _ step: Delivery.Step, _ answer: SinkAnswer) -> UInt64? {
    switch answer {
    case .counted(let rows):
      let batch = deliveries[index].batch
      deliveries[index].wasDenied = false
      guard rows <= batch.rowCount else {
        end(
          Stop(
            .promise, rule: "R8",
            "\(batch.target) has \(rows) rows of batch \(batch.token), which was sealed with \(batch.rowCount): \(causesOfMore)"
          ))
        return nil
      }
      return rows
    case .denied(let reason):
      denied(index, step, reason)
      return nil
    case .unanswered(let reason), .unknown(let reason), .notSent(let reason):
      again(index, step, reason)
      return nil
    default:
      again(index, step, "an answer that does not fit the question")
      return nil
    }
  }

  private mutating func takeList(_ index: Int, _ step: Delivery.Step, _ answer: SinkAnswer) {
    switch answer {
    case .running(let ids) where ids.isEmpty:
      if step == .listForDeath { Reach.mark(.r8AttemptDead) }
      next(index, step == .listForDeath ? .countAfterDeath : .countBeforeGuard)
    case .running(let ids):
      Reach.mark(.r9QueriesStillRun)
      deliveries[index].runningQuery = ids.first
      next(index, step, afterMilliseconds: options.retryMilliseconds)
    case .denied(let reason): end(Stop(.failed, rule: "R7", reason))
    case .unanswered(let reason), .unknown(let reason), .notSent(let reason): again(index, step, reason)
    default: again(index, step, "an answer that does not fit the question")
    }
  }

  /// A batch's count was refused, or what its guarded insert waits for. The table may be gone or changed, which has its own words (R6,
  /// C8): it is described first, and if it is as it was, the refusal stands.
  private mutating func denied(_ index: Int, _ step: Delivery.Step, _ reason: String) {
    guard !deliveries[index].wasDenied else { return end(Stop(.failed, rule: "R7", reason)) }
    deliveries[index].wasDenied = true
    describeRetryAt = monotonic
    again(index, step, reason)
  }

  /// Counts that either prove the batch or lead to a guarded insert of what is missing.
  private mutating func takeProof(_ index: Int, _ step: Delivery.Step, _ answer: SinkAnswer) {
    guard let rows = counted(index, step, answer) else { return }
    let batch = deliveries[index].batch
    if rows == batch.rowCount {
      Reach.mark(.r8CountedAll)
      if case .countAfterGuard = step { Reach.mark(deliveries[index].guardLooks ? .r8Filled : .r10FirstCounted) }
      return commit(index)
    }
    Reach.mark(.r8CountedFewer)
    if case .countAfterGuard(let inTime) = step {
      if inTime {
        return end(
          Stop(
            .promise, rule: "R8",
            "\(batch.target) has \(rows) of \(batch.rowCount) rows of batch \(batch.token) after an insert that was in time: rows are being deleted, or the table merges them away"
          ))
      }
      Reach.mark(.r8TooLate)
      deliveries[index].bodySeconds = min(600, deliveries[index].bodySeconds * 2)
    }
    deliveries[index].guardLooks = true
    next(index, .timeBeforeGuard)
  }

  private mutating func takeTime(_ index: Int, _ step: Delivery.Step, _ answer: SinkAnswer) {
    switch answer {
    case .serverTime(let seconds, let fastest, _, _):
      switch step {
      case .timeBeforeGuard:
        let deadline = fastest + (tableOptions.settleMilliseconds + 999) / 1000 + deliveries[index].bodySeconds
        deliveries[index].deadline = max(deliveries[index].deadline, deadline)
        append(.deadline(Deadline(destination: destination, batch: deliveries[index].batch.number, seconds: deliveries[index].deadline)))
      case .timeAfterGuard:
        let inTime = fastest < deliveries[index].deadline
        if inTime, !deliveries[index].guardLooks, !countIsProven {
          next(index, .countFirst)
        } else if inTime, !deliveries[index].guardLooks {
          Reach.mark(.r10FirstInTime)
          commit(index)
        } else {
          next(index, .countAfterGuard(inTime: inTime))
        }
      default:
        Reach.mark(.r8DeadlineWaited)
        deliveries[index].serverSeconds = seconds
        if seconds > deliveries[index].deadline {
          next(index, .listForDeath)
        } else {
          next(index, .timeForDeath, afterMilliseconds: options.retryMilliseconds)
        }
      }
    case .denied(let reason): end(Stop(.failed, rule: "R7", reason))
    case .unanswered(let reason), .unknown(let reason), .notSent(let reason): again(index, step, reason)
    default: again(index, step, "an answer that does not fit the question")
    }
  }

  private mutating func takeGuarded(_ index: Int, _ answer: SinkAnswer) {
    Reach.mark(.r8GuardedAfterDoubt)
    switch answer {
    case .committed:
      if deliveries[index].guardLooks { deliveries[index].isFilled = true }
      next(index, .timeAfterGuard)
    case .unknown(let reason):
      doubt(index)
      again(index, .timeForDeath, reason)
    case .viewFailed(let code, let message):
      deliveries[index].viewFailure = "code \(code): \(message)"
      viewRefuses(index)
    // What goes before the insert was denied.
    case .denied(let reason): denied(index, .timeBeforeGuard, reason)
    // Nothing of this attempt can be written: a new deadline, as this one's time is running.
    case .notSent(let reason): again(index, .timeBeforeGuard, reason)
    case .refused(let kind, let code, let message):
      deliveries[index].guardLooks = true
      takeRefusal(index, .timeBeforeGuard, kind, code, message)
    default: again(index, .timeForDeath, "an answer that does not fit the question")
    }
  }
}
