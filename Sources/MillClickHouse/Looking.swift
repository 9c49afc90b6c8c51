internal import MillBase

/// One look at server and table: questions one after the other, each made out of the answers before.
///
/// Step by step on the transport's threads; nothing runs at the same time as another step, so that plain values are passed on.
struct Looking: Sendable {
  let options: SinkOptions
  let transport: any Transport
  /// Whether to ask who has written rows: once a start, as it reads a column of all rows.
  var asksWriters = false

  typealias Outcome = Result<TableLook, QuestionFailure>
  typealias Rows = [[String]]

  func look(_ done: @escaping @Sendable (Outcome) -> Void) {
    let bare = Requests(options: options, dialect: Dialect(major: 0, minor: 0, settings: []))
    ask(bare, Statements.Look.version, done) { version in
      ask(bare, Statements.Look.settings, done) { settings in
        let text = version.first?.first ?? ""
        guard let dialect = Dialect(version: text, settings: Set(settings.compactMap(\.first))) else {
          return done(.failure(.unanswered("version() gave \(ForeignText.cut(text))")))
        }
        askTable(Requests(options: options, dialect: dialect), done)
      }
    }
  }

  private func askTable(_ requests: Requests, _ done: @escaping @Sendable (Outcome) -> Void) {
    ask(requests, Statements.Look.tablesColumns, done) { known in
      let columns = TableLook.wanted(of: Set(known.compactMap(\.first)))
      askRow(requests, columns, done) { found in
        ask(requests, Statements.Look.describe(options.table), done) { described in
          if let uuid = found["uuid"], DeliveryChoice.isOwn(uuid: uuid) {
            return askRights(requests, found, Self.columns(described), done)
          }
          // Any other table is known by its statement, which must be that of these columns.
          askRow(requests, columns, done) { again in
            guard again == found else { return done(.failure(.unanswered("table \(options.table) was altered while it was looked at"))) }
            askRights(requests, found, Self.columns(described), done)
          }
        }
      }
    }
  }

  /// What system.tables says of the table, by column.
  private func askRow(
    _ requests: Requests, _ columns: [String], _ done: @escaping @Sendable (Outcome) -> Void,
    _ then: @escaping @Sendable ([String: String]) -> Void
  ) {
    ask(requests, Statements.Look.table(options.table, columns: columns), done) { rows in
      guard let row = rows.first, row.count == columns.count else {
        let create = "create it, or name another one (user \(options.user) may also lack the right to see it)"
        return done(.failure(.denied("there is no table \(options.table): \(create)")))
      }
      then(Dictionary(zip(columns, row), uniquingKeysWith: { first, _ in first }))
    }
  }

  private func askRights(
    _ requests: Requests, _ found: [String: String], _ columns: [DescribedColumn], _ done: @escaping @Sendable (Outcome) -> Void
  ) {
    askRight(requests, Statements.Look.windows, done) { windows in
      askRight(requests, Statements.Look.processes, done) { processes in
        let countable = countable(columns, found["partition_key"] ?? "")
        askRight(requests, countable, done) { counted in
          var look = Self.look(requests.dialect, found, columns, windows ?? [])
          if windows == nil { look.lacking.insert(.settings) }
          if processes == nil { look.lacking.insert(.processes) }
          if counted == nil { look.lacking.insert(.rows) }
          let seen = look
          askWriters(requests, columns, mayCount: counted != nil) { writers in
            var look = seen
            look.writers = writers
            askGrants(requests, look, mayCount: countable != nil, done)
          }
        }
      }
    }
  }

  /// Nothing depends on it, so that any failure is no answer.
  private func askWriters(
    _ requests: Requests, _ columns: [DescribedColumn], mayCount: Bool, _ then: @escaping @Sendable ([String]?) -> Void
  ) {
    guard asksWriters, mayCount, let provenance = options.provenanceColumn, columns.contains(where: { $0.name == provenance }) else {
      return then(nil)
    }
    let statement = Statements.Look.writers(options.table, provenance: provenance)
    transport.send(requests.question(statement, secondsMax: 2)) { result in
      guard case .success(let bytes) = Classification.questionAnswer(result, user: options.user) else { return then(nil) }
      then(TabSeparated.rows(bytes).compactMap(\.first))
    }
  }

  /// Rights that no question can try out without doing something.
  private func askGrants(_ requests: Requests, _ look: TableLook, mayCount: Bool, _ done: @escaping @Sendable (Outcome) -> Void) {
    guard requests.dialect.checksGrants else { return done(.success(look)) }
    let catchesUp = mayCount && options.urls.count > 1 && DeliveryChoice.family(of: look.engine) == .replicated
    askRight(requests, Statements.Look.mayInsert(options.table), done) { insert in
      askRight(requests, catchesUp ? Statements.Look.mayCatchUp(options.table) : nil, done) { catchUp in
        var look = look
        if insert?.first?.first == "0" { look.lacking.insert(.insert) }
        if catchUp?.first?.first == "0" { look.lacking.insert(.catchUp) }
        done(.success(look))
      }
    }
  }

  /// What a count and a guarded INSERT read; asked for now: without it the first doubt could never be settled.
  private func countable(_ columns: [DescribedColumn], _ partitionKey: String) -> String? {
    guard let provenance = options.provenanceColumn, columns.contains(where: { $0.name == provenance }) else { return nil }
    let key = KeyColumns.used(by: partitionKey, among: columns.map(\.name))
    let names = [provenance] + columns.map(\.name).filter { $0 != provenance && key.contains($0) }
    return Statements.Look.readable(options.table, columns: names)
  }

  /// The rows of an answer, nil where the user may not ask this; nothing asked, no rows.
  private func askRight(
    _ requests: Requests, _ statement: String?, _ done: @escaping @Sendable (Outcome) -> Void, _ then: @escaping @Sendable (Rows?) -> Void
  ) {
    guard let statement else { return then([]) }
    transport.send(requests.question(statement)) { result in
      switch Classification.questionAnswer(result, user: options.user) {
      case .success(let bytes): then(TabSeparated.rows(bytes))
      case .failure(.denied): then(nil)
      case .failure(let failure): done(.failure(failure))
      }
    }
  }

  private static func columns(_ described: Rows) -> [DescribedColumn] {
    described.filter { $0.count >= 4 }.map {
      // Behind a comment and a codec, where the server knows it.
      DescribedColumn(name: $0[0], type: $0[1], defaultKind: $0[2], defaultExpression: $0[3], ttl: $0.count > 6 ? $0[6] : "")
    }
  }

  private static func look(_ dialect: Dialect, _ found: [String: String], _ columns: [DescribedColumn], _ windows: Rows) -> TableLook {
    let databases = TabSeparated.texts(found["dependencies_database"] ?? "")
    let tables = TabSeparated.texts(found["dependencies_table"] ?? "")
    return TableLook(
      dialect: dialect, engine: found["engine"] ?? "", engineFull: found["engine_full"] ?? "",
      createQuery: found["create_table_query"] ?? "", partitionKey: found["partition_key"] ?? "", uuid: found["uuid"],
      dependents: zip(databases, tables).map { TableName(database: $0, table: $1) }, columns: columns,
      mergeTreeSettings: Dictionary(windows.filter { $0.count == 2 }.map { ($0[0], $0[1]) }, uniquingKeysWith: { first, _ in first }))
  }

  private func ask(
    _ requests: Requests, _ statement: String, _ done: @escaping @Sendable (Outcome) -> Void, _ then: @escaping @Sendable (Rows) -> Void
  ) {
    transport.send(requests.question(statement)) { result in
      switch Classification.questionAnswer(result, user: options.user) {
      case .success(let bytes): then(TabSeparated.rows(bytes))
      case .failure(let failure): done(.failure(failure))
      }
    }
  }
}
