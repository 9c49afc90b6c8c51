internal import MillBase

/// An intent's partitions: how many there are, a bit for each idle one, and the ranges that move, relative to their starts.
extension ByteWriter {
  /// A bit a partition, without zeros at the end.
  mutating func idle(_ partitions: Set<Int32>) {
    var bits = [UInt8](repeating: 0, count: partitions.max().map { Int($0) / 8 + 1 } ?? 0)
    for partition in partitions { bits[Int(partition) / 8] |= 1 << UInt8(partition % 8) }
    blob(bits)
  }

  mutating func range(_ range: PartitionRange) {
    varint(UInt64(UInt32(bitPattern: range.partition)))
    integer(range.start)
    signed(range.next &- range.start)
    signed(range.next &- range.anchorOffset)
    integer(range.anchorTimestamp)
    integer(range.anchorChecksum)
  }
}

extension ByteReader {
  typealias IntentRanges = (ranges: [PartitionRange], partitionCount: Int, idle: Set<Int32>)

  mutating func movedRanges() throws(ByteReaderError) -> IntentRanges {
    let partitionCount = try varint()
    guard partitionCount <= UInt64(Int32.max) else { throw failure("\(partitionCount) partitions") }
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
    return (ranges, Int(partitionCount), idle)
  }

  private mutating func range() throws(ByteReaderError) -> PartitionRange {
    let partition = try varint()
    guard let number = UInt32(exactly: partition) else { throw failure("a partition \(partition)") }
    let start = try integer(Int64.self)
    let next = try start &+ signed()
    return PartitionRange(
      partition: Int32(bitPattern: number), start: start, next: next, anchorOffset: try next &- signed(), anchorTimestamp: try integer(),
      anchorChecksum: try integer())
  }

  /// Versions 1 and 2: a range of every partition, with its idleness. Those that don't move are left out.
  mutating func allRanges() throws(ByteReaderError) -> IntentRanges {
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
    return (ranges, partitionCount, idle)
  }
}
