internal import MillOperators

/// Every key of the pipeline file, in the order of the reference, with its documentation.
package enum PipelineKeys {
  static let kafka: [ConfigKey] = [
    ConfigKey(
      "brokers", "${KAFKA_BROKERS:-localhost:9092}",
      "Required. host:port, several separated by commas, or a list. Without a port: 9092."),
    ConfigKey(
      "properties", "{}",
      "librdkafka properties out of an allow-list: security.protocol, client.*, sasl.*, ssl.*, fetch.*, socket.*, reconnect.*,",
      "metadata.max.age.ms and the like. Those the engine must own (group.id, isolation.level, auto.offset.reset, ...) are refused.",
      "security.protocol (plaintext, ssl, sasl_plaintext, sasl_ssl) must be written unless all brokers are on loopback.",
      "sasl.mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 (with sasl.username, sasl.password), OAUTHBEARER (with",
      "sasl.oauthbearer.method: oidc, client.id, client.secret, token.endpoint.url; scope, extensions, https.ca.location) or GSSAPI.",
      "Paths (ssl.ca.location, ssl.certificate.location, ssl.key.location, ...) are relative to this file. Default {}."),
  ]

  static let eventTime: [ConfigKey] = [
    ConfigKey("field", "paid_at", "Required. A field of type Date, Date32, DateTime or DateTime64 that is not Nullable."),
    ConfigKey(Settings.outOfOrderness, "How far behind the highest event time of its partition a record may be without being late."),
    ConfigKey(Settings.idleAfter, "A partition at whose end nothing has come for this long no longer holds the watermark back."),
    ConfigKey(
      Settings.maxAhead,
      "An event time further ahead of the Kafka record's timestamp, or of the clock of its epoch, is an error of the record: one record",
      "with a broken clock doesn't make others late, where this is at most out_of_orderness and allowed_lateness together."),
  ]

  static let source: [ConfigKey] = [
    ConfigKey("topic", "transactions-topic", "Required. The topic; it must be there."),
    ConfigKey(
      "kafka", "{}",
      "The source's own cluster: brokers and properties as in kafka, each in place of the one there; null leaves a property of it out.",
      "Where every source has brokers of its own, kafka needs none. Default {}: the file's kafka section."),
    ConfigKey(
      "start", "earliest",
      "Where the first reading begins: earliest, latest, {timestamp: 2026-01-01T00:00:00Z} or {offsets: {0: 42}}.",
      "Resolved to offsets once, then recorded; later changes have no effect on state that is there. Default earliest."),
    ConfigKey(
      Settings.recordBytes,
      "Bytes of a record's key and value, and of its headers where a field reads them. One with more is a dead letter, reason too_large,",
      "before it is copied; so is one whose Arrays and Maps take more than four times this as a row."),
    ConfigKey("format", "json", "How a record's value is written: json. Default json."),
    ConfigKey(
      "fields", keys: fieldExamples,
      "Required. name: type, or name: {type, from, default, format, coerce, truncate}. Types carry ClickHouse's names:",
      "Bool, Int8 to Int256, UInt8 to UInt256, Float32, Float64, Decimal(P, S) up to 76 digits, String, FixedString(N), Date, Date32,",
      "DateTime, DateTime('ZONE'), DateTime64(P), DateTime64(P, 'ZONE'), UUID, IPv4, IPv6, Enum8('a' = 1, ...), Enum16, Array(T),",
      "Map(String, T), Nullable(T), LowCardinality(T)."),
    ConfigKey("event_time", keys: eventTime, "The record's own time. Absent: processing time, the clock of the epoch."),
    ConfigKey(
      "on_error", "dead_letter", "What becomes of a record that can't be decoded: dead_letter, skip or fail. Default dead_letter."),
  ]

  /// As the example's first, of another cluster: two that are united have the same fields.
  private static let otherSource: [ConfigKey] = [
    ConfigKey("topic", "transactions-topic"),
    ConfigKey("kafka", "{brokers: \"${OLD_KAFKA_BROKERS:-localhost:9093}\"}"),
    ConfigKey(
      "fields",
      keys: fieldExamples.map { key in
        var key = key
        key.comment = []
        return key
      }),
    ConfigKey("event_time", "{field: paid_at}"),
  ]

  private static let fieldExamples: [ConfigKey] = [
    ConfigKey("transaction_id", "String"),
    ConfigKey("user_id", "String"),
    ConfigKey("amount", "Decimal(18, 2)"),
    ConfigKey(
      "currency", "{type: LowCardinality(String), from: payment.currency, default: EUR}",
      "from: where the value stands; keys of nested objects with dots between them. Default: the field's name.",
      "default: what a missing or null value stands for; JSON for an Array or Map. Absent: NULL for a Nullable type, else an error of",
      "the record."),
    ConfigKey("tags", "{type: 'Map(String, Array(String))', default: '{}'}"),
    ConfigKey(
      "note", "{type: Nullable(String), coerce: true}", "coerce: String also takes any other JSON value, as its source text. Default false."
    ),
    ConfigKey(
      "paid_at", "{type: DateTime64(3), format: iso8601, truncate: true}",
      "format: iso8601 (the default), unix_s, unix_ms, unix_us or unix_ns. truncate: digits beyond the type's precision are cut off",
      "instead of refused. Default false."),
    ConfigKey(
      "source_offset", "{type: Int64, from: $offset}",
      "Metadata of the record: $key, $timestamp, $topic, $partition, $offset, $headers.NAME."),
  ]

  /// The names that the value of a field in map form may have.
  static let field = ["type", "from", "default", "format", "coerce", "truncate"]

  static let deduplicate: [ConfigKey] = [
    ConfigKey("input", "all_transactions", "Required. The name of the source or operator that it reads."),
    ConfigKey("key", "[transaction_id]", "Required. The fields of the input that make records the same."),
    ConfigKey(
      "within", "24h",
      "Required. A record of a known key is a duplicate when its time is less than this from that of the record kept.",
      "1ms to 3650d."),
    ConfigKey(Settings.allowedLateness, "A record further than this behind the watermark is late, and a dead letter."),
    ConfigKey(
      "exact", "false", "Keep whole keys instead of 128-bit hashes keyed by a random seed: more memory, no collision at all.",
      "Default false."),
    ConfigKey(
      "null_keys", "pass",
      "Records all of whose key fields are NULL: pass (they have no key; all are kept, and counted as null_key) or equal (they are",
      "duplicates of one another). Default pass."),
    ConfigKey(
      "time", "event", "event or processing: whose clock within is measured on. Default event where the source has event_time,",
      "else processing."),
  ]

  /// Of every kind of ``operatorKinds``.
  private static let operatorOnError = ConfigKey(
    "on_error", "dead_letter",
    "What becomes of a row for which an expression fails (division by zero, overflow, ...): dead_letter, skip or fail. Default dead_letter."
  )

  /// One of each kind, each reading the one before; the first reads the sources.
  private static var operators: [ConfigKey] {
    var input = "unique_transactions"
    let names = ["filter": "big_transactions", "select": "priced_transactions"]
    let unique = ConfigKey(
      input, keys: [ConfigKey("deduplicate", keys: deduplicate)], "deduplicate: the first record of a key, in processing order, is kept.")
    let union = ConfigKey("all_transactions", keys: [ConfigKey(UnionPlan.word, keys: UnionPlan.keys)], UnionPlan.comment)
    return [union, unique]
      + operatorKinds.map { kind in
        let keys =
          [ConfigKey("input", input, "Required. The name of the source or operator that it reads.")] + kind.keys + [operatorOnError]
        input = names[kind.word] ?? "\(kind.word)_transactions"
        return ConfigKey(input, keys: [ConfigKey(kind.word, keys: keys)], kind.comment)
      }
  }

  static let batch: [ConfigKey] = [
    ConfigKey(Settings.batchRows, "Rows of one INSERT."),
    ConfigKey(Settings.batchBytes, "Bytes of one INSERT, before compression."),
    ConfigKey(Settings.batchDelay, "How long rows may wait for their batch to fill."),
    ConfigKey(
      Settings.batchPartitions,
      "Partitions of the table that one INSERT may touch; a batch of more is cut by its rows' partitions. The table's deduplication",
      "window must hold three times as many entries."),
  ]

  static let tls: [ConfigKey] = [
    ConfigKey("ca", "null", "PEM file of the authorities that the server's certificate must come from. Default the system's."),
    ConfigKey("certificate", "null", "PEM file of a client certificate, for servers that ask for one. Default none."),
    ConfigKey("key", "null", "PEM file of its key. Default none."),
  ]

  static let clickhouse: [ConfigKey] = [
    ConfigKey("input", "priced_transactions", "Required. The name of the operator or source whose rows are inserted."),
    ConfigKey(
      "url", "${CLICKHOUSE_URL:-http://localhost:8123}",
      "Required. ClickHouse's HTTP address, http or https; or a list: replicas of one shard, tried in order (Replicated and Shared tables).",
      "Each names a server, not a balancer."),
    ConfigKey("tls", keys: tls, "For https. The server's certificate and its host name are always checked."),
    ConfigKey("user", "default", "Default default."),
    ConfigKey("password", "\"\"", "Best kept in a file: ${file:/run/secrets/clickhouse}. Default empty."),
    ConfigKey("database", "default", "Default default."),
    ConfigKey("table", "transactions", "Required. The table; it must be there. millrace check --connect compares its columns."),
    ConfigKey("columns", "{}", "column: field, where names differ. A field goes into the column of its name otherwise. Default {}."),
    ConfigKey(
      "omit", "[user_id]",
      "Fields that are not inserted: those that only keys, times or expressions need. Any other field must have a column.",
      "Default []."),
    ConfigKey("batch", keys: batch, "When rows are cut into a batch: whichever bound is reached first."),
    ConfigKey(
      "delivery", "exactly_once", "exactly_once (refuses to start where it can't be kept) or at_least_once. Default exactly_once."),
    ConfigKey(Settings.settle, "How long a lost request may still turn up at the server."),
    ConfigKey(
      Settings.windowReserve.key, "auto",
      "Entries of the table's deduplication window that other writers of it may use while a lost answer is being settled:",
      "auto (half of the window, or what three batches leave of it), a number, or unlimited (a batch is sent again only when its",
      "earlier attempts are dead, which takes settle). Default auto; numbers 0 to 1000000."),
    ConfigKey(
      "provenance_column", "_millrace_batch",
      "The String or LowCardinality(String) column that names each row's batch; null: none (Replicated or Shared tables, or at_least_once).",
      "Default _millrace_batch."),
    ConfigKey(
      "strict_columns", "false",
      "true: a column that no field feeds and that has no DEFAULT is refused, instead of getting its type's default.",
      "Default false."),
  ]

  /// The whole file.
  package static let all: [ConfigKey] = [
    ConfigKey(
      "pipeline", "example",
      "Required. A lower-case letter, then lower-case letters, digits and -, 63 characters at most.",
      "Names state, consumer group, metrics and dead-letter files."),
    ConfigKey("kafka", keys: kafka, "Where records come from; of all sources, but for what they have of their own."),
    ConfigKey(
      "sources", keys: [ConfigKey("transactions", keys: source), ConfigKey("old_transactions", keys: otherSource)],
      "Required. name: source. At most 1000; each reads another topic, or one of another cluster."),
    ConfigKey(
      "operators", keys: operators,
      "name: operator. Each reads a source or operator by its name, a union several, in any order; each is read by one at least, or by a",
      "sink. At most one deduplicate in this version. Default none."),
    ConfigKey(
      "sinks", keys: [ConfigKey("transactions_table", keys: [ConfigKey("clickhouse", keys: clickhouse)])],
      "Required. name: sink. At most 100, each into a table of its own."),
    ConfigKey("dead_letters", keys: deadLetters, "Records that are no rows, with the reason: JSON lines."),
    ConfigKey("checkpoint", keys: checkpoint, "The state of the pipeline, saved so that a start goes on where it was."),
    ConfigKey("state", keys: state, "What the pipeline remembers."),
    ConfigKey("log", keys: log, "The epoch log."),
    ConfigKey("epoch", keys: epoch, "The unit of processing: whichever bound is reached first."),
    ConfigKey(Settings.prefetch, "Records fetched ahead, outside state.memory."),
    ConfigKey("workers", "auto", "Shard threads: auto or 1 in this version. Default auto."),
    ConfigKey(
      "admin", keys: admin, "The HTTP interface: /metrics for Prometheus, /health and /health/live. Absent or null: none. Default null."),
  ]

  static let deadLetters: [ConfigKey] = [
    ConfigKey("path", "dead-letters/", "The directory they are written into, one file a batch. Default dead-letters/."),
    ConfigKey(Settings.deadLetterDelay, "How long they may wait for their file."),
    ConfigKey(
      Settings.deadLetterPayload,
      "Bytes of a record's key, and of its value, that a dead letter holds; of longer ones the beginning, with key_bytes or payload_bytes:",
      "how many they are."),
    ConfigKey(Settings.deadLetterBytes, "Bytes of this pipeline's files there; past that the source waits, until some are removed."),
  ]

  static let checkpoint: [ConfigKey] = [
    ConfigKey(Settings.checkpointInterval, "How often."),
    ConfigKey(
      "location", "state/checkpoints",
      "The directory; on another file system than state.path each checkpoint and each start copies instead of linking.",
      "Default: checkpoints in state.path."),
    ConfigKey(Settings.retain, "How many are kept."),
  ]

  static let state: [ConfigKey] = [
    ConfigKey(
      "path", "state",
      "The directory, of this pipeline alone: empty or not there at the first start, the user's own, and written by nobody",
      "else. Default state."),
    ConfigKey(Settings.memory, "Memory for state: tables, filters, caches."),
  ]

  static let log: [ConfigKey] = [
    ConfigKey(
      Settings.unacked, "Bytes of the epoch log since the oldest batch that ClickHouse hasn't taken, whatever they are; past that, or with",
      "65,536 such batches, the source waits. Its disk takes this, two batches, what came in since the oldest kept checkpoint, and",
      "three segments: a quarter of this each, 64MiB at most.")
  ]

  static let epoch: [ConfigKey] = [
    ConfigKey(Settings.epochRows, "Records of one epoch."),
    ConfigKey(Settings.epochBytes, "Bytes of one epoch's records."),
    ConfigKey(Settings.epochDelay, "Age of an epoch's oldest record."),
  ]

  static let admin: [ConfigKey] = [
    ConfigKey(
      "listen", "127.0.0.1:8080",
      "Required. ADDRESS:PORT, an IPv4 address, an IPv6 address in brackets ([::1]:8080) or localhost. Plain HTTP.",
      "An address that isn't loopback needs a token of 16 characters at least. Without a token only localhost and loopback addresses are",
      "answered as Host."),
    ConfigKey(
      "token", "null", "Every request must then bear it, as Authorization: Bearer TOKEN; 401 otherwise.",
      "Best kept in a file: ${file:/run/secrets/millrace-admin}. Default null."),
  ]
}
