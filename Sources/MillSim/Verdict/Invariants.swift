internal import MillBase
internal import MillCore
internal import MillLog

/// What must hold at every step, whatever the faults: checked through taps on disk, network and the core's own events.
package final class Invariants {
  let scenario: Scenario
  let watch: LogWatch
  let server: SimClickHouse
  let topics: Topics
  /// What was found, in order; the first one is the failure.
  package private(set) var violations: [String] = []
  private(set) var tables: [TableInvariants] = []
  /// Published and not removed, by name.
  var manifests: [String: Manifest] = [:]
  /// Of this life: the epoch of each frozen table, and of the newest change of the state that was ordered.
  var freezes: [UInt64: EpochNumber] = [:]
  var stateEpoch: EpochNumber = 0
  /// Whether the dead letters of a token are on the disk.
  var deadLettersExist: ((String) -> Bool)?

  /// - Parameter second: the second table's server, where there is one.
  package init(_ scenario: Scenario, watch: LogWatch, server: SimClickHouse, second: SimClickHouse? = nil, topics: Topics) {
    self.scenario = scenario
    self.watch = watch
    self.server = server
    self.topics = topics
    watch.onViolation = { [self] in violate("log: " + $0) }
    watch.onAck = { [self] in acked($0) }
    watch.onRetire = { [self] retire in tables.first { $0.destination == retire.destination }?.retired(retire) }
    let rules = TableRules(
      inFlight: scenario.inFlight, window: scenario.window, entriesPerBatch: scenario.entriesPerBatch,
      reserveEntries: scenario.reserveEntries, hasProvenance: scenario.hasProvenance, isExactlyOnce: scenario.isExactlyOnce,
      countsOnTokens: scenario.destination == .tokenAndProvenance)
    tables = [TableInvariants(rules, .table, watch: watch, server: server) { [unowned self] in violate($0) }]
    guard let second else { return }
    let secondRules = TableRules(
      inFlight: scenario.inFlight, window: SecondTable.window, entriesPerBatch: 1, reserveEntries: SecondTable.window / 4,
      hasProvenance: true,
      isExactlyOnce: true, countsOnTokens: true)
    tables.append(
      TableInvariants(secondRules, SecondTable.destination, watch: watch, server: second) { [unowned self] in violate($0) })
  }

  private func acked(_ ack: Ack) {
    guard let batch = watch.sealed[ack.destination.index][ack.batch] else {
      violate("R13: batch \(ack.batch) of \(ack.destination) acked, never sealed")
      return
    }
    if let table = tables.first(where: { $0.destination == ack.destination }) { return table.acked(ack) }
    if let exist = deadLettersExist, !exist(batch.token) { violate("R12: dead letters \(batch.token) acked, their file isn't there") }
  }

  /// Set beyond the promise: what the taps know is no longer what is there; only the verdict at the end counts.
  var isMuted = false

  /// Notes a broken rule.
  package func violate(_ text: String) {
    if isMuted, !["the engine stops", "liveness", "K6"].contains(where: text.hasPrefix) { return }
    if violations.count < 20 { violations.append(text) }
  }

  // MARK: - The core's events

  /// An event that the core was given, with the commands that it answered.
  func observe(_ event: Event, _ commands: [Command]) {
    for command in commands {
      if case .publish(let manifest, let name) = command { pending[name] = manifest }
      if case .removeCheckpoint(let name) = command { manifests.removeValue(forKey: name) }
    }
    switch event {
    case .published(let epoch, let name):
      if let newest = manifests.values.map(\.epoch).max(), epoch <= newest, name != newestName {
        violate("R14: checkpoint of epoch \(epoch) published after that of \(newest)")
      }
      if let manifest = pending[name], manifest.position > watch.durableEnd {
        violate(
          "R14: checkpoint of epoch \(epoch) published, its position is \(manifest.position), the log is durable up to \(watch.durableEnd)")
      }
      if let topicAnew { compareAnchors(pending[name], with: manifests[newestName], topicAnew) }
      if let manifest = pending[name] { checkSources(manifest) }
      manifests[name] = pending.removeValue(forKey: name)
      newestName = name
    case .opened(let found):
      checkKept(found)
      isPastReplay = false
    case .processed(let result): check(result)
    case .polled(let polled): checkHeldLog(polled)
    default: break
    }
    switch event {
    case .processed, .sealed, .retired: toldByteCount = watch.loggedByteCount
    default: break
    }
    for case .cut in commands { isPastReplay = true }
    checkOrder(event, commands)
  }

  private var pending: [String: Manifest] = [:]
  private var newestName = ""

  /// The topic was made anew: no start must be able to take its records for those that were read before.
  var topicAnew: SimBroker?

  /// A checkpoint has of each source what was read when it was made.
  private func checkSources(_ manifest: Manifest) {
    for range in watch.epochs[manifest.epoch]?.ranges ?? [] where range.next >= 0 {
      let state = manifest.sources.first { Int32($0.number.rawValue) == range.source }
      let partition = Int(range.partition & 0xfffff)
      guard let state, partition < state.partitions.count else {
        violate("R14: checkpoint of epoch \(manifest.epoch) knows nothing of slot \(range.partition)")
        continue
      }
      let next = state.partitions[partition].nextOffset
      if next < range.next {
        violate("R14: checkpoint of epoch \(manifest.epoch) has slot \(range.partition) at \(next), read up to \(range.next)")
      }
    }
    for state in manifest.sources where watch.sources.topic(of: Int32(state.number.rawValue)) != state.topic {
      violate("R14: checkpoint of epoch \(manifest.epoch) gives number \(state.number.rawValue) to \(state.topic)")
    }
  }

  private func compareAnchors(_ manifest: Manifest?, with before: Manifest?, _ broker: SimBroker) {
    func anchors(_ manifest: Manifest?) -> [Bool] {
      (manifest?.sources.first { $0.topic == broker.topic }?.partitions ?? []).enumerated().compactMap { index, known in
        let log = broker.partitions[index]
        guard known.anchorOffset >= log.low, case .record(let record, let payload)? = log.slot(known.anchorOffset) else { return nil }
        return anchorChecksum(key: record.key, payload: payload) == known.anchorChecksum
      }
    }
    if anchors(before).contains(false), !anchors(manifest).contains(false) {
      violate("K6: checkpoint of epoch \(manifest?.epoch ?? 0) remembers only records of the topic that was made anew")
    }
  }

  private func check(_ result: EpochResult) {
    if !result.counters.isWhole { violate("epoch \(result.epoch): the counters don't add up: \(result.counters)") }
    var records: UInt64 = 0
    for (slot, range) in result.intent.slots {
      for offset in range.start..<max(range.start, range.next)
      where topics.record(Origin(partition: slot.rawValue, offset: offset)) != nil { records += 1 }
    }
    if result.stop == nil, records != result.counters.records {
      violate("epoch \(result.epoch): \(result.counters.records) records counted, \(records) were in its ranges")
    }
  }

  /// I8: the memory of a start doesn't grow with the log.
  private func checkKept(_ opened: Opened) {
    guard let newest = opened.checkpoints.first(where: { $0.problem == nil })?.manifest, !mayFallBack else { return }
    let count = opened.log.records.count { position, record in
      if case .intent = record { position < newest.position } else { false }
    }
    if count > 0 { violate("I8: a start keeps \(count) intents from before its checkpoint's position") }
  }

  /// Of a start with `--new-lineage`.
  var mayFallBack = false

  /// As of the core's last word of the log's length.
  private var toldByteCount = 0
  /// A new epoch was cut in this life: a replay needs its records whatever the log holds.
  private var isPastReplay = false
  private var readBefore: [[Int64]] = []

  /// I8: nothing more is read while batches without an ack hold `log.unacked_max` bytes of the log. What was appended since the core last
  /// heard of the log's length (a seal under way) it can't know yet, and a start's plan, acks and deadlines it counts with the next epoch.
  private func checkHeldLog(_ polled: [Polled]) {
    let next = polled.map(\.next)
    defer { readBefore = next }
    guard isPastReplay, zip(next.joined(), readBefore.joined()).contains(where: >) else { return }
    let known = watch.heldByteCount() - (watch.loggedByteCount - toldByteCount)
    if known > scenario.unackedBytes + 4096 {
      violate("I8: records are read, batches without an ack hold \(known) bytes of the log, log.unacked_max is \(scenario.unackedBytes)")
    }
  }

  /// R16: what a retained checkpoint's recovery needs must stay.
  func segmentGoes(_ positions: Range<LogPosition>) {
    guard let oldest = manifests.values.min(by: { $0.epoch < $1.epoch }) else { return }
    if positions.upperBound > oldest.position {
      violate("R16: positions \(positions) removed, the checkpoint of epoch \(oldest.epoch) needs \(oldest.position) and later")
    }
    for batch in oldest.unacked where !isOver(batch) {
      if batch.firstChunk < positions.upperBound, batch.seal >= positions.lowerBound {
        violate("R16: positions \(positions) removed, batch \(batch.number) of \(batch.destination) is unacked")
      }
    }
  }

  func isOver(_ batch: Manifest.UnackedBatch) -> Bool {
    let index = Int(batch.destination.rawValue)
    return watch.durableAcks[index].contains(batch.number) || watch.durablyRetired[index].contains(batch.number)
  }
}
