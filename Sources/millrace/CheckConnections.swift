internal import MillBase
internal import MillClickHouse
internal import MillConfig
internal import MillCore
internal import MillFlow
internal import MillKafka

/// `millrace check FILE --connect`: asks Kafka for the topic and ClickHouse for the table, and prints what would keep the pipeline from
/// running, or what would make it run better.
func checkConnections(_ pipeline: Pipeline, _ logger: Logger) -> ExitCode {
  guard let assembly = Assembly.make(pipeline, logger) else { return .invalidFile }
  defer { assembly.close() }
  let kafka = checkTopic(pipeline, assembly)
  let table = checkTable(pipeline, assembly)
  // An invalid file outweighs a server that is down.
  if table == .invalidFile || kafka == .invalidFile { return .invalidFile }
  return kafka == .done ? table : kafka
}

private func checkTopic(_ pipeline: Pipeline, _ assembly: Assembly) -> ExitCode {
  let topic = pipeline.source.plan.topic
  do throws(SourceError) {
    let missing = try assembly.source.missingRights()
    guard missing.isEmpty else {
      for right in missing { Output.error("  topic   \(assembly.source.lack(of: right))\n") }
      return .failed
    }
    let found = try assembly.source.describe()
    let records = found.partitions.reduce(0) { $0 + $1.stableEnd - $1.low }
    Output.out(
      "  topic   \(topic): \(found.partitions.count) partitions, at most \(grouped(records)) records kept, cluster \(found.clusterID)\n")
    let witness = try assembly.source.readWitness()
    Output.out("  group   \(pipeline.consumerGroup): \(witness.map { "last committed by \($0)" } ?? "nothing committed yet")\n")
    return checkPolicy(found, pipeline)
  } catch {
    Output.error("  topic   \(topic) at \(pipeline.kafka.brokers): \(describe(error))\n")
    return .failed
  }
}

private func checkPolicy(_ topic: TopicDescription, _ pipeline: Pipeline) -> ExitCode {
  guard pipeline.sink.delivery == .exactlyOnce else { return .done }
  switch topic.isCompacted {
  case true?:
    Output.error("  topic   cleanup.policy is compact: exactly once can't be kept; set delete, or write delivery: at_least_once (K11)\n")
    return .invalidFile
  case false?: return .done
  case nil:
    Output.out("  note    the brokers don't tell whether the topic is compacted; exactly once needs cleanup.policy=delete\n")
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

private func checkTable(_ pipeline: Pipeline, _ assembly: Assembly) -> ExitCode {
  let answers = BlockingQueue<SinkAnswer>()
  assembly.sink.perform(.describe(pending: []), body: { [] }) { answers.put($0) }
  guard let answer = answers.takeAll(waitingMilliseconds: 120_000).first else {
    Output.error("  table   no answer from \(pipeline.sink.url) within 120 s\n")
    return .failed
  }
  switch answer {
  case .described(let facts):
    Output.out("  table   \(pipeline.sink.database).\(pipeline.sink.table): delivery will be \(facts.mode.rawValue)\n")
    for warning in facts.warnings { Output.out("  note    \(warning)\n") }
    return .done
  case .unfit(let problems):
    for problem in problems { Output.error("  table   \(problem)\n") }
    return .invalidFile
  case .denied(let reason), .unanswered(let reason), .unknown(let reason), .notSent(let reason):
    Output.error("  table   no answer from \(pipeline.sink.url): \(reason)\n")
    return .failed
  default:
    Output.error("  table   \(pipeline.sink.url) gave an answer that does not fit the question\n")
    return .failed
  }
}
