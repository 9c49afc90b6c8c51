package import MillBase
package import MillLog

/// The protocol: one pure, synchronous state machine. Events in, commands out; no I/O, no clock and no randomness of its own.
///
/// All protocol state is here: what is cut, sealed, sent, in doubt, acked, checkpointed, truncated, recovered. Production and the simulator
/// run it unchanged. It is made of machines, each a value that sees its own alone; here is what spans them: epochs, seals, the log's ends,
/// the phase.
///
///     ``Recovery``       what a start goes on from: a function of checkpoints and log
///     ``SourceMachine``  one for each source: questions, partitions, losses, its group's metadata (``WitnessKeeper``)
///     ``SinkMachine``    one for each sink: its batches on their way, attempts in doubt, bisection
///     ``DeadLetterQueue``  the dead letters' files
///     ``StateLane``      changes of the state, in the order of epochs
///     ``Retention``      checkpoints that are kept, and what of the log they need
///
/// Invariants:
/// - a batch is sent only when its seal is durable (R2);
/// - an epoch is cut only in phase `live`, after every recorded intent up to the last seal has been replayed (R4);
/// - the log is truncated only before what every retained checkpoint needs (R16).
///
/// One owner. Copyable all the same: the compiler's checks of a struct of so many fields that isn't took minutes.
package struct Core {
  package let options: CoreOptions

  /// From the first event to the last.
  enum Phase: Hashable { case starting, looking, preparing, replaying, live, stopped }
  var phase = Phase.starting
  var commands: [Command] = []
  var now = Instant(wallMilliseconds: 0, monotonicMilliseconds: 0)

  // Starting
  var opened: Opened?
  var start = StartLooks()

  // Identity
  package internal(set) var lineage = Lineage(0)
  var hashSeed = Digest128(low: 0, high: 0)

  // Sources
  /// In the file's order.
  var sources: [SourceMachine]
  var sourceNumbers: SourceNumbers

  // Epochs
  package internal(set) var epoch: EpochNumber = 0
  var clockMilliseconds: Int64 = 0
  var watermark = Int64.min
  var replay: [RecordedIntent] = []
  var replayNext = 0
  var seals: [EpochNumber: [(seal: Seal, position: LogPosition)]] = [:]
  /// An epoch was replayed without some of its records.
  var hasReplayedLoss = false
  /// What the process ends with once all that was read is sealed and checkpointed.
  var windUp: Stop?
  /// Of the epochs that this process was the first to cut; the others' records are in ``replayedRecords``.
  package internal(set) var counters = Counters()
  var replayedRecords: UInt64 = 0
  /// Of all epochs that this process has cut, whether or not an earlier one had cut their records too.
  var outcomes = Outcomes()
  /// Index: source. Nil: a record of it has been decoded, or an earlier process had read it.
  var births: [Birth?]
  /// How far earlier processes had cut, by what the log says of it.
  var cutBefore: [Slot: Int64] = [:]
  /// Of the epochs since the last seal; the next one takes them.
  var unsealedCounters = Counters()
  var stopRequested = false
  /// When the stop was asked for, or an epoch was replayed since.
  var stopProgressAt: Int64 = 0

  // Destinations
  var numbers: DestinationNumbers
  /// Identity of every table that ever had a number, as last seen.
  var tableIdentities: [String] = []

  // Pending output; index: destination
  var pendingRows: [UInt64] = []
  var pendingBytes: [UInt64] = []
  var pendingSince: [Int64?] = []
  /// The first epoch that the destination's next seal covers.
  var firstUncovered: [EpochNumber] = []
  var nextBatch: [BatchNumber] = []
  /// Monotonic time when the oldest buffered record was first seen; nil when nothing is buffered.
  var bufferedSince: Int64?
  /// Monotonic time of the last poll; other events don't put the next one off.
  var polledAt: Int64 = 0
  /// Of the records that are being cut: `batch.max_delay` counts from here.
  var cutSince: Int64?
  var cutNotBefore: Int64 = 0
  /// An epoch was given to the executor and has not come back.
  var isCutting = false

  // Log
  var logEnd: LogPosition = 0
  var durableEnd: LogPosition = 0
  /// A seal or a retire is under way on the log lane.
  var isSealing = false
  var sealRetryAt: Int64?
  var isSyncing = false
  /// The log lane is asked to sync as soon as it is free.
  var wantsSync = false
  var appendsWaiting: [LogRecord] = []
  var isAppending = false
  var appendRetryAt: Int64?
  /// Steps of the start that had no room, to be ordered again, and when.
  var startAgain: [Command] = []
  var startAgainAt: Int64?

  // Batches
  /// In the file's order.
  var sinks: [SinkMachine]
  var deadLetters = DeadLetterQueue()
  var mayDeliver = false
  var held = HeldLog()
  /// Waits that are no errors.
  var longWaits = LongWaits()
  /// When the waits are looked at again, for how long they have lasted.
  var waitsJudgedAt: Int64 = 0
  /// The waits that were told a second time: since when they last.
  var toldAgain: [Wait.Key: Instant] = [:]
  /// Work that waits for room on the disk, and since when.
  var spaceWaits: [SpaceWork: Instant] = [:]

  // State and checkpoints
  var lane = StateLane()
  var checkpoint = CheckpointProgress()
  var retention = Retention()

  package init(options: CoreOptions) {
    self.options = options
    guard let sourceNumbers = SourceNumbers(known: [], sources: options.sources) else { preconditionFailure("over 2048 sources") }
    self.sourceNumbers = sourceNumbers
    sources = options.sources.map { SourceMachine(options: options, its: $0) }
    births = options.sources.map { _ in nil }
    guard let numbers = DestinationNumbers(known: [], tables: options.tables) else { preconditionFailure("over 255 tables in one file") }
    self.numbers = numbers
    sinks = zip(options.tables, numbers.ofSinks).map { SinkMachine(destination: $1, options: options, tableOptions: $0) }
    for (index, number) in sourceNumbers.ofSources.enumerated() { sources[index].number = number }
    makeRoom()
  }

  /// Of each sink, in the file's order.
  package var tables: [TableFacts?] { sinks.map(\.table) }

  /// Takes one event and says what is to be done now, in this order.
  ///
  /// An answer to what nobody has asked, or a second one, is a mistake of the program: it ends the process, whose next start recovers.
  /// What may come late without a mistake is let pass: any event after a stop was ordered; answers of the brokers to a question that
  /// another answer has settled meanwhile (``SourceQuestion``); where the log's end stood when a seal was written; no room for a sync,
  /// which is told as that of an append.
  package mutating func step(_ event: Event, now: Instant) -> [Command] {
    self.now = Instant(
      wallMilliseconds: now.wallMilliseconds, monotonicMilliseconds: max(now.monotonicMilliseconds, self.now.monotonicMilliseconds))
    guard phase != .stopped else { return [] }
    take(event)
    if phase != .stopped { advance() }
    if phase != .stopped { watchLongWaits() }
    measureHeldLog()
    defer { commands.removeAll(keepingCapacity: true) }
    return commands
  }

  /// The monotonic moment at which ``Event/wake`` is due although nothing else happens; nil: only an event can change anything.
  ///
  /// What is blocked by something that ends in an event has no moment: it would lie in the past and wake for nothing.
  package var wakeAt: Int64? {
    var earliest: Int64?
    func consider(_ moment: Int64?) {
      guard let moment else { return }
      earliest = min(earliest ?? moment, moment)
    }
    // By index: an element would be copied with all that it holds, at each turn of the engine's loop.
    for index in sources.indices {
      for moment in sources[index].retryAt.values { consider(moment) }
      consider(sources[index].witness.retryAt)
    }
    consider(sealRetryAt)
    consider(appendRetryAt)
    consider(startAgainAt)
    consider(lane.retryAt)
    consider(deadLetters.retryAt)
    if mayDeliver, !deadLetters.isMeasuring { consider(deadLetters.measureAt) }
    consider(checkpoint.publishRetryAt)
    consider(giveUpAt)
    consider(longWaitDueAt)
    consider(waitsDueAt)
    consider(tellDeadLettersAt)
    for sink in sinks { consider(sink.wakeAt(mayDeliver: mayDeliver, stopRequested: stopRequested)) }
    guard phase == .live, !stopRequested else { return earliest }
    for index in sources.indices { consider(sources[index].wakeAtLive) }
    if cutNotBefore > monotonic { consider(cutNotBefore) }
    if isUnproven {
      for case let birth? in births { if let at = decidedAt(birth), at > monotonic { consider(at) } }
      return earliest
    }
    guard !isSealing else { return earliest }
    consider(checkpoint.dueAt)
    if checkpoint.stage == .idle || checkpoint.stage.isPastFreeze {
      for destination in destinations { consider(pendingSince[destination.index].map { $0 + maxDelay(destination) }) }
    }
    return earliest
  }

  package var isStopped: Bool { phase == .stopped }
  package var isLive: Bool { phase == .live }
  package var isReplaying: Bool { phase == .replaying }

  // MARK: - Dispatch

  private mutating func take(_ event: Event) {
    switch event {
    case .started:
      require(phase == .starting && opened == nil, "a process starts once")
      commands.append(.open)
    case .opened(let found): takeOpened(found)
    case .source(let source, let answer): take(answer, of: source)
    case .sink(let sink, let exchange, let answer): withSink(sink) { $0.takeAnswer(exchange, answer) }
    case .logBegun(let end, let durable):
      require(phase == .preparing && !start.isLogBegun && durable <= end, "the log was begun at \(end), durable up to \(durable)")
      foundSpace(.beginLog)
      logEnd = end
      durableEnd = durable
      for index in sinks.indices { sinks[index].attemptBase = Int(end) << 24 }
      start.isLogBegun = true
    case .stateOpened:
      require(phase == .preparing && !start.isStateOpen, "the state was opened twice, or too early")
      foundSpace(.openState)
      start.isStateOpen = true
    case .polled(let polled): takePolled(polled)
    case .processed(let result): takeProcessed(result)
    case .sealCompared(let mismatch): takeCompared(mismatch)
    case .sealed(let seal, let position, let durable, let byteCount): takeSealed(seal, position, durable, byteCount)
    case .retired(let retire, let position, let durable, let byteCount): takeRetired(retire, position, durable, byteCount)
    case .appended(let position, let end): takeAppended(position, end)
    case .synced(let durable): takeSynced(durable)
    case .frozen(let id, let position): takeFrozen(id, position)
    case .stateWorkDone(let work): takeStateWork(work)
    case .published(let epoch, let name): takePublished(epoch, name)
    case .checkpointRemoved(let name): start.removals.remove(name)
    case .truncated(let count): if count > 0 { Reach.mark(.r16SegmentRemoved) }
    case .deadLettersWritten(let batch, let byteCount): takeDeadLetters(batch, byteCount)
    case .deadLettersMeasured(let byteCount, let directory): takeDeadLetterBytes(byteCount, directory)
    case .outOfSpace(let work, let place): takeOutOfSpace(work, place)
    case .failed(let stop): end(stop)
    case .stopRequested:
      if !stopRequested {
        commands.append(.say(.info, "stopping: sealing and taking a checkpoint"))
        stopProgressAt = monotonic
      }
      stopRequested = true
      if phase == .starting || phase == .looking || phase == .preparing { end(Stop(.done, "stopped before anything was processed")) }
    case .wake: break
    }
  }

  /// Orders all that is due, in the protocol's order of effects.
  private mutating func advance() {
    // What follows is about the end of `epoch`; an epoch that is being processed comes to its end first.
    guard !isCutting else { return }
    advanceStart()
    tellDeadLetters()
    if let giveUpAt, giveUpAt <= monotonic { return giveUp() }
    judgeWaits()
    guard phase != .stopped else { return }
    switch phase {
    case .starting, .stopped: return
    case .looking: advanceLooking()
    case .preparing: advancePreparing()
    case .replaying: advanceReplay()
    case .live: advanceLive()
    }
    guard phase != .stopped else { return }
    if phase == .replaying || phase == .live || start.isLogBegun {
      if mayDeliver {
        withSinks {
          $0.lookAtTable()
          $0.advanceDeliveries()
        }
      }
      guard phase != .stopped else { return }
      advanceLog()
      advanceState()
      advanceCheckpoint()
    }
  }

  /// Asked to stop, and what it waits for may never come: the brokers' records in a replay, room on the disk. Nothing is lost by leaving:
  /// the next start goes on from the checkpoint and the log that are there.
  private var giveUpAt: Int64? {
    let waitsForRoom = sealRetryAt != nil || appendRetryAt != nil || lane.retryAt != nil || checkpoint.publishRetryAt != nil
    guard stopRequested, phase == .replaying || phase == .live && waitsForRoom else { return nil }
    return stopProgressAt + options.stopPatienceMilliseconds
  }

  private mutating func giveUp() {
    if let windUp { return end(windUp) }
    end(
      Stop(
        .failed,
        phase == .replaying
          ? "stopped while epochs were replayed, without a last checkpoint: the records did not come from Kafka. The next start goes on"
          : "stopped without a last checkpoint: no room on the disk of the state directory. The next start goes on"))
  }

  mutating func end(_ stop: Stop) {
    guard phase != .stopped else { return }
    phase = .stopped
    commands.append(.stop(stop))
  }

  mutating func say(_ level: Command.Level, _ text: String) { commands.append(.say(level, text)) }

  /// While the table takes nothing its rows wait for the next checkpoint's seal: many small batches would only have to be kept.
  func maxDelay(_ destination: Destination) -> Int64 {
    guard destination.isTable else { return options.deadLetterMaxDelayMilliseconds }
    let sink = sinks[sink(of: destination)]
    guard sink.hasBacklog else { return sink.tableOptions.batchMaxDelayMilliseconds }
    return max(sink.tableOptions.batchMaxDelayMilliseconds, options.checkpointIntervalMilliseconds)
  }

  /// Likewise for epochs, where no table takes anything: each has its intent in the log.
  var epochMaxDelay: Int64 {
    guard sinks.allSatisfy(\.hasBacklog) else { return options.epochMaxDelayMilliseconds }
    let delay = options.tables.reduce(0) { max($0, $1.batchMaxDelayMilliseconds) }
    return max(options.epochMaxDelayMilliseconds, min(1000, delay))
  }

  var monotonic: Int64 { now.monotonicMilliseconds }
}
