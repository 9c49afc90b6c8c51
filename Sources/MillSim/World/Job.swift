internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillEngine
internal import MillFlow
internal import MillLog
internal import MillState

/// The simulated job: a topic of events, or two, deduplicated, into a table, or two. Small and fixed; the scenario decides sizes and rules.
enum Job {
  static let stateDirectory = "/state"
  static let checkpointDirectory = "/state/checkpoints"
  static let deadLetterDirectory = "/dead-letters"
  static let provenanceColumn = "_millrace_batch"

  static func table(_ scenario: Scenario) -> SimClickHouse.Table {
    var table = SimClickHouse.Table(
      flavour: scenario.destination == .readBackOld ? .old : .modern,
      engine: scenario.isReplicated ? "ReplicatedMergeTree" : "MergeTree", partitionKey: scenario.partitionKey.rawValue,
      window: scenario.window, windowSeconds: scenario.windowSeconds,
      provenance: scenario.hasProvenance
        ? (provenanceColumn, scenario.provenanceIsLowCardinality ? "LowCardinality(String)" : "String") : nil)
    table.hasSub = scenario.hasTwoKeys
    return table
  }

  static func source(_ scenario: Scenario) throws(PlanProblem) -> SourcePlan {
    let isOld = scenario.destination == .readBackOld
    var plan = try SourcePlan(
      name: "events", topic: "events",
      fields: try keys(scenario) + [
        FieldPlan(name: "k", type: .uint32), FieldPlan(name: "amount", type: .int64),
        FieldPlan(
          name: "at", type: isOld ? .dateTime(zone: nil) : .dateTime64(precision: 3, zone: nil),
          format: isOld ? .unixSeconds : .unixMilliseconds),
      ],
      eventTime: scenario.hasEventTime
        ? EventTimePlan(
          fieldIndex: scenario.hasTwoKeys ? 4 : 3, outOfOrderness: scenario.outOfOrderness, idleAfter: scenario.idleAfter,
          maxAhead: scenario.maxAhead) : nil)
    plan.limits = RecordLimits(recordByteCountMax: Workload.recordByteCountMax, letterByteCountMax: 64)
    return plan
  }

  private static func keys(_ scenario: Scenario) throws(PlanProblem) -> [FieldPlan] {
    let first = try FieldPlan(name: "event_id", type: .string)
    return scenario.hasTwoKeys ? [first, try FieldPlan(name: "sub", type: .string)] : [first]
  }

  static func rules(_ scenario: Scenario) -> Oracle.Rules {
    Oracle.Rules(
      hasEventTime: scenario.hasEventTime, within: scenario.within, allowedLateness: scenario.allowedLateness,
      outOfOrderness: scenario.outOfOrderness,
      outOfOrdernessBySource: scenario.second.map { [$0.name(.both): $0.outOfOrderness, $0.name(.renamed): $0.outOfOrderness] } ?? [:],
      maxAhead: scenario.maxAhead, shaping: scenario.shaping)
  }

  /// What an older release recorded for the same file, and how it reads records (protocol R4).
  static let olderPlan = PlanRecord(hash: 0x4141_4141, replayVersion: 0, text: "sim, older")

  /// What a change of the file adds to a plan's hash.
  static func change(plan: UInt64, mendings: UInt64, _ file: SecondSource.File) -> UInt64 { plan &+ mendings << 8 &+ file.rawValue << 40 }

  /// Whether a plan's hash is the older release's, of the file as it was or as it has been changed since.
  static func isOlder(_ hash: UInt64) -> Bool { (olderPlan.hash...olderPlan.hash + 0xffff).contains(hash & 0xff_ffff_ffff) }

  static func olderSource(_ plan: SourcePlan) -> SourcePlan {
    var plan = plan
    plan.limits = nil
    guard let time = plan.eventTime else { return plan }
    return plan.replacing(
      eventTime: EventTimePlan(
        fieldIndex: time.fieldIndex, outOfOrderness: time.outOfOrderness, idleAfter: time.idleAfter, maxAhead: 86_400_000,
        measuresClock: false))
  }

  /// - Parameter incarnation: of the process.
  static func options(_ scenario: Scenario, _ sources: SourcesOfFile, untilEnd: Bool, incarnation: Int) -> CoreOptions {
    var table = TableOptions(name: sinkName(scenario, incarnation: incarnation), target: "sim.events")
    table.batchMaxRows = UInt64(scenario.batchRows)
    table.batchMaxDelayMilliseconds = scenario.batchDelay
    table.settleMilliseconds = scenario.settle
    table.inFlightMax = scenario.inFlight
    var options = CoreOptions(
      pipeline: "sim", sources: sources.options(),
      plan: PlanRecord(hash: 0x5151_5151, replayVersion: 1, text: "sim"),
      tables: scenario.hasSecondTable ? [table, SecondTable.options(scenario)] : [table])
    options.untilEnd = untilEnd
    options.epochMaxRows = scenario.epochRows
    options.epochMaxDelayMilliseconds = scenario.epochDelay
    options.epochMaxRowBytes = scenario.epochRowBytes
    options.deadLetterMaxDelayMilliseconds = scenario.deadLetterDelay
    options.birthRecords = scenario.birthRecords
    options.checkpointIntervalMilliseconds = scenario.checkpointInterval
    options.checkpointsRetained = scenario.retain
    options.checkpointsReplay = scenario.checkpointsReplay
    options.unackedMaxBytes = UInt64(scenario.unackedBytes)
    options.describeIntervalMilliseconds = 2000
    options.retryMilliseconds = scenario.retryMilliseconds
    options.backoffMaxMilliseconds = max(2000, scenario.retryMilliseconds)
    return options
  }

  /// What the sink is called by a process: in every third world each calls it otherwise, as if the file had been changed in between. Its
  /// batches, their numbers and the table go on.
  private static func sinkName(_ scenario: Scenario, incarnation: Int) -> String {
    scenario.seed % 3 == 0 ? ["events", "events-eu", "dead-letters"][incarnation % 3] : "events"
  }

  static func sinkOptions(_ scenario: Scenario) -> SinkOptions {
    SinkOptions(
      urls: (1...scenario.replicas).map { "http://sim\($0):8123" }, table: TableName(database: "sim", table: "events"),
      provenanceColumn: scenario.hasProvenance ? provenanceColumn : nil,
      delivery: scenario.destination == .atLeastOnce ? .atLeastOnce : .exactlyOnce, settleMilliseconds: Int(scenario.settle),
      windowReserve: scenario.windowReserve, partitionsMax: scenario.partitionsMax,
      insertTimeoutMilliseconds: Int(scenario.insertTimeout), questionTimeoutMilliseconds: Int(scenario.questionTimeout))
  }

  /// - Parameter transports: one for each server.
  static func sink(_ scenario: Scenario, transports: [any Transport], clock: any Clock, plan: SourcePlan) -> ClickHouseSink {
    ClickHouseSink(
      options: sinkOptions(scenario),
      fields: sinkFields(scenario, plan), transports: transports, clock: clock)
  }

  static func sinkFields(_ scenario: Scenario, _ plan: SourcePlan) -> [SinkField] {
    scenario.shaping.graph(plan).schema.fields.map { SinkField(field: $0.name, type: $0.type) }
  }

  /// The sources, the steps in front, the deduplicate, those behind it, one after the other; each table gets what comes out.
  /// `plan`: the first source's.
  static func graph(_ scenario: Scenario, _ sources: SourcesOfFile, _ plan: SourcePlan, sinkCount: Int) -> GraphPlan {
    let shape = scenario.shaping.graph(plan)
    let plans = sources.plans(plan)
    var (nodes, input) = sources.head(plans)
    var kinds = shape.nodes.map { GraphPlan.Kind.operator($0) }
    kinds.insert(.deduplicate, at: shape.deduplicateAt)
    for kind in kinds {
      nodes.append(GraphPlan.Node(inputs: [input], kind: kind))
      input = .node(nodes.count - 1)
    }
    return GraphPlan(sources: plans.map(\.types), nodes: nodes, sinks: Array(repeating: input, count: sinkCount))
  }

  /// - Parameters:
  ///   - within: another window than the scenario's.
  ///   - incarnation: every other process has other memory and other parts, which must not show (R3).
  static func deduplicate(_ scenario: Scenario, within: Int64?, incarnation: Int) -> DeduplicatePlan {
    let isOther = incarnation % 2 == 0
    return DeduplicatePlan(
      keyFields: scenario.hasTwoKeys ? [0, 1] : [0],
      options: DeduplicateOptions(
        stateNumber: 0, withinMilliseconds: within ?? scenario.within, allowedLatenessMilliseconds: scenario.allowedLateness,
        exact: scenario.exactKeys, memoryByteCount: isOther ? scenario.otherMemory : scenario.stateMemory,
        usesEventTime: scenario.hasEventTime,
        bucketMillisecondsMin: scenario.bucketMinimum, bucketsPerLevelMax: scenario.bucketsPerLevel,
        partKeysMax: isOther ? scenario.otherPartKeys : scenario.partKeys))
  }
}
