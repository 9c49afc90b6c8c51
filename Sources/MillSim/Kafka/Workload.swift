internal import MillBase

/// Writes the job's input into the ``SimBroker`` over simulated time.
package final class Workload {
  private let scenario: Scenario
  private let broker: SimBroker
  /// Gets a part of the records, and some that the first one gets too.
  private let second: SimBroker?
  private let secondDraws: Draws
  private let scheduler: Scheduler
  private let draws: Draws
  private let refusedDraws: Draws
  private let aheadDraws: Draws
  private let birthDraws: Draws
  private let keyDraws: Draws
  /// Written lately, the oldest first: keys that may come again.
  private var recent: [LogicalRecord.Event] = []
  private let trace: Trace
  /// The producers' wall clock at simulated time 0, ms since 1970.
  private let epochStart: Int64
  private var left: Int
  /// Whether every record is written.
  package var isDone: Bool { left == 0 }

  package init(_ scenario: Scenario, broker: SimBroker, second: SimBroker? = nil, scheduler: Scheduler, epochStart: Int64, trace: Trace) {
    self.scenario = scenario
    self.broker = broker
    self.second = second
    secondDraws = .stream(seed: scenario.seed, "second workload")
    self.scheduler = scheduler
    self.epochStart = epochStart
    self.trace = trace
    draws = .stream(seed: scenario.seed, "workload")
    refusedDraws = .stream(seed: scenario.seed, "refused")
    aheadDraws = .stream(seed: scenario.seed, "ahead records")
    birthDraws = .stream(seed: scenario.seed, "first garbage")
    keyDraws = .stream(seed: scenario.seed, "keys written")
    left = scenario.records
  }

  /// Writes some records at once, so that a topic isn't always empty at birth, and plans the rest.
  package func start() {
    if draws.chance(0.5) { write(min(left, draws.within(1...40))) }
    if scenario.partitionIsAdded {
      scheduler.after(draws.within(0...scenario.inputMilliseconds)) { [self] in
        trace.hit(.kafkaPartitionAdded)
        broker.addPartition(isNew: true)
      }
    }
    if let second, scenario.second?.partitionIsAdded == true {
      scheduler.after(secondDraws.within(0...scenario.inputMilliseconds)) { [self] in
        trace.hit(.kafkaPartitionAdded)
        second.addPartition(isNew: true)
      }
    }
    next()
  }

  private func next() {
    guard left > 0 else { return }
    let mean = scenario.inputMilliseconds / Int64(max(1, scenario.records / 4))
    scheduler.after(draws.within(0...max(1, 2 * mean))) { [self] in
      write(min(left, draws.within(1...7)))
      next()
    }
  }

  private func write(_ count: Int) {
    let written = scenario.records - left
    left -= count
    for index in 0..<count {
      let wall = epochStart + scheduler.now
      let drawn = draws.below(broker.partitions.count)
      let partition = broker.onlyPartition ?? drawn
      let key: [UInt8]? = draws.chance(0.5) ? nil : Array("key-\(draws.below(10))".utf8)
      let ahead = ahead()
      let content = content(wall, ahead.event)
      let isFirst = written + index < scenario.garbageFirst
      let record = LogicalRecord(timestamp: wall + ahead.timestamp, key: key, content: isFirst ? garbage(birthDraws) : content)
      if !goesElsewhere(record) { broker.append(record, partition: partition) }
    }
  }

  /// Whether the second topic gets a record instead of the first one.
  private func goesElsewhere(_ record: LogicalRecord) -> Bool {
    guard let second, let its = scenario.second else { return false }
    let chance = Double(secondDraws.below(1000)) / 1000
    guard chance < its.share + its.shareOfBoth else { return false }
    let drawn = secondDraws.below(second.partitions.count)
    second.append(record, partition: second.onlyPartition ?? drawn)
    return chance < its.share
  }

  /// Records that come when all others are written, one a partition of a topic. `number`: of records.
  func writeMore(_ number: Int, to broker: SimBroker) {
    for index in 0..<number {
      let wall = epochStart + scheduler.now
      let event = LogicalRecord.Event(
        id: UInt32(secondDraws.below(scenario.keys)), shape: scenario.hasTwoKeys ? 1 : 0, group: UInt32(secondDraws.below(scenario.groups)),
        amount: Int64(secondDraws.below(1000)), at: scenario.destination == .readBackOld ? wall / 1000 * 1000 : wall)
      broker.append(LogicalRecord(timestamp: wall, key: nil, content: .event(event)), partition: index % broker.partitions.count)
    }
  }

  /// How far a producer's clock runs ahead in a record, and in the timestamp that Kafka has of it.
  private func ahead() -> (event: Int64, timestamp: Int64) {
    guard aheadDraws.chance(scenario.aheadRate) else { return (0, 0) }
    trace.tally[.aheadRecord] += 1
    let event = scenario.maxAhead / 2 + aheadDraws.within(0...scenario.maxAhead)
    return (event, aheadDraws.chance(0.5) ? event : 0)
  }

  private func content(_ wall: Int64, _ ahead: Int64) -> LogicalRecord.Content {
    if draws.chance(scenario.garbageRate) {
      trace.tally[.garbageRecord] += 1
      return garbage(draws)
    }
    var at = wall + ahead - draws.within(0...scenario.disorderMilliseconds)
    if draws.chance(scenario.lateRate) {
      trace.tally[.lateRecord] += 1
      at -= scenario.outOfOrderness + scenario.allowedLateness + draws.within(Int64(0)...20_000)
    }
    if scenario.destination == .readBackOld { at = at / 1000 * 1000 }
    let id = UInt32(draws.below(scenario.keys))
    var event = LogicalRecord.Event(
      id: id, shape: scenario.hasTwoKeys ? UInt8(keyDraws.within(1...4)) : 0, group: UInt32(draws.below(scenario.groups)),
      amount: Int64(draws.below(1_000_000)) - 500_000, at: at)
    if refusedDraws.chance(scenario.refusedRate) {
      trace.tally[.refusedRecord] += 1
      event.amount = Scenario.refusedAmount + Int64(refusedDraws.below(1000))
    }
    if let edge = atEdge(wall) {
      event = LogicalRecord.Event(id: edge.id, shape: edge.shape, group: event.group, amount: event.amount, at: edge.at)
    }
    recent.append(event)
    if recent.count > 512 { recent.removeFirst(256) }
    return .event(event)
  }

  // The last time at which a key that came before is a duplicate, or the first at which it isn't: whoever forgets it early shows.
  private func atEdge(_ wall: Int64) -> LogicalRecord.Event? {
    guard scenario.hasEventTime, keyDraws.chance(scenario.edgeRate) else { return nil }
    let distance = scenario.within - (keyDraws.chance(0.8) ? 1 : 0)
    guard var event = recent.last(where: { $0.at + distance <= wall }) else { return nil }
    event.at += distance
    if scenario.destination == .readBackOld { event.at = event.at / 1000 * 1000 }
    return event
  }

  private func garbage(_ draws: Draws) -> LogicalRecord.Content {
    switch draws.below(15) {
    case 7: return .garbage([UInt8](repeating: UInt8(draws.within(0...255)), count: Self.recordByteCountMax + draws.within(1...200)))
    case 0: return .tombstone
    case 1: return .garbage([])
    case 2: return .garbage(Array("{\"event_id\":\"x\"".utf8))
    case 3: return .garbage(Array("{\"event_id\":\"x\",\"k\":-1,\"amount\":1,\"at\":1}".utf8))
    case 4: return .garbage(Array("{\"event_id\":\"x\",\"k\":1,\"at\":1}".utf8))
    case 5: return .garbage(Array("{\"event_id\":7,\"k\":1,\"amount\":1,\"at\":1}".utf8))
    case 6: return .garbage(Array("{\"event_id\":\"x\",\"k\":1,\"amount\":1.5,\"at\":1} ".utf8))
    default: return .garbage(Array(Self.whole[..<draws.within(1...Self.whole.count - 1)]))
    }
  }

  /// Bytes of a record that are too many.
  static let recordByteCountMax = 200

  /// A record that may be cut at any byte, mostly amid an escape or a letter of several bytes.
  private static let whole = Array(#"{"event_id":"ж\\n€\"é\u00e9\t😀\\ж\/€😀\ud83d\ude00é","k":1,"amount":1,"at":1}"#.utf8)
}
