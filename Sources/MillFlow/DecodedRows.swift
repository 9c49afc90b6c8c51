package import MillBase

/// Rows that a ``RecordDecoder`` has made, with what the columns don't say of them. One owner at a time.
@safe package final class DecodedRows: @unchecked Sendable {
  package let block: RowBlock
  /// `Int64` milliseconds since 1970 of each row's event time; empty where the source has none.
  package var eventTimes = GrowableBytes()
  /// `UInt32` of each row: which of ``RecordBuffer/entries`` it was.
  package var entryIndexes = GrowableBytes()

  package init(_ plan: SourcePlan) { block = RowBlock(plan.types) }

  package var rowCount: Int { block.rowCount }

  /// Forgets all rows and keeps the memory.
  package func removeAll() {
    block.removeAll()
    eventTimes.count = 0
    entryIndexes.count = 0
  }
}
