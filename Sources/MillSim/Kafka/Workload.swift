internal import MillBase

/// Writes the job's input into the ``SimBroker`` over simulated time.
package final class Workload {
  private let scenario: Scenario
  private let broker: SimBroker
  private let scheduler: Scheduler
  private let draws: Draws
  private let refusedDraws: Draws
  private let aheadDraws: Draws
  private let keyDraws: Draws
  /// Written lately, the oldest first: keys that may come again.
  private var recent: [LogicalRecord.Event] = []
  private let trace: Trace
  /// The producers' wall clock at simulated time 0, ms since 1970.
  private let epochStart: Int64
  private var left: Int
  /// Whether every record is written.
  package var isDone: Bool { left == 0 }

  package init(_ scenario: Scenario, broker: SimBroker, scheduler: Scheduler, epochStart: Int64, trace: Trace) {
    self.scenario = scenario
    self.broker = broker
    self.scheduler = scheduler
    self.epochStart = epochStart
    self.trace = trace
    draws = .stream(seed: scenario.seed, "workload")
    refusedDraws = .stream(seed: scenario.seed, "refused")
    aheadDraws = .stream(seed: scenario.seed, "ahead records")
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
    left -= count
    for _ in 0..<count {
      let wall = epochStart + scheduler.now
      let partition = draws.below(broker.partitions.count)
      let key: [UInt8]? = draws.chance(0.5) ? nil : Array("key-\(draws.below(10))".utf8)
      let ahead = ahead()
      broker.append(LogicalRecord(timestamp: wall + ahead.timestamp, key: key, content: content(wall, ahead.event)), partition: partition)
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
      return garbage()
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

  private func garbage() -> LogicalRecord.Content {
    switch draws.below(7) {
    case 0: .tombstone
    case 1: .garbage("")
    case 2: .garbage("{\"event_id\":\"x\"")
    case 3: .garbage("{\"event_id\":\"x\",\"k\":-1,\"amount\":1,\"at\":1}")
    case 4: .garbage("{\"event_id\":\"x\",\"k\":1,\"at\":1}")
    case 5: .garbage("{\"event_id\":7,\"k\":1,\"amount\":1,\"at\":1}")
    default: .garbage("{\"event_id\":\"x\",\"k\":1,\"amount\":1.5,\"at\":1} ")
    }
  }
}
