internal import MillBase
internal import MillClickHouse
internal import MillConfig
internal import MillCore
internal import MillFlow
internal import MillKafka
internal import MillLog

/// `millrace check FILE --connect`: asks Kafka for the topic and ClickHouse for the table, and prints what would keep the pipeline from
/// running, or what would make it run better.
func checkConnections(_ pipeline: Pipeline, _ logger: Logger) -> ExitCode {
  guard let assembly = Assembly.make(pipeline, logger) else { return .invalidFile }
  defer { assembly.close() }
  let all = assembly.sources.map { checkTopic($0, pipeline) } + assembly.sinks.map { checkTable($0, pipeline) }
  // An invalid file outweighs a server that is down.
  return all.first { $0 == .invalidFile } ?? all.first { $0 != .done } ?? .done
}

private func checkTopic(_ source: Assembly.Source, _ pipeline: Pipeline) -> ExitCode {
  let topic = source.settings.plan.topic
  do throws(SourceError) {
    let missing = try source.end.missingRights()
    guard missing.isEmpty else {
      for right in missing { Output.errorLine("  topic   \(source.end.lack(of: right))") }
      return .failed
    }
    let found = try source.end.describe()
    let records: Int64 = found.partitions.reduce(0) {
      let (sum, isTooMuch) = $0.addingReportingOverflow($1.stableEnd - $1.low)
      return isTooMuch ? .max : sum
    }
    let cluster = ForeignText.cut(found.clusterID)
    Output.line("  topic   \(topic): \(found.partitions.count) partitions, at most \(grouped(records)) records kept, cluster \(cluster)")
    let witness = try source.end.readWitness()
    if let witness, !witness.isEmpty, Witness(witness) == nil {
      // What a start ends with, beforehand.
      Output.errorLine("  group   \(Witness.foreign(witness, pipeline: pipeline.name, topic: topic)) (R15)")
      return .stopped
    }
    Output.line(
      "  group   \(pipeline.consumerGroup): \(witness.map { "last committed by \(ForeignText.cut($0))" } ?? "nothing committed yet")")
    let sample = try CheckSample.check(found, source)
    let policy = checkPolicy(found, pipeline)
    return policy == .done ? sample : policy
  } catch {
    Output.errorLine("  topic   \(topic) at \(source.settings.kafka.brokers): \(describe(error))")
    return .failed
  }
}

private func checkPolicy(_ topic: TopicDescription, _ pipeline: Pipeline) -> ExitCode {
  guard pipeline.sinks.contains(where: { $0.delivery == .exactlyOnce }) else { return .done }
  switch topic.isCompacted {
  case true?:
    Output.errorLine("  topic   cleanup.policy is compact: exactly once can't be kept; set delete, or write delivery: at_least_once (K11)")
    return .invalidFile
  case false?: return .done
  case nil:
    Output.line("  note    the brokers don't tell whether the topic is compacted; exactly once needs cleanup.policy=delete")
    return .done
  }
}

func describe(_ error: SourceError) -> String {
  switch error {
  case .unavailable(let reason): "no answer: \(reason). Are the brokers up, and is kafka.brokers right?"
  case .topicMissing(let topic, let nearest):
    "there is no topic \(topic): create it, or mend sources.*.topic" + (nearest.map { "; did you mean \($0)?" } ?? "")
  case .refused(let reason): "refused: \(reason)"
  }
}

/// Those of the checkpoints that are there, by their manifests; none before the first run. Nil: this user can't read them.
private func knownLineages(_ pipeline: Pipeline) -> [Lineage]? {
  let disk = RealDisk()
  do throws(DiskError) {
    _ = try disk.list(pipeline.checkpoint.directory)
  } catch .notFound {
    return []
  } catch {
    return nil
  }
  var known = KnownDigests()
  do throws(CheckpointError) {
    return try CheckpointStore(disk, directory: pipeline.checkpoint.directory).list(.manifestOnly, known: &known)
      .compactMap(\.manifest?.lineage)
  } catch {
    return nil
  }
}

private func checkTable(_ sink: Assembly.Sink, _ pipeline: Pipeline) -> ExitCode {
  let answers = BlockingQueue<SinkAnswer>()
  sink.table.perform(.describe(pending: []), body: { [] }) { answers.put($0) }
  guard let answer = answers.takeAll(waitingMilliseconds: 120_000).first else {
    Output.errorLine("  table   no answer from \(sink.settings.url) within 120 s")
    return .failed
  }
  switch answer {
  case .described(let facts):
    Output.line("  table   \(sink.options.table): delivery will be \(facts.mode.rawValue)")
    let known = knownLineages(pipeline)
    let others = known.flatMap { facts.othersWarning($0, table: "\(sink.options.table)") }
    if known == nil, !facts.writers.isEmpty {
      Output.line(
        "  note    \(pipeline.checkpoint.directory) can't be read by this user: whose rows the table has isn't known; check as the service's user"
      )
    }
    for warning in facts.warnings + (others.map { [$0] } ?? []) + facts.notes { Output.line("  note    \(warning)") }
    return .done
  case .unfit(let problems):
    for problem in problems { Output.errorLine("  table   \(problem)") }
    return .invalidFile
  case .denied(let reason), .unanswered(let reason), .unknown(let reason), .notSent(let reason):
    Output.errorLine("  table   no answer from \(sink.settings.url): \(reason)")
    return .failed
  default:
    Output.errorLine("  table   \(sink.settings.url) gave an answer that does not fit the question")
    return .failed
  }
}
