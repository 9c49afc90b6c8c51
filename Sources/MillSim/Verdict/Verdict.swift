internal import MillBase
internal import MillCore
internal import MillTestKit

/// What a run showed.
package struct Outcome: Sendable {
  package var seed: UInt64
  package var profile = Profile.usual
  /// Empty: all that was promised held.
  package var failures: [String] = []
  package var epochs = 0
  package var crashes = 0
  package var steps = 0
  package var batches = 0
  package var hash: UInt64 = 0
  package var faults = FaultTally()
  /// The newest lines of the trace.
  package var tail: [String] = []
  /// The run ended in a stop that the protocol names for this scenario.
  package var stopped: String?
}

/// Runs one seed and judges it.
package func simulate(seed: UInt64, profile: Profile = .usual, isVerbose: Bool = false) -> Outcome {
  let outcome = runOnce(seed, profile, isVerbose: isVerbose, kept: 0)
  // The lines of a run cost more than the run: only a failed one is run again for them.
  return outcome.failures.isEmpty || isVerbose ? outcome : runOnce(seed, profile, isVerbose: false, kept: 200)
}

private func runOnce(_ seed: UInt64, _ profile: Profile, isVerbose: Bool, kept: Int) -> Outcome {
  let scenario = Scenario(seed: seed, profile: profile)
  var outcome = Outcome(seed: seed)
  outcome.profile = profile
  let world: World
  do {
    world = try World(scenario, isVerbose: isVerbose, kept: kept)
  } catch {
    outcome.failures = ["the scenario's plan is refused: \(error)"]
    return outcome
  }
  world.run()
  outcome.failures = world.invariants.violations
  if outcome.failures.isEmpty { outcome.failures = world.judge() }
  outcome.epochs = world.watch.epochs.count
  outcome.crashes = world.crashes
  outcome.steps = world.scheduler.steps
  outcome.batches = world.watch.sealed[0].count
  outcome.hash = world.trace.hash
  outcome.faults = world.trace.tally
  outcome.tail = world.trace.tail
  defer { world.close() }
  if let stop = world.finalStop, stop.kind != .done { outcome.stopped = "\(stop.rule) \(stop.message)" }
  return outcome
}

extension World {
  /// Compares table and dead letters with what the oracle expects of the recorded epochs.
  func judge() -> [String] {
    var failures = servers.flatMap(\.unreadable).map { "the simulated server can't read: \($0)" }
    let epochs = watch.epochs.values.sorted { $0.number < $1.number }
    let judged = Oracle(Job.rules(scenario)).judge(epochs) { topics.record($0) }
    let isWhole = endedWhole
    if isWhole { failures += unread(epochs) }
    // One that had read all before may end well.
    if isWhole, let cutIn, incarnation > cutIn {
      failures.append("K4: the engine ends well, although a partition lost records that it had read")
    }
    var expected: [(row: ServerRow, origin: Origin)] = []
    /// The second table refuses nothing.
    var all: [(row: ServerRow, origin: Origin)] = []
    var letters: [Origin] = []
    var refused: [Origin: LogicalRecord.Event] = [:]
    // Where the table was altered in between, either place will do, but one only.
    let told = scenario.refusedFrom > 0 ? refusedLetters() : nil
    for one in judged {
      if case .emitted(let event) = one.fate, second != nil { all.append((row(event), one.origin)) }
      switch one.fate {
      case .emitted(let event) where isRefused(event) && told?.contains(topics.key(one.origin)) != false:
        letters.append(topics.key(one.origin))
        refused[topics.key(one.origin)] = event
      case .emitted(let event): expected.append((row(event), one.origin))
      case .late, .undecodable, .failed(.deadLetter): letters.append(topics.key(one.origin))
      case .duplicate, .filtered, .failed(.skip): break
      }
    }
    // Beyond the promise the taps know of batches that the directory never had.
    if isWhole, !isBeyond { failures += judgeHistory(judged) }
    if scenario.profile == .powerCut { return failures + judgeByVerify() }
    if judgement == .nothing { return failures }
    failures += compareRows(expected, in: server, isWhole: isWhole)
    if let second {
      failures += compareRows(all, in: second, isWhole: isWhole).map { "second table: \($0)" }
      // What it was there for.
      if failures.isEmpty, !all.isEmpty { trace.hit(.secondTable) }
    }
    failures += compareLetters(letters.sorted(), refused, isWhole: isWhole)
    return failures
  }

  private func row(_ event: LogicalRecord.Event) -> ServerRow {
    let at = (event.at + event.atShift) / (scenario.destination == .readBackOld ? 1000 : 1)
    return ServerRow(eventID: event.eventID, sub: event.sub, group: event.group, amount: event.amount, at: at, provenance: "")
  }

  private func isRefused(_ event: LogicalRecord.Event) -> Bool {
    scenario.refusal != .nothing && event.amount >= Scenario.refusedAmount
  }

  // Until the end means until the end.
  private func unread(_ epochs: [EpochFact]) -> [String] {
    var problems: [String] = []
    for number in watch.sources.present { problems += unread(epochs, number, topics.broker(number: number)) }
    return problems
  }

  private func unread(_ epochs: [EpochFact], _ number: Int32, _ broker: SimBroker) -> [String] {
    var problems: [String] = []
    for (index, partition) in broker.partitions.enumerated() {
      let slot = number << 20 | Int32(index)
      let begin = watch.sources.begin(slot) ?? partition.low
      let next = epochs.last?.ranges.first { $0.partition == slot && $0.next >= 0 }?.next ?? begin
      // What was deleted before it was read has been given up, or there would have been another end.
      let first = max(next, partition.low)
      for offset in first..<max(first, partition.stableEnd) where broker.record(Origin(partition: Int32(index), offset: offset)) != nil {
        // A partition that was made after the last start has its turn at the next look.
        problems.append("record \(broker.topic) \(index)/\(offset) was never read (stopped at \(next))")
        break
      }
    }
    return problems
  }

  private func compareRows(_ expected: [(row: ServerRow, origin: Origin)], in server: SimClickHouse, isWhole: Bool) -> [String] {
    func precedes(_ a: ServerRow, _ b: ServerRow) -> Bool {
      (a.eventID, a.sub, a.at, a.amount, a.group) < (b.eventID, b.sub, b.at, b.amount, b.group)
    }
    let wanted = expected.sorted { precedes($0.row, $1.row) }
    let found = server.table.parts.flatMap { part in part.rows.map { (row: $0, queryID: part.queryID) } }.sorted {
      precedes($0.row, $1.row)
    }
    var failures: [String] = []
    var have = 0
    var last: ServerRow?
    func extra(_ one: (row: ServerRow, queryID: String)) {
      if judgement == .noneMissing { return }
      var row = one.row
      row.provenance = ""
      let isDouble = last == row
      // A constraint that came after an attempt in doubt: the row is in the table and, refused when sent again, in the dead letters too.
      let isRefusedSince = scenario.refusal != .nothing && row.amount >= Scenario.refusedAmount
      if isDouble || isRefusedSince, !scenario.isExactlyOnce, server === self.server { return }
      failures.append("\(isDouble ? "double" : "extra") row \(one.row) by \(one.queryID)")
    }
    for want in wanted {
      while have < found.count, precedes(found[have].row, want.row) {
        extra(found[have])
        have += 1
      }
      if have < found.count, !precedes(want.row, found[have].row) {
        have += 1
        last = want.row
      } else if isWhole, judgement != .noneExtra {
        failures.append("missing row \(want.row) of record \(want.origin)")
      }
    }
    while have < found.count {
      extra(found[have])
      have += 1
    }
    return Array(failures.prefix(10))
  }

  /// Each line of the dead letters, and the record that it is of (``Topics/key(_:)``); nil where that can't be read.
  private var letterLines: [(line: ArraySlice<UInt8>, origin: Origin?)] {
    ((try? disk.list(Job.deadLetterDirectory)) ?? []).filter { $0.hasSuffix(".jsonl") }.flatMap { name in
      ((try? disk.read(Job.deadLetterDirectory + "/" + name)) ?? []).split(separator: UInt8(ascii: "\n")).map { line in
        guard let partition = number("partition", in: line), let offset = number("offset", in: line) else { return (line, nil) }
        guard let broker = topics.all.first(where: { line.range(of: "\"topic\":\"\($0.topic)\"") != nil }) else { return (line, nil) }
        return (line, topics.key(of: broker, partition: Int32(partition), offset: offset))
      }
    }
  }

  private func refusedLetters() -> Set<Origin> {
    Set(letterLines.filter { $0.line.range(of: "\"reason\":\"refused\"") != nil }.compactMap(\.origin))
  }

  private func compareLetters(_ expected: [Origin], _ refused: [Origin: LogicalRecord.Event], isWhole: Bool) -> [String] {
    var found: [Origin] = []
    for (line, origin) in letterLines {
      guard let origin else { return ["dead letter without a place: \(String(decoding: line, as: UTF8.self))"] }
      found.append(origin)
      if judgement == .exact, let problem = wrongRefusal(line, refused[origin]) { return [problem] }
    }
    found.sort()
    if found == expected || (!isWhole && isPart(found, of: expected)) { return [] }
    let missing = expected.filter { !found.contains($0) }
    let extra = found.filter { !expected.contains($0) }
    if judgement == .noneMissing, missing.isEmpty || !isWhole { return [] }
    return ["dead letters: \(found.count), \(expected.count) expected; missing \(missing.prefix(5)), extra \(extra.prefix(5))"]
  }

  // A source that came back is read twice, and so are its letters.
  private func isPart(_ found: [Origin], of expected: [Origin]) -> Bool {
    let counts = expected.reduce(into: [Origin: Int]()) { $0[$1, default: 0] += 1 }
    return found.reduce(into: [Origin: Int]()) { $0[$1, default: 0] += 1 }.allSatisfy { $0.value <= counts[$0.key] ?? 0 }
  }

  // A refused row's letter says which row, and what the server said to it.
  private func wrongRefusal(_ line: ArraySlice<UInt8>, _ event: LogicalRecord.Event?) -> String? {
    let text = String(decoding: line, as: UTF8.self)
    guard line.range(of: "\"reason\":\"refused\"") != nil else {
      return event == nil ? nil : "a refused row's letter without a reason: \(text)"
    }
    guard let event else { return "a letter of a row that the server takes: \(text)" }
    let wanted = [
      "\"code\":\(scenario.refusal.code),", "\"event_id\":\"\(event.shape == 0 ? event.eventID + "\"" : "e")",
      "\"amount\":\"\(event.amount)\"",
    ]
    return wanted.first { line.range(of: $0) == nil }.map { "a refused row's letter without \($0): \(text)" }
  }

  private func number(_ name: String, in line: ArraySlice<UInt8>) -> Int64? {
    guard let range = line.range(of: "\"\(name)\":") else { return nil }
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    return Int64(String(decoding: line[range.upperBound...].prefix { digits.contains($0) || $0 == UInt8(ascii: "-") }, as: UTF8.self))
  }
}
