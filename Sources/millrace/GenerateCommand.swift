internal import Glibc
internal import MillConfig
internal import MillFlow
internal import MillKafka

/// Bytes that a mock broker keeps of a partition; older records are gone.
private let mockPartitionByteCount = 5_000_000

/// `millrace generate`.
func generateEvents(_ arguments: Arguments, _ logger: Logger) throws(UsageError) -> ExitCode {
  let count = try arguments.integer("--count", in: 1...100_000_000_000)
  let rate = try arguments.integer("--rate", in: 0...10_000_000)
  let partitions = try arguments.integer("--partitions", in: 1...10_000)
  var options = EventGenerator.Options()
  options.seed = UInt64(try arguments.integer("--seed", in: 0...Int.max))
  options.userCount = try arguments.integer("--users", in: 1...1_000_000_000)
  options.duplicatePercent = try arguments.share("--duplicates") * 100
  options.garbagePercent = try arguments.share("--garbage") * 100
  options.disorderMilliseconds = try arguments.integer("--disorder", in: 0...86_400_000)
  options.duplicateReach = try arguments.integer("--reach", in: 1...100_000_000_000)
  let span = try arguments.integer("--span", in: 0...3_153_600_000)
  if span > 0 {
    let originals = Double(count) * max(0, 100 - options.duplicatePercent - options.garbagePercent) / 100
    options.history = .init(
      first: wallMilliseconds() - Int64(span) * 1000, spanMilliseconds: span * 1000, originalCount: Int(originals.rounded(.up)))
  }
  options.duplicatesMove = arguments.flag("--spread-duplicates")
  if let issue = options.issues.first { throw arguments.usage(issue) }
  guard let (kafka, topic) = try target(arguments) else { return .invalidFile }
  var target = TopicWriter.Options(brokers: kafka.brokers, topic: topic)
  target.lingerMilliseconds = try arguments.integer("--linger", in: 0...60_000)
  target.properties = kafka.properties.mapValues(\.revealed)
  for warning in kafka.warnings { logger.warning(warning) }
  let tokens = kafka.tokens.map(TokenClient.init)
  defer { tokens?.close() }
  do throws(KafkaFailure) {
    let writer = try TopicWriter(target, tokens: tokens?.cache) { level, line in
      if level <= 4 { logger.warning("kafka", ["line": .text(line)]) }
    }
    options.partitionCount = try prepare(writer, target, partitions: partitions, eventCount: count, logger)
    let generator = EventGenerator(options)
    let result = try write(count, rate: rate, generator, writer)
    try writer.flush()
    report(result, target, partitions: options.partitionCount, asJSON: arguments.flag("--json"))
    return .done
  } catch {
    logger.error("can't write events", ["brokers": .text(target.brokers), "topic": .text(target.topic), "reason": .text(error.text)])
    return .failed
  }
}

/// Where to write: by a pipeline file, by the command line, or by both, which then wins; nil after problems, which are printed.
private func target(_ arguments: Arguments) throws(UsageError) -> (kafka: KafkaSettings, topic: String)? {
  var properties: [(name: String, value: String)] = []
  for property in arguments.all("--property") {
    guard let equals = property.firstIndex(of: "=") else { throw arguments.usage("--property must be NAME=VALUE") }
    properties.append((String(property[..<equals]), String(property[property.index(after: equals)...])))
  }
  var pipeline: Pipeline?
  if let file = arguments.text("--pipeline") {
    if !properties.isEmpty { throw arguments.usage("--property stands beside --pipeline: write it into the file") }
    pipeline = loadPipeline(file)
    if pipeline == nil { return nil }
  }
  // Of a file with several sources the one whose topic is named, else the first.
  let source = pipeline.map { pipeline in
    pipeline.sources.first { $0.plan.topic == arguments.text("--topic") } ?? pipeline.sources[0]
  }
  let topic = arguments.text("--topic") ?? source?.plan.topic ?? "transactions"
  if let kafka = source?.kafka, arguments.text("--brokers") == nil { return (kafka, topic) }
  if pipeline != nil { throw arguments.usage("--brokers stands beside --pipeline: the file names them") }
  do throws(ConfigProblems) {
    let brokers = arguments.text("--brokers") ?? "localhost:9092"
    let kafka = try PipelineFile.kafka(
      brokers: brokers, properties: properties, directory: workingDirectory(), environment: .process)
    Output.conceal(kafka.secrets)
    return (kafka.settings, topic)
  } catch {
    throw arguments.usage(error.problems.map(optionText).joined(separator: "; "))
  }
}

/// A problem of the kafka section in the words of the command line.
private func optionText(_ problem: ConfigProblem) -> String {
  let properties = "kafka.properties."
  let option = problem.path.hasPrefix(properties) ? "--property \(problem.path.dropFirst(properties.count))" : "--brokers"
  let value = problem.value.map { "=\($0)" } ?? ""
  return "\(option)\(value): \(problem.message); \(problem.nearest.map { "did you mean \($0)? " } ?? "")\(problem.remedy)"
}

/// Makes the topic where it isn't there, warns where it can't hold what will be written, and returns its number of partitions.
private func prepare(
  _ writer: TopicWriter, _ target: TopicWriter.Options, partitions: Int, eventCount: Int, _ logger: Logger
) throws(KafkaFailure) -> Int {
  switch try writer.createTopic(partitions: partitions, timeoutMilliseconds: 4000) {
  case .created:
    logger.info("topic created", ["topic": .text(target.topic), "partitions": .integer(Int64(partitions))])
    return partitions
  case .existed(let found):
    if found != partitions { logger.info("topic is there", ["topic": .text(target.topic), "partitions": .integer(Int64(found))]) }
    return found
  case .automatic(let found):
    let byteCount = eventCount / found * 240
    if byteCount > mockPartitionByteCount {
      let fitting = mockPartitionByteCount / 240 * found
      logger.warning(
        "this is a mock broker, which keeps about 5 MB a partition: the oldest events will be gone; use fewer events, more partitions,"
          + " or Apache Kafka",
        ["events": .integer(Int64(eventCount)), "partitions": .integer(Int64(found)), "events_that_fit": .integer(Int64(fitting))])
    }
    return found
  }
}

/// What has been written.
private struct Generated {
  var originalCount: Int
  var duplicateCount: Int
  var garbageCount: Int
  var byteCount: Int
  var milliseconds: Int64
}

/// Writes `count` events, `rate` of them a second (0: without pause).
private func write(_ count: Int, rate: Int, _ generator: EventGenerator, _ writer: TopicWriter) throws(KafkaFailure) -> Generated {
  var generator = generator
  let start = monotonicMilliseconds()
  var byteCount = 0
  var wall = wallMilliseconds()
  for number in 0..<count {
    if number & 255 == 0 || rate > 0 && rate < 25_000 { wall = wallMilliseconds() }
    if rate > 0 {
      // The event is due at its place in an even stream; sleeping to a due time never adds up small errors.
      let due = start + Int64(number) * 1000 / Int64(rate)
      while monotonicMilliseconds() < due { usleep(UInt32(clamping: min(due - monotonicMilliseconds(), 100)) * 1000) }
    }
    generator.next(atMilliseconds: wall)
    byteCount += generator.payload.count
    try writer.produce(partition: generator.partition, key: generator.key, payload: generator.payload, timestamp: wall)
  }
  return Generated(
    originalCount: generator.originalCount, duplicateCount: generator.duplicateCount, garbageCount: generator.garbageCount,
    byteCount: byteCount, milliseconds: max(monotonicMilliseconds() - start, 1))
}

private func report(_ result: Generated, _ target: TopicWriter.Options, partitions: Int, asJSON: Bool) {
  let count = result.originalCount + result.duplicateCount + result.garbageCount
  if asJSON {
    Output.json(
      "{\"topic\":\(jsonText(target.topic)),\"partitions\":\(partitions),\"events\":\(count),\"originals\":\(result.originalCount),"
        + "\"duplicates\":\(result.duplicateCount),\"garbage\":\(result.garbageCount),\"bytes\":\(result.byteCount),"
        + "\"milliseconds\":\(result.milliseconds)}\n")
  } else {
    let rate = Int64(count) * 1000 / result.milliseconds
    Output.line(
      "wrote \(grouped(Int64(count))) events to \(target.topic) (\(partitions) partitions): "
        + "\(grouped(Int64(result.originalCount))) originals, "
        + "\(grouped(Int64(result.duplicateCount))) duplicates, \(grouped(Int64(result.garbageCount))) garbage; "
        + "\(grouped(Int64(result.byteCount))) bytes, \(grouped(rate)) events/s")
  }
}

private func wallMilliseconds() -> Int64 {
  var now = timespec()
  unsafe clock_gettime(CLOCK_REALTIME, &now)
  return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
}
