internal import MillBase
internal import MillLog

/// One source, a topic: what the brokers are asked of it, how far its partitions are read, what of it is lost (K rules), and what is said
/// of Kafka's troubles.
///
/// ``Core`` tells it what has happened, and lets it go on where it may; it answers with orders (``SourceOrder``), which the core does one
/// after the other. It cuts no epochs: it says what one may take (``ranges(upTo:)``), and is told what was taken.
struct SourceMachine {
  let options: CoreOptions
  /// What is its own of them.
  let its: SourceOptions
  /// Of its slots.
  var number = SourceNumber.first
  /// Set by the core before each call.
  var surroundings = SourceSurroundings()
  /// What was ordered since, in this order; the core takes them after each call.
  var orders: [SourceOrder] = []
  /// The process ends once all that was read is sealed and checkpointed: nothing more is made of what the brokers say.
  var isWindingUp = false

  // Questions
  var asking: Set<SourceQuestion> = []
  var retryAt: [SourceQuestion: Int64] = [:]
  /// Raised by each answer.
  var questionsAnswered: UInt64 = 0
  var watch = SourceWatch()
  /// When the topic is asked for again while running.
  var nextDescribe: Int64 = 0

  /// R15
  var witness = WitnessKeeper()

  // At a start, before anything is written
  /// The topic that it was, as checkpoint or log have it; nil: they don't know it.
  var known: TopicIdentity?
  /// Records of it count that an earlier process has read.
  var wasRead = false
  /// The state directory knows nothing of it: it begins where the file says.
  var isNew = true
  var found: SourceLook?
  var starts: [Int64]?
  var anchorsChecked = false
  var lossChecked = false
  /// Losses that this start accepts; they go into the log before anything is read.
  var gaps: [LostRange] = []
  /// K12: ranges of `--accept-loss` that aren't gone, and, once the source was asked, those of them that are a batch that can't be
  /// unpacked.
  var candidates: [LostRange] = []
  var acceptedUnreadable: [LostRange]?

  // The topic
  /// As it was when last heard of; before the start is over: nothing.
  var topic = SourceLook(clusterID: "", topicID: "", low: [], stableEnd: [])
  var topicMissingSince: Int64?
  var partitions: [PartitionProgress] = []
  /// As of the next epoch's start.
  var watermark = Int64.min
  /// By partition: where `--until-end` ends.
  var endOffsets: [Int64] = []
  /// The last look found a partition that ends before what is still to be read of it.
  var endsEarly = false

  // Records
  /// Its part of each intent that the log has; ``Core/replay`` has them in the same order.
  var recorded: [RecordedPart] = []
  /// What the buffers hold.
  var lastPolled: Polled?
  /// Monotonic time of the last poll while live.
  var lastPolledAt: Int64?
  /// The partitions that are fetched while the others' buffers are full; nil: all.
  var fetchedOnly: Set<Int>?

  // K3: records that are gone
  /// By partition: reading has gone on from here, behind what was given up.
  var lossEnds: [Int32: Int64] = [:]
  /// Intents and seals that stand in the log before this may cover records that were given up later (`--accept-loss`): their replay isn't
  /// compared. The newest gap's place, or behind everything where this start accepts one.
  var comparableFrom: LogPosition = 0
  /// Ranges that earlier starts and this one have given up.
  var givenUp: [LostRange] = []
  /// A partition gives nothing more, and it isn't known yet why.
  var lost: LostPosition?
  /// K12: a batch whose checksum is right and that can't be unpacked.
  var unreadable: UnreadableFound?

  // Checkpoints
  /// Whether the topic is still the one that the checkpoint before was made of (K6).
  var topicCheck = TopicCheck.done
  /// The newest checkpoint was made with nothing to ask for: the topic may have been made anew amid what it remembers, so that each
  /// partition is asked for next time.
  var mayRememberTwoTopics = false

  init(options: CoreOptions, its: SourceOptions) {
    self.options = options
    self.its = its
  }

  /// The next moment at which something is due while live; nil: only an event can change anything.
  var wakeAtLive: Int64? {
    let describeAt = asking.contains(.describe) ? nil : max(nextDescribe, retryAt[.describe] ?? 0)
    let witnessAt = asking.contains(.witness) || witness.isCommitting ? nil : max(witness.nextLook, retryAt[.witness] ?? 0)
    return [lost?.refetchAt, describeAt, witnessAt].compactMap(\.self).min()
  }

  // MARK: - Orders

  var now: Instant { surroundings.now }
  var monotonic: Int64 { surroundings.now.monotonicMilliseconds }

  mutating func order(_ order: SourceOrder) { orders.append(order) }

  mutating func say(_ level: Command.Level, _ text: String) { order(.say(level, text)) }

  mutating func end(_ stop: Stop) { orders.append(.stop(stop)) }

  /// All that was read is sealed and kept by a last checkpoint, then the process ends. What was ordered first holds.
  mutating func windUp(_ stop: Stop) {
    isWindingUp = true
    orders.append(.windUp(stop))
  }
}

/// How far a partition has been read.
struct PartitionProgress {
  var next: Int64
  var maxEventTime = Int64.min
  var anchorOffset: Int64 = -1
  var anchorTimestamp: Int64 = -1
  var anchorChecksum: UInt32 = 0
  /// For how long it has been known to have no record to take; decides idleness.
  var quietMilliseconds: Int64 = 0
  var isIdle = false
}

enum TopicCheck { case due, asked, done }

/// Which topic of which cluster. Ids are empty where the brokers don't tell.
struct TopicIdentity {
  var topic: String
  var clusterID: String
  var topicID: String
}

/// An intent of the log, and where it stands there.
struct RecordedIntent {
  var intent: Intent
  var position: LogPosition

  func part(of source: SourceNumber) -> RecordedPart {
    let part = intent.part(of: source) ?? IntentPart(source: source, ranges: [], partitionCount: 0)
    return RecordedPart(epoch: intent.epoch, part: part, position: position)
  }
}

/// What a recorded intent takes of one source.
struct RecordedPart {
  var epoch: EpochNumber
  var part: IntentPart
  var position: LogPosition
}

/// What a ``SourceMachine`` wants done.
enum SourceOrder {
  case ask(SourceRequest)
  /// As ``Command/assign(source:_:)``.
  case assign([Int64])
  /// As ``Command/fetch(source:_:)``.
  case fetch([Int64?])
  case say(Command.Level, String)
  case windUp(Stop)
  case stop(Stop)
}

/// What a ``SourceMachine`` has to know of what spans sources and destinations.
struct SourceSurroundings {
  var now = Instant(wallMilliseconds: 0, monotonicMilliseconds: 0)
  var isReplaying = false
  var isLive = false
  var stopRequested = false
  /// During a replay: every sealed batch is acked.
  var isAllAcked = false
  /// During a replay: another source's records of the next epoch aren't all there.
  var othersMiss = false
  /// Every destination is `at_least_once`.
  var isAtLeastOnce = false
  /// Epochs that are still to be replayed.
  var recorded: ArraySlice<RecordedPart> = []

  var isRunning: Bool { isLive || isReplaying }
}
