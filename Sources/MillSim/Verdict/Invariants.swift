internal import MillBase
internal import MillCore
internal import MillLog

/// What must hold at every step, whatever the faults: checked through taps on disk, network and the core's own events.
package final class Invariants {
  let scenario: Scenario
  let watch: LogWatch
  let server: SimClickHouse
  let broker: SimBroker
  /// What was found, in order; the first one is the failure.
  package private(set) var violations: [String] = []
  private var contents: [String: [ServerRow]] = [:]
  private var digests: [String: [ServerRow]] = [:]
  private var tokens: [String: String] = [:]
  /// Published and not removed, by name.
  var manifests: [String: Manifest] = [:]
  /// Of this life: the epoch of each frozen table, and of the newest change of the state that was ordered.
  var freezes: [UInt64: EpochNumber] = [:]
  var stateEpoch: EpochNumber = 0
  /// Whether the dead letters of a token are on the disk.
  var deadLettersExist: ((String) -> Bool)?

  package init(_ scenario: Scenario, watch: LogWatch, server: SimClickHouse, broker: SimBroker) {
    self.scenario = scenario
    self.watch = watch
    self.server = server
    self.broker = broker
    watch.onViolation = { [self] in violate("log: " + $0) }
    watch.onAck = { [self] in acked($0) }
    watch.onRetire = { [self] in retired($0) }
    for server in server.all { server.onInsert = { [self] in sent($0, incarnation: $1) } }
  }

  /// Set beyond the promise: what the taps know is no longer what is there; only the verdict at the end counts.
  var isMuted = false

  /// Notes a broken rule.
  package func violate(_ text: String) {
    if isMuted, !["the engine stops", "liveness", "K6"].contains(where: text.hasPrefix) { return }
    if violations.count < 20 { violations.append(text) }
  }

  // MARK: - The way to the table

  private func sent(_ insert: InsertSeen, incarnation: Int) {
    if server.openInserts(incarnation: incarnation) >= scenario.inFlight {
      violate("R9: \(insert.queryID) sent beside \(scenario.inFlight) others that wait for an answer")
    }
    if insert.isGuarded, let other = server.guardedUnderWay(token: insert.token) {
      violate("R8: \(insert.queryID) sent while \(other) may still take effect")
    }
    if !watch.durableTokens.contains(insert.token) { violate("R2: \(insert.queryID) sent before its seal is durable") }
    if watch.retiredTokens.contains(insert.token) { violate("R11: \(insert.queryID) sent, its batch is retired") }
    checkAlone(insert)
    if let token = insert.deduplicationToken, token != insert.token { violate("R6: \(insert.queryID) sent with token \(token)") }
    if let known = contents[insert.token] {
      if known != insert.rows { violate("R6: token \(insert.token) named other rows before") }
    } else {
      contents[insert.token] = insert.rows
    }
    let parts = insert.token.split(separator: "-")
    let digest = parts.last.map(String.init) ?? ""
    let plain = insert.rows.map { row in
      var row = row
      row.provenance = ""
      return row
    }
    if let known = digests[digest], known != plain { violate("R6: digest \(digest) named other rows before") }
    digests[digest] = plain
    let batch = parts.dropLast().joined(separator: "-")
    if let known = tokens[batch], known != insert.token { violate("R6: \(batch) sent as \(insert.token), before as \(known)") }
    tokens[batch] = insert.token
    if scenario.hasProvenance, let row = insert.rows.first(where: { $0.provenance != insert.token }) {
      violate("R8: \(insert.queryID) carries a row of batch '\(row.provenance)'")
    }
    if let number = batchNumber(insert.token) {
      checkDeadline(insert, number)
      checkOpenAttempts(insert, number)
      numbers[insert.token] = number
      // One that was refused, or never arrived, counts from here.
      if !isAnywhere(insert.token) { sends.removeAll { $0 == insert.token } }
      if !sends.contains(insert.token) { sends.append(insert.token) }
      if insert.deduplicationToken != nil, scenario.destination == .tokenAndProvenance { checkWindow(insert.token) }
    }
  }

  /// Number of each token that was sent, and these in the order of their first sending, from the oldest unsettled one on.
  private var numbers: [String: BatchNumber] = [:]
  private var sends: [String] = []

  private func isSettled(_ token: String) -> Bool {
    guard let number = numbers[token] else { return true }
    let index = Int(Destination.table.rawValue)
    return watch.durableAcks[index].contains(number) || watch.durablyRetired[index].contains(number)
  }

  /// False of one that is refused and waits for its turn.
  private func isAnywhere(_ token: String) -> Bool {
    server.table.count(sentAs: token) > 0 || server.plainUnderWay(token: token) != nil || server.guardedUnderWay(token: token) != nil
  }

  // R9: while a batch is bisected nothing newer is in flight, and each half is settled before the next.
  private func checkAlone(_ insert: InsertSeen) {
    // At least once takes no heed of doubts.
    guard scenario.isExactlyOnce else { return }
    if let piece = sends.first(where: { $0 != insert.token && watch.pieces.contains($0) && !isSettled($0) }) {
      violate("R9: \(insert.queryID) sent while \(piece), which replaces a refused batch, is unsettled")
    }
    if watch.pieces.contains(insert.token), let other = sends.first(where: { $0 != insert.token && !isSettled($0) && isAnywhere($0) }) {
      violate("R9: \(insert.queryID), which replaces a refused batch, sent while \(other) is unsettled")
    }
  }

  // R11: only what is nowhere is replaced, and all of it.
  private func retired(_ retire: Retire) {
    guard let batch = watch.sealed[Int(retire.destination.rawValue)][retire.batch] else {
      violate("R11: batch \(retire.batch) retired, never sealed")
      return
    }
    let rows = retire.replacements.reduce(0) { $0 + $1.rowCount }
    if rows != batch.rowCount { violate("R11: batch \(batch.token) of \(batch.rowCount) rows retired into \(rows)") }
    guard scenario.isExactlyOnce else { return }
    let count = server.table.count(sentAs: batch.token)
    if count > 0 { violate("R11: batch \(batch.token) retired, \(count) of its rows are in the table") }
    if let attempt = server.plainUnderWay(token: batch.token) ?? server.guardedUnderWay(token: batch.token) {
      violate("R11: batch \(batch.token) retired while \(attempt) may still take effect")
    }
  }

  // R9: the batches from the oldest unsettled to the newest sent must fit half of the window. The other half is for those that were
  // unsettled when the oldest was sent, and are sent once more behind it: together with them it must still be remembered.
  private func checkWindow(_ token: String) {
    sends.removeFirst(sends.firstIndex { !isSettled($0) } ?? 0)
    guard let index = sends.firstIndex(where: { !isSettled($0) && isAnywhere($0) }) else { return }
    let whole = scenario.window - scenario.entriesPerBatch - (scenario.reserveEntries ?? 0)
    // What was refused whole, and is nowhere, has no entries.
    let behind = sends[(index + 1)...].filter {
      $0 == token || isSettled($0) || isAnywhere($0) || server.table.remembers(token: $0)
    }
    let used = behind.count * scenario.entriesPerBatch
    if used > whole { violate("R9: \(token) sent while \(sends[index]) is unsettled: \(used) window entries of at most \(whole)") }
    let oldest = sends[index...].filter { !isSettled($0) && isAnywhere($0) }.compactMap { numbers[$0] }.min() ?? 0
    let span = Int(max(oldest, numbers[token] ?? 0) - oldest) * scenario.entriesPerBatch
    if span > whole / 2 { violate("R9: \(token) sent while batch \(oldest) is unsettled: \(span) window entries of at most \(whole / 2)") }
  }

  private func acked(_ ack: Ack) {
    guard let batch = watch.sealed[Int(ack.destination.rawValue)][ack.batch] else {
      violate("R13: batch \(ack.batch) of \(ack.destination) acked, never sealed")
      return
    }
    guard ack.destination == .table else {
      if let exist = deadLettersExist, !exist(batch.token) { violate("R12: dead letters \(batch.token) acked, their file isn't there") }
      return
    }
    if let view = server.view, server.all.allSatisfy({ $0.boot == 1 }),
      server.all.contains(where: { $0.viewFailures.contains(batch.token) }), view.count(sentAs: batch.token) < batch.rowCount
    {
      violate("R7: batch \(batch.token) acked, its view threw and has \(view.count(sentAs: batch.token)) of \(batch.rowCount) rows")
    }
    let rows = server.table.count(sentAs: batch.token)
    if rows < Int(batch.rowCount) || (scenario.isExactlyOnce && rows > Int(batch.rowCount)) {
      violate("R13: batch \(batch.token) of \(batch.rowCount) rows acked, \(rows) are in the table")
    }
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
      if isTopicAnew { compareAnchors(pending[name], with: manifests[newestName]) }
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
  var isTopicAnew = false

  private func compareAnchors(_ manifest: Manifest?, with before: Manifest?) {
    func anchors(_ manifest: Manifest?) -> [Bool] {
      (manifest?.sources.first?.partitions ?? []).enumerated().compactMap { index, known in
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
    for range in result.intent.ranges {
      for offset in range.start..<max(range.start, range.next)
      where broker.record(Origin(partition: range.partition, offset: offset)) != nil { records += 1 }
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
  private var readBefore: [Int64] = []

  /// I8: nothing more is read while batches without an ack hold `log.unacked_max` bytes of the log. What was appended since the core last
  /// heard of the log's length (a seal under way) it can't know yet, and a start's plan, acks and deadlines it counts with the next epoch.
  private func checkHeldLog(_ polled: Polled) {
    defer { readBefore = polled.next }
    guard isPastReplay, zip(polled.next, readBefore).contains(where: >) else { return }
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
