package import MillBase
package import MillLog

/// How exactly once is kept at the table, chosen by looking at server and table (protocol R9, R10).
package enum DeliveryMode: String, Hashable, Sendable {
  case tokenAndProvenance = "token + provenance"
  case readBack = "read-back"
  case tokenOnly = "token only"
  case atLeastOnce = "at least once"
}

/// What the core has to know of the table; all else that was looked at stays with the sink.
package struct TableFacts: Hashable, Sendable {
  package var mode: DeliveryMode
  /// Entries of the deduplication window; 0 where the mode has no token.
  package var window: Int
  /// Window entries that one batch may use (R9's p).
  package var partitionsMax: Int
  /// Entries of the window that other writers of the table may use while a doubt is being settled (R9's r); nil: any number, so that no
  /// batch is sent again before its attempts are dead.
  package var reserve: Int?
  /// Seconds after which the window forgets; 0: never by time.
  package var windowSeconds: Int
  /// uuid, or hash of the create statement where there is none; empty: several servers are filled that need not be one table.
  package var identity: String
  /// Whether the table has the provenance column.
  package var hasProvenance: Bool
  /// For the log and `check`: views that a crash of the server can lose rows of, and the like.
  package var warnings: [String]
  /// For `check` alone: what a setting of the table's would make better, and the like.
  package var notes: [String]
  /// Who has written rows, as the names of their batches begin: `mr-` and a lineage, or anything; empty: nobody, or nobody was looked for.
  package var writers: [String]

  package init(
    mode: DeliveryMode, window: Int, partitionsMax: Int, reserve: Int? = 0, windowSeconds: Int, identity: String, hasProvenance: Bool,
    warnings: [String], notes: [String] = [], writers: [String] = []
  ) {
    self.mode = mode
    self.window = window
    self.partitionsMax = partitionsMax
    self.reserve = reserve
    self.windowSeconds = windowSeconds
    self.identity = identity
    self.hasProvenance = hasProvenance
    self.warnings = warnings
    self.notes = notes
    self.writers = writers
  }
}

/// One question or order to the destination's server. Each is one HTTP exchange (`describe` may be several).
package enum SinkRequest: Hashable, Sendable {
  /// Looks at server and table, and that `batches` columns still fit; answers ``SinkAnswer/described(_:)`` or ``SinkAnswer/unfit(_:)``.
  case describe(pending: [SealedBatch])
  /// The frozen block as a plain INSERT; with its token where `token` is true. Query id: `<token>-<attempt>`.
  case insert(SealedBatch, attempt: Int, token: Bool, partitionsMax: Int)
  /// R8's guarded insert, effective only while the server's now() is below `deadline` (seconds since 1970). `looks`: only what the table
  /// lacks.
  case guardedInsert(SealedBatch, attempt: Int, deadline: Int64, looks: Bool, partitionsMax: Int)
  /// Which rows of the frozen block go into which piece, so that none touches more table partitions than that.
  case pieces(SealedBatch, partitionsMax: Int)
  /// now() and uptime() on a connection of its own: R7's probe and R8's clock.
  case serverTime
  /// Rows of the target whose provenance is `token`, where every committed part is visible.
  case count(target: String, token: String)
  /// Ids of running queries that begin with `prefix`, on every replica.
  case running(prefix: String)
  /// KILL QUERY … SYNC for ids that begin with `prefix`.
  case kill(prefix: String)
  /// The greatest number that a batch of the lineage has in the table, whatever the sink was called (R15).
  case greatestBatch(Lineage)
}

/// Why an INSERT certainly wrote nothing; but for ``dataAmidst``, of which only a count proves it.
package enum RefusalKind: Hashable, Sendable {
  /// Overload, too many parts, memory, read-only for now: send again.
  case transient
  /// Table, column or type not as described: DESCRIBE, then decide.
  case schema
  /// The server does not take these rows.
  case data
  /// The same, but raised while parts were written: rows of other table partitions may be there.
  case dataAmidst
  /// More table partitions than one block may touch (252, the second meaning).
  case tooManyPartitions
  /// Something before the server does not take a body of this size (HTTP 413).
  case tooLarge
  /// Rights, settings, credentials: no waiting mends it.
  case configuration
}

package enum SinkAnswer: Hashable, Sendable {
  /// The server says it is done, and no part of the answer says otherwise.
  case committed
  case refused(RefusalKind, code: Int, message: String)
  /// Rows may be written or not: no answer, a lost connection, or a code of `clickhouse.md` B.7 "unknown outcome".
  case unknown(reason: String)
  /// Raised while pushing to a view, after the table took the rows.
  case viewFailed(code: Int, message: String)
  /// No byte was handed to a socket.
  case notSent(reason: String)

  case described(TableFacts)
  /// Server or table can't be used as the pipeline asks; each text says what and how to mend it.
  case unfit([String])
  /// Of several replicas: the slowest clock, the fastest one, and the longest uptime. `tookMilliseconds`: from asking to the last answer,
  /// by the engine's monotonic clock.
  case serverTime(seconds: Int64, fastestSeconds: Int64, uptimeSeconds: Int64, tookMilliseconds: Int64)
  case counted(UInt64)
  case running([String])
  /// Runs of rows, each row in one of them; empty where the block touches no more table partitions than a piece may.
  case pieces([[Range<Int>]])
  case killed
  /// Nil: the table has no rows of the lineage.
  case greatestBatch(BatchNumber?)
  /// A question (not an INSERT) was not answered; ask again.
  case unanswered(reason: String)
  /// A question, or one that an INSERT waits for, was answered with an error that no waiting mends (rights). Nothing was sent.
  case denied(reason: String)
}
