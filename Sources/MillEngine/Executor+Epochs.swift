internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillFlow
internal import MillLog
internal import MillState

/// Epochs and seals: the flow thread's own work.
extension Executor {
  /// R1: the intent is written before the first record is processed.
  func cut(_ intent: Intent) -> Event {
    guard let log, let flow else { return .failed(Stop(.failed, "an epoch was cut before the log was open")) }
    attachState()
    let whole = flow.complete(intent, buffers)
    FaultPoint.hit(.beforeIntent)
    do throws(LogError) {
      _ = try log.append(.intent(whole))
      FaultPoint.hit(.intentWritten)
    } catch {
      return Self.event(of: error, .cut)
    }
    return process(whole, flow, log)
  }

  /// R4: the same bytes must be there again.
  func replay(_ intent: Intent, _ isWhole: Bool) -> Event {
    guard let log, let flow else { return .failed(Stop(.failed, "an epoch was replayed before the log was open")) }
    attachState()
    let found = flow.complete(intent, buffers)
    guard found.inputDigest == intent.inputDigest || !isWhole else {
      Reach.mark(.r4InputChanged)
      return .failed(
        Stop(
          .promise, rule: "R4",
          "the records of epoch \(intent.epoch) are not those that were read before (\(ranges(intent))): the topic was made anew, compacted or changed by an unclean election"
        ))
    }
    FaultPoint.hit(.amidReplay)
    return process(intent, flow, log)
  }

  private func process(_ intent: Intent, _ flow: Flow, _ log: EpochLog) -> Event {
    let start = parts.clock.nanoseconds()
    let outcome = flow.process(intent, buffers)
    FaultPoint.hit(.processed)
    parts.metrics.epochSeconds.observe(nanoseconds: parts.clock.nanoseconds() - start)
    if !outcome.expired.isEmpty { expired[intent.epoch] = outcome.expired }
    var result = EpochResult(
      epoch: intent.epoch, intent: intent, counters: outcome.counters, pendingRows: flow.pendingRows, pendingBytes: flow.pendingBytes,
      sources: outcome.sources, watermark: outcome.watermark, needsFreeze: flow.state?.needsFreeze ?? false,
      dropsBuckets: !outcome.expired.isEmpty, logEnd: log.end, logByteCount: log.writtenByteCount, stop: outcome.stop)
    (result.deadLetters, result.skipped) = (outcome.deadLetters, outcome.skipped)
    return .processed(result)
  }

  private func ranges(_ intent: Intent) -> String {
    intent.slots.filter { $0.range.next > $0.range.start }.map { slot, range in
      let source = parts.sources.count > 1 ? flow?.sources.first { $0.number == slot.source }.map { "\($0.plan.name) " } ?? "" : ""
      return "\(source)partition \(range.partition): \(range.start) to \(range.next - 1)"
    }.joined(separator: ", ")
  }

  /// The state that the state lane has opened, and what it has flushed since, come into the flow thread's view here.
  func attachState() {
    guard let flow else { return }
    if flow.state == nil, let plan = parts.deduplicate, let open = opening.state, let lane = open.lane {
      flow.state = DeduplicateState(options: plan.options, store: open.store, filters: lane.filters)
    }
    for table in flushed.takeAll() {
      // Only a flush that failed is ordered again, and that one isn't here.
      frozen = frozen.filter { $0.value.epoch != table.epoch }
      guard let empty = flow.state?.release(table) else { continue }
      lanes.run(.state) {
        empty()
        return nil
      }
    }
  }

  // MARK: - Seals

  func seal(_ order: SealOrder) {
    guard let flow else { return }
    var deadLetters: DeadLetterBlock?
    var tables: [Destination: SealJob.Table] = [:]
    for part in order.parts {
      parts.metrics.batchAgeSeconds.observe(Double(part.ageMilliseconds) / 1000)
      guard part.destination.isTable else {
        deadLetters = flow.takeDeadLetters()
        continue
      }
      let sink = sink(of: part.destination)
      let (rows, memory) = flow.takeRows(part.destination)
      tables[part.destination] = SealJob.Table(
        rows: rows, memory: memory, encoder: parts.sinks[sink].chosen?.encoder, target: "\(parts.sinks[sink].options.table)",
        name: tokenName(part.destination))
    }
    logJob = SealJob(order: order, tables: tables, deadLetters: deadLetters, memory: encodingMemory, sealed: sealed)
    runLogJob()
  }

  /// Which of the sinks has this number.
  func sink(of destination: Destination) -> Int {
    guard let index = destinations.firstIndex(of: destination) else { preconditionFailure("no sink has number \(destination.rawValue)") }
    return index
  }

  private func tokenName(_ destination: Destination) -> String {
    destination.isTable ? MillClickHouse.tokenName(sink: parts.core.tables[sink(of: destination)].name) : deadLettersTokenName
  }

  func retire(_ order: RetireOrder) {
    logJob = RetireJob(
      order: order,
      letters: letterEncoders,
      name: tokenName(order.batch.destination), provenance: parts.sinks[sink(of: order.batch.destination)].options.provenanceColumn,
      letterByteCountMax: parts.sources.compactMap { $0.plan.limits?.letterByteCountMax }.max() ?? .max)
    runLogJob()
  }

  /// Of every source that rows on their way may come from, those too that the file has no more.
  private var letterEncoders: [SourceNumber: DeadLetterEncoder] {
    Dictionary(
      uniqueKeysWithValues: namedSources.map {
        ($0.number, DeadLetterEncoder(pipeline: parts.core.pipeline, source: $0.name, topic: $0.topic))
      })
  }

  func runLogJob() {
    guard let job = logJob, let log else { return }
    let (clock, metrics) = (parts.clock, parts.metrics)
    lanes.run(.log) {
      do throws(LogError) {
        let start = clock.nanoseconds()
        let event = try job.run(log)
        metrics.sealSeconds.observe(nanoseconds: clock.nanoseconds() - start)
        if case .sealed(let seal, _, _, _) = event { for batch in seal.batches { metrics.batchRows.observe(Double(batch.rowCount)) } }
        return event
      } catch {
        return Executor.event(of: error, .seal)
      }
    }
  }

  /// R4: what a seal covers must come out the same, where all records are there; then it is dropped.
  func compare(_ seal: Seal, _ isWhole: Bool) -> Event {
    guard let flow else { return .failed(Stop(.failed, "a seal was compared before the state was open")) }
    for part in seal.covered {
      let batches = isWhole ? seal.batches.filter { $0.destination == part.destination } : []
      let sealedRows = batches.reduce(0) { $0 + Int($1.rowCount) }
      let pending = Int(flow.pendingRows[part.destination.index])
      guard sealedRows == pending || !isWhole else {
        return .sealCompared(mismatch: "\(pending) rows for \(tokenName(part.destination)), \(sealedRows) were sealed")
      }
      for batch in batches {
        // What was sealed is a fact: the table may have been altered since.
        var encoder: BlockEncoder?
        if batch.destination.isTable {
          let sink = parts.sinks[sink(of: batch.destination)]
          switch ColumnMatching.encoder(of: batch.columns, fields: sink.fields, table: sink.options.table) {
          case .success(let found): encoder = found
          case .failure(let refusal):
            return .sealCompared(
              mismatch:
                "batch \(batch.token) was sealed with columns that the fields don't fit: \(refusal.problems.joined(separator: "; "))")
          }
        }
        let digest = flow.digest(batch, encoder: encoder)
        guard digest == batch.digest else {
          return .sealCompared(mismatch: "batch \(batch.token) has digest \(digest.map { "\($0)" } ?? "none")")
        }
      }
      if part.destination.isTable { _ = flow.takeRows(part.destination) } else { _ = flow.takeDeadLetters() }
    }
    return .sealCompared(mismatch: nil)
  }
}
