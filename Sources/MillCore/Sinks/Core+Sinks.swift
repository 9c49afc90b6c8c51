internal import MillBase
internal import MillLog

/// Between the core and its destinations.
extension Core {
  /// Lets the sink do something, then does what it orders, one after the other.
  mutating func withSink<Result>(_ body: (inout SinkMachine) -> Result) -> Result {
    sink.surroundings = SinkSurroundings(
      now: now, durableEnd: durableEnd, isLooking: phase == .looking, isRunning: phase == .live || phase == .replaying,
      stopRequested: stopRequested, isSealing: isSealing, mayRetire: mayRetire)
    let result = body(&sink)
    var orders: [SinkOrder] = []
    swap(&orders, &sink.orders)
    for order in orders { perform(order) }
    orders.removeAll(keepingCapacity: true)
    swap(&orders, &sink.orders)
    return result
  }

  private mutating func perform(_ order: SinkOrder) {
    switch order {
    case .say(let level, let text): say(level, text)
    case .exchange(let id, let request): commands.append(.exchange(id, request))
    case .append(let record): append(record)
    case .sync: wantsSync = true
    case .retire(let batch, let refusal, let rows): orderRetire(batch, refusal, rows)
    case .stop(let stop): end(stop)
    }
  }

  // MARK: - R11

  /// A checkpoint that is due comes first: its position and numbers are of one moment.
  private var mayRetire: Bool {
    guard !isSealing, !stopRequested, phase != .live || !checkpoint.isDue(monotonic) else { return false }
    return checkpoint.stage == .idle || checkpoint.stage.isPastFreeze
  }

  private mutating func orderRetire(_ batch: SealedBatch, _ refusal: Delivery.Refusal, _ rows: [[Range<Int>]]?) {
    require(!isSealing, "a retire would begin beside a seal")
    let heir = rows == nil ? Destination.deadLetters.index : batch.destination.index
    let number = nextBatch[heir]
    nextBatch[heir] += BatchNumber(rows?.count ?? 1)
    let replacement: RetireOrder.Replacement =
      rows.map { RetireOrder.Replacement.pieces(firstNumber: number, rows: $0) }
      ?? .deadLetter(number: number, code: refusal.code, message: refusal.message)
    isSealing = true
    held.orderedAt = held.logByteCount
    commands.append(.retire(RetireOrder(batch: batch, lineage: lineage, wallMilliseconds: now.wallMilliseconds, replacement: replacement)))
  }

  /// The retire is durable: the batch is gone, its replacements are there.
  mutating func takeRetired(_ retire: Retire, _ position: LogPosition, _ durable: LogPosition, _ logByteCount: UInt64) {
    require(position < durable, "R11: the retire at \(position) is told as done, and the log is durable up to \(durable)")
    isSealing = false
    sealRetryAt = nil
    logEnd = max(logEnd, position + 1)
    durableEnd = max(durableEnd, durable)
    held.sealed(logByteCount)
    let logBegin = held.orderedAt
    withSink { $0.takeRetired(retire, at: position, logBegin: logBegin) }
    for piece in retire.replacements where piece.destination == .deadLetters { deadLetters.take(piece, at: position, logBegin: logBegin) }
  }

  // MARK: - Acks

  /// The ack of a batch is in the log.
  mutating func acked(_ ack: Ack, at position: LogPosition) {
    held.changed()
    switch ack.destination {
    case .deadLetters: deadLetters.takeAcked(ack.key, at: position)
    case .table: withSink { $0.takeAcked(ack.key, at: position) }
    }
  }

  mutating func takeDeadLetters(_ batch: BatchKey, _ byteCount: Int) {
    deadLetters.takeWritten(batch, byteCount, max: options.deadLetterMaxBytes)
    foundSpace(.deadLetters)
    append(.ack(Ack(destination: batch.destination, batch: batch.number)))
  }
}
