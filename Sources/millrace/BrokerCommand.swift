internal import MillKafka

/// `millrace broker`: runs until SIGTERM or SIGINT.
func runBroker(_ arguments: Arguments, _ logger: Logger) throws(UsageError) -> ExitCode {
  let brokerCount = try arguments.integer("--brokers", in: 1...32)
  var topics: [(name: String, partitions: Int)] = []
  for text in arguments.all("--topic") {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, let partitions = Int(parts[1]), 1...10_000 ~= partitions else {
      throw arguments.usage("--topic \(text): must be TOPIC:PARTITIONS, such as transactions:3")
    }
    topics.append((String(parts[0]), partitions))
  }
  // Before the cluster's threads, so that they inherit the mask.
  let signals = StopSignals.install()
  do throws(KafkaFailure) {
    let broker = try MockBroker(brokerCount: brokerCount) { level, line in
      if level <= 4 { logger.warning("kafka", ["line": .text(line)]) }
    }
    for topic in topics { try broker.createTopic(topic.name, partitions: topic.partitions, replication: 1) }
    if arguments.flag("--json") {
      let list = topics.map { "{\"name\":\(jsonText($0.name)),\"partitions\":\($0.partitions)}" }.joined(separator: ",")
      Output.json("{\"brokers\":\(jsonText(broker.address)),\"topics\":[\(list)]}\n")
    } else {
      Output.line("export KAFKA_BROKERS=\(broker.address)")
    }
    logger.info("broker is up; SIGINT ends it and forgets its records", ["brokers": .text(broker.address)])
    signals.wait()
    return .done
  } catch {
    logger.error("broker", ["reason": .text(error.text)])
    return .failed
  }
}
