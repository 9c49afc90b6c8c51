internal import MillBase
package import MillLog

/// What a table has of one batch.
package struct BatchRows: Hashable, Sendable {
  package var token: String
  package var rowCount: UInt64
  /// ``ContentSum`` of the rows; nil where it wasn't asked for.
  package var contentSum: UInt64?

  package init(token: String, rowCount: UInt64, contentSum: UInt64? = nil) {
    self.token = token
    self.rowCount = rowCount
    self.contentSum = contentSum
  }
}

/// Asks a table which rows it has of which batches, one question at a time; each call waits for its answer. One thread.
package final class BatchQuestions {
  private let options: SinkOptions
  private let transport: any Transport
  /// The column that names each row's batch.
  package let provenance: String
  private var requests: Requests
  /// Columns that the table has now.
  private let columns: Set<String>
  private let family: DeliveryChoice.Family
  /// Columns that the table empties by a TTL: what they hold proves nothing.
  package let emptied: Set<String>
  /// Why rows may be gone by right, so that fewer than were sealed prove nothing; nil: they stay.
  package let rowsLeave: String?

  /// Looks at the servers and the table; `options` name them, with a provenance column. The first replica that answers is asked from then
  /// on, once it has all that was committed at any.
  /// - Parameter transports: one for each of the options' URLs.
  package static func open(_ options: SinkOptions, _ transports: [any Transport]) -> Result<BatchQuestions, QuestionFailure> {
    var silent: [String] = []
    for (url, transport) in zip(options.urls, transports) {
      switch open(options, transport) {
      case .success(let questions): return questions.caughtUp()
      case .failure(.denied(let reason)): return .failure(.denied(reason))
      case .failure(.unanswered(let reason)): silent.append(transports.count == 1 ? reason : "\(url): \(reason)")
      }
    }
    return .failure(.unanswered(silent.joined(separator: "; ")))
  }

  private func caughtUp() -> Result<BatchQuestions, QuestionFailure> {
    guard options.urls.count > 1 else { return .success(self) }
    switch family {
    case .plain:
      let each = "rows may be at any of them, and no question sees them all"
      return .failure(.denied("\(options.table) is a table of its own at each of \(options.urls.count) servers: \(each)"))
    case .shared: return .success(self)
    case .replicated: return ask(requests.question(Statements.catchUp(options.table))).map { _ in self }
    }
  }

  private static func open(_ options: SinkOptions, _ transport: any Transport) -> Result<BatchQuestions, QuestionFailure> {
    guard let provenance = options.provenanceColumn else { return .failure(.denied("there is no provenance column")) }
    let answers = BlockingQueue<Looking.Outcome>()
    Looking(options: options, transport: transport).look { answers.put($0) }
    guard let outcome = answers.takeAll(waitingMilliseconds: nil).first else { return .failure(.unanswered("no answer")) }
    return outcome.flatMap { look in
      let columns = Set(look.columns.map(\.name))
      guard columns.contains(provenance) else {
        return .failure(.denied("\(options.table) has no column \(provenance), which names each row's batch"))
      }
      guard !look.lacking.contains(.rows) else {
        let grant = Right.rows.grant(options.table, to: options.user)
        return .failure(.denied("user \(options.user) may not read column \(provenance) of \(options.table): \(grant)"))
      }
      return .success(BatchQuestions(options, transport, provenance, look, columns))
    }
  }

  private init(_ options: SinkOptions, _ transport: any Transport, _ provenance: String, _ look: TableLook, _ columns: Set<String>) {
    self.options = options
    self.transport = transport
    self.provenance = provenance
    self.columns = columns
    family = DeliveryChoice.family(of: look.engine)
    emptied = Set(look.columns.filter { !$0.ttl.isEmpty }.map(\.name))
    rowsLeave = look.rowsLeave(options.table, provenance: provenance)
    requests = Requests(options: options, dialect: look.dialect, isShared: look.engine.hasPrefix("Shared"))
  }

  /// Every batch that the table has rows of, with a token in a range; in the order of the tokens.
  /// - Parameters:
  ///   - after: greater than this, or where `isInclusive` equal.
  ///   - shape: whose columns the content sum goes over; columns that the table has no more, or empties: no sum.
  package func batches(
    _ table: TableName, after: String, isInclusive: Bool, upTo: String, _ shape: BatchShape
  ) -> Result<[BatchRows], QuestionFailure> {
    let sums = ContentSum.questions(shape.columns, provenance: provenance)
    let hasAll = !sums.isEmpty && sums.allSatisfy { columns.contains($0.column) && !emptied.contains($0.column) }
    let column = SQL.name(provenance)
    let list = ([column, "count()"] + (hasAll ? sums.map(\.expression) : [])).joined(separator: ", ")
    let statement =
      "SELECT \(list) FROM \(table.quoted) WHERE \(column) \(isInclusive ? ">=" : ">") \(SQL.text(after)) AND \(column) <= "
      + "\(SQL.text(upTo)) GROUP BY \(column) ORDER BY \(column) FORMAT TabSeparated"
    return ask(statement).flatMap { rows in
      var found: [BatchRows] = []
      found.reserveCapacity(rows.count)
      for row in rows {
        guard row.count == (hasAll ? sums.count + 2 : 2), let count = UInt64(row[1]) else { return .failure(.unanswered("row \(row)")) }
        var batch = BatchRows(token: row[0], rowCount: count)
        if hasAll {
          let parts = row.dropFirst(2).compactMap { UInt64($0) }
          guard parts.count == sums.count else { return .failure(.unanswered("sums \(row)")) }
          batch.contentSum = ContentSum.combine(sums.map(\.index), parts)
        }
        found.append(batch)
      }
      return .success(found)
    }
  }

  /// The columns of a content sum that the table empties, so that it can't be compared.
  package func emptied(of shape: BatchShape) -> [String] {
    ContentSum.questions(shape.columns, provenance: provenance).map(\.column).filter(emptied.contains)
  }

  /// Rows of all batches that aren't of these prefixes: other writers', or of a pipeline that had this table before.
  package func otherRows(_ table: TableName, prefixes: [String]) -> Result<UInt64, QuestionFailure> {
    let column = SQL.name(provenance)
    let ours = prefixes.map { "(\(column) >= \(SQL.text($0)) AND \(column) < \(SQL.text(Statements.behind($0))))" }
    let which = ours.isEmpty ? "" : " WHERE NOT (\(ours.joined(separator: " OR ")))"
    return number("SELECT count() FROM \(table.quoted)\(which) FORMAT TabSeparated")
  }

  /// Rows of a batch that stand there more than once: how many are too many, and some of them as `column=value` texts.
  package func doubled(
    _ table: TableName, token: String, _ shape: BatchShape, limit: Int
  ) -> Result<(count: UInt64, samples: [String]), QuestionFailure> {
    let names = comparable(shape)
    guard !names.isEmpty else { return .success((0, [])) }
    let list = names.map(SQL.name).joined(separator: ", ")
    let copies = alias("copies", shape)
    let grouped = "FROM \(table.quoted) WHERE \(SQL.name(provenance)) = \(SQL.text(token)) GROUP BY \(list) HAVING \(copies) > 1"
    let total = number("SELECT sum(\(copies) - 1) FROM (SELECT count() AS \(copies) \(grouped)) FORMAT TabSeparated")
    return total.flatMap { count in
      ask("SELECT \(list), count() AS \(copies) \(grouped) LIMIT \(limit) FORMAT TabSeparated").map { rows in
        (
          count,
          rows.map { row in
            zip(names, row).map { "\($0)=\(Self.shortened($1))" }.joined(separator: ", ") + " (\(row.last ?? "") times)"
          }
        )
      }
    }
  }

  /// Which rows of a frozen block the table has none of under its token, by number from 0; at most `limit`. `frames`: its chunks.
  package func missing(
    _ table: TableName, token: String, _ shape: BatchShape, frames: [[UInt8]], limit: Int
  ) -> Result<[Int], QuestionFailure> {
    let block: [UInt8]
    do { block = try Frames.decode(frames) } catch { return .failure(.denied("its bytes in the log: \(error)")) }
    let names = comparable(shape)
    guard !names.isEmpty else { return .success([]) }
    let list = names.map(SQL.name).joined(separator: ", ")
    let number = alias("number", shape)
    let statement =
      "SELECT \(number) FROM (SELECT rowNumberInAllBlocks() AS \(number), \(list) FROM batch) WHERE (\(list)) NOT IN (SELECT \(list) "
      + "FROM \(table.quoted) WHERE \(SQL.name(provenance)) = \(SQL.text(token))) ORDER BY \(number) LIMIT \(limit) FORMAT TabSeparated"
    return ask(requests.question(statement, over: block, shape.columns, token: token)).map {
      $0.compactMap { $0.first.flatMap { Int($0) } }
    }
  }

  /// Columns by which rows can be told apart: not the batch's name, none that the table lost or empties, no floats (NaN isn't NaN), no
  /// maps; on old servers no wide decimals, which can kill them.
  private func comparable(_ shape: BatchShape) -> [String] {
    shape.columns.filter { column in
      guard column.name != provenance, columns.contains(column.name), !emptied.contains(column.name) else { return false }
      let type = column.type
      let isFrail = type.contains("Float") || type.contains("Map(") || (!requests.dialect.isAtLeast(20, 1) && type.contains("Decimal"))
      return !isFrail
    }.map(\.name)
  }

  /// A name for something computed that no column has.
  private func alias(_ word: String, _ shape: BatchShape) -> String {
    var name = word
    while columns.contains(name) || shape.columns.contains(where: { $0.name == name }) { name += "_" }
    return SQL.name(name)
  }

  private func number(_ statement: String) -> Result<UInt64, QuestionFailure> {
    ask(statement).flatMap { rows in
      guard let text = rows.first?.first, let number = UInt64(text) else { return .failure(.unanswered("answer \(rows)")) }
      return .success(number)
    }
  }

  private func ask(_ statement: String) -> Result<[[String]], QuestionFailure> { ask(requests.question(statement)) }

  private func ask(_ request: HTTPRequest) -> Result<[[String]], QuestionFailure> {
    let answers = BlockingQueue<Result<[UInt8], QuestionFailure>>()
    transport.send(request) { [user = options.user] in answers.put(Classification.questionAnswer($0, user: user)) }
    guard let answer = answers.takeAll(waitingMilliseconds: nil).first else { return .failure(.unanswered("no answer")) }
    return answer.map(TabSeparated.rows)
  }

  private static func shortened(_ value: String) -> String { value.count <= 100 ? value : value.prefix(100) + "…" }
}

extension QuestionFailure: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unanswered(let reason), .denied(let reason): reason
    }
  }
}
