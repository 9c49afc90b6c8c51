package import MillBase
package import MillLog

/// What has been written into the epoch log, and how far it is durable, read off the bytes that reach the disk.
///
/// It believes nothing that the engine says. One thread only.
package final class LogWatch {
  /// A record as it stood in an append.
  package struct Seen: Sendable {
    package var position: LogPosition
    package var record: LogRecord
  }

  private final class File {
    var bytes: [UInt8] = []
    /// Where the next record begins.
    var next = 48
    var seals: [(end: Int, seal: Seal)] = []
    var retires: [(end: Int, retire: Retire)] = []
    var acks: [(end: Int, ack: Ack)] = []
    var deadlines: [(end: Int, deadline: Deadline)] = []
    var plans: [(end: Int, sources: [NamedSource])] = []
    var starts: [(end: Int, source: SourceNumber)] = []
    /// Bytes that a sync has covered.
    var synced = 0
    /// Where each record ends, and how many of them a sync has covered.
    var ends: [Int] = []
    var durableCount = 0
    var first: LogPosition?
    var end: LogPosition = 0
    /// A start's copy of what was there already: nothing new.
    var isCopy = false
    /// Records of a seal whose last one hasn't come, of a copy.
    var parts = SealParts<Void>()
  }

  /// The same, of what is written in the course of things.
  private var parts = SealParts<Void>()

  /// The table, the dead letters, and the second table of some worlds.
  static let destinationCount = 3

  private var files: [String: File] = [:]
  /// Renames of files that may still be open, by their first name.
  private var names: [String: String] = [:]
  /// Tokens of batches whose seal, or the retire that made them, has been durable.
  package private(set) var durableTokens: Set<String> = []
  /// Batches whose ack has been durable, by destination's raw value and number.
  package private(set) var durableAcks: [Set<BatchNumber>] = Array(repeating: [], count: destinationCount)
  /// Batches with an ack or a retire, durable or not, by destination's raw value and number.
  private var written: [Set<BatchNumber>] = Array(repeating: [], count: destinationCount)
  /// Batches whose retire has been durable, by destination's raw value and number.
  package private(set) var durablyRetired: [Set<BatchNumber>] = Array(repeating: [], count: destinationCount)
  /// Tokens of the same.
  package private(set) var retiredTokens: Set<String> = []
  /// Tokens of batches of the table that a retire has made.
  package private(set) var pieces: Set<String> = []
  /// Every batch ever sealed or made by a retire, by destination's raw value and number.
  package private(set) var sealed: [[BatchNumber: SealedBatch]] = Array(repeating: [:], count: destinationCount)
  /// Where the seal, or the retire, that made a batch of the table stands, by token.
  package private(set) var sealPositions: [String: LogPosition] = [:]
  /// The largest deadline of a batch that has been durable, by key.
  package private(set) var durableDeadlines: [BatchKey: Int64] = [:]
  /// The epochs that count, by number.
  package private(set) var epochs: [EpochNumber: EpochFact] = [:]
  /// The newest epoch that a written seal covers.
  package private(set) var sealedEpoch: EpochNumber = 0
  /// The newest epoch that a durable seal covers.
  package private(set) var durablySealedEpoch: EpochNumber = 0
  /// One past the newest record that has been durable.
  package private(set) var durableEnd: LogPosition = 0
  /// What was given up, in order.
  package private(set) var gaps: [Gap] = []
  /// Which source has which number, as the newest plan says.
  package private(set) var sources = SourceWatch()
  /// What is wrong, as it is found.
  package var onViolation: ((String) -> Void)?
  /// Told each ack as it is written.
  package var onAck: ((Ack) -> Void)?
  /// Told each retire as it is written.
  package var onRetire: ((Retire) -> Void)?
  private var lastPosition: LogPosition?

  package init() {}

  /// A file of the log's directory was made.
  func created(_ path: String) {
    let file = File()
    file.isCopy = !path.hasSuffix(".seg")
    files[path] = file
    names.removeValue(forKey: path)
  }

  func appended(_ path: String, _ raw: UnsafeRawBufferPointer) {
    guard let file = files[path] else { return }
    unsafe file.bytes.append(contentsOf: raw)
    while file.bytes.count - file.next >= 25 {
      let count = Int(little(file.bytes, file.next, 4))
      guard count <= file.bytes.count - file.next - 25 else { return }
      let position = little(file.bytes, file.next + 5, 8)
      if let kind = LogRecord.Kind(rawValue: file.bytes[file.next + 4]) { take(file, kind, position, count) }
      file.next += 25 + count
    }
  }

  func truncated(_ path: String, to count: Int) {
    guard let file = files[path], count < file.bytes.count else { return }
    file.bytes.removeLast(file.bytes.count - count)
    file.next = min(file.next, max(48, count))
  }

  /// A sync of `count` bytes has succeeded.
  func synced(_ path: String, _ count: Int) {
    guard let file = files[path] else { return }
    file.synced = max(file.synced, count)
    while file.durableCount < file.ends.count, file.ends[file.durableCount] <= file.synced { file.durableCount += 1 }
    if let first = file.first { durableEnd = max(durableEnd, first + LogPosition(file.durableCount)) }
    while let first = file.seals.first, first.end <= file.synced {
      file.seals.removeFirst()
      for batch in first.seal.batches { durableTokens.insert(batch.token) }
      durablySealedEpoch = max(durablySealedEpoch, first.seal.epoch)
    }
    while let first = file.retires.first, first.end <= file.synced {
      file.retires.removeFirst()
      let index = Int(first.retire.destination.rawValue)
      for batch in first.retire.replacements { durableTokens.insert(batch.token) }
      durablyRetired[index].insert(first.retire.batch)
      if let retired = sealed[index][first.retire.batch] { retiredTokens.insert(retired.token) }
    }
    while let first = file.acks.first, first.end <= file.synced {
      file.acks.removeFirst()
      durableAcks[Int(first.ack.destination.rawValue)].insert(first.ack.batch)
    }
    while let first = file.deadlines.first, first.end <= file.synced {
      file.deadlines.removeFirst()
      durableDeadlines[first.deadline.key] = max(durableDeadlines[first.deadline.key] ?? 0, first.deadline.seconds)
    }
    while let first = file.plans.first, first.end <= file.synced {
      file.plans.removeFirst()
      sources.becomeDurable(first.sources)
    }
    while let first = file.starts.first, first.end <= file.synced {
      file.starts.removeFirst()
      sources.becomeDurable(startOf: first.source)
    }
  }

  func renamed(_ from: String, to: String) {
    guard let file = files.removeValue(forKey: from) else { return }
    file.isCopy = false
    files[to] = file
    names[from] = to
  }

  /// The name that an open file goes by now.
  func current(_ path: String) -> String { names[path] ?? path }

  /// First position and end of a segment, by its path; nil where nothing stands in it.
  func positions(_ path: String) -> Range<LogPosition>? {
    guard let file = files[path], let first = file.first else { return nil }
    return first..<file.end
  }

  func removed(_ path: String) { files.removeValue(forKey: path) }

  /// The files are other ones now.
  func forgetFiles() {
    files = [:]
    names = [:]
  }

  /// The engine's process is gone: what comes next begins with a `restart`.
  package func processEnded() {
    lastPosition = nil
    parts.restart()
    // What wasn't synced may be lost, or may turn up again: only its copy at the next start can make it durable.
    for file in files.values {
      file.ends.removeLast(file.ends.count - file.durableCount)
      file.seals.removeAll()
      file.retires.removeAll()
      file.acks.removeAll()
      file.deadlines.removeAll()
      file.plans.removeAll()
      file.starts.removeAll()
    }
  }

  private func take(_ file: File, _ kind: LogRecord.Kind, _ position: LogPosition, _ byteCount: Int) {
    if file.first == nil { file.first = position }
    file.end = position + 1
    let end = file.next + 25 + byteCount
    file.ends.append(end)
    if !file.isCopy, let last = lastPosition, position != last + 1 {
      onViolation?("log position \(position) written after \(last)")
    }
    if !file.isCopy {
      lastPosition = position
      loggedByteCount += 25 + byteCount
    }
    switch kind {
    // The last two: a power cut amid the write may have left them whole, though nobody saw them written.
    case .seal, .retire, .ack, .plan, .sourceStart: break
    case .chunk: return
    case .intent, .restart, .deadline, .gap: if file.isCopy { return }
    }
    // Why it can't is the log's own tests' matter.
    guard let record = try? LogRecord(kind: kind, payload: Array(file.bytes[end - byteCount..<end])) else {
      onViolation?("log record \(position) can't be read back")
      return
    }
    switch record {
    case .seal(let part):
      guard let parts = file.isCopy ? file.parts.take(part, at: ()) : self.parts.take(part, at: ()) else { return }
      let seal = Seal.joined(parts.map(\.seal))
      file.seals.append((end, seal))
      // A power cut amid the write may have left a record whole that was never seen to be written: its copy is the first sight of it.
      if file.isCopy, seal.batches.allSatisfy({ sealed[Int($0.destination.rawValue)][$0.number] == $0 }) { return }
      sealedEpoch = max(sealedEpoch, seal.epoch)
      for batch in seal.batches { note(batch, at: position) }
    case .retire(let retire):
      file.retires.append((end, retire))
      if file.isCopy, retire.replacements.allSatisfy({ sealed[Int($0.destination.rawValue)][$0.number] == $0 }) { return }
      onRetire?(retire)
      written[Int(retire.destination.rawValue)].insert(retire.batch)
      for batch in retire.replacements {
        note(batch, at: position)
        if batch.destination.isTable { pieces.insert(batch.token) }
      }
    case .ack(let ack):
      file.acks.append((end, ack))
      written[Int(ack.destination.rawValue)].insert(ack.batch)
      if !file.isCopy { onAck?(ack) }
    case .intent(let intent): note(intent)
    case .restart(let restart):
      parts.restart()
      void(after: restart.lastKeptEpoch)
      sources.take(restart)
    case .gap(let gap): gaps.append(gap)
    case .deadline(let deadline): file.deadlines.append((end, deadline))
    case .plan(let plan):
      file.plans.append((end, plan.sources))
      sources.take(plan.sources, isCopy: file.isCopy).map { onViolation?($0) }
    case .sourceStart(let start):
      file.starts.append((end, start.source))
      sources.take(start, isCopy: file.isCopy).map { onViolation?($0) }
    case .chunk: break
    }
  }

  private func note(_ batch: SealedBatch, at position: LogPosition) {
    if batch.destination.isTable { sealPositions[batch.token] = position }
    let index = Int(batch.destination.rawValue)
    if let known = sealed[index][batch.number], known.token != batch.token, durableTokens.contains(known.token) {
      onViolation?("batch \(batch.number) sealed as \(batch.token), was durably sealed as \(known.token)")
    }
    sealed[index][batch.number] = batch
  }

  private func note(_ intent: Intent) {
    if let known = epochs[intent.epoch] { onViolation?("epoch \(intent.epoch) cut again while \(known) counts") }
    if intent.epoch > 1, epochs[intent.epoch - 1] == nil { onViolation?("epoch \(intent.epoch) cut, \(intent.epoch - 1) was not") }
    if let before = epochs[intent.epoch - 1], before.clock > intent.clockMilliseconds {
      onViolation?("the clock of epoch \(intent.epoch) is \(intent.clockMilliseconds), before it \(before.clock)")
    }
    for (slot, range) in intent.slots {
      let before = epochs[intent.epoch - 1]?.ranges.first { $0.partition == slot.rawValue }
      if let before, before.next >= 0 {
        if before.next != range.start, !jumps(slot, before.next, range.start) {
          onViolation?("epoch \(intent.epoch) reads slot \(slot.rawValue) from \(range.start), the one before ended at \(before.next)")
        }
      } else if let begin = sources.begin(slot.rawValue), begin != range.start, !jumps(slot, begin, range.start) {
        onViolation?("epoch \(intent.epoch) begins to read slot \(slot.rawValue) at \(range.start), its start was recorded as \(begin)")
      }
    }
    let moved = Dictionary(intent.slots.map { ($0.slot.rawValue, $0.range) }) { _, last in last }
    let before = Dictionary((epochs[intent.epoch - 1]?.ranges ?? []).map { ($0.partition, $0.next) }) { _, last in last }
    epochs[intent.epoch] = EpochFact(
      number: intent.epoch, clock: intent.clockMilliseconds,
      ranges: intent.parts.flatMap { part in
        (0..<Int32(part.partitionCount)).map { partition in
          let slot = Slot(part.source, partition).rawValue
          // Below 0: nobody has read it yet, from wherever it will be.
          let stood = before[slot] ?? -1
          return EpochFact.Range(
            partition: slot, start: moved[slot]?.start ?? stood, next: moved[slot]?.next ?? stood, isIdle: part.idle.contains(partition))
        }
      }, isOlder: Job.isOlder(intent.planHash), names: sources.names)
  }

  /// Bytes of all records that were appended, copies of a start aside.
  package private(set) var loggedByteCount = 0

  /// Bytes of the log from the first chunk of the oldest durable batch on that has no ack: what can't go. 0 where each has one.
  package func heldByteCount() -> Int {
    let open = sealed.enumerated().flatMap { index, batches in
      batches.values.filter { !written[index].contains($0.number) && durableTokens.contains($0.token) }.map { $0.chunks.min() ?? .max }
    }
    guard let first = open.min() else { return 0 }
    return files.values.reduce(0) { sum, file in
      guard !file.isCopy, let start = file.first, file.end > first else { return sum }
      if first <= start { return sum + file.bytes.count - 48 }
      let index = Int(first - start) - 1
      return index < file.ends.count ? sum + file.bytes.count - file.ends[index] : sum
    }
  }

  /// Where reading a partition has come to, by the newest epoch.
  package func next(of partition: Int32) -> Int64 {
    epochs.values.max { $0.number < $1.number }?.ranges.first { $0.partition == partition && $0.next >= 0 }?.next
      ?? sources.begin(partition) ?? 0
  }

  /// Whether what lies between was given up.
  private func jumps(_ slot: Slot, _ end: Int64, _ start: Int64) -> Bool {
    gaps.contains { $0.slot == slot && $0.start <= end && $0.next == start }
  }

  private func void(after last: EpochNumber) {
    if last < durablySealedEpoch { onViolation?("a restart voids the epochs after \(last), but \(durablySealedEpoch) was durably sealed") }
    sealedEpoch = min(sealedEpoch, last)
    for epoch in epochs.keys where epoch > last { epochs.removeValue(forKey: epoch) }
  }

  private func little(_ bytes: [UInt8], _ at: Int, _ count: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<count { value |= UInt64(bytes[at + index]) << UInt64(8 * index) }
    return value
  }
}
