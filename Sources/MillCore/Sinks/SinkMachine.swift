internal import MillBase
internal import MillLog

/// One ClickHouse destination: its table, the batches on their way there (``Delivery``), and all that is asked and doubted about them
/// (R6–R11, R15's question, C8).
///
/// ``Core`` tells it what has happened, and lets it go on where it may; it answers with orders (``SinkOrder``), which the core does one
/// after the other. It knows nothing of sources, of epochs or of other destinations, and writes nothing into the log itself.
///
///     events  →  Core  →  SinkMachine  →  orders  →  Core  →  commands
///                           deliveries     batches that are sealed and not settled, in the order in which they go
///                           openAttempts        are the attempts without an answer dead?
///                           bisection      the batch that gives way to its pieces
///                           table          what was seen of it last
struct SinkMachine {
  /// Its number; known once the state directory has been read.
  var destination: Destination
  let options: CoreOptions
  /// Its own.
  let tableOptions: TableOptions
  /// Set by the core before each call.
  var surroundings = SinkSurroundings()
  /// What was ordered since, in this order; the core takes them after each call.
  var orders: [SinkOrder] = []
  /// It has ordered the process to end.
  var isEnded = false

  // Who the core is, since the start is prepared
  /// Every lineage that the state has had, the present one too: queries of any of them are ours.
  var lineages: [Lineage] = []
  var instance: UInt64 = 0
  /// Above the attempts of all earlier lives: a restart record's position only grows, and no life makes 2^24 attempts of one batch (it
  /// would take years), so that no two lives use one query id.
  var attemptBase = 0

  // The table
  /// Of the one that the state knows; empty: none yet.
  var tableIdentity = ""
  var table: TableFacts?
  var isDescribing = false
  var describeRetryAt: Int64?
  /// When the table is looked at again, although nothing has asked for it; nil while that is under way.
  var nextTableLook: Int64?
  /// What has been said of the table, by what stands before the first colon.
  var toldOfTable: Set<String> = []
  /// R15: the greatest number of a batch of this lineage that the table has rows of; nil until asked.
  var greatestBatch: BatchNumber??
  var isAskingGreatest = false
  var greatestRetryAt: Int64?

  // Batches
  var deliveries: [Delivery] = []
  var openAttempts = OpenAttemptWatch()
  /// A count has found all rows of a batch that surely was in the table.
  var countIsProven = false
  var exchanges: [UInt64: ExchangeOwner] = [:]
  var nextExchange: UInt64 = 1
  /// Raised by each answer.
  var exchangesAnswered: UInt64 = 0
  /// The batch that is being bisected (R11), and its refused rows so far; nil also for one that an earlier life began with.
  var bisection: (token: String, refused: UInt64)?
  /// The batch that newer ones wait for by R9's bound.
  var heldByWindow: BatchNumber?

  // For people
  /// What is unacked and pending is filled in when somebody looks.
  var batches = Progress.Batches()
  var doubts = Doubts()
  /// Batches that an earlier life left, by whether something of them had to be sent.
  var recoveredFound = 0
  var recoveredSent = 0
  var lastCommitAt: Int64 = 0
  /// What was heard last from a server that can't be used as it should, and since when; nil: all is well.
  var wait: Wait?
  /// The causes that were said since.
  var toldCauses: [Substring] = []

  init(destination: Destination, options: CoreOptions, tableOptions: TableOptions) {
    self.destination = destination
    self.options = options
    self.tableOptions = tableOptions
  }

  // MARK: - What the core hears

  /// The server's answer to ``Command/exchange(_:_:)``.
  mutating func takeAnswer(_ id: UInt64, _ answer: SinkAnswer) {
    guard let owner = exchanges.removeValue(forKey: id) else {
      preconditionFailure("exchange \(id) was answered, which is not under way: nobody asked, or this is its second answer")
    }
    if owner.isAwaited { exchangesAnswered += 1 }
    switch owner {
    case .describe: takeDescribed(answer)
    case .tableLook: takeTableLook(answer)
    case .greatest(let lineage, let nextBatch): takeGreatest(answer, of: lineage, nextBatch: nextBatch)
    case .settleTime, .settleList, .settleKill: takeOpenAttempts(owner, answer)
    case .pieces(let batch): takePieces(delivery(batch), answer)
    case .delivery(let batch, let step):
      let index = delivery(batch)
      require(deliveries[index].isAwaiting, "batch \(batch) was answered at \(step), and waits for no answer")
      deliveries[index].isAwaiting = false
      takeDelivery(index, step, answer)
    }
  }

  /// A batch that an earlier life left, in the order in which that one sent.
  mutating func recover(_ delivery: Delivery) {
    deliveries.append(delivery)
    batches.recovered.add(delivery.batch)
  }

  /// The seal of a batch is durable.
  /// - Parameter logBegin: as ``Delivery/logBegin``.
  mutating func takeSealed(_ batch: SealedBatch, at position: LogPosition, logBegin: UInt64) {
    batches.sealed.add(batch)
    var delivery = Delivery(batch: batch, seal: position, wasRecovered: false, isPiece: false)
    delivery.sealedWall = now.wallMilliseconds
    delivery.logBegin = logBegin
    deliveries.append(delivery)
  }

  /// The ack of a batch is in the log.
  mutating func takeAcked(_ batch: BatchKey, at position: LogPosition) {
    let index = delivery(batch)
    require(deliveries[index].isCommitted && !deliveries[index].isAcked, "batch \(batch) was acked without a commit, or twice")
    deliveries[index].ackPosition = position
    batches.acked.add(deliveries[index].batch)
  }

  // MARK: - What the core asks

  /// Where a batch stands. It must be there: a batch with a question or a record under way goes neither by its ack nor by its retire.
  func delivery(_ batch: BatchKey) -> Int {
    guard let index = deliveries.firstIndex(where: { $0.batch.key == batch }) else {
      preconditionFailure("batch \(batch) is not under way")
    }
    return index
  }

  var isAllAcked: Bool { deliveries.allSatisfy(\.isAcked) }

  /// The table can't be written to, and that not just for a moment.
  var hasBacklog: Bool { wait != nil && deliveries.count >= 32 }

  /// Bytes of the log before the first chunk of the oldest batch that isn't acked; nil: all are.
  var oldestBegin: UInt64? { deliveries.lazy.filter { !$0.isAcked }.map(\.logBegin).min() }

  /// The next moment at which something is due here; nil: only an event can change anything.
  /// - Parameter mayDeliver: the start is over, so that batches go out.
  func wakeAt(mayDeliver: Bool, stopRequested: Bool) -> Int64? {
    var moments = [greatestRetryAt]
    if !isDescribing { moments.append(describeRetryAt) }
    if mayDeliver, !openAttempts.isAwaiting { moments.append(openAttempts.nextStepAt) }
    if mayDeliver, !isDescribing, describeRetryAt == nil {
      moments.append(deliveries.lazy.compactMap(\.readyAt).min())
      if !stopRequested { moments.append(nextTableLook) }
    }
    return moments.lazy.compactMap(\.self).min()
  }

  // MARK: - Orders

  var now: Instant { surroundings.now }
  var monotonic: Int64 { surroundings.now.monotonicMilliseconds }
  var durableEnd: LogPosition { surroundings.durableEnd }

  mutating func order(_ order: SinkOrder) { orders.append(order) }

  mutating func say(_ level: Command.Level, _ text: String) { order(.say(level, text)) }

  mutating func append(_ record: LogRecord) { order(.append(record)) }

  mutating func exchange(_ request: SinkRequest, _ owner: ExchangeOwner) {
    let id = nextExchange
    nextExchange += 1
    exchanges[id] = owner
    order(.exchange(id, request))
  }

  mutating func end(_ stop: Stop) {
    isEnded = true
    order(.stop(stop))
  }
}
