internal import Glibc
internal import MillBase
internal import MillClickHouse
internal import MillConfig
internal import MillCore
internal import MillEngine
internal import MillFlow
internal import MillKafka
internal import MillLog
internal import MillOperators
internal import MillState

/// The real ends of a pipeline: what stands behind the engine's seams in production.
struct Assembly {
  /// In the file's order.
  let sources: [Source]
  /// In the file's order.
  let sinks: [Sink]

  /// A source, and its client.
  struct Source {
    let settings: SourceSettings
    let end: KafkaSource
    /// Of sources that log in with the same tokens one and the same.
    let tokens: TokenClient?
  }

  /// A sink, and its connections: one a replica.
  struct Sink {
    let settings: ClickHouseSettings
    let options: SinkOptions
    let transports: [CurlTransport]
    let table: ClickHouseSink
  }

  /// Connects to nothing yet.
  init(_ pipeline: Pipeline, _ logger: Logger) throws(SourceError) {
    var told: Set<String> = []
    for warning in pipeline.sources.flatMap(\.kafka.warnings) where told.insert(warning).inserted { logger.warning(warning) }
    var tokens: [TokenSettings: TokenClient] = [:]
    var sources: [Source] = []
    for settings in pipeline.sources {
      var client: TokenClient?
      if let wanted = settings.kafka.tokens {
        client = tokens[wanted] ?? TokenClient(wanted)
        tokens[wanted] = client
      }
      // What matters of it comes again as the reason of a wait, once; the library repeats it at each try.
      let end = try KafkaSource(Self.kafka(settings, pipeline), tokens: client?.cache) { level, line in
        logger.log(level <= 2 ? .warning : .debug, line, ["from": "librdkafka", "source": .text(settings.plan.name)])
      }
      sources.append(Source(settings: settings, end: end, tokens: client))
    }
    self.sources = sources
    sinks = pipeline.sinks.map { Self.sink($0, pipeline) }
  }

  private static func sink(_ settings: ClickHouseSettings, _ pipeline: Pipeline) -> Sink {
    let tls = TLSFiles(authorities: settings.tls.authorities, certificate: settings.tls.certificate, key: settings.tls.key)
    let transports = settings.urls.map { CurlTransport(TransportOptions(url: $0, tls: tls)) }
    let options = SinkOptions(
      urls: settings.urls, user: settings.user, password: settings.password.revealed,
      table: TableName(database: settings.database, table: settings.table), provenanceColumn: settings.provenanceColumn,
      delivery: settings.delivery == .exactlyOnce ? .exactlyOnce : .atLeastOnce, settleMilliseconds: Int(settings.settleMilliseconds),
      windowReserve: reserve(settings.windowReserve), partitionsMax: settings.batchPartitionCountMax,
      strictColumns: settings.isStrict)
    let fields = pipeline.schema(of: settings.input).fields.enumerated().map { index, field in
      SinkField(field: field.name, columns: settings.columns(of: index), type: field.type)
    }
    return Sink(
      settings: settings, options: options, transports: transports,
      table: ClickHouseSink(options: options, fields: fields, transports: transports, clock: SystemClock()))
  }

  private static func reserve(_ setting: MillConfig.WindowReserve) -> MillClickHouse.WindowReserve {
    switch setting {
    case .auto: .auto
    case .entries(let count): .entries(count)
    case .unlimited: .unlimited
    }
  }

  /// The ends of `pipeline`; nil, after the reason, where librdkafka refuses one of its properties: the file is invalid.
  static func make(_ pipeline: Pipeline, _ logger: Logger) -> Assembly? {
    do throws(SourceError) { return try Assembly(pipeline, logger) } catch {
      tell(error, logger)
      return nil
    }
  }

  /// Whether librdkafka takes all properties, without a connection; tells the first one that it doesn't.
  static func takesProperties(_ pipeline: Pipeline, _ logger: Logger) -> Bool {
    do throws(SourceError) {
      for settings in pipeline.sources { try KafkaSource.check(kafka(settings, pipeline)) }
      return true
    } catch {
      tell(error, logger)
      return false
    }
  }

  private static func tell(_ error: SourceError, _ logger: Logger) { logger.error("kafka.properties: \(describe(error))") }

  /// Sources share what may be fetched ahead.
  private static func kafka(_ source: SourceSettings, _ pipeline: Pipeline) -> KafkaOptions {
    KafkaOptions(
      brokers: source.kafka.brokers, topic: source.plan.topic, group: pipeline.consumerGroup,
      properties: source.kafka.properties.mapValues(\.revealed),
      prefetchByteCount: max(1 << 20, pipeline.prefetchByteCount / pipeline.sources.count),
      clientID: "millrace-" + pipeline.name, readsHeaders: source.plan.readsHeaders,
      // The other sources' records wait meanwhile.
      outagePatienceMilliseconds: pipeline.sources.count == 1 ? 1000 : 100)
  }

  /// Drops requests under way and joins the threads of HTTP.
  func close() {
    for transport in sinks.flatMap(\.transports) { transport.close() }
    for source in sources { source.tokens?.close() }
  }

  /// Everything an engine is built from.
  func parts(_ pipeline: Pipeline, _ options: RunOptions, _ metrics: EngineMetrics) -> EngineParts {
    var parts = EngineParts(
      core: coreOptions(pipeline, options), disk: RealDisk(syncs: metrics.syncSeconds), clock: SystemClock(),
      sources: sources.map { SourceParts(end: $0.end, plan: $0.settings.plan, start: $0.settings.start) },
      stores: RocksDBStoreOpener(
        cacheByteCount: max(1 << 20, DeduplicateOptions.cacheByteCount(memoryByteCount: pipeline.state.memoryByteCount))),
      sinks: sinks.map(\.table), deduplicate: Self.deduplicatePlan(pipeline),
      graph: Self.graph(pipeline), stateDirectory: pipeline.state.directory, checkpointDirectory: pipeline.checkpoint.directory,
      deadLetterDirectory: pipeline.deadLetters.directory, entropy: (0..<4).map { _ in systemRandomUInt64() },
      // Four segments hold what may wait for ClickHouse, so that a small bound bounds the disk too; 4 MiB at least, two chunks' room.
      logSegmentByteCount: min(64 << 20, pipeline.unackedByteCountMax / 4),
      holder: "pid \(getpid()), pipeline \(pipeline.name), since \(utcNow())", metrics: metrics,
      stateChange: { stateChange(from: $0, to: $1) })
    for version in ReplayVersion.allCases where version < .current {
      let old = pipeline.asRead(by: version)
      let plan = Self.planRecord(old)
      parts.core.earlierPlans.append(plan)
      parts.earlierRules[plan.hash] = RowRules(sourcePlans: old.sources.map(\.plan), deduplicate: Self.deduplicatePlan(old))
    }
    return parts
  }

  private static func planRecord(_ pipeline: Pipeline) -> PlanRecord {
    let text = planText(pipeline)
    return PlanRecord(hash: planHash(text), replayVersion: pipeline.replayVersion.rawValue, text: text + zoneNotes(pipeline))
  }

  private func coreOptions(_ pipeline: Pipeline, _ options: RunOptions) -> CoreOptions {
    let tables = sinks.map { sink in
      var table = TableOptions(name: sink.settings.name, target: "\(sink.options.table)")
      table.batchMaxRows = UInt64(sink.settings.batchRowCountMax)
      table.batchMaxBytes = UInt64(sink.settings.batchByteCountMax)
      table.batchMaxDelayMilliseconds = sink.settings.batchDelayMaxMilliseconds
      table.settleMilliseconds = sink.settings.settleMilliseconds
      return table
    }
    var core = CoreOptions(
      pipeline: pipeline.name, sources: Self.sourceOptions(pipeline, options), plan: Self.planRecord(pipeline), tables: tables)
    core.untilEnd = options.untilEnd
    core.newLineage = options.newLineage
    core.waitAtMostMilliseconds = options.waitAtMostMilliseconds
    core.acceptsDeadLetters = options.acceptsDeadLetters
    core.epochMaxRows = pipeline.epoch.rowCountMax
    core.epochMaxBytes = pipeline.epoch.byteCountMax
    core.epochMaxDelayMilliseconds = pipeline.epoch.delayMaxMilliseconds
    // An epoch's rows may go into every table.
    core.epochMaxRowBytes = max(8 << 20, (pipeline.sinks.map(\.batchByteCountMax).min() ?? 0) / 2)
    core.deadLetterMaxDelayMilliseconds = pipeline.deadLetters.delayMaxMilliseconds
    core.deadLetterMaxBytes = UInt64(pipeline.deadLetters.byteCountMax)
    core.checkpointIntervalMilliseconds = pipeline.checkpoint.intervalMilliseconds
    core.checkpointsRetained = pipeline.checkpoint.retainCount
    core.checkpointsReplay = Self.mayFail(pipeline)
    core.unackedMaxBytes = UInt64(pipeline.unackedByteCountMax)
    return core
  }

  private static func sourceOptions(_ pipeline: Pipeline, _ options: RunOptions) -> [SourceOptions] {
    pipeline.sources.enumerated().map { index, settings in
      var source = SourceOptions(name: settings.plan.name, topic: settings.plan.topic)
      source.acceptedLosses = options.acceptedLosses[index] ?? []
      source.idleAfterMilliseconds = settings.plan.eventTime?.idleAfter
      return source
    }
  }

  /// Whether records can end the process; a select's rows may be too large, and so may those that a union widens.
  private static func mayFail(_ pipeline: Pipeline) -> Bool {
    pipeline.sources.contains { $0.plan.onError == .fail }
      || pipeline.nodes.contains { node in
        switch node {
        case .operator(let plan): plan.onError == .fail || plan is SelectPlan
        case .union(let plan): plan.adapters.contains { $0 != nil }
        case .deduplicate: false
        }
      }
  }

  private static func graph(_ pipeline: Pipeline) -> GraphPlan {
    func input(_ name: String) -> GraphPlan.Input {
      if let node = pipeline.nodes.firstIndex(where: { $0.name == name }) { return .node(node) }
      guard let source = pipeline.sourceIndex(name) else { preconditionFailure("there is no source or operator \(name)") }
      return .source(source)
    }
    let nodes = pipeline.nodes.map { node in
      let kind: GraphPlan.Kind =
        switch node {
        case .operator(let plan): .operator(plan)
        case .deduplicate: .deduplicate
        case .union(let plan): .union(adapters: plan.adapters)
        }
      return GraphPlan.Node(inputs: node.inputs.map(input), kind: kind)
    }
    return GraphPlan(sources: pipeline.sources.map(\.plan.types), nodes: nodes, sinks: pipeline.sinks.map { input($0.input) })
  }

  static func deduplicatePlan(_ pipeline: Pipeline) -> DeduplicatePlan? {
    pipeline.deduplicate.map { settings in
      DeduplicatePlan(
        keyFields: settings.key,
        options: DeduplicateOptions(
          stateNumber: 1, withinMilliseconds: settings.withinMilliseconds,
          allowedLatenessMilliseconds: settings.allowedLatenessMilliseconds,
          exact: settings.isExact, memoryByteCount: pipeline.state.memoryByteCount, usesEventTime: settings.time == .event),
        nullKeysAreEqual: settings.nullKeys == .equal)
    }
  }
}
