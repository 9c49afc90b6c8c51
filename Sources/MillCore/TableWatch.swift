internal import MillLog

/// What is altered of the table while the pipeline runs: it is looked at again from time to time, beside the batches under way.
///
/// An INSERT tells of a column that is gone or has another type. It tells nothing of a TTL on the column that names its batch, nor of a
/// window that was made smaller: rows would be doubled at the next doubt.
extension Core {
  mutating func lookAtTable() {
    guard let at = nextTableLook, at <= monotonic, !stopRequested, !isDescribing, describeRetryAt == nil else { return }
    nextTableLook = nil
    // Whether sealed batches still fit is asked when one doesn't.
    exchange(.describe(pending: []), .tableLook)
  }

  mutating func takeTableLook(_ answer: SinkAnswer) {
    precondition(nextTableLook == nil, "the table was looked at, which nobody has asked for")
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
