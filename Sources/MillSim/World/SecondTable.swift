internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillFlow
internal import MillLog

/// The second sink of some worlds: the same rows into a table of its own, on a server of its own with faults of its own. It must get each
/// row once whatever befalls the first one.
enum SecondTable {
  static let destination = Destination(rawValue: 2)
  static let name = "audit"
  static let window = 1000

  static func table(_ scenario: Scenario) -> SimClickHouse.Table {
    var table = SimClickHouse.Table(
      flavour: .modern, engine: "MergeTree", partitionKey: "", window: window, provenance: (Job.provenanceColumn, "String"))
    table.hasSub = scenario.hasTwoKeys
    return table
  }

  static func options(_ scenario: Scenario) -> TableOptions {
    var table = TableOptions(name: name, target: "sim2.events")
    // Other bounds: the two are rarely sealed at once.
    table.batchMaxRows = UInt64(2 * scenario.batchRows + 1)
    table.batchMaxDelayMilliseconds = scenario.batchDelay * 3 / 2
    table.settleMilliseconds = scenario.settle
    table.inFlightMax = scenario.inFlight
    return table
  }

  static func sinkOptions(_ scenario: Scenario) -> SinkOptions {
    SinkOptions(
      urls: ["http://second:8123"], table: TableName(database: "sim2", table: "events"), provenanceColumn: Job.provenanceColumn,
      settleMilliseconds: Int(scenario.settle), insertTimeoutMilliseconds: Int(scenario.insertTimeout),
      questionTimeoutMilliseconds: Int(scenario.questionTimeout))
  }

  static func sink(_ scenario: Scenario, _ transport: any Transport, clock: any Clock, plan: SourcePlan) -> ClickHouseSink {
    ClickHouseSink(
      options: sinkOptions(scenario), fields: Job.sinkFields(scenario, plan), transports: [transport],
      clock: clock)
  }
}

extension World {
  /// Its own faults, by its own draws: the first table's stay as they were.
  func planSecondFaults() {
    guard let second else { return }
    every(scenario.serverCrashEvery) { [self] in second.crash(down: secondDraws.within(Int64(50)...scenario.safetyMilliseconds / 5)) }
    every(scenario.serverPauseEvery) { [self] in second.pause(for: secondDraws.within(Int64(50)...scenario.safetyMilliseconds / 4)) }
    // One of the two is down for all of the time of faults, now and then.
    if scenario.seed % 7 == 1 {
      scheduler.after(scenario.safetyMilliseconds / 3) { [self] in second.crash(down: scenario.safetyMilliseconds) }
    }
  }
}
