internal import MillBase

/// What an intent takes of each source: how many partitions there are, a bit for each idle one, and the ranges that move, relative to
/// their starts.
extension ByteWriter {
  mutating func parts(_ parts: [IntentPart]) {
    varint(UInt64(parts.count))
    for part in parts {
      varint(UInt64(part.source.rawValue))
      count(part.partitionCount)
      idle(part.idle)
      count(part.ranges.count)
      for range in part.ranges { self.range(range) }
    }
  }

  /// A bit a partition, without zeros at the end.
  private mutating func idle(_ partitions: Set<Int32>) {
    var bits = [UInt8](repeating: 0, count: partitions.max().map { Int($0) / 8 + 1 } ?? 0)
    for partition in partitions { bits[Int(partition) / 8] |= 1 << UInt8(partition % 8) }
    blob(bits)
  }

  private mutating func range(_ range: PartitionRange) {
    varint(UInt64(UInt32(bitPattern: range.partition)))
    integer(range.start)
    signed(range.next &- range.start)
    signed(range.next &- range.anchorOffset)
    integer(range.anchorTimestamp)
    integer(range.anchorChecksum)
  }
}

extension ByteReader {
  /// - Parameter version: of the record's format; up to 3 there is one source.
  mutating func parts(_ version: UInt8) throws(ByteReaderError) -> [IntentPart] {
    if version < 3 { return [try allRanges()] }
    if version < 4 { return [try movedRanges(of: .first)] }
    var parts: [IntentPart] = []
    let count = try varint()
    for _ in 0..<count {
      let number = try varint()
      guard number <= UInt64(SourceNumber.max) else { throw failure("a source \(number)") }
      let part = try movedRanges(of: SourceNumber(rawValue: UInt16(number)))
      guard parts.last.map({ $0.source < part.source }) ?? true else { throw failure("source \(number) out of order") }
      parts.append(part)
    }
    return parts
  }

  private mutating func movedRanges(of source: SourceNumber) throws(ByteReaderError) -> IntentPart {
    let partitionCount = try varint()
    guard partitionCount <= UInt64(Slot.partitionMax) else { throw failure("\(partitionCount) partitions") }
    let bits = try blob()
    guard bits.last != 0, bits.count <= (Int(partitionCount) + 7) / 8 else {
      throw failure("idleness of \(bits.count * 8) partitions, of \(partitionCount)")
    }
    var idle: Set<Int32> = []
    for (index, byte) in bits.enumerated() where byte != 0 {
      for bit in 0..<8 where byte & 1 << UInt8(bit) != 0 { idle.insert(Int32(8 * index + bit)) }
    }
    var ranges: [PartitionRange] = []
    for _ in 0..<(try count(itemByteCount: 23)) { ranges.append(try range()) }
    return IntentPart(source: source, ranges: ranges, partitionCount: Int(partitionCount), idle: idle)
  }

  private mutating func range() throws(ByteReaderError) -> PartitionRange {
    let partition = try varint()
    guard partition < UInt64(Slot.partitionMax) else { throw failure("a partition \(partition)") }
    let start = try integer(Int64.self)
    let next = try start &+ signed()
    return PartitionRange(
      partition: Int32(partition), start: start, next: next, anchorOffset: try next &- signed(), anchorTimestamp: try integer(),
      anchorChecksum: try integer())
  }

  /// Versions 1 and 2: a range of every partition, with its idleness. Those that don't move are left out.
  private mutating func allRanges() throws(ByteReaderError) -> IntentPart {
    var ranges: [PartitionRange] = []
    var idle: Set<Int32> = []
    let partitionCount = try count(itemByteCount: 41)
    for _ in 0..<partitionCount {
      var range = PartitionRange(partition: try integer(), start: try integer(), next: try integer())
      if try bool() { idle.insert(range.partition) }
      range.anchorOffset = try integer()
      range.anchorTimestamp = try integer()
      range.anchorChecksum = try integer()
      if range.next != range.start { ranges.append(range) }
    }
    return IntentPart(source: .first, ranges: ranges, partitionCount: partitionCount, idle: idle)
  }
}
