internal import MillBase
internal import MillLog

/// What is altered of the table while the pipeline runs: it is looked at again from time to time, beside the batches under way.
///
/// An INSERT tells of a column that is gone or has another type. It tells nothing of a TTL on the column that names its batch, nor of a
/// window that was made smaller: rows would be doubled at the next doubt.
extension SinkMachine {
  mutating func describeTable() {
    guard !isDescribing, (describeRetryAt ?? 0) <= monotonic else { return }
    describeRetryAt = nil
    isDescribing = true
    exchange(.describe(pending: deliveries.filter { !$0.isAcked }.map(\.batch)), .describe)
  }

  mutating func takeDescribed(_ answer: SinkAnswer) {
    require(isDescribing, "the table was described, which nobody has asked for")
    isDescribing = false
    judgeTable(answer)
  }

  /// - Parameter isLook: nothing has asked for it. A table that is known by its CREATE statement alone may have been altered, which the
  ///   next start tells (C8).
  mutating func judgeTable(_ answer: SinkAnswer, isLook: Bool = false) {
    switch answer {
    case .described(let facts):
      if !tableIdentity.isEmpty, !facts.identity.isEmpty, facts.identity != tableIdentity, surroundings.isRunning,
        !(isLook && facts.identity.hasPrefix("create-"))
      {
        return end(
          Stop(
            .promise, rule: "C8",
            "the table was dropped and made anew while the pipeline ran (identity \(facts.identity), was \(tableIdentity))"))
      }
      tellOfTable(facts.warnings)
      if table == nil, let warning = facts.othersWarning(lineages, table: tableOptions.target) { say(.info, warning) }
      if let table, table.mode != facts.mode, surroundings.isRunning {
        if isBetter(facts.mode, than: table.mode) { return sinkIsBack() }
        return end(
          Stop(
            .failed, rule: "R9",
            "the table's settings have changed while the pipeline ran: delivery would be \(facts.mode.rawValue), it was \(table.mode.rawValue). Start again"
          ))
      }
      table = facts
      sinkIsBack()
    case .unfit(let problems):
      let text = problems.joined(separator: "; ")
      end(Stop(surroundings.isLooking ? .invalidPipeline : .promise, rule: "R6", "the table can't be used as the pipeline asks: \(text)"))
    case .denied(let reason): end(Stop(.failed, rule: "R7", reason))
    case .unanswered(let reason), .unknown(let reason), .notSent(let reason):
      sinkTrouble(reason)
      describeRetryAt = monotonic + options.retryMilliseconds
    default:
      sinkTrouble("an answer that does not fit the question")
      describeRetryAt = monotonic + options.retryMilliseconds
    }
  }

  mutating func lookAtTable() {
    guard let at = nextTableLook, at <= monotonic, !surroundings.stopRequested, !isDescribing, describeRetryAt == nil else { return }
    nextTableLook = nil
    // Whether sealed batches still fit is asked when one doesn't.
    exchange(.describe(pending: []), .tableLook)
  }

  mutating func takeTableLook(_ answer: SinkAnswer) {
    require(nextTableLook == nil, "the table was looked at, which nobody has asked for")
    nextTableLook = monotonic + options.describeIntervalMilliseconds
    switch answer {
    // One that waits for its answer sees the same.
    case .described, .unfit: if !isDescribing, describeRetryAt == nil { judgeTable(answer, isLook: true) }
    // Nobody waits for this look: what is wrong with the server shows in the deliveries.
    default: break
    }
  }

  /// Each warning once, and again when it was gone in between. What stands behind the colon may differ from look to look.
  mutating func tellOfTable(_ warnings: [String]) {
    var causes: Set<String> = []
    for warning in warnings {
      let cause = warning.firstRange(of: ": ").map { String(warning[..<$0.lowerBound]) } ?? warning
      if !toldOfTable.contains(cause) { say(.warning, warning) }
      causes.insert(cause)
    }
    toldOfTable = causes
  }

  /// Whether the table would now allow for a better mode than the one in use, which holds as well as before: the next start takes it.
  func isBetter(_ mode: DeliveryMode, than used: DeliveryMode) -> Bool {
    mode == .tokenAndProvenance && (used == .readBack || used == .tokenOnly)
  }
}
