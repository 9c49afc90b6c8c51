internal import MillBase

/// A block's payload: entries, each with numbers that go on from those before it.
package enum LedgerPayload {
  package static func encode(_ entries: [HistoryEntry]) -> [UInt8] {
    var writer = ByteWriter(reserving: 4096)
    var before = LedgerNumbers()
    for entry in entries { writer.entry(entry, &before) }
    return writer.bytes
  }

  /// Reads what ``encode(_:)`` writes.
  package static func decode(_ bytes: [UInt8], _ range: Range<Int>, _ body: (HistoryEntry) throws -> Void) throws {
    var reader = ByteReader(bytes, range)
    var before = LedgerNumbers()
    while reader.remaining > 0 { try body(try reader.entry(&before)) }
  }
}

/// What numbers are told as differences to.
private struct LedgerNumbers {
  var epoch: EpochNumber = 0
  /// The number expected next.
  var batches: [Destination: BatchNumber] = [:]
  var positions: [Slot: Int64] = [:]
  var shapes: [NamedShape] = []
}

/// On the disk.
private enum EntryKind: UInt8 {
  case restart = 1, epochs = 2, seal = 3, retire = 4, gap = 5
  /// A seal that goes on in the next entry of a seal.
  case sealPart = 6
}

/// Bits of a batch's flags.
private enum BatchFlag {
  static let ownToken: UInt8 = 1
  static let contentSum: UInt8 = 2
  static let all: UInt8 = 3
}

extension ByteWriter {
  fileprivate mutating func difference(_ value: UInt64, _ from: UInt64) { signed(Int64(bitPattern: value &- from)) }

  fileprivate mutating func entry(_ entry: HistoryEntry, _ before: inout LedgerNumbers) {
    switch entry {
    case .ack: break
    case .restart(let lineage, let lastKept, let wall):
      integer(EntryKind.restart.rawValue)
      integer(lineage.value)
      difference(lastKept, before.epoch)
      signed(wall)
    case .epochs(let through, let ranges):
      integer(EntryKind.epochs.rawValue)
      difference(through, before.epoch)
      before.epoch = through
      count(ranges.count)
      for range in ranges {
        self.range(range, from: before.positions[range.slot] ?? 0)
        before.positions[range.slot] = range.next
      }
    case .gap(let range):
      integer(EntryKind.gap.rawValue)
      self.range(range, from: 0)
    case .retire(let destination, let number, let replacements):
      integer(EntryKind.retire.rawValue)
      integer(destination.rawValue)
      difference(number, before.batches[destination, default: 0])
      count(replacements.count)
      for batch in replacements { self.batch(batch, &before) }
    case .seal(let seal):
      integer((seal.continues ? EntryKind.sealPart : .seal).rawValue)
      difference(seal.epoch, before.epoch)
      before.epoch = seal.epoch
      count(seal.covered.count)
      for part in seal.covered {
        integer(part.destination.rawValue)
        difference(seal.epoch, part.firstEpoch)
      }
      sealCounters(seal.counters)
      count(seal.batches.count)
      for batch in seal.batches { self.batch(batch, &before) }
    }
  }

  private mutating func range(_ range: OffsetRange, from position: Int64) {
    varint(UInt64(UInt32(bitPattern: range.slot.rawValue)))
    signed(range.start &- position)
    signed(range.next &- range.start)
  }

  private mutating func batch(_ batch: HistoryBatch, _ before: inout LedgerNumbers) {
    let token = NamedShape.usualToken(batch.token, batch.number)
    shape(NamedShape(destination: batch.destination, prefix: token?.prefix ?? "", shape: batch.shape), &before.shapes)
    integer((token == nil ? BatchFlag.ownToken : 0) | (batch.contentSum == nil ? 0 : BatchFlag.contentSum))
    difference(batch.number, before.batches[batch.destination, default: 0])
    before.batches[batch.destination] = batch.number &+ 1
    varint(batch.rowCount)
    if let token { digest(token.digest) } else { string(batch.token) }
    if let sum = batch.contentSum { integer(sum) }
  }
}

extension ByteReader {
  fileprivate mutating func difference(_ from: UInt64) throws(ByteReaderError) -> UInt64 { from &+ UInt64(bitPattern: try signed()) }

  fileprivate mutating func entry(_ before: inout LedgerNumbers) throws(ByteReaderError) -> HistoryEntry {
    let kind = try integer(UInt8.self)
    switch EntryKind(rawValue: kind) {
    case nil: throw failure("an entry of kind \(kind), which isn't known")
    case .restart:
      let lineage = Lineage(try integer())
      return .restart(lineage: lineage, lastKeptEpoch: try difference(before.epoch), wallMilliseconds: try signed())
    case .epochs:
      before.epoch = try difference(before.epoch)
      var ranges: [OffsetRange] = []
      for _ in 0..<(try count(itemByteCount: 3)) {
        let range = try range { before.positions[$0] ?? 0 }
        before.positions[range.slot] = range.next
        ranges.append(range)
      }
      return .epochs(through: before.epoch, ranges)
    case .gap: return .gap(try range { _ in 0 })
    case .retire:
      let destination = try destination()
      let number = try difference(before.batches[destination, default: 0])
      return .retire(destination, number, try batches(&before))
    case .seal, .sealPart:
      let epoch = try difference(before.epoch)
      before.epoch = epoch
      var covered: [Seal.Coverage] = []
      for _ in 0..<(try count(itemByteCount: 2)) {
        let destination = try destination()
        covered.append(Seal.Coverage(destination: destination, firstEpoch: epoch &- UInt64(bitPattern: try signed())))
      }
      let counters = try sealCounters()
      return .seal(
        HistorySeal(
          epoch: epoch, covered: covered, batches: try batches(&before), counters: counters,
          continues: kind == EntryKind.sealPart.rawValue))
    }
  }

  private mutating func batches(_ before: inout LedgerNumbers) throws(ByteReaderError) -> [HistoryBatch] {
    var batches: [HistoryBatch] = []
    for _ in 0..<(try count(itemByteCount: 5)) { batches.append(try batch(&before)) }
    return batches
  }

  private mutating func range(from position: (Slot) -> Int64) throws(ByteReaderError) -> OffsetRange {
    let partition = try varint()
    guard let partition = UInt32(exactly: partition) else { throw failure("a partition \(partition)") }
    let slot = Slot(rawValue: Int32(bitPattern: partition))
    let start = try position(slot) &+ signed()
    return OffsetRange(slot: slot, start: start, next: try start &+ signed())
  }

  private mutating func batch(_ before: inout LedgerNumbers) throws(ByteReaderError) -> HistoryBatch {
    let shape = try shape(&before.shapes)
    let flags = try integer(UInt8.self)
    guard flags & ~BatchFlag.all == 0 else { throw failure("flags \(flags) of a batch") }
    let number = try difference(before.batches[shape.destination, default: 0])
    before.batches[shape.destination] = number &+ 1
    let rowCount = try varint()
    let token =
      flags & BatchFlag.ownToken == 0 ? TokenParts(prefix: shape.prefix, number: number, digest: try digest()).text : try string()
    let sum: UInt64? = flags & BatchFlag.contentSum == 0 ? nil : try integer()
    return HistoryBatch(
      destination: shape.destination, number: number, rowCount: rowCount, token: token, contentSum: sum, shape: shape.shape)
  }
}
