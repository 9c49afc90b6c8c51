/// What the pipeline asks of its destination to keep.
package enum Delivery: String, Hashable, Sendable {
  case exactlyOnce = "exactly_once"
  case atLeastOnce = "at_least_once"
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
  /// Entries of the deduplication window that are left to other writers (R9's r).
  package var windowReserve: Int
  /// Table partitions that one block may touch, `max_partitions_per_insert_block` (R9's p).
  package var partitionsMax: Int
  /// Time for a whole INSERT, its answer included.
  package var insertTimeoutMilliseconds: Int
  /// Time for a question.
  package var questionTimeoutMilliseconds: Int

  package init(
    urls: [String], user: String = "default", password: String = "", table: TableName, provenanceColumn: String? = "_millrace_batch",
    delivery: Delivery = .exactlyOnce, settleMilliseconds: Int = 5_000, windowReserve: Int = 0, partitionsMax: Int = 100,
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
    self.insertTimeoutMilliseconds = insertTimeoutMilliseconds
    self.questionTimeoutMilliseconds = questionTimeoutMilliseconds
  }
}
