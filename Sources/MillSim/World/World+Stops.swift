internal import MillBase
internal import MillCore
internal import MillLog
internal import MillTestKit

/// What the world makes of stops that an operator has to answer.
extension World {
  /// A source that has decoded nothing: the file is mended, or the records are what is wrong.
  func stoppedUnproven(_ stop: Stop) {
    guard let number = unprovenSource(stop) else { return }
    let epochs = watch.epochs.values.sorted { $0.number < $1.number }
    let judged = Oracle(Job.rules(scenario)).judge(epochs) { topics.record($0) }.filter { $0.origin.partition >> 20 == number }
    if !isBeyond, judged.isEmpty || judged.contains(where: { !$0.fate.isError }) {
      invariants.violate("the engine stops in a legal execution: it has read records that are rows: \(stop.message)")
    }
    if !isBeyond {
      let own = epochs.flatMap { epoch in epoch.ranges.filter { $0.source == number && $0.next > $0.start }.map { (epoch.number, $0) } }
      if let sealed = own.first(where: { $0.0 <= watch.sealedEpoch }) {
        invariants.violate("the engine says that nothing of a source was sealed, but epoch \(sealed.0) was, with \(sealed.1)")
      }
      let letters = (try? disk.list(Job.deadLetterDirectory)) ?? []
      if watch.sources.present.count == 1, !watch.sealed.allSatisfy(\.isEmpty) || !letters.isEmpty || !server.table.parts.isEmpty {
        invariants.violate("the engine says that nothing was sealed, but \(watch.sealed.map(\.count)) batches were, \(letters)")
      }
      beginsAgain = Dictionary(own.map { ($0.1.partition, $0.1.start) }) { first, _ in first }
    }
    if isToEnd || draws.chance(0.5) {
      acceptsDeadLetters = true
    } else {
      sourceFile.before = sourceFile.before ?? (sourceFile.now, mendings)
      mendings += 1
    }
    restart()
  }

  /// The number of the source that a stop names.
  private func unprovenSource(_ stop: Stop) -> Int32? {
    let named = watch.sources.present.filter { number in
      watch.sources.topic(of: number).map { stop.message.contains("records of \($0) ") } == true
    }
    guard named.count == 1, saysSource(stop, topics.broker(number: named[0])) else {
      invariants.violate("a stop names no source, or another one: \(stop.message)")
      return nil
    }
    return named[0]
  }

  /// Whether a stop says of which source it is, where there are several.
  func saysSource(_ stop: Stop, _ broker: SimBroker) -> Bool {
    let topics = SourcesOfFile(scenario, sourceFile.now, incarnation: incarnation).topics
    guard topics.count > 1, let name = topics.first(where: { $0.value == broker.topic })?.key else { return true }
    return stop.message.hasPrefix("source \(name): ")
  }

  /// The stop that had to come. Where a user may accept what it says, some do.
  func stoppedBeyond(_ stop: Stop) {
    if let troubled, ["K4", "K6"].contains(stop.rule), !saysSource(stop, troubled) {
      invariants.violate("K6: topic \(troubled.topic) is in trouble, and the engine says another one is: \(stop.message)")
    }
    if isWholeOneLeft, stop.rule == "R17" {
      invariants.violate("the engine stops although a whole checkpoint is left: \(stop.message)")
    } else if scenario.beyond == .partitionCut, !["K3", "K4", "K6", "R7", "R10", "R11"].contains(stop.rule) {
      invariants.violate("a partition was cut, and the engine stops for another reason: \(stop.rule) \(stop.message)")
    } else if scenario.beyond == .retention, !acceptedLosses.isEmpty, !["K3", "R7", "R10", "R11"].contains(stop.rule) {
      invariants.violate("the engine stops after a loss that was accepted: \(stop.rule) \(stop.message)")
    } else if plan > 0, stop.rule == "R4" {
      plan = 0
      restart()
    } else if stop.rule == "K6", scenario.beyond == .topicAnew, draws.chance(0.5) {
      // By hand, in the hope that it goes away.
      restart()
    } else if ["R5", "R15", "R17", "C8"].contains(stop.rule), scenario.hasProvenance, draws.chance(0.5) {
      trace.note("accepted with --new-lineage")
      acceptsNewLineage = true
      if stop.rule != "C8" { loosen(.noneMissing) }
      restart()
    } else if stop.rule == "K3", !isAccepted(stop), draws.chance(0.8) {
      accept(stop)
      restart()
      // What the next checkpoint doesn't cover yet must be understood by the start after.
      if draws.chance(0.5) { scheduler.after(draws.within(Int64(200)...1500)) { [self] in killAndRestart() } }
    } else {
      finalStop = stop
    }
  }

  private func accept(_ stop: Stop) {
    for (topic, ranges) in givenUp(stop.message) {
      guard let broker = topics.all.first(where: { $0.topic == topic }), saysSource(stop, broker) else {
        invariants.violate("K6: the engine calls records of \(topic) lost, and names another source: \(stop.message)")
        continue
      }
      for range in ranges where broker.partitions[Int(range.partition)].low != range.next {
        invariants.violate("K6: the engine calls \(range) of \(topic) lost, which is there: \(stop.message)")
      }
      acceptedLosses[topic] = (acceptedLosses[topic] ?? []).filter { !ranges.contains($0) } + ranges
    }
    trace.note("accepted with --accept-loss \(acceptedLosses.sorted { $0.key < $1.key })")
  }

  /// What was accepted and is asked for again was not taken.
  private func isAccepted(_ stop: Stop) -> Bool {
    let asked = givenUp(stop.message)
    let isNew = asked.contains { topic, ranges in ranges.contains { acceptedLosses[topic]?.contains($0) != true } }
    guard !asked.isEmpty, !isNew else { return false }
    invariants.violate("the engine stops at a loss that was accepted: \(stop.message)")
    return true
  }

  /// The options that a stop's message names, as a user would copy them, by topic; none where it asks for another start.
  private func givenUp(_ message: String) -> [String: [LostRange]] {
    var all: [String: [LostRange]] = [:]
    for word in message.split(separator: "'") {
      let parts = word.split(whereSeparator: { "/:-".contains($0) }).suffix(4)
      guard word.contains("/"), parts.count == 4, let partition = Int32(parts[parts.startIndex + 1]),
        let first = Int64(parts[parts.startIndex + 2]), let last = Int64(parts[parts.startIndex + 3])
      else { continue }
      all[String(parts[parts.startIndex]), default: []].append(LostRange(partition: partition, start: first, next: last + 1))
    }
    return all
  }

  /// R17: SIGTERM comes while nothing has been decoded yet.
  func stopAmidBirth(_ event: Event) {
    guard scenario.stopsAmidBirth, faultsAreOn, !hasStoppedAmidBirth, case .processed(let result) = event, result.epoch == 1,
      result.counters.records > 0,
      result.counters.deadLettered == result.counters.records
    else { return }
    hasStoppedAmidBirth = true
    scheduler.after(1) { [self] in terminate() }
  }
}
