internal import MillBase
internal import MillLog

/// Between the core and its destinations.
extension Core {
  /// Where batches go now: the sinks' tables and the dead letters, by number.
  var destinations: [Destination] { numbers.live }

  /// Which of the sinks has this number. One must: batches of a sink that the file has no more end the start.
  func sink(of destination: Destination) -> Int {
    guard let index = sinks.firstIndex(where: { $0.destination == destination }) else {
      preconditionFailure("no sink has number \(destination.rawValue)")
    }
    return index
  }

  /// Rows and bytes that a batch takes at most, but for the last row's. A batch of dead letters takes as much as the largest table's.
  func batchBounds(_ destination: Destination) -> (rows: UInt64, bytes: UInt64) {
    guard !destination.isTable else {
      let table = sinks[sink(of: destination)].tableOptions
      return (table.batchMaxRows, table.batchMaxBytes)
    }
    return options.tables.reduce((0, 0)) { (max($0.0, $1.batchMaxRows), max($0.1, $1.batchMaxBytes)) }
  }

  /// The arrays by destination have an item for each number; what is new there has nothing yet.
  mutating func makeRoom() {
    while nextBatch.count < numbers.count {
      nextBatch.append(1)
      firstUncovered.append(epoch + 1)
    }
    pendingRows = Array(repeating: 0, count: nextBatch.count)
    (pendingBytes, pendingSince) = (pendingRows, Array(repeating: nil, count: nextBatch.count))
    while tableIdentities.count < nextBatch.count { tableIdentities.append("") }
  }

  /// Lets every sink do something, in the file's order, until one ends the process.
  mutating func withSinks(_ body: (inout SinkMachine) -> Void) {
    for index in sinks.indices where phase != .stopped { withSink(index, body) }
  }

  /// Lets a sink do something, then does what it orders, one after the other.
  mutating func withSink<Result>(_ index: Int, _ body: (inout SinkMachine) -> Result) -> Result {
    sinks[index].surroundings = SinkSurroundings(
      now: now, durableEnd: durableEnd, isLooking: phase == .looking, isRunning: phase == .live || phase == .replaying,
      stopRequested: stopRequested, isSealing: isSealing, mayRetire: mayRetire)
    let result = body(&sinks[index])
    var orders: [SinkOrder] = []
    swap(&orders, &sinks[index].orders)
    for order in orders { perform(order, of: index) }
    orders.removeAll(keepingCapacity: true)
    swap(&orders, &sinks[index].orders)
    return result
  }

  private mutating func perform(_ order: SinkOrder, of index: Int) {
    switch order {
    case .say(let level, let text): say(level, named(text, index))
    case .exchange(let id, let request): commands.append(.exchange(sink: index, id, request))
    case .append(let record): append(record)
    case .sync: wantsSync = true
    case .retire(let batch, let refusal, let rows): orderRetire(batch, refusal, rows)
    case .stop(var stop):
      stop.message = named(stop.message, index)
      end(stop)
    }
  }

  /// With several sinks each of their messages says whose it is.
  private func named(_ text: String, _ index: Int) -> String {
    sinks.count == 1 ? text : "sink \(sinks[index].tableOptions.name): \(text)"
  }

  // MARK: - All of them

  var isAllAcked: Bool { sinks.allSatisfy(\.isAllAcked) && deadLetters.waiting.isEmpty }

  /// Batches that are sealed, and not settled or written.
  var unackedBatchCount: Int { sinks.reduce(deadLetters.waiting.count) { $0 + $1.deliveries.count } }

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
    withSink(sink(of: retire.destination)) { $0.takeRetired(retire, at: position, logBegin: logBegin) }
    for piece in retire.replacements where piece.destination == .deadLetters { deadLetters.take(piece, at: position, logBegin: logBegin) }
  }

  // MARK: - Acks

  /// The ack of a batch is in the log.
  mutating func acked(_ ack: Ack, at position: LogPosition) {
    held.changed()
    if ack.destination.isTable {
      withSink(sink(of: ack.destination)) { $0.takeAcked(ack.key, at: position) }
    } else {
      deadLetters.takeAcked(ack.key, at: position)
    }
  }

  mutating func takeDeadLetters(_ batch: BatchKey, _ byteCount: Int) {
    deadLetters.takeWritten(batch, byteCount, max: options.deadLetterMaxBytes)
    foundSpace(.deadLetters)
    append(.ack(Ack(destination: batch.destination, batch: batch.number)))
  }
}
