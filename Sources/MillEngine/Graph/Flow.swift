internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillFlow
internal import MillLog
internal import MillOperators
internal import MillState

/// The way of an epoch's records: decode, send the rows piece by piece through the graph's nodes, append what comes out to what the
/// destinations have pending.
///
/// A pure function of the state before, the intent and the bytes (R3): sources by name, partitions in order, nothing asks clock or chance.
/// Flow thread only.
final class Flow {
  struct Outcome {
    var counters = Counters()
    var deadLetters = ReasonTally()
    var skipped = ReasonTally()
    /// Index: source.
    var sources: [EpochResult.Source] = []
    var watermark = Int64.min
    var expired: [BucketID] = []
    var stop: Stop?
  }

  /// What is the same for all pieces of one source's part of an epoch.
  struct Epoch {
    let intent: Intent
    let source: SourceFlow
    /// Index: partition.
    let buffers: [RecordBuffer]
    let rules: SourceFlow.Rules
    let deduplicate: DeduplicatePlan?
    /// That rows which enter the deduplicate are judged by: as of the epoch's start.
    let watermark: Int64
  }

  private enum Node {
    case `operator`(any OperatorPlan, any Operator)
    case deduplicate
    case union([(plan: any OperatorPlan, adapter: any Operator)?])
  }

  let parts: EngineParts
  private let graph: GraphPlan
  private let nodes: [Node]
  /// In the file's order.
  let sources: [SourceFlow]
  /// Indexes of the sources, by their names: the order in which an epoch takes them.
  private let order: [Int]
  let hasher: KeyHasher?
  /// As ``EpochResult/watermark``.
  private var watermark: Int64
  /// Set when the state lane has opened it; nil without a deduplicate operator.
  var state: DeduplicateState?

  /// Where blocks come back to once they are sealed. Index: sink.
  private let batchMemories: [BatchMemory]
  /// Index: sink. What it has pending.
  private var rows: [RowBlock]
  /// Index: sink.
  private let destinations: [Destination]
  var deadLetters = DeadLetterBlock()

  // Memory of one epoch, used again and again.
  var piece: Piece
  var hashes: [Digest128] = []
  var keyBytes = GrowableBytes()
  var keyEnds = GrowableBytes()
  var nullKeys: [Int32] = []
  var rowFailures: [RowFailure] = []
  private var failures: [DecodeFailure] = []
  /// See ``EngineParts/slackSeed``.
  private var slackBytes: SeededRandom?

  init(parts: EngineParts, start: FlowStart) {
    self.parts = parts
    sources = parts.sources.indices.map { SourceFlow($0, parts, start.sources[$0]) }
    order = parts.sources.indices.sorted { parts.sources[$0].plan.name < parts.sources[$1].plan.name }
    watermark = start.watermark
    piece = Piece(sources[0].decoded.block)
    graph = parts.graph
    nodes = graph.nodes.map { node in
      switch node.kind {
      case .operator(let plan): .operator(plan, plan.make())
      case .deduplicate: .deduplicate
      case .union(let adapters): .union(adapters.map { plan in plan.map { ($0, $0.make()) } })
      }
    }
    let keyTypes = parts.graph.deduplicateTypes
    hasher = parts.deduplicate.map { KeyHasher(fieldIndexes: $0.keyFields, types: keyTypes, seed: start.hashSeed) }
    precondition(
      start.destinations.count == parts.graph.sinks.count, "\(start.destinations.count) tables for \(parts.graph.sinks.count) sinks")
    rows = parts.graph.sinkTypes.map(RowBlock.init)
    destinations = start.destinations
    batchMemories = start.destinations.map { _ in BatchMemory() }
    slackBytes = parts.slackSeed.map { SeededRandom($0) }
  }

  /// Index: destination.
  var pendingRows: [UInt64] { byDestination(\.rowCount, deadLetters.rowCount) }
  /// Index: destination.
  var pendingBytes: [UInt64] { byDestination(\.byteCount, deadLetters.byteCount) }

  private func byDestination(_ value: (RowBlock) -> Int, _ ofDeadLetters: Int) -> [UInt64] {
    var values = [UInt64](repeating: 0, count: (destinations + [.deadLetters]).reduce(0) { max($0, $1.index) } + 1)
    for (destination, block) in zip(destinations, rows) { values[destination.index] = UInt64(value(block)) }
    values[Destination.deadLetters.index] = UInt64(ofDeadLetters)
    return values
  }

  /// Hands out what the table has pending, and where its memory comes back to; the flow goes on with an empty block.
  func takeRows(_ destination: Destination) -> (rows: RowBlock, memory: BatchMemory) {
    let sink = sink(of: destination)
    let taken = rows[sink]
    rows[sink] = batchMemories[sink].takeBlock() ?? RowBlock(graph.sinkTypes[sink])
    return (taken, batchMemories[sink])
  }

  private func sink(of destination: Destination) -> Int {
    guard let index = destinations.firstIndex(of: destination) else { preconditionFailure("no sink has number \(destination.rawValue)") }
    return index
  }

  func takeDeadLetters() -> DeadLetterBlock {
    defer { deadLetters = DeadLetterBlock() }
    return deadLetters
  }

  /// The digest that `batch` would have if it were sealed from what is pending now; nil where its rows aren't there.
  func digest(_ batch: SealedBatch, encoder: BlockEncoder?) -> Digest128? {
    let range = Int(batch.rowStart)..<Int(batch.rowStart + batch.rowCount)
    guard batch.destination.isTable else { return range.upperBound <= deadLetters.rowCount ? deadLetters.digest(range) : nil }
    let rows = rows[sink(of: batch.destination)]
    return range.upperBound <= rows.rowCount ? encoder?.encode(rows, rows: range).digest : nil
  }

  /// Adds to an intent what only the bytes tell: the input's digest and each range's last record. `buffers`: index: source, partition.
  func complete(_ intent: Intent, _ buffers: [[RecordBuffer]]) -> Intent {
    var whole = intent
    var digest = InputDigest()
    for (index, part) in intent.parts.enumerated() {
      guard let source = source(part) else { continue }
      for (place, range) in part.ranges.enumerated() {
        let buffer = buffers[source.index][Int(range.partition)]
        let count = buffer.count(before: range.next)
        guard count > 0 else { continue }
        inputDigest(buffer, first: count, partition: source.origin(range.partition), into: &digest)
        let last = buffer.anchor(at: buffer.head + count - 1)
        whole.parts[index].ranges[place].anchorOffset = last.offset
        whole.parts[index].ranges[place].anchorTimestamp = last.timestamp
        whole.parts[index].ranges[place].anchorChecksum = last.checksum
      }
    }
    whole.inputDigest = digest.value
    return whole
  }

  private func source(_ part: IntentPart) -> SourceFlow? { sources.first { $0.number == part.source } }

  /// Processes the intent's records and consumes them from the buffers (index: source, then partition).
  func process(_ intent: Intent, _ buffers: [[RecordBuffer]]) -> Outcome {
    var outcome = Outcome()
    advanceWatermarks(intent)
    outcome.sources = sources.map { EpochResult.Source(maxEventTimes: [], watermark: $0.watermarks.watermark) }
    if slackBytes != nil { for buffer in buffers.joined() { buffer.fillSlack(&slackBytes!) } }
    let deduplicate = parts.earlierRules[intent.planHash].map(\.deduplicate) ?? parts.deduplicate
    for index in order {
      let source = sources[index]
      guard let part = intent.part(of: source.number), !part.ranges.isEmpty else { continue }
      let epoch = Epoch(
        intent: intent, source: source, buffers: buffers[index], rules: source.rules(intent.planHash), deduplicate: deduplicate,
        watermark: watermark)
      read(part, epoch, &outcome)
      if outcome.stop != nil { return outcome }
    }
    for source in sources {
      outcome.sources[source.index].maxEventTimes = source.watermarks.maxEventTimes
      for range in intent.part(of: source.number)?.ranges ?? [] {
        let buffer = buffers[source.index][Int(range.partition)]
        buffer.consume(buffer.count(before: range.next))
      }
    }
    outcome.watermark = watermark
    if let state, let options = parts.deduplicate?.options {
      outcome.expired = state.expire(watermark: options.usesEventTime ? watermark : intent.clockMilliseconds)
    }
    return outcome
  }

  /// The watermark that lateness is judged by is the one at the epoch's start (contract §1.2). A source of which every partition is idle
  /// doesn't hold back those whose rows meet its own; none goes back, also not where a source joins that has had no record yet.
  private func advanceWatermarks(_ intent: Intent) {
    for source in sources { source.advance(intent.part(of: source.number), clockMilliseconds: intent.clockMilliseconds) }
    let meeting = graph.deduplicateSources.map { sources[$0] }
    if let least = meeting.filter({ !$0.isIdle }).map(\.watermarks.watermark).min() {
      for source in meeting where source.isIdle {
        if source.watermarks.watermark < least { Reach.mark(.sourceIdleRaised) }
        source.watermarks.raise(to: least)
      }
    }
    watermark = max(watermark, meeting.map(\.watermarks.watermark).min() ?? watermark)
  }

  private func read(_ part: IntentPart, _ epoch: Epoch, _ outcome: inout Outcome) {
    let decoded = epoch.source.decoded
    decoded.removeAll()
    var pieceRoom = epoch.rules.pieceRoom
    for range in part.ranges {
      let buffer = epoch.buffers[Int(range.partition)]
      let count = buffer.count(before: range.next)
      outcome.counters.records += UInt64(count)
      outcome.sources[epoch.source.index].records += UInt64(count)
      outcome.counters.bytes += UInt64(buffer.wholeByteCount(ofFirst: count))
      var taken = 0
      while taken < count {
        let (some, isFull) = pieceRoom.take(buffer, skipping: taken, limit: min(count - taken, Self.pieceRowCount - decoded.rowCount))
        failures.removeAll(keepingCapacity: true)
        epoch.rules.decoder.decode(
          buffer, skipping: taken, first: some, partition: range.partition, origin: epoch.source.origin(range.partition),
          clockMilliseconds: epoch.intent.clockMilliseconds, into: decoded, failures: &failures)
        taken += some
        take(failures, epoch, buffer, range.partition, &outcome)
        if isFull || decoded.rowCount == Self.pieceRowCount {
          decide(epoch, &outcome)
          pieceRoom.reset()
        }
        if outcome.stop != nil { return }
      }
    }
    decide(epoch, &outcome)
  }

  private func take(
    _ failures: [DecodeFailure], _ epoch: Epoch, _ buffer: RecordBuffer, _ partition: Int32, _ outcome: inout Outcome
  ) {
    let plan = epoch.source.plan
    for failure in failures {
      let example = { failure.example(plan, buffer, partition: partition) }
      switch plan.onError {
      case .skip:
        outcome.counters.skipped += 1
        outcome.skipped.add(failure.reason.rawValue, example: example())
      case .deadLetter:
        outcome.counters.deadLettered += 1
        outcome.deadLetters.add(failure.reason.rawValue, example: example())
        epoch.source.letters.append(
          failure, plan: epoch.rules.plan, buffer: buffer, partition: partition, epoch: epoch.intent.epoch, into: deadLetters)
      case .fail:
        let offset = buffer.entries[failure.entryIndex].offset
        outcome.stop = Stop(
          .failed,
          "partition \(partition) of \(plan.topic), offset \(offset): \(failure.reason.sentence): \(failure.detail) (sources.\(plan.name).on_error is fail)"
        )
        return
      }
      outcome.sources[epoch.source.index].refused.add(failure.reason.rawValue, example: example())
    }
  }

  /// Few enough for what a step leaves to be in the processor's cache for the next.
  private static let pieceRowCount = 4096

  /// Sends what has been decoded through the graph.
  private func decide(_ epoch: Epoch, _ outcome: inout Outcome) {
    let decoded = epoch.source.decoded
    let count = decoded.block.rowCount
    guard count > 0 else { return }
    piece.start(decoded.block)
    fillTimes(count, epoch)
    run(readers: graph.sourceReaders[epoch.source.index], epoch, &outcome)
    decoded.removeAll()
  }

  /// Hands the piece to each of the readers: the last one has it itself, the others copies of what may change.
  private func run(readers: [GraphPlan.Reader], _ epoch: Epoch, _ outcome: inout Outcome) {
    for (index, reader) in readers.enumerated() {
      guard outcome.stop == nil else { return }
      let copy = index + 1 < readers.count ? piece : nil
      switch reader {
      case .sink(let number): append(to: number, &outcome)
      case .node(let number, let input):
        switch nodes[number] {
        case .deduplicate: self.deduplicate(epoch, &outcome)
        case .operator(let plan, let node): run(plan, node, epoch, &outcome)
        case .union(let adapters):
          guard let (plan, adapter) = adapters[input] else { break }
          Reach.mark(.sourceAdapted)
          run(plan, adapter, epoch, &outcome)
        }
        if outcome.stop == nil { run(readers: graph.nodeReaders[number], epoch, &outcome) }
      }
      if let copy { piece = copy }
    }
  }

  private func append(to sink: Int, _ outcome: inout Outcome) {
    FaultPoint.hit(.amidProcess)
    let block = rows[sink]
    let before = block.rowCount
    guard graph.isPlain || block.byteCount + piece.block.byteCount <= Self.pendingByteCountMax else {
      outcome.stop = Self.tooLarge("the rows of one epoch take more than \(Self.pendingByteCountMax >> 30) GiB")
      return
    }
    block.append(piece.block, keep: piece.keep)
    outcome.counters.emit(UInt64(block.rowCount - before), for: destinations[sink])
  }

  /// Records bound the rows that are decoded of them, and nothing the texts that expressions make.
  private static let pendingByteCountMax = 3 << 30

  static func tooLarge(_ what: String) -> Stop {
    Stop(.failed, "\(what) as the operators make them: lower epoch.max_bytes and batch.max_bytes, or let an expression make shorter texts")
  }

  private func fillTimes(_ count: Int, _ epoch: Epoch) {
    let source = epoch.source
    if source.plan.eventTime != nil {
      unsafe source.decoded.eventTimes.raw.withMemoryRebound(to: Int64.self) { unsafe piece.times.append(contentsOf: $0) }
      let origins = unsafe source.decoded.block.originPartitions.base.assumingMemoryBound(to: Int32.self)
      for row in 0..<count {
        source.watermarks.observe(partition: Int(Slot(rawValue: unsafe origins[row]).partition), eventTime: piece.times[row])
      }
    }
    if source.plan.eventTime == nil || parts.deduplicate?.options.usesEventTime == false {
      piece.times.removeAll(keepingCapacity: true)
      piece.times.append(contentsOf: repeatElement(epoch.intent.clockMilliseconds, count: count))
    }
  }
}
