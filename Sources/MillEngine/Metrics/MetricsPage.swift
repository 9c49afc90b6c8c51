package import MillBase
internal import MillCore
internal import MillFlow
internal import MillLog

/// Everything that `/metrics` says of a pipeline. README's table says which series answers which question.
package struct MetricsPage {
  private var page: MetricsText
  private let snapshot: EngineSnapshot
  private let metrics: EngineMetrics

  /// Adds the pipeline's families to `page`. `now`: ages are as of this moment, so that a flow thread that stands still shows as such.
  package static func write(_ snapshot: EngineSnapshot, _ metrics: EngineMetrics, now: Instant, to page: inout MetricsText) {
    var writer = MetricsPage(page: page, snapshot: snapshot, metrics: metrics)
    writer.records()
    writer.batches()
    writer.inserts()
    writer.state()
    writer.checkpoints(now)
    writer.conditions(now)
    page = writer.page
  }

  private mutating func records() {
    let progress = snapshot.progress
    let counters = progress.counters
    page.counter(
      "millrace_read_records_total", "Records processed; those of an earlier process' epochs are not counted again.",
      .init(counters.records))
    page.counter("millrace_read_bytes_total", "Bytes of these records: keys, values, headers.", .init(counters.bytes))
    page.counter(
      "millrace_records_total", "Where these records ended; the outcomes add up to millrace_read_records_total.",
      .init(counters.emitted, ("outcome", "emitted")), .init(counters.duplicate, ("outcome", "duplicate")),
      .init(counters.late, ("outcome", "late")), .init(counters.skipped, ("outcome", "skipped")),
      .init(counters.deadLettered, ("outcome", "dead_lettered")), .init(counters.filtered, ("outcome", "filtered")))
    page.counter(
      "millrace_null_key_records_total",
      "Records that passed a deduplicate, all of whose key fields were NULL: they have no key (null_keys: pass).",
      .init(counters.nullKey))
    page.counter(
      "millrace_dead_letters_total", "Dead letters of the records that this process has cut epochs from, by reason.",
      byReason(progress.allDeadLetters, DecodeReason.allCases.map(\.rawValue) + [FailedExpression.reason, "late", "refused"]))
    page.counter(
      "millrace_skipped_records_total", "Records of the same that on_error: skip passed over, by reason.",
      byReason(progress.skipped, DecodeReason.allCases.map(\.rawValue) + [FailedExpression.reason]))
    page.counter(
      "millrace_replayed_records_total", "Records of epochs that an earlier process had cut, processed again after a start.",
      .init(progress.replayedRecords))
    page.gauge("millrace_epoch", "The last processed epoch.", .init(progress.epoch))
    page.histogram("millrace_epoch_seconds", "Time that an epoch's processing took.", (metrics.epochSeconds.reading, []))
    page.gauge(
      "millrace_lag_records", "Offsets between the position and the end of the partition last heard of.",
      progress.partitions.map { .init($0.lag, ("source", $0.source), ("partition", "\($0.number)")) })
    page.gauge(
      "millrace_next_offset", "The next offset to be processed.",
      progress.partitions.map { .init($0.next, ("source", $0.source), ("partition", "\($0.number)")) })
    page.gauge(
      "millrace_partition_idle", "1: nothing came at its end for idle_after, so that the watermark doesn't wait for this partition.",
      progress.partitions.map { .init($0.isIdle, ("source", $0.source), ("partition", "\($0.number)")) })
    if let delay = progress.watermarkDelayMilliseconds {
      page.gauge("millrace_watermark_delay_seconds", "How far the watermark is behind the epoch's clock.", .init(Double(delay) / 1000))
    }
  }

  /// Those that haven't come up yet are 0, so that an increase from nothing shows.
  private func byReason(_ tally: ReasonTally, _ reasons: [String]) -> [MetricsText.Sample] {
    reasons.map { .init(tally[$0], ("reason", $0)) }
  }

  private func byDestination(_ value: (Progress.Batches) -> UInt64) -> [MetricsText.Sample] {
    snapshot.progress.batches.map { batches in
      batches.isDeadLetters
        ? .init(value(batches), ("destination", "dead_letters"))
        : .init(value(batches), ("destination", "table"), ("sink", batches.sink))
    }
  }

  /// sealed + recovered = acked + refused + unacked, once nothing is under way.
  private mutating func batches() {
    page.gauge("millrace_pending_rows", "Rows that no batch has yet.", byDestination(\.pendingRows))
    page.gauge("millrace_pending_bytes", "Bytes of these rows.", byDestination(\.pendingBytes))
    page.counter("millrace_sealed_batches_total", "Batches cut by this process.", byDestination(\.sealed.batches))
    page.counter("millrace_sealed_rows_total", "Rows of these batches.", byDestination(\.sealed.rows))
    page.counter("millrace_sealed_bytes_total", "Bytes of these batches, compressed as they are sent.", byDestination(\.sealed.bytes))
    page.counter("millrace_recovered_rows_total", "Rows of batches found unacked at the start.", byDestination(\.recovered.rows))
    page.counter("millrace_inserted_batches_total", "Batches proven to be in the table, or in their file.", byDestination(\.acked.batches))
    page.counter("millrace_inserted_rows_total", "Rows of these batches.", byDestination(\.acked.rows))
    page.counter("millrace_inserted_bytes_total", "Bytes of these batches, compressed as they were sent.", byDestination(\.acked.bytes))
    page.counter("millrace_refused_rows_total", "Rows that ClickHouse refused; they are dead letters.", byDestination(\.refused.rows))
    page.gauge(
      "millrace_unacked_batches", "Batches in the log that aren't proven to be in the table yet.", byDestination(\.unacked.batches))
    page.gauge("millrace_unacked_rows", "Rows of these batches.", byDestination(\.unacked.rows))
    page.gauge("millrace_unacked_bytes", "Bytes of these batches; log.unacked_max bounds them.", byDestination(\.unacked.bytes))
    page.histogram("millrace_batch_rows", "Rows of a batch when it was sealed.", (metrics.batchRows.reading, []))
    page.histogram("millrace_batch_age_seconds", "Age of a batch's oldest row when it was sealed.", (metrics.batchAgeSeconds.reading, []))
    page.histogram("millrace_seal_seconds", "Time that a seal took: encode, compress, write, sync.", (metrics.sealSeconds.reading, []))
  }

  private mutating func inserts() {
    page.histogram(
      "millrace_insert_seconds", "Time from sending an INSERT to the server's answer.",
      (metrics.insertSeconds.reading, [("kind", "plain")]),
      (metrics.guardedInsertSeconds.reading, [("kind", "guarded")]))
    page.counter(
      "millrace_insert_attempts_total", "INSERTs by what came of them; unknown: no answer.",
      EngineMetrics.InsertResult.allCases.map { .init(metrics.count($0).value, ("result", $0.rawValue)) })
    let doubts = snapshot.progress.doubts
    page.counter(
      "millrace_doubts_total", "Batches of which nobody could say whether an INSERT had written them.", .init(doubts.begun))
    page.counter(
      "millrace_doubts_ended_total", "How these doubts ended: all rows counted, missing ones filled in, or sent again.",
      .init(doubts.counted, ("how", "counted")), .init(doubts.filled, ("how", "filled")), .init(doubts.repeated, ("how", "repeated")))
  }

  private mutating func state() {
    page.gauge(
      "millrace_state_keys", "Keys that are remembered; in files a key counts once for each time it was written.",
      .init(Int64(snapshot.tableKeyCount), ("in", "memory")), .init(metrics.storeKeyCount.value, ("in", "files")))
    page.gauge("millrace_state_file_bytes", "Bytes of the state's files.", .init(metrics.storeFileByteCount.value))
    page.gauge("millrace_state_files", "Files of the state.", .init(metrics.storeFileCount.value))
    page.counter(
      "millrace_state_written_bytes_total", "Bytes written to the state's files: new keys, and files merged into larger ones.",
      .init(metrics.storeFlushedByteCount.value, ("by", "flush")), .init(metrics.storeMergedByteCount.value, ("by", "merge")))
    page.counter(
      "millrace_state_lookups_total", "Keys that the state's files were asked for, and whether they were there.",
      .init(snapshot.storeHitCount, ("found", "yes")), .init(snapshot.storeLookupCount - snapshot.storeHitCount, ("found", "no")))
    page.gauge("millrace_state_buckets", "Time buckets that the state's files are kept in.", .init(metrics.storeBucketCount.value))
    page.gauge(
      "millrace_state_unfiltered_buckets", "Buckets whose filter had to be given up for want of memory: each look-up reads files.",
      .init(snapshot.unfilteredBucketCount))
    page.counter(
      "millrace_state_dropped_buckets_total", "Buckets dropped because their window had passed.", .init(metrics.droppedBuckets.value))
    page.gauge(
      "millrace_memory_bytes", "Memory by what it is for; prefetch is an estimate, and the process has more.",
      EngineSnapshot.Part.allCases.map { .init(snapshot.memory[$0] ?? 0, ("part", $0.rawValue)) })
  }

  private mutating func checkpoints(_ now: Instant) {
    page.counter("millrace_checkpoints_total", "Checkpoints published by this process.", .init(snapshot.progress.checkpoints))
    if let at = snapshot.progress.checkpointedAt {
      page.gauge("millrace_checkpoint_age_seconds", "Time since the last checkpoint.", .init(Self.seconds(from: at, to: now)))
    }
    page.histogram(
      "millrace_checkpoint_seconds", "Time from the freeze of the state to the published checkpoint.",
      (metrics.checkpointSeconds.reading, []))
    page.histogram(
      "millrace_checkpoint_stall_seconds", "Time that processing stood still to freeze the state.", (metrics.freezeSeconds.reading, []))
    page.histogram("millrace_fsync_seconds", "Time of each fsync.", (metrics.syncSeconds.reading, []))
    page.gauge(
      "millrace_dead_letter_bytes", "Bytes of this pipeline's files of dead letters; at dead_letters.max_bytes the source waits.",
      .init(snapshot.progress.deadLetterBytes))
    page.gauge("millrace_dead_letter_bytes_max", "dead_letters.max_bytes.", .init(snapshot.progress.deadLetterMaxBytes))
    page.gauge("millrace_log_bytes", "Bytes of the epoch log on the disk.", .init(snapshot.logByteCount))
  }

  private mutating func conditions(_ now: Instant) {
    let progress = snapshot.progress
    page.gauge("millrace_up", "1: records go from Kafka into the table, and nothing is waited for.", .init(snapshot.isRunning))
    page.gauge(
      "millrace_waiting", "1: this isn't there, and is waited for.",
      Wait.Subject.allCases.map { subject in .init(progress.waits.contains { $0.subject == subject }, ("reason", subject.rawValue)) })
    page.gauge(
      "millrace_waiting_seconds", "How long it has been waited for.",
      Wait.Subject.allCases.map { subject in
        let since = progress.waits.lazy.filter { $0.subject == subject }.map(\.since.monotonicMilliseconds).min()
        return .init(since.map { Self.seconds(from: $0, to: now) } ?? 0, ("reason", subject.rawValue))
      })
    page.gauge(
      "millrace_sink_waiting", "1: the server of this sink isn't there, and is waited for.",
      progress.batches.filter { !$0.isDeadLetters }.map { sink in
        let isWaiting = progress.waits.contains { $0.subject == .clickhouse && ($0.sink ?? sink.sink) == sink.sink }
        return .init(isWaiting, ("sink", sink.sink))
      })
    page.gauge(
      "millrace_source_waiting", "1: the brokers of this source aren't there, and are waited for.",
      Set(progress.partitions.map(\.source)).sorted().map { source in
        let isWaiting = progress.waits.contains { $0.subject == .kafka && ($0.source ?? source) == source }
        return .init(isWaiting, ("source", source))
      })
    page.gauge(
      "millrace_source_held", "1: the sources are left alone for this reason.",
      Progress.Hold.allCases.map { .init(progress.hold == $0, ("reason", $0.rawValue)) })
    page.gauge(
      "millrace_snapshot_age_seconds", "Time since the flow thread last said how it is.",
      .init(Self.seconds(from: snapshot.at.monotonicMilliseconds, to: now)))
    if let stop = snapshot.stop {
      page.gauge(
        "millrace_stopped", "1: the process is about to end, with this exit code and rule.",
        .init(true, ("exit_code", "\(stop.kind.rawValue)"), ("rule", stop.rule)))
    }
  }

  private static func seconds(from monotonic: Int64, to now: Instant) -> Double {
    Double(max(0, now.monotonicMilliseconds - monotonic)) / 1000
  }
}

extension EngineSnapshot {
  /// Processing, and waiting for nothing.
  package var isRunning: Bool { stop == nil && progress.phase == .running && progress.waits.isEmpty }
}
