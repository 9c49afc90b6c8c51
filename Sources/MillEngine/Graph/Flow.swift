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
/// A pure function of the state before, the intent and the bytes (R3): partitions in order, nothing asks clock or chance. Flow thread only.
final class Flow {
  struct Outcome {
    var counters = Counters()
    var deadLetters = ReasonTally()
    var skipped = ReasonTally()
    var maxEventTimes: [Int64] = []
    var watermark = Int64.min
    var expired: [BucketID] = []
    var stop: Stop?
  }

  /// What the rules of one plan need while records are read.
  private struct Rules {
    var row: RowRules
    var decoder: RecordDecoder
    var pieceRoom: PieceRoom

    init(_ row: RowRules) {
      self.row = row
      decoder = RecordDecoder(plan: row.sourcePlan)
      pieceRoom = PieceRoom(row.sourcePlan)
    }
  }

  /// What is the same for all pieces of an epoch. `buffers`: index: partition.
  struct Epoch {
    let intent: Intent
    let rules: RowRules
    let buffers: [RecordBuffer]
    /// As of the epoch's start.
    let watermark: Int64
  }

  private enum Node {
    case `operator`(any OperatorPlan, any Operator)
    case deduplicate
  }

  let parts: EngineParts
  private let graph: GraphPlan
  private let nodes: [Node]
  /// Of today's plan, and of those that epochs to be replayed were recorded under.
  private let rules: Rules
  private let earlierRules: [UInt64: Rules]
  let decoded: DecodedRows
  let hasher: KeyHasher?
  let letters: DeadLetterEncoder
  private var watermarks: WatermarkTracker
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
    rules = Rules(RowRules(sourcePlan: parts.sourcePlan, deduplicate: parts.deduplicate))
    earlierRules = parts.earlierRules.mapValues(Rules.init)
    decoded = DecodedRows(parts.sourcePlan)
    piece = Piece(decoded.block)
    graph = parts.graph
    nodes = graph.nodes.map { node in
      switch node.kind {
      case .operator(let plan): .operator(plan, plan.make())
      case .deduplicate: .deduplicate
      }
    }
    let keyTypes = parts.graph.deduplicateTypes
    hasher = parts.deduplicate.map { KeyHasher(fieldIndexes: $0.keyFields, types: keyTypes, seed: start.hashSeed) }
    letters = DeadLetterEncoder(pipeline: parts.core.pipeline, source: parts.sourcePlan.name, topic: parts.sourcePlan.topic)
    watermarks = WatermarkTracker(
      outOfOrderness: parts.sourcePlan.eventTime?.outOfOrderness, maxEventTimes: start.maxEventTimes, watermark: start.watermark)
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

  /// Adds to an intent what only the bytes tell: the input's digest and each range's last record.
  func complete(_ intent: Intent, _ buffers: [RecordBuffer]) -> Intent {
    var whole = intent
    var digest = InputDigest()
    for (index, range) in intent.ranges.enumerated() {
      let buffer = buffers[Int(range.partition)]
      let count = buffer.count(before: range.next)
      guard count > 0 else { continue }
      inputDigest(buffer, first: count, partition: range.partition, into: &digest)
      let last = buffer.anchor(at: buffer.head + count - 1)
      whole.ranges[index].anchorOffset = last.offset
      whole.ranges[index].anchorTimestamp = last.timestamp
      whole.ranges[index].anchorChecksum = last.checksum
    }
    whole.inputDigest = digest.value
    return whole
  }

  /// Processes the intent's records and consumes them from the buffers.
  func process(_ intent: Intent, _ buffers: [RecordBuffer]) -> Outcome {
    var outcome = Outcome()
    let rules = earlierRules[intent.planHash] ?? rules
    decoded.removeAll()
    var pieceRoom = rules.pieceRoom
    if slackBytes != nil { for buffer in buffers { buffer.fillSlack(&slackBytes!) } }
    // The watermark that lateness is judged by is the one at the epoch's start (contract §1.2).
    watermarks.grow(partitionCount: intent.partitionCount)
    // In a replay the topic may have partitions by now that the epoch didn't know: they had no say then.
    let idle = watermarks.maxEventTimes.indices.map { $0 >= intent.partitionCount || intent.idle.contains(Int32($0)) }
    let watermark = watermarks.advance(idle: idle, clockMilliseconds: intent.clockMilliseconds)
    for range in intent.ranges {
      let buffer = buffers[Int(range.partition)]
      let count = buffer.count(before: range.next)
      outcome.counters.records += UInt64(count)
      outcome.counters.bytes += UInt64(buffer.wholeByteCount(ofFirst: count))
      var taken = 0
      while taken < count {
        let (some, isFull) = pieceRoom.take(buffer, skipping: taken, limit: min(count - taken, Self.pieceRowCount - decoded.rowCount))
        failures.removeAll(keepingCapacity: true)
        rules.decoder.decode(
          buffer, skipping: taken, first: some, partition: range.partition, clockMilliseconds: intent.clockMilliseconds, into: decoded,
          failures: &failures)
        taken += some
        take(failures, rules, buffer, range.partition, intent, &outcome)
        if isFull || decoded.rowCount == Self.pieceRowCount {
          decide(intent, rules, buffers, watermark, &outcome)
          pieceRoom.reset()
        }
        if outcome.stop != nil { return outcome }
      }
    }
    decide(intent, rules, buffers, watermark, &outcome)
    if outcome.stop != nil { return outcome }
    for range in intent.ranges { buffers[Int(range.partition)].consume(buffers[Int(range.partition)].count(before: range.next)) }
    outcome.maxEventTimes = watermarks.maxEventTimes
    outcome.watermark = watermark
    if let state, let options = parts.deduplicate?.options {
      outcome.expired = state.expire(watermark: options.usesEventTime ? watermark : intent.clockMilliseconds)
    }
    return outcome
  }

  private func take(
    _ failures: [DecodeFailure], _ rules: Rules, _ buffer: RecordBuffer, _ partition: Int32, _ intent: Intent, _ outcome: inout Outcome
  ) {
    for failure in failures {
      switch parts.sourcePlan.onError {
      case .skip:
        outcome.counters.skipped += 1
        outcome.skipped.add(failure.reason.rawValue, example: failure.example(parts.sourcePlan, buffer, partition: partition))
      case .deadLetter:
        outcome.counters.deadLettered += 1
        outcome.deadLetters.add(failure.reason.rawValue, example: failure.example(parts.sourcePlan, buffer, partition: partition))
        letters.append(
          failure, plan: rules.row.sourcePlan, buffer: buffer, partition: partition, epoch: intent.epoch, into: deadLetters)
      case .fail:
        let offset = buffer.entries[failure.entryIndex].offset
        outcome.stop = Stop(
          .failed,
          "partition \(partition) of \(parts.sourcePlan.topic), offset \(offset): \(failure.reason.sentence): \(failure.detail) (sources.\(parts.sourcePlan.name).on_error is fail)"
        )
        return
      }
    }
  }

  /// Few enough for what a step leaves to be in the processor's cache for the next.
  private static let pieceRowCount = 4096

  /// Sends what has been decoded through the graph.
  private func decide(
    _ intent: Intent, _ rules: Rules, _ buffers: [RecordBuffer], _ watermark: Int64, _ outcome: inout Outcome
  ) {
    let count = decoded.block.rowCount
    guard count > 0 else { return }
    piece.start(decoded.block)
    fillTimes(count, intent)
    let epoch = Epoch(intent: intent, rules: rules.row, buffers: buffers, watermark: watermark)
    run(readers: graph.readers[0], epoch, &outcome)
    decoded.removeAll()
  }

  /// Hands the piece to each of the readers: the last one has it itself, the others copies of what may change.
  private func run(readers: [GraphPlan.Reader], _ epoch: Epoch, _ outcome: inout Outcome) {
    for (index, reader) in readers.enumerated() {
      guard outcome.stop == nil else { return }
      let copy = index + 1 < readers.count ? piece : nil
      switch reader {
      case .sink(let number): append(to: number, &outcome)
      case .node(let number):
        switch nodes[number] {
        case .deduplicate: deduplicate(epoch, &outcome)
        case .operator(let plan, let node): run(plan, node, epoch, &outcome)
        }
        if outcome.stop == nil { run(readers: graph.readers[number + 1], epoch, &outcome) }
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

  private func fillTimes(_ count: Int, _ intent: Intent) {
    if parts.sourcePlan.eventTime != nil {
      unsafe decoded.eventTimes.raw.withMemoryRebound(to: Int64.self) { unsafe piece.times.append(contentsOf: $0) }
      let partitions = unsafe decoded.block.originPartitions.base.assumingMemoryBound(to: Int32.self)
      for row in 0..<count { watermarks.observe(partition: unsafe Int(partitions[row]), eventTime: piece.times[row]) }
    }
    if parts.sourcePlan.eventTime == nil || parts.deduplicate?.options.usesEventTime == false {
      piece.times.removeAll(keepingCapacity: true)
      piece.times.append(contentsOf: repeatElement(intent.clockMilliseconds, count: count))
    }
  }
}
