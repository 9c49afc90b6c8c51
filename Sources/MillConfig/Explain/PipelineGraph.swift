internal import MillFlow
internal import MillOperators

/// A pipeline as a graph, for people: what each part reads, what it does, where its records go. Nothing in it is a secret.
package struct PipelineGraph: Hashable, Sendable {
  /// A part of the pipeline. Its name is the file's; `inputs` names the parts before it.
  package struct Node: Hashable, Sendable {
    /// `rawValue`: as the file calls it.
    package enum Kind: Hashable, Sendable {
      case source, deduplicate, clickhouse, deadLetters
      /// By its word.
      case `operator`(String)

      package var rawValue: String {
        switch self {
        case .source: "source"
        case .deduplicate: "deduplicate"
        case .clickhouse: "clickhouse"
        case .deadLetters: "dead_letters"
        case .operator(let word): word
        }
      }
    }

    /// A field of the rows that go out.
    package struct Field: Hashable, Sendable {
      package var name: String
      package var type: String
    }

    package var name: String
    package var kind: Kind
    /// In the file's order; empty for what nothing in the pipeline comes before, and for the dead letters, which all parts feed.
    package var inputs: [String] = []
    /// What it does, in the order of importance.
    package var facts: [Fact]
    /// Of the edge to those that read it; empty for sinks and dead letters.
    package var output: [Field] = []
  }

  package struct Fact: Hashable, Sendable {
    package var name: String
    package var value: String
  }

  /// The way of one field, from the record to one column of the table.
  package struct FieldPath: Hashable, Sendable {
    package var field: String
    package var type: String
    /// `user.id`, a name of metadata such as `$offset`, or the operator that computes it; of several sources that differ, each with its
    /// name before it: `orders: id, refunds: order.id`.
    package var from: String
    package var column: String
    /// Into whose table.
    package var sink: String
  }

  package var pipeline: String
  /// Sources first, then what reads them, the sinks, the dead letters.
  package var nodes: [Node]
  package var fields: [FieldPath]
  /// What decides the rows (``planText(_:)``), and its hash.
  package var plan: String
  package var planHash: UInt64

  package init(_ pipeline: Pipeline) {
    self.pipeline = pipeline.name
    nodes = pipeline.sources.map { Self.source($0, pipeline) }
    for node in pipeline.nodes {
      switch node {
      case .operator(let plan):
        let facts = plan.facts + [Fact(name: "on_error", value: plan.onError.rawValue)]
        nodes.append(Node(name: plan.name, kind: .operator(type(of: plan).word), inputs: node.inputs, facts: facts))
      case .deduplicate: nodes.append(Self.node(pipeline.deduplicateSettings, pipeline))
      case .union(let plan): nodes.append(Node(name: plan.name, kind: .operator(UnionPlan.word), inputs: node.inputs, facts: plan.facts))
      }
    }
    for index in nodes.indices {
      nodes[index].output = pipeline.schema(of: nodes[index].name).fields.map { Node.Field(name: $0.name, type: "\($0.type)") }
    }
    nodes += pipeline.sinks.map(Self.node)
    nodes.append(Self.deadLetters(pipeline))
    fields = pipeline.sinks.flatMap { sink in
      let schema = pipeline.schema(of: sink.input)
      return sink.columns.map { mapping in
        let field = schema.fields[mapping.field]
        let from = Self.text(pipeline.origins(of: mapping.field, at: sink.input), pipeline)
        return FieldPath(field: field.name, type: "\(field.type)", from: from, column: mapping.column, sink: sink.name)
      }
    }
    plan = planText(pipeline)
    planHash = MillConfig.planHash(plan)
    conceal(pipeline.secrets)
  }

  /// Here, before a form of it escapes anything.
  private mutating func conceal(_ secrets: Secrets) {
    for node in nodes.indices {
      for fact in nodes[node].facts.indices { nodes[node].facts[fact].value = secrets.conceal(nodes[node].facts[fact].value) }
      for field in nodes[node].output.indices { nodes[node].output[field].type = secrets.conceal(nodes[node].output[field].type) }
    }
    for field in fields.indices {
      fields[field].type = secrets.conceal(fields[field].type)
      fields[field].from = secrets.conceal(fields[field].from)
    }
    plan = secrets.conceal(plan)
  }

  private static func source(_ settings: SourceSettings, _ pipeline: Pipeline) -> Node {
    let plan = settings.plan
    var facts = [
      Fact(name: "topic", value: plan.topic), Fact(name: "brokers", value: settings.kafka.brokers),
      Fact(name: "group", value: pipeline.consumerGroup), Fact(name: "start", value: startText(settings.start)),
      Fact(name: "format", value: "json"),
    ]
    if let time = plan.eventTime {
      facts.append(
        Fact(
          name: "event_time",
          value: "\(plan.fields[time.fieldIndex].name), out of order by up to \(duration(time.outOfOrderness)), idle after "
            + "\(duration(time.idleAfter)), at most \(duration(time.maxAhead)) ahead of the record's timestamp and of the clock"))
    } else {
      facts.append(Fact(name: "event_time", value: "none: the epoch's clock"))
    }
    facts.append(Fact(name: "on_error", value: plan.onError.rawValue))
    return Node(name: plan.name, kind: .source, facts: facts)
  }

  private static func text(_ origins: [FieldOrigin], _ pipeline: Pipeline) -> String {
    let places = origins.map { origin -> (source: String?, place: String) in
      switch origin {
      case .source(let source, let field): (pipeline.sources[source].plan.name, "\(pipeline.sources[source].plan.fields[field].source)")
      case .computed(let name): (nil, "operator \(name)")
      }
    }
    if Set(places.map(\.place)).count == 1 { return places[0].place }
    return places.map { source, place in source.map { "\($0): \(place)" } ?? place }.joined(separator: ", ")
  }

  private static func node(_ deduplicate: DeduplicateSettings, _ pipeline: Pipeline) -> Node {
    let fields = pipeline.schema(of: deduplicate.input).fields
    return Node(
      name: deduplicate.name, kind: .deduplicate, inputs: [deduplicate.input],
      facts: [
        Fact(name: "key", value: deduplicate.key.map { fields[$0].name }.joined(separator: ", ")),
        Fact(name: "within", value: duration(deduplicate.withinMilliseconds)),
        Fact(name: "null_keys", value: deduplicate.nullKeys.rawValue), Fact(name: "time", value: deduplicate.time.rawValue),
        Fact(name: "allowed_lateness", value: duration(deduplicate.allowedLatenessMilliseconds)),
        Fact(name: "keeps", value: deduplicate.isExact ? "whole keys" : "128-bit hashes of keys"),
        Fact(name: "memory", value: ScalarText.sizeText(pipeline.state.memoryByteCount)),
      ])
  }

  private static func node(_ sink: ClickHouseSettings) -> Node {
    Node(
      name: sink.name, kind: .clickhouse, inputs: [sink.input],
      facts: [
        Fact(name: "table", value: "\(sink.database).\(sink.table)"), Fact(name: "url", value: sink.url),
        Fact(name: "delivery", value: sink.delivery.rawValue),
        Fact(
          name: "batch",
          value: "at most \(sink.batchRowCountMax) rows, \(ScalarText.sizeText(sink.batchByteCountMax)), "
            + "\(duration(sink.batchDelayMaxMilliseconds)) old"),
        Fact(name: "provenance_column", value: sink.provenanceColumn ?? "none"),
      ])
  }

  private static func deadLetters(_ pipeline: Pipeline) -> Node {
    Node(
      name: "dead letters", kind: .deadLetters,
      facts: [
        Fact(name: "path", value: pipeline.deadLetters.directory),
        Fact(name: "max_delay", value: duration(pipeline.deadLetters.delayMaxMilliseconds)),
        Fact(name: "max_bytes", value: ScalarText.sizeText(pipeline.deadLetters.byteCountMax)),
      ])
  }

  private static func startText(_ start: StartPosition) -> String {
    switch start {
    case .earliest: "earliest"
    case .latest: "latest"
    case .timestamp(let milliseconds): "first record at or after \(milliseconds) ms since 1970"
    case .offsets(let offsets): offsets.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    }
  }

  private static func duration(_ milliseconds: Int64) -> String { ScalarText.durationText(milliseconds) }
}
