package import MillFlow

/// A pipeline file, read, checked and with every default filled in.
///
/// Durations are milliseconds, sizes bytes, paths absolute. Only ``PipelineFile`` makes one, so what stands here has been validated
/// as far as that goes without a connection: names resolve, numbers are in range, every source and operator is read.
package struct Pipeline: Hashable, Sendable {
  /// `[a-z][a-z0-9-]{0,62}`: names state, consumer group, metrics and dead-letter files.
  package var name: String
  /// In the file's order; never empty. No two read one topic of the same brokers.
  package var sources: [SourceSettings]
  /// By which release's rules records become rows.
  package var replayVersion = ReplayVersion.current
  /// What stands between sources and sinks, each reading sources or nodes before it; the deduplicate among them.
  package var nodes: [PipelineNode]
  package var deduplicate: DeduplicateSettings?
  /// In the file's order; never empty. No two write into one table.
  package var sinks: [ClickHouseSettings]
  package var deadLetters: DeadLetterSettings
  package var checkpoint: CheckpointSettings
  package var state: StateSettings
  /// Sealed bytes that may wait for ClickHouse; past that the source waits.
  package var unackedByteCountMax: Int
  package var epoch: EpochSettings
  /// Bytes of records fetched ahead.
  package var prefetchByteCount: Int
  /// Shard threads; always 1 in this version.
  package var workerCount: Int
  /// What must not be seen in any output, whatever setting it is the value of.
  package var secrets = Secrets()
  /// The HTTP interface; nil: none.
  package var admin: AdminSettings?

  /// The consumer group that the witness is committed for.
  package var consumerGroup: String { "millrace-" + name }

  package init(
    name: String, sources: [SourceSettings], nodes: [PipelineNode], deduplicate: DeduplicateSettings?,
    sinks: [ClickHouseSettings],
    deadLetters: DeadLetterSettings, checkpoint: CheckpointSettings, state: StateSettings, unackedByteCountMax: Int, epoch: EpochSettings,
    prefetchByteCount: Int, workerCount: Int, admin: AdminSettings?
  ) {
    self.name = name
    precondition(!sources.isEmpty, "a pipeline without sources")
    self.sources = sources
    self.nodes = nodes
    self.deduplicate = deduplicate
    self.sinks = sinks
    self.deadLetters = deadLetters
    self.checkpoint = checkpoint
    self.state = state
    self.unackedByteCountMax = unackedByteCountMax
    self.epoch = epoch
    self.prefetchByteCount = prefetchByteCount
    self.workerCount = workerCount
    self.admin = admin
  }
}

/// Where Kafka is and how to talk to it.
package struct KafkaSettings: Hashable, Sendable {
  /// `host:port`, comma-separated, as librdkafka takes it.
  package var brokers: String
  /// librdkafka properties out of the allow-list. All are secrets here, so that none can reach a log.
  package var properties: [String: Secret]
  /// Where tokens come from, with sasl.mechanism OAUTHBEARER.
  package var tokens: TokenSettings?
  /// What is legal and worth a word, a sentence each.
  package var warnings: [String]

  package init(brokers: String, properties: [String: Secret], tokens: TokenSettings? = nil, warnings: [String] = []) {
    self.brokers = brokers
    self.properties = properties
    self.tokens = tokens
    self.warnings = warnings
  }
}

/// The client credentials grant of OAuth 2 (RFC 6749, 4.4).
package struct TokenSettings: Hashable, Sendable {
  /// `https://HOST/PATH`; `http` on loopback only.
  package var endpoint: String
  package var clientID: String
  package var clientSecret: Secret
  package var scope: String?
  /// Told to the broker beside the token.
  package var extensions: [String: String]
  /// File of certificate authorities for the endpoint; nil: the system's.
  package var authoritiesFile: String?

  package init(
    endpoint: String, clientID: String, clientSecret: Secret, scope: String?, extensions: [String: String], authoritiesFile: String?
  ) {
    self.endpoint = endpoint
    self.clientID = clientID
    self.clientSecret = clientSecret
    self.scope = scope
    self.extensions = extensions
    self.authoritiesFile = authoritiesFile
  }
}

/// One topic, where its reading begins and how its records become rows.
package struct SourceSettings: Hashable, Sendable {
  /// The cluster: the file's `kafka` section, with the source's own in place of what it has.
  package var kafka: KafkaSettings
  /// Name, topic, fields, event time, what becomes of records that can't be decoded.
  package var plan: SourcePlan
  package var start: StartPosition
  /// Whether the file has `max_ahead`; its default depends on the replay version.
  package var isMaxAheadWritten: Bool

  package init(kafka: KafkaSettings, plan: SourcePlan, start: StartPosition, isMaxAheadWritten: Bool = false) {
    self.kafka = kafka
    self.plan = plan
    self.start = start
    self.isMaxAheadWritten = isMaxAheadWritten
  }
}

/// The `deduplicate` operator.
package struct DeduplicateSettings: Hashable, Sendable {
  package var name: String
  package var input: String
  /// Indexes into the fields of its input, in the file's order; never empty, no field twice.
  package var key: [Int]
  package var withinMilliseconds: Int64
  package var allowedLatenessMilliseconds: Int64
  /// Keep key bytes instead of 128-bit hashes.
  package var isExact: Bool
  package var time: TimeKind
  package var nullKeys: NullKeys

  package init(
    name: String, input: String, key: [Int], withinMilliseconds: Int64, allowedLatenessMilliseconds: Int64, isExact: Bool,
    time: TimeKind, nullKeys: NullKeys = .pass
  ) {
    self.name = name
    self.input = input
    self.key = key
    self.withinMilliseconds = withinMilliseconds
    self.allowedLatenessMilliseconds = allowedLatenessMilliseconds
    self.isExact = isExact
    self.time = time
    self.nullKeys = nullKeys
  }
}

/// What becomes of records all of whose key fields are NULL.
package enum NullKeys: String, CaseIterable, Hashable, Sendable {
  /// They have no key: all are kept, and counted.
  case pass
  /// They are duplicates of one another.
  case equal
}

/// Which clock an operator runs on.
package enum TimeKind: String, CaseIterable, Hashable, Sendable {
  case event, processing
}

/// Certificates of a TLS connection: paths, nil where the file names none.
package struct TLSSettings: Hashable, Sendable {
  package var authorities: String?
  package var certificate: String?
  package var key: String?

  package init(authorities: String? = nil, certificate: String? = nil, key: String? = nil) {
    self.authorities = authorities
    self.certificate = certificate
    self.key = key
  }
}

/// The `clickhouse` sink.
package struct ClickHouseSettings: Hashable, Sendable {
  package var name: String
  /// A source's or an operator's name.
  package var input: String
  /// `http://host:port` or `https://host:port`, perhaps with a path, without a trailing slash: one server, or the replicas of one shard in
  /// the order in which they are tried; never empty.
  package var urls: [String]
  /// For messages.
  package var url: String { urls.joined(separator: ", ") }
  /// Absolute paths of PEM files, for https.
  package var tls: TLSSettings
  package var user: String
  package var password: Secret
  package var database: String
  package var table: String
  /// Every field with each column it goes into, in the order of the fields; only omitted fields have none, no column is there twice.
  package var columns: [ColumnMapping]

  /// The columns that the field of this index goes into, in the file's order.
  package func columns(of field: Int) -> [String] { columns.filter { $0.field == field }.map(\.column) }
  package var batchRowCountMax: Int
  package var batchByteCountMax: Int
  package var batchDelayMaxMilliseconds: Int64
  package var delivery: Delivery
  /// How long a lost request may still turn up (protocol R7, R8).
  package var settleMilliseconds: Int64
  package var windowReserve: WindowReserve
  /// The column that names each row's batch; nil: none.
  package var provenanceColumn: String?
  /// Table partitions that one INSERT may touch.
  package var batchPartitionCountMax: Int
  /// Whether every column needs a field or a DEFAULT.
  package var isStrict: Bool

  package init(
    name: String, input: String, urls: [String], tls: TLSSettings, user: String, password: Secret, database: String, table: String,
    columns: [ColumnMapping], batchRowCountMax: Int, batchByteCountMax: Int, batchDelayMaxMilliseconds: Int64, delivery: Delivery,
    settleMilliseconds: Int64, windowReserve: WindowReserve, provenanceColumn: String?, batchPartitionCountMax: Int, isStrict: Bool
  ) {
    self.name = name
    self.input = input
    self.urls = urls
    self.tls = tls
    self.user = user
    self.password = password
    self.database = database
    self.table = table
    self.columns = columns
    self.batchRowCountMax = batchRowCountMax
    self.batchByteCountMax = batchByteCountMax
    self.batchDelayMaxMilliseconds = batchDelayMaxMilliseconds
    self.delivery = delivery
    self.settleMilliseconds = settleMilliseconds
    self.windowReserve = windowReserve
    self.provenanceColumn = provenanceColumn
    self.batchPartitionCountMax = batchPartitionCountMax
    self.isStrict = isStrict
  }
}

/// Entries of the table's deduplication window that are left to other writers while a doubt is being settled.
package enum WindowReserve: Hashable, Sendable {
  case auto
  case entries(Int)
  case unlimited
}

/// A field and the column it feeds.
package struct ColumnMapping: Hashable, Sendable {
  package var column: String
  /// Index into the fields of the sink's input.
  package var field: Int

  package init(column: String, field: Int) {
    self.column = column
    self.field = field
  }
}

/// What is promised of the rows.
package enum Delivery: String, CaseIterable, Hashable, Sendable {
  case exactlyOnce = "exactly_once"
  case atLeastOnce = "at_least_once"
}

/// Where records go that are no rows.
package struct DeadLetterSettings: Hashable, Sendable {
  package var directory: String
  package var delayMaxMilliseconds: Int64
  /// Bytes of this pipeline's files in the directory; past that the source waits.
  package var byteCountMax: Int

  package init(directory: String, delayMaxMilliseconds: Int64, byteCountMax: Int) {
    self.directory = directory
    self.delayMaxMilliseconds = delayMaxMilliseconds
    self.byteCountMax = byteCountMax
  }
}

package struct CheckpointSettings: Hashable, Sendable {
  package var intervalMilliseconds: Int64
  package var directory: String
  /// Checkpoints kept.
  package var retainCount: Int

  package init(intervalMilliseconds: Int64, directory: String, retainCount: Int) {
    self.intervalMilliseconds = intervalMilliseconds
    self.directory = directory
    self.retainCount = retainCount
  }
}

package struct StateSettings: Hashable, Sendable {
  package var directory: String
  package var memoryByteCount: Int

  package init(directory: String, memoryByteCount: Int) {
    self.directory = directory
    self.memoryByteCount = memoryByteCount
  }
}

/// When an epoch is cut: whichever bound is reached first.
package struct EpochSettings: Hashable, Sendable {
  package var rowCountMax: Int
  package var byteCountMax: Int
  package var delayMaxMilliseconds: Int64

  package init(rowCountMax: Int, byteCountMax: Int, delayMaxMilliseconds: Int64) {
    self.rowCountMax = rowCountMax
    self.byteCountMax = byteCountMax
    self.delayMaxMilliseconds = delayMaxMilliseconds
  }
}

/// Where metrics and health are served.
package struct AdminSettings: Hashable, Sendable {
  /// An IPv4 or IPv6 address in its usual text form.
  package var host: String
  package var port: UInt16
  /// What every request must bear; nil only on a loopback address.
  package var token: Secret?

  package init(host: String, port: UInt16, token: Secret?) {
    self.host = host
    self.port = port
    self.token = token
  }

  /// As it stands in the file.
  package var address: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
