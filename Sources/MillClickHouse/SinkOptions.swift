/// What the pipeline asks of its destination to keep.
package enum Delivery: String, Hashable, Sendable {
  case exactlyOnce = "exactly_once"
  case atLeastOnce = "at_least_once"
}

/// Entries of the table's deduplication window that are left to other writers while a doubt is being settled (R9's r).
package enum WindowReserve: Hashable, Sendable {
  /// Half of the window, or what three batches leave of it.
  case auto
  case entries(Int)
  /// Others may use any number: no batch is sent again before its attempts are dead.
  case unlimited

  /// - Parameter perBatch: entries that one batch may use.
  /// - Returns: nil: any number.
  package func entries(window: Int, perBatch: Int) -> Int? {
    switch self {
    case .auto: max(0, min(window / 2, window - 3 * perBatch))
    case .entries(let count): count
    case .unlimited: nil
    }
  }

  /// The least of the window that must be left beside three batches.
  var least: Int {
    if case .entries(let count) = self { count } else { 0 }
  }
}

/// The destination as the pipeline file names it.
package struct SinkOptions: Sendable {
  /// The server's address, or those of the replicas of one shard, in the order in which they are tried.
  package var urls: [String]
  package var user: String
  package var password: String
  package var table: TableName
  /// Column that names each row's batch; nil: the table has none.
  package var provenanceColumn: String?
  package var delivery: Delivery
  /// How long a lost request may still turn up (R7, R8).
  package var settleMilliseconds: Int
  package var windowReserve: WindowReserve
  /// Table partitions that one block may touch, `max_partitions_per_insert_block` (R9's p).
  package var partitionsMax: Int
  /// Whether every column needs a field or a DEFAULT.
  package var strictColumns: Bool
  /// Time for a whole INSERT, its answer included.
  package var insertTimeoutMilliseconds: Int
  /// Time for a question.
  package var questionTimeoutMilliseconds: Int

  package init(
    urls: [String], user: String = "default", password: String = "", table: TableName, provenanceColumn: String? = "_millrace_batch",
    delivery: Delivery = .exactlyOnce, settleMilliseconds: Int = 5_000, windowReserve: WindowReserve = .auto, partitionsMax: Int = 100,
    strictColumns: Bool = false,
    insertTimeoutMilliseconds: Int = 300_000, questionTimeoutMilliseconds: Int = 30_000
  ) {
    self.urls = urls
    self.user = user
    self.password = password
    self.table = table
    self.provenanceColumn = provenanceColumn
    self.delivery = delivery
    self.settleMilliseconds = settleMilliseconds
    self.windowReserve = windowReserve
    self.partitionsMax = partitionsMax
    self.strictColumns = strictColumns
    self.insertTimeoutMilliseconds = insertTimeoutMilliseconds
    self.questionTimeoutMilliseconds = questionTimeoutMilliseconds
  }
}
