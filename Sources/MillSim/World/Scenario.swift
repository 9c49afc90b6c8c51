internal import MillBase
package import MillClickHouse

/// What one seed does: sizes, features and fault rates, drawn as a swarm (each seed leaves some of them out, others come thick).
package struct Scenario: Sendable {
  /// Which server answers at the destination, and how the table is made.
  package enum Destination: String, CaseIterable, Sendable {
    /// 26.9, a deduplication window, the provenance column.
    case tokenAndProvenance
    /// 26.9, window 0, the provenance column.
    case readBack
    /// 18.16: no token, no time with fractions, no exception header.
    case readBackOld
    /// ReplicatedMergeTree, part and token in one step, no provenance column.
    case tokenOnly
    /// at_least_once was asked for: no promise but that nothing is missing.
    case atLeastOnce
  }

  /// `PARTITION BY` of the table.
  package enum PartitionKey: String, CaseIterable, Sendable {
    case none = ""
    case tuple = "tuple()"
    case group = "k"
  }

  package let seed: UInt64
  package internal(set) var profile = Profile.usual
  package var destination = Destination.tokenAndProvenance
  package var partitionKey = PartitionKey.none
  /// Values of `k`, hence table partitions.
  package var groups = 1
  /// Entries of the deduplication window.
  package var window = 10_000
  package var windowReserve = WindowReserve.auto
  /// Mean time between INSERTs of other writers, ms; 0: nobody else writes. Up to so many at once.
  package var othersEvery: Int64 = 0
  package var othersBurst = 1
  /// Seconds after which a replicated table's window forgets.
  package var windowSeconds = 3600
  /// `max_partitions_per_insert_block`.
  package var partitionsMax = 100
  /// Batches that may be under way at once.
  package var inFlight = 3
  package var retryMilliseconds: Int64 = 200
  /// The table's provenance column is LowCardinality(String).
  package var provenanceIsLowCardinality = false

  // Input
  package var kafkaPartitions = 1
  package var partitionIsAdded = false
  package var records = 200
  /// Milliseconds over which the records come.
  package var inputMilliseconds: Int64 = 20_000
  /// Distinct keys: the fewer, the more duplicates.
  package var keys = 100
  package var hasEventTime = true
  package var disorderMilliseconds: Int64 = 500
  package var outOfOrderness: Int64 = 1000
  package var allowedLateness: Int64 = 5000
  package var within: Int64 = 20_000
  package var idleAfter: Int64 = 2000
  package var maxAhead: Int64 = 600_000
  /// Of records whose producer's clock runs ahead, of half of them in Kafka's timestamp too.
  package var aheadRate = 0.0
  /// Lives that begin before this run an older release, whose plan says otherwise how far ahead a time may be, ms; 0: none.
  package var upgradeAt: Int64 = 0
  package var lateRate = 0.0
  package var garbageRate = 0.0
  /// Bytes of rows that an epoch may have.
  package var epochRowBytes = 32 << 20
  /// The first records of the topic that are all garbage.
  package var garbageFirst = 0
  /// The process is asked to stop once it has read some of these and decoded none.
  package var stopsAmidBirth = false
  /// Undecodable records that a new lineage stops at.
  package var birthRecords: UInt64 = 1000
  package var exactKeys = false
  /// The key is two texts, of which one may go on as the other begins.
  package var hasTwoKeys = false
  package var shaping = Shaping()
  /// Of records at a distance just below or at `within` from one of their key.
  package var edgeRate = 0.0

  // The engine's sizes
  package var epochRows = 10
  package var epochDelay: Int64 = 20
  package var batchRows = 30
  package var batchDelay: Int64 = 200
  package var deadLetterDelay: Int64 = 1000
  package var checkpointInterval: Int64 = 2000
  package var checkpointsReplay = false
  package var retain = 3
  package var segmentBytes = 49_152
  /// The checkpoints lie on another file system: they are copies, and each start copies.
  package var checkpointsElsewhere = false
  var wantsSecondTable = false
  var drawnSecond: SecondSource?
  /// A seal of more has several records; nil: what a segment takes.
  package var sealBytes: Int?
  package var stateMemory = 65_536
  /// Shortest span of a bucket of the state, ms.
  package var bucketMinimum: Int64 = 60_000
  /// Buckets of a level of the state before entries go to coarser ones.
  package var bucketsPerLevel = 32
  /// Keys of a part of a bucket.
  package var partKeys = 1 << 24
  /// The state's memory and the keys of a part in every other process.
  package var otherMemory = 65_536
  package var otherPartKeys = 1 << 24
  package var unackedBytes = 1 << 20
  package var settle: Int64 = 5000
  /// How long the engine waits for an INSERT's answer, ms.
  package var insertTimeout: Int64 = 3000

  /// From here on the server is down until the faults end, ms; 0: never.
  package var outageFrom: Int64 = 0
  /// How long it waits for a question's answer, ms.
  package var questionTimeout: Int64 = 1000
  package var weather: Weather?

  // Fault rates: per draw, or mean milliseconds between two (0: never)
  package var killEvery: Int64 = 0
  package var powerCutEvery: Int64 = 0
  package var serverCrashEvery: Int64 = 0
  package var serverPauseEvery: Int64 = 0
  package var kafkaOutageEvery: Int64 = 0
  package var wallJumpEvery: Int64 = 0
  package var terminateEvery: Int64 = 0
  package var kafkaRequestFails = 0.0
  package var kafkaSlow = 0.0
  package var kafkaGap = 0.0
  package var kafkaStall = 0.0
  /// The longest that a transaction stays open, ms.
  package var kafkaStallMilliseconds: Int64 = 3000
  package var commitFails = 0.0
  package var commitTakesEffect = 0.0
  package var witnessExpires = false
  package var refused = 0.0
  package var requestLost = 0.0
  package var requestDelayed = 0.0
  package var answerLost = 0.0
  package var bodyTorn = 0.0
  package var serverError = 0.0
  package var unknownError = 0.0
  package var oddSuccess = 0.0
  package var serverSlow = 0.0
  package var aimedServerCrash = 0.0
  package var syncFails = 0.0
  package var outOfSpace = false
  package var stateOutOfSpace = 0.0
  package var beyond: Beyond?
  /// When it happens, ms; nil: at some time while faults do.
  package var beyondAt: Int64?
  /// For so long after a topic was made anew new records come into one of its partitions only, ms.
  package var quietAnew: Int64 = 0
  package var refusal = Refusal.nothing
  /// When the table was altered so, ms; 0: from the start. Before it takes such rows.
  package var refusedFrom: Int64 = 0
  /// Of records with such rows.
  package var refusedRate = 0.0
  /// Of inserts during which, or at whose end, a view throws.
  package var viewFails = 0.0
  /// Of a transient error between the parts of an insert.
  package var transientAmidst = 0.0
  /// Of an error code out of all that may come for no fault of the rows.
  package var anyCode = 0.0
  /// Mean time between what an operator does to table and rights, ms; 0: never.
  package var tableTroubleEvery: Int64 = 0
  /// Servers of the table; two: replicas, each with a clock of its own.
  package var replicas = 1
  /// Longest time until one has what another took, ms.
  package var replicaLag: Int64 = 20
  /// The second replica's clock minus the first one's, ms.
  package var replicaSkew: Int64 = 0
  /// Server's clock minus the world's, ms.
  package var serverClockSkew: Int64 = 0
  /// Slowest job of a lane, ms.
  package var slowestJob: Int64 = 20
  /// Slowest write or sync of the log, ms: much may happen beside one.
  package var slowestSync: Int64 = 20
  /// Faults end and the run must converge from here on, ms.
  package var safetyMilliseconds: Int64 = 30_000

  /// What `seed` draws.
  package init(seed: UInt64) {
    self.seed = seed
    let draws = Draws.stream(seed: seed, "scenario")
    destination = draws.pick([
      .tokenAndProvenance, .tokenAndProvenance, .tokenAndProvenance, .readBack, .readBackOld, .tokenOnly, .atLeastOnce,
    ])
    partitionKey = draws.pick([.none, .tuple, .group, .group])
    groups = draws.within(1...5)
    partitionsMax = draws.pick([groups, max(groups, 10), 100])
    let left = draws.chance(0.2) ? draws.within(1...5) : 0
    if left > 0 { windowReserve = .entries(left) }
    let least = 3 * entriesPerBatch + left
    window = draws.pick([least, least + 2 * entriesPerBatch, 8 * least, 10_000])
    let none = draws.chance(0.5)
    switch destination {
    case .readBack: window = none ? 0 : least - 1
    case .readBackOld: window = 0
    case .atLeastOnce: window = none ? 0 : window
    case .tokenAndProvenance, .tokenOnly: break
    }
    provenanceIsLowCardinality = draws.chance(0.3)
    windowSeconds = draws.pick([10, 3600])
    drawInput(draws)
    drawSizes(draws)
    drawFaults(draws)
    drawLength()
    drawTogether()
    drawRefusals()
    drawOthers()
    // A stream of its own: what the others draw stays.
    bucketsPerLevel = Draws.stream(seed: seed, "buckets").pick([1, 4, 32])
    partKeys = Draws.stream(seed: seed, "parts").pick([1, 20, 100, 1 << 24])
    otherPartKeys = Draws.stream(seed: seed, "other parts").pick([1, 20, 100, 1 << 24])
    otherMemory = Draws.stream(seed: seed, "other memory").pick([1024, 4096, 65_536, 1 << 20])
    epochRowBytes = Draws.stream(seed: seed, "row bytes").pick([32 << 20, 20_000, 2000, 1000])
    let ahead = Draws.stream(seed: seed, "ahead")
    maxAhead = ahead.pick([1000, 20_000, 600_000])
    aheadRate = ahead.pick([0, 0, 0.01, 0.05])
    kafkaStallMilliseconds = ahead.pick([3000, 3000, 3000, 25_000])
    upgradeAt = ahead.chance(0.3) ? ahead.within(Int64(1)...15_000) : 0
    drawElsewhere()
    sealBytes = Draws.stream(seed: seed, "seals").pick([nil, nil, 400])
    if Draws.stream(seed: seed, "outage").chance(0.02), beyond == nil { drawOutage() }
    let birth = Draws.stream(seed: seed, "birth")
    birthRecords = birth.pick([2, 10, 1000])
    garbageFirst = birth.chance(0.15) ? birth.within(1...30) : 0
    stopsAmidBirth = garbageFirst > 0 && birth.chance(0.3)
    let keys = Draws.stream(seed: seed, "keys")
    hasTwoKeys = keys.chance(0.2)
    edgeRate = keys.pick([0, 0.02, 0.1])
    shaping = Shaping(seed: seed, hasTwoKeys: hasTwoKeys)
    drawReplicas()
    wantsSecondTable = Draws.stream(seed: seed, "second table").chance(0.3)
    let second = Draws.stream(seed: seed, "second source")
    if second.chance(0.3) { drawnSecond = SecondSource(second, self) }
  }

  // Two servers of one table, which see each other's rows late.
  private mutating func drawReplicas() {
    let draws = Draws.stream(seed: seed, "replicas")
    let isPair = draws.chance(0.15)
    replicaLag = draws.pick([20, 500, 4000])
    replicaSkew = draws.pick([0, 2000, -7000, 20_000])
    guard isPair, destination != .readBackOld, destination != .atLeastOnce else { return }
    replicas = 2
    // The age of a batch is told by the wall clock.
    if destination != .tokenOnly || wallJumpEvery > 0 { windowSeconds = 3600 }
  }

  private mutating func drawInput(_ draws: Draws) {
    kafkaPartitions = draws.within(1...4)
    partitionIsAdded = draws.chance(0.2)
    keys = draws.pick([5, 40, 200, 1000])
    hasEventTime = draws.chance(0.7)
    disorderMilliseconds = draws.pick([0, 200, 1000, 4000])
    outOfOrderness = draws.pick([0, 500, 2000])
    allowedLateness = draws.pick([0, 1000, 10_000])
    within = draws.pick([1000, 5000, 20_000, 86_400_000])
    idleAfter = draws.pick([500, 2000, 30_000])
    lateRate = draws.chance(0.4) ? 0.03 : 0
    garbageRate = draws.pick([0, 0.02, 0.1])
    exactKeys = draws.chance(0.2)
    if destination == .readBackOld {
      // No DateTime64 there: event times are whole seconds.
      outOfOrderness = max(1000, outOfOrderness)
    }
  }

  private mutating func drawSizes(_ draws: Draws) {
    epochRows = draws.pick([1, 3, 5, 8, 30])
    epochDelay = draws.pick([5, 20, 100])
    batchRows = draws.pick([2, 10, 30, 100])
    batchDelay = draws.pick([20, 100, 500, 2000])
    deadLetterDelay = draws.pick([50, 1000])
    checkpointInterval = draws.pick([300, 1000, 3000, 10_000])
    retain = draws.within(1...3)
    segmentBytes = draws.pick([49_152, 49_152, 131_072])
    stateMemory = draws.pick([1024, 4096, 65_536, 1 << 20])
    unackedBytes = draws.pick([8192, 65_536, 1 << 20])
    slowestJob = draws.pick([5, 20, 200])
    bucketMinimum = draws.pick([1, 500, 60_000])
    slowestSync = draws.chance(0.15) ? 1000 : slowestJob
    inFlight = draws.within(1...5)
    retryMilliseconds = draws.pick([50, 200, 1000])
    settle = draws.pick([2000, 5000])
    insertTimeout = draws.pick([1000, 3000, 20_000])
  }

  private mutating func drawFaults(_ draws: Draws) {
    func rate(_ most: Double) -> Double { draws.chance(0.5) ? most * Double(draws.within(1...10)) / 10 : 0 }
    func every(_ probability: Double, _ range: ClosedRange<Int64>) -> Int64 {
      let mean = draws.within(range)
      return draws.chance(probability) ? mean : 0
    }
    killEvery = every(0.6, 2000...15_000)
    powerCutEvery = every(0.6, 2000...15_000)
    if killEvery == 0 && powerCutEvery == 0 { killEvery = 8000 }
    serverCrashEvery = every(0.4, 3000...15_000)
    serverPauseEvery = every(0.3, 3000...15_000)
    kafkaOutageEvery = every(0.3, 3000...15_000)
    wallJumpEvery = every(0.2, 3000...15_000)
    terminateEvery = every(0.2, 5000...20_000)
    kafkaRequestFails = rate(0.2)
    kafkaSlow = rate(0.5)
    kafkaGap = rate(0.1)
    kafkaStall = rate(0.02)
    commitFails = rate(0.3)
    commitTakesEffect = rate(0.3)
    witnessExpires = draws.chance(0.1)
    refused = rate(0.2)
    requestLost = rate(0.1)
    requestDelayed = rate(0.15)
    answerLost = rate(0.15)
    bodyTorn = rate(0.1)
    serverError = rate(0.2)
    unknownError = rate(0.1)
    oddSuccess = rate(0.1)
    serverSlow = rate(0.3)
    aimedServerCrash = draws.chance(0.4) ? rate(0.1) : 0
    syncFails = draws.chance(0.3) ? rate(0.01) : 0
    outOfSpace = draws.chance(0.15)
    stateOutOfSpace = draws.chance(0.2) ? rate(0.2) : 0
    // The age of a batch is told by the wall clock, which must not jump by more than such a window.
    if destination == .tokenOnly, windowSeconds < 3600 { wallJumpEvery = 0 }
    let apart: [Beyond] = [.tableDropped, .topicAnew, .partitionCut]
    let unlucky = draws.pick(Beyond.allCases.filter { !apart.contains($0) } + [.rollback, .rollback])
    beyond = draws.chance(0.25) ? unlucky : nil
    serverClockSkew = draws.pick([0, 0, -7000, 90_000, -3_600_000, 3_600_000])
  }

  /// What the promise is in this scenario: false where doubled rows are allowed.
  package var isExactlyOnce: Bool { destination != .atLeastOnce }

  /// The rows go into a second table too, on a server of its own; where nothing happens that the promise doesn't cover.
  package var hasSecondTable: Bool { wantsSecondTable && beyond == nil && profile == .usual && destination != .readBackOld }

  /// Whether part and token are committed in one step.
  package var isReplicated: Bool { destination == .tokenOnly || replicas > 1 }

  /// Whether the table has the provenance column.
  package var hasProvenance: Bool { destination != .tokenOnly }

  /// Window entries that one batch may use (R9's p).
  package var entriesPerBatch: Int { partitionKey == .group ? partitionsMax : 1 }
}
