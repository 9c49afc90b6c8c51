internal import MillBase
package import MillLog

/// Puts a statement into an HTTP request: target with parameters and settings, headers, body. Always POST.
///
/// - A plain INSERT stands in the target (`query=`), its body is the frozen block in compressed frames (`decompress=1`).
/// - A guarded INSERT stands in the target, its body is multipart/form-data with the external table `batch`.
/// - A question is the body.
package struct Requests: Sendable {
  package var options: SinkOptions
  package var dialect: Dialect

  /// Whether a read must wait until its replica knows all that was committed: several of them stand behind one address.
  package var isShared: Bool

  package init(options: SinkOptions, dialect: Dialect, isShared: Bool = false) {
    self.options = options
    self.dialect = dialect
    self.isShared = isShared
  }

  /// R9's and R10's plain INSERT. `frames`: the chunks of the batch, one after the other.
  package func insert(
    _ batch: SealedBatch, into table: TableName, attempt: Int, token: Bool, partitionsMax: Int, frames: [UInt8]
  ) -> HTTPRequest {
    var parameters = [("query", Statements.insert(into: table, columns: batch.columns)), ("decompress", "1")]
    parameters += insertParameters(batch, attempt: attempt, partitionsMax: partitionsMax)
    if token {
      parameters += known([
        ("insert_deduplication_token", batch.token), ("deduplicate_insert", "enable"), ("insert_deduplicate", "1"),
        ("deduplicate_blocks_in_dependent_materialized_views", "1"),
      ])
    } else {
      // A table with a window would go by the block's content, and drop what only looks the same or was lost in a crash.
      parameters += known([
        ("insert_deduplicate", "0"), ("deduplicate_insert", "disable"), ("deduplicate_blocks_in_dependent_materialized_views", "0"),
      ])
    }
    return request(parameters, body: frames, contentType: "application/octet-stream", timeout: options.insertTimeoutMilliseconds)
  }

  /// R8's guarded INSERT. `block`: the frozen block, plain.
  package func guardedInsert(
    _ batch: SealedBatch, into table: TableName, attempt: Int, deadline: Int64, looks: Bool, partitionsMax: Int, partitionKey: String,
    provenance: String, block: [UInt8]
  ) -> HTTPRequest {
    let statement = Statements.guardedInsert(
      into: table, columns: batch.columns, deadline: deadline, looks: looks, checksTypes: dialect.readsQuotedStructures,
      partitionKey: partitionKey, provenance: provenance, token: batch.token)
    var parameters = [
      ("query", statement), ("batch_format", "Native"), ("batch_structure", ExternalTable.structure(batch.columns, dialect)),
    ]
    parameters += insertParameters(batch, attempt: attempt, partitionsMax: partitionsMax)
    parameters += known([
      ("insert_deduplicate", "0"), ("deduplicate_insert", "disable"), ("deduplicate_insert_select", "disable"),
      ("deduplicate_blocks_in_dependent_materialized_views", "0"), ("transform_null_in", "1"), ("max_threads", "1"),
      ("max_insert_threads", "1"), ("preferred_block_size_bytes", "0"),
    ])
    let boundary = ExternalTable.boundary(token: batch.token, block: block)
    return request(
      parameters, body: ExternalTable.body(block, boundary: boundary), contentType: "multipart/form-data; boundary=\(boundary)",
      timeout: options.insertTimeoutMilliseconds)
  }

  /// A question, or KILL.
  /// - Parameters:
  ///   - fresh: on a connection of its own.
  ///   - secondsMax: the server gives up after this time.
  package func question(_ statement: String, fresh: Bool = false, secondsMax: Int? = nil) -> HTTPRequest {
    var request = request(
      [("wait_end_of_query", "1")] + known(reading + Self.describing + (secondsMax.map { [("max_execution_time", "\($0)")] } ?? [])),
      body: Array(statement.utf8), contentType: "text/plain; charset=UTF-8",
      timeout: options.questionTimeoutMilliseconds)
    request.freshConnection = fresh
    return request
  }

  /// A question over the external table `batch`. `block`: plain, with these columns.
  package func question(_ statement: String, over block: [UInt8], _ columns: [BatchColumn], token: String) -> HTTPRequest {
    var parameters = [
      ("query", statement), ("batch_format", "Native"), ("batch_structure", ExternalTable.structure(columns, dialect)),
      ("wait_end_of_query", "1"),
    ]
    // One thread, so that rows are numbered in the block's order.
    parameters += known([("transform_null_in", "1"), ("max_threads", "1"), ("allow_experimental_low_cardinality_type", "1")] + reading)
    let boundary = ExternalTable.boundary(token: token, block: block)
    return request(
      parameters, body: ExternalTable.body(block, boundary: boundary), contentType: "multipart/form-data; boundary=\(boundary)",
      timeout: options.questionTimeoutMilliseconds)
  }

  /// What an INSERT of either kind is sent with: its own id, an answer that comes only at the end, one block, one part a partition.
  private func insertParameters(_ batch: SealedBatch, attempt: Int, partitionsMax: Int) -> [(String, String)] {
    let rows = String(Self.blockRowsMax)
    return [("query_id", "\(batch.token)-\(attempt)"), ("wait_end_of_query", "1")]
      + known([
        ("async_insert", "0"), ("max_partitions_per_insert_block", String(partitionsMax)),
        ("throw_on_max_partitions_per_insert_block", "1"),
        ("max_insert_block_size", rows), ("max_block_size", rows), ("min_insert_block_size_rows", rows),
        ("min_insert_block_size_bytes", "0"),
        ("max_insert_block_size_bytes", "0"), ("allow_experimental_low_cardinality_type", "1"),
        // A type that was altered meanwhile is an error, not another value.
        ("input_format_native_allow_types_conversion", "0"), ("input_format_null_as_default", "0"),
      ]) + known(reading)
  }

  /// More than a batch ever has, so that the server neither cuts a block nor sends half of one.
  private static let blockRowsMax = 2_097_152

  /// Settings of a profile that would change what is read: another zone for partition keys, an old answer, another replica's.
  private var reading: [(String, String)] {
    Self.reading + [("select_sequential_consistency", isShared ? "1" : "0")]
  }

  private static let reading =
    [
      ("send_progress_in_http_headers", "0"), ("session_timezone", ""), ("use_query_cache", "0"), ("max_parallel_replicas", "1"),
      ("enable_parallel_replicas", "0"), ("allow_experimental_parallel_reading_from_replicas", "0"), ("limit", "0"), ("offset", "0"),
      ("extremes", "0"),
    ] + overflowModes.map { ($0, "throw") }

  /// Settings of a profile by which DESCRIBE names fewer columns of its own, or more than the table's.
  private static let describing = [
    ("describe_compact_output", "0"), ("describe_include_subcolumns", "0"), ("describe_include_virtual_columns", "0"),
  ]

  /// With `break` a server that reaches one of its limits answers 200 to a part of what was asked or sent.
  private static let overflowModes = [
    "timeout_overflow_mode", "timeout_overflow_mode_leaf", "read_overflow_mode", "read_overflow_mode_leaf", "set_overflow_mode",
    "distinct_overflow_mode", "group_by_overflow_mode", "result_overflow_mode", "transfer_overflow_mode", "sort_overflow_mode",
    "join_overflow_mode",
  ]

  private func known(_ settings: [(String, String)]) -> [(String, String)] { settings.filter { dialect.settings.contains($0.0) } }

  private func request(_ parameters: [(String, String)], body: [UInt8], contentType: String, timeout: Int) -> HTTPRequest {
    var headers = [(name: "Content-Type", value: contentType)]
    if !options.user.isEmpty { headers.append((name: "X-ClickHouse-User", value: options.user)) }
    if !options.password.isEmpty { headers.append((name: "X-ClickHouse-Key", value: options.password)) }
    var target = "/?"
    target.reserveCapacity(1024)
    for (name, value) in parameters {
      if target.utf8.count > 2 { target += "&" }
      target += name
      target += "="
      target += percentEncoded(value, keeping: "-._~")
    }
    return HTTPRequest(target: target, headers: headers, body: body, timeoutMilliseconds: timeout)
  }
}
