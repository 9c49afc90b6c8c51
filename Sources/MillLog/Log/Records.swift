package import MillBase

/// What tells a batch from all others of its lineage: numbers count within a destination.
package struct BatchKey: Hashable, Sendable {
  package var destination: Destination
  package var number: BatchNumber

  package init(_ destination: Destination, _ number: BatchNumber) {
    self.destination = destination
    self.number = number
  }
}

extension BatchKey: CustomStringConvertible {
  package var description: String { "\(number) of \(destination)" }
}

/// A batch as its seal names it.
package struct SealedBatch: Hashable, Sendable {
  package var destination: Destination
  package var number: BatchNumber
  /// Rows `rowStart ..< rowStart + rowCount` of what the destination had pending at the seal.
  package var rowStart: UInt64
  package var rowCount: UInt64
  /// Over the rows in the destination's plain encoding (not compressed).
  package var digest: Digest128
  package var token: String
  /// Positions of the `chunk` records with its bytes, in order; the last `originChunkCount` of them hold the rows' origins.
  package var chunks: [LogPosition]
  package var originChunkCount: UInt32
  /// Bytes of the chunks that are sent.
  package var byteCount: UInt64
  /// `database.table` that the rows were frozen for; empty for dead letters.
  package var target: String
  /// The columns in the frozen block, in order, the provenance column included; empty for dead letters.
  package var columns: [BatchColumn]
  /// What the server's sums over the batch's rows must give (`ContentSum`); nil: not known, or none of the columns counts.
  package var contentSum: UInt64?

  package var key: BatchKey { BatchKey(destination, number) }

  package init(
    destination: Destination, number: BatchNumber, rowStart: UInt64, rowCount: UInt64, digest: Digest128, token: String,
    chunks: [LogPosition], originChunkCount: UInt32, byteCount: UInt64, target: String, columns: [BatchColumn], contentSum: UInt64? = nil
  ) {
    self.destination = destination
    self.number = number
    self.rowStart = rowStart
    self.rowCount = rowCount
    self.digest = digest
    self.token = token
    self.chunks = chunks
    self.originChunkCount = originChunkCount
    self.byteCount = byteCount
    self.target = target
    self.columns = columns
    self.contentSum = contentSum
  }
}

/// A column of a frozen block: its name and its type in ClickHouse's own words.
package struct BatchColumn: Hashable, Sendable {
  package var name: String
  package var type: String

  package init(name: String, type: String) {
    self.name = name
    self.type = type
  }
}

/// All batches that end at one epoch boundary. They exist from this record on.
///
/// Where they are too many for one record, several stand one after the other: all but the last say ``continues``. None of the batches
/// exists before the last one stands; ``SealParts`` puts them together.
package struct Seal: Hashable, Sendable {
  /// The seal covers what each destination it names had pending up to the end of this epoch.
  package var epoch: EpochNumber
  /// Destinations whose pending output ends here, with the first epoch covered; a destination may have no batch (no rows).
  package var covered: [Coverage]
  package var batches: [SealedBatch]
  /// Where the records of all epochs since the seal before ended; nil in logs of older releases, and where it ``continues``.
  package var counters: Counters?
  /// Not the last record of this seal.
  package var continues = false

  package struct Coverage: Hashable, Sendable {
    package var destination: Destination
    package var firstEpoch: EpochNumber

    package init(destination: Destination, firstEpoch: EpochNumber) {
      self.destination = destination
      self.firstEpoch = firstEpoch
    }
  }

  package init(epoch: EpochNumber, covered: [Coverage], batches: [SealedBatch], counters: Counters? = nil) {
    self.epoch = epoch
    self.covered = covered
    self.batches = batches
    self.counters = counters
  }
}

/// Where every record of some epochs ended.
package struct Counters: Hashable, Sendable {
  package var records: UInt64 = 0
  package var emitted: UInt64 = 0
  package var duplicate: UInt64 = 0
  package var late: UInt64 = 0
  package var skipped: UInt64 = 0
  package var deadLettered: UInt64 = 0
  /// A filter's condition wasn't true.
  package var filtered: UInt64 = 0
  /// Of those that a deduplicate let pass: all of the key's fields were NULL, so that they have no key (`null_keys: pass`).
  package var nullKey: UInt64 = 0
  /// Of all records, as Kafka gave them; not in seals.
  package var bytes: UInt64 = 0
  /// Which tables the emitted rows were made for, those without any left out; empty: all for number 0's, as where there is one sink.
  package private(set) var tableRows: [Destination: UInt64] = [:]

  package init() {}

  /// Late records that went to the dead letters count as late only. With several tables a record may give several rows.
  package var isWhole: Bool {
    let ended = emitted &+ duplicate &+ late &+ skipped &+ deadLettered &+ filtered
    guard !tableRows.isEmpty else { return records == ended && nullKey <= emitted &+ skipped &+ deadLettered &+ filtered }
    return records <= ended && emitted == tableRows.values.reduce(0, &+)
  }

  /// Rows that were made for a table.
  package func rows(for table: Destination) -> UInt64 { tableRows.isEmpty ? (table == .table ? emitted : 0) : tableRows[table] ?? 0 }

  package mutating func emit(_ rows: UInt64, for table: Destination) {
    guard rows > 0 else { return }
    if !tableRows.isEmpty || table != .table { addRows([table: rows]) }
    emitted &+= rows
  }

  /// Sets what a seal or ledger says of the tables; the emitted rows are their sum.
  package mutating func setRows(_ rows: [Destination: UInt64]) {
    tableRows = rows.keys.allSatisfy { $0 == .table } ? [:] : rows
  }

  /// Before `emitted` grows by them.
  private mutating func addRows(_ added: [Destination: UInt64]) {
    var all = tableRows.isEmpty && emitted > 0 ? [.table: emitted] : tableRows
    for (table, rows) in added { all[table, default: 0] &+= rows }
    setRows(all)
  }

  package mutating func add(_ other: Counters) {
    if !tableRows.isEmpty || !other.tableRows.isEmpty {
      addRows(other.tableRows.isEmpty && other.emitted > 0 ? [.table: other.emitted] : other.tableRows)
    }
    records &+= other.records
    emitted &+= other.emitted
    duplicate &+= other.duplicate
    late &+= other.late
    skipped &+= other.skipped
    deadLettered &+= other.deadLettered
    filtered &+= other.filtered
    nullKey &+= other.nullKey
    bytes &+= other.bytes
  }
}

/// R11: a batch that is never sent again, and those that its rows are in from here on: its halves, or the dead letter of its one row.
package struct Retire: Hashable, Sendable {
  package var destination: Destination
  package var batch: BatchNumber
  /// The replacements' age counts from here: none has been sent before.
  package var wallMilliseconds: Int64
  package var replacements: [SealedBatch]

  /// Of the batch that is gone.
  package var key: BatchKey { BatchKey(destination, batch) }

  package init(destination: Destination, batch: BatchNumber, wallMilliseconds: Int64, replacements: [SealedBatch]) {
    self.destination = destination
    self.batch = batch
    self.wallMilliseconds = wallMilliseconds
    self.replacements = replacements
  }
}

/// Who writes from here on.
package struct Restart: Hashable, Sendable {
  package var lineage: Lineage
  /// Random, one an instance; only for people.
  package var instance: UInt64
  /// Intents of later epochs that stand before this record are void (R4).
  package var lastKeptEpoch: EpochNumber
  package var wallMilliseconds: Int64

  package init(lineage: Lineage, instance: UInt64, lastKeptEpoch: EpochNumber, wallMilliseconds: Int64) {
    self.lineage = lineage
    self.instance = instance
    self.lastKeptEpoch = lastKeptEpoch
    self.wallMilliseconds = wallMilliseconds
  }
}

/// The largest deadline in use for a batch's guarded inserts (R8), in the destination's own seconds since 1970.
package struct Deadline: Hashable, Sendable {
  package var destination: Destination
  package var batch: BatchNumber
  package var seconds: Int64

  package var key: BatchKey { BatchKey(destination, batch) }

  package init(destination: Destination, batch: BatchNumber, seconds: Int64) {
    self.destination = destination
    self.batch = batch
    self.seconds = seconds
  }
}

package struct Ack: Hashable, Sendable {
  package var destination: Destination
  package var batch: BatchNumber

  package var key: BatchKey { BatchKey(destination, batch) }

  package init(destination: Destination, batch: BatchNumber) {
    self.destination = destination
    self.batch = batch
  }
}

/// Offsets of one partition that Kafka has deleted before they were read, and that the user gave up (`--accept-loss`): no epoch that is
/// cut after this record has any of them, and reading goes on at `next`.
package struct Gap: Hashable, Sendable {
  package var slot: Slot
  package var start: Int64
  package var next: Int64

  package init(slot: Slot, start: Int64, next: Int64) {
    self.slot = slot
    self.start = start
    self.next = next
  }
}

/// Where reading begins of a source that the checkpoint before doesn't know.
package struct SourceStart: Hashable, Sendable {
  package var source: SourceNumber
  /// Which topic that is, of which cluster; ids are empty where the brokers don't tell.
  package var topic: String
  package var clusterID: String
  package var topicID: String
  /// Index: partition.
  package var offsets: [Int64]

  package init(source: SourceNumber, topic: String, clusterID: String, topicID: String, offsets: [Int64]) {
    self.source = source
    self.topic = topic
    self.clusterID = clusterID
    self.topicID = topicID
    self.offsets = offsets
  }
}

/// A record of the epoch log. The raw values are on disk; 0 is reserved so that zero-filled space is never valid.
package enum LogRecord: Hashable, Sendable {
  case restart(Restart)
  case plan(PlanRecord)
  case intent(Intent)
  case chunk([UInt8])
  case seal(Seal)
  case retire(Retire)
  case ack(Ack)
  case deadline(Deadline)
  case gap(Gap)
  case sourceStart(SourceStart)

  package enum Kind: UInt8, Sendable {
    case restart = 1, plan = 2, intent = 3, chunk = 4, seal = 5, retire = 6, ack = 7, deadline = 8, gap = 9, sourceStart = 10
  }
}
