extension SimClickHouse.Table {
  /// The columns as DESCRIBE names them.
  var columns: [(name: String, type: String)] {
    let time = flavour == .modern ? "DateTime64(3)" : "DateTime"
    let keys = hasSub ? [("event_id", "String"), ("sub", "String")] : [("event_id", "String")]
    return keys + [("k", "UInt32"), ("amount", "Int64"), ("at", time)] + (provenance.map { [($0.name, $0.type)] } ?? [])
  }

  var isReplicated: Bool { engine.hasPrefix("Replicated") }

  /// The engine with all that follows it, as `system.tables.engine_full` has it.
  var engineFull: String {
    let partition = partitionKey.isEmpty ? "" : " PARTITION BY \(partitionKey)"
    let name = isReplicated ? "\(engine)('/clickhouse/tables/sim', 'r1')" : engine
    let setting =
      switch (flavour, isReplicated) {
      case (.modern, true): ", replicated_deduplication_window = \(window), replicated_deduplication_window_seconds = \(windowSeconds)"
      case (.modern, false): window > 0 ? ", non_replicated_deduplication_window = \(window)" : ""
      default: ""
      }
    return "\(name)\(partition) ORDER BY event_id SETTINGS index_granularity = 8192\(setting)"
  }
}

extension SimClickHouse {
  private static let oldSettings = [
    "insert_deduplicate", "max_insert_block_size", "max_block_size", "min_insert_block_size_rows", "min_insert_block_size_bytes",
    "max_threads", "preferred_block_size_bytes", "send_progress_in_http_headers", "max_parallel_replicas",
    "allow_experimental_low_cardinality_type", "select_sequential_consistency",
  ]
  private static let modernSettings =
    oldSettings + [
      "async_insert", "insert_deduplication_token", "deduplicate_insert", "deduplicate_insert_select",
      "deduplicate_blocks_in_dependent_materialized_views", "max_partitions_per_insert_block", "throw_on_max_partitions_per_insert_block",
      "max_insert_threads", "max_insert_block_size_bytes", "transform_null_in", "session_timezone", "use_query_cache",
      "enable_parallel_replicas", "allow_experimental_parallel_reading_from_replicas",
    ]
  /// What a request may carry that isn't a setting.
  private static let words: Set<String> = [
    "query", "query_id", "decompress", "wait_end_of_query", "batch_format", "batch_structure", "database", "default_format", "buffer_size",
  ]

  private static let oldNames = oldSettings.sorted()
  private static let modernNames = modernSettings.sorted()
  private static let oldParameters = words.union(oldSettings)
  private static let modernParameters = words.union(modernSettings)

  func knows(parameter: String) -> Bool {
    (definition.flavour == .modern ? Self.modernParameters : Self.oldParameters).contains(parameter)
  }

  /// The answer to a question, a line an element.
  func lines(for statement: ServerStatement) -> [String] {
    switch statement {
    case .serverTime: ["\(seconds)\t\(uptime)"]
    case .count(let provenance): ["\(count(provenance: provenance))"]
    case .running(let prefix): running.map(\.queryID).filter { $0.hasPrefix(prefix) }
    case .greatest(let from, let below): ["\(greatest(from: from, below: below))"]
    case .writers(let byteCount): table.writers(byteCount: byteCount)
    case .version: [definition.flavour == .modern ? "26.9.2.1" : "18.16.1"]
    case .granted: ["1"]
    case .settings: definition.flavour == .modern ? Self.modernNames : Self.oldNames
    case .tablesColumns: tables.map(\.name)
    case .windows: windows
    case .processes: ["\(running.count + 1)"]
    case .describe: columnsNow.map { "\($0.name)\t\($0.type)\t\t" + (definition.flavour == .modern ? "\t\t\t" : "") }
    case .table(let columns): trouble == .detached ? [] : [row(columns)]
    case .insert, .guardedInsert, .rowsByPartition, .kill, .catchUp, .nothing: []
    }
  }

  /// A line for each table partition of the rows: their numbers.
  func lines(byPartition rows: [ServerRow]) -> [String] {
    var numbers: [String: [String]] = [:]
    for (number, row) in rows.enumerated() { numbers[partition(of: row), default: []].append("\(number)") }
    return numbers.sorted { $0.key < $1.key }.map { "[\($0.value.joined(separator: ","))]" }
  }

  private var columnsNow: [(name: String, type: String)] {
    definition.columns.map { ($0.name, trouble == .altered && $0.name == "amount" ? "Int32" : $0.type) }
  }

  private var windows: [String] {
    guard definition.flavour == .modern else { return ["index_granularity\t8192", "replicated_deduplication_window\t100"] }
    return [
      "index_granularity\t8192", "non_replicated_deduplication_window\t0", "replicated_deduplication_window\t10000",
      "replicated_deduplication_window_seconds\t3600",
    ]
  }

  private func row(_ columns: [String]) -> String {
    let tables = tables
    return columns.map { name in tables.first { $0.name == name }?.value ?? "" }.joined(separator: "\t")
  }

  // The one row of system.tables, in the table's own column order.
  private var tables: [(name: String, value: String)] {
    let columns = columnsNow.map { "`\($0.name)` \($0.type)" }.joined(separator: ", ")
    var row: [(name: String, value: String)] = [
      ("database", "sim"), ("name", "events"), ("engine", definition.engine), ("is_temporary", "0"), ("data_path", "/data/sim/events/"),
      ("metadata_path", "/metadata/sim/events.sql"), ("dependencies_database", "[]"), ("dependencies_table", "[]"),
      ("create_table_query", "CREATE TABLE sim.events (\(columns)) ENGINE = \(definition.engineFull)".replacingQuotes),
      ("engine_full", definition.engineFull.replacingQuotes), ("partition_key", definition.partitionKey), ("sorting_key", "event_id"),
      ("primary_key", "event_id"), ("sampling_key", ""),
    ]
    if definition.flavour == .modern {
      row += [("uuid", "5d1cbbbe-0d5b-4b77-8b0c-4a3f5b0c2f1\(store.tableNumber % 10)"), ("total_rows", "0"), ("storage_policy", "default")]
    }
    return row
  }
}

extension String {
  /// As TabSeparated writes it.
  fileprivate var replacingQuotes: String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(utf8.count + 8)
    for byte in utf8 {
      if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "\\")) }
      bytes.append(byte)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
