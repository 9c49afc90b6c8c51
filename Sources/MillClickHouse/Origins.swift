internal import MillBase
package import MillFlow

/// Why bytes aren't the origins of rows.
package enum OriginsError: Error, Hashable, Sendable, CustomStringConvertible {
  case frame(FrameError)
  case cut(row: Int)
  case outOfRange(row: Int)
  case bytesLeft(Int)

  package var description: String {
    switch self {
    case .frame(let error): "\(error)"
    case .cut(let row): "the origins end at row \(row)"
    case .outOfRange(let row): "the origin of row \(row) is no partition and offset"
    case .bytesLeft(let count): "\(count) bytes are left behind the origins"
    }
  }
}

/// Where each row came from: partition and offset, in the order of the rows.
package struct Origin: Hashable, Sendable {
  package var partition: Int32
  package var offset: Int64

  package init(partition: Int32, offset: Int64) {
    self.partition = partition
    self.offset = offset
  }
}

/// Origins of a batch's rows in the epoch log: LEB128 row count, then per row the partition's difference to the row before and the offset's
/// difference to the last one of that partition, both zigzag LEB128; all of it in compressed frames.
package enum Origins {
  package static func encode(_ block: RowBlock, rows: Range<Int>) -> [[UInt8]] {
    precondition(
      rows.lowerBound >= 0 && rows.upperBound * 4 <= block.originPartitions.count && rows.upperBound * 8 <= block.originOffsets.count,
      "origins of rows \(rows): \(block.originPartitions.count / 4) are there")
    return encode(count: rows.count) { index in
      let row = rows.lowerBound + index
      return Origin(
        partition: unsafe block.originPartitions.base.load(fromByteOffset: row * 4, as: Int32.self),
        offset: unsafe block.originOffsets.base.load(fromByteOffset: row * 8, as: Int64.self))
    }
  }

  /// Of rows that were decoded before.
  package static func encode(_ origins: ArraySlice<Origin>) -> [[UInt8]] {
    encode(count: origins.count) { origins[origins.startIndex + $0] }
  }

  @inline(__always)
  private static func encode(count: Int, _ origin: (Int) -> Origin) -> [[UInt8]] {
    var out = GrowableBytes(capacity: count * 3 + 16)
    Native.length(UInt64(count), &out)
    var partition: Int32 = 0
    var last: Int64 = 0
    var lasts: [Int32: Int64] = [:]
    for row in 0..<count {
      let (next, offset) = (origin(row).partition, origin(row).offset)
      Native.length(zigzag(Int64(next) &- Int64(partition)), &out)
      if next != partition {
        lasts[partition] = last
        last = lasts[next] ?? 0
        partition = next
      }
      Native.length(zigzag(offset &- last), &out)
      last = offset
    }
    var writer = FrameWriter()
    unsafe writer.append(out.raw)
    return writer.finish()
  }

  package static func decode(_ chunks: [[UInt8]]) throws(OriginsError) -> [Origin] {
    let plain: [UInt8]
    do { plain = try Frames.decode(chunks) } catch { throw .frame(error) }
    var at = 0
    guard let count = length(plain, &at), count <= UInt64(plain.count) else { throw .cut(row: 0) }
    var origins: [Origin] = []
    origins.reserveCapacity(Int(count))
    var partition: Int32 = 0
    var last: Int64 = 0
    var lasts: [Int32: Int64] = [:]
    for row in 0..<Int(count) {
      guard let step = length(plain, &at), let distance = length(plain, &at) else { throw .cut(row: row) }
      guard let next = Int32(exactly: Int64(partition) &+ unzigzag(step)) else { throw .outOfRange(row: row) }
      if next != partition {
        lasts[partition] = last
        last = lasts[next] ?? 0
        partition = next
      }
      last = last &+ unzigzag(distance)
      origins.append(Origin(partition: partition, offset: last))
    }
    guard at == plain.count else { throw .bytesLeft(plain.count - at) }
    return origins
  }

  private static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: (value << 1) ^ (value >> 63)) }
  private static func unzigzag(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }

  private static func length(_ bytes: [UInt8], _ at: inout Int) -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while at < bytes.count, shift < 64 {
      let byte = bytes[at]
      at += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }
}
