import MillBase
import MillLog

/// Payloads as releases before version 3 wrote them: every partition in an intent, all of a batch in each.
enum OldPayload {
  static func intent(_ intent: Intent, _ version: UInt8) -> [UInt8] {
    var writer = ByteWriter()
    writer.integer(version)
    writer.integer(intent.epoch)
    writer.integer(intent.clockMilliseconds)
    writer.integer(intent.planHash)
    let part = intent.parts[0]
    writer.count(part.ranges.count)
    for range in part.ranges {
      writer.integer(range.partition)
      writer.integer(range.start)
      writer.integer(range.next)
      writer.bool(part.idle.contains(range.partition))
      writer.integer(range.anchorOffset)
      writer.integer(range.anchorTimestamp)
      writer.integer(range.anchorChecksum)
    }
    writer.digest(intent.inputDigest)
    return writer.bytes
  }

  static func seal(_ seal: Seal, _ version: UInt8) -> [UInt8] {
    var writer = ByteWriter()
    writer.integer(version)
    writer.integer(seal.epoch)
    writer.count(seal.covered.count)
    for coverage in seal.covered {
      writer.integer(coverage.destination.rawValue)
      writer.integer(coverage.firstEpoch)
    }
    batches(seal.batches, version, &writer)
    if version > 1 {
      writer.bool(seal.counters != nil)
      if let counters = seal.counters {
        let parts = [counters.emitted, counters.duplicate, counters.late, counters.skipped, counters.deadLettered]
        for part in parts { writer.varint(part) }
        writer.varint(counters.records &- parts.reduce(0, &+))
      }
    }
    return writer.bytes
  }

  static func retire(_ retire: Retire, _ version: UInt8) -> [UInt8] {
    var writer = ByteWriter()
    writer.integer(version)
    writer.integer(retire.destination.rawValue)
    writer.integer(retire.batch)
    writer.integer(retire.wallMilliseconds)
    batches(retire.replacements, version, &writer)
    return writer.bytes
  }

  /// What of it a version tells.
  static func known(_ seal: Seal, _ version: UInt8) -> Seal {
    var counters = version == 1 ? nil : seal.counters
    // Records without a key were duplicates then, and there were no filters.
    counters?.nullKey = 0
    counters?.filtered = 0
    return Seal(epoch: seal.epoch, covered: seal.covered, batches: known(seal.batches, version), counters: counters)
  }

  static func known(_ batches: [SealedBatch], _ version: UInt8) -> [SealedBatch] {
    batches.map { batch in
      var batch = batch
      if version == 1 { batch.contentSum = nil }
      return batch
    }
  }

  private static func batches(_ batches: [SealedBatch], _ version: UInt8, _ writer: inout ByteWriter) {
    writer.count(batches.count)
    for batch in batches {
      writer.integer(batch.destination.rawValue)
      writer.integer(batch.number)
      writer.integer(batch.rowStart)
      writer.integer(batch.rowCount)
      writer.digest(batch.digest)
      writer.string(batch.token)
      writer.count(batch.chunks.count)
      for position in batch.chunks { writer.varint(position) }
      writer.integer(batch.originChunkCount)
      writer.integer(batch.byteCount)
      writer.string(batch.target)
      writer.count(batch.columns.count)
      for column in batch.columns {
        writer.string(column.name)
        writer.string(column.type)
      }
      if version > 1 {
        writer.bool(batch.contentSum != nil)
        if let sum = batch.contentSum { writer.integer(sum) }
      }
    }
  }
}
