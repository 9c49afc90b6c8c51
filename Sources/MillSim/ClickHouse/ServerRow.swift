internal import MillBase

/// A row of the simulated table.
package struct ServerRow: Hashable, Sendable {
  package var eventID: String
  /// Empty where the table has no such column.
  package var sub: String
  package var group: UInt32
  package var amount: Int64
  /// Event time as the column holds it: ms since 1970, or whole seconds on 18.16.
  package var at: Int64
  /// Empty where the table has no provenance column.
  package var provenance: String

  package init(eventID: String, sub: String = "", group: UInt32, amount: Int64, at: Int64, provenance: String) {
    self.eventID = eventID
    self.sub = sub
    self.group = group
    self.amount = amount
    self.at = at
    self.provenance = provenance
  }
}

/// Why the server can't read a body; `code` is ClickHouse's.
struct BodyError: Error {
  var code: Int
  var message: String
}

/// The server's own reading of a Native block and of compressed frames.
enum BodyReader {
  /// The plain bytes of frames that stand one after the other.
  static func plain(frames: [UInt8]) throws(BodyError) -> [UInt8] {
    var plain: [UInt8] = []
    var at = 0
    while at < frames.count {
      guard frames.count - at >= 25 else { throw BodyError(code: 33, message: "Cannot read all data: cut frame") }
      let size = little(frames, at + 17, 4)
      let plainSize = little(frames, at + 21, 4)
      guard size >= 9, size <= frames.count - at - 16 else { throw BodyError(code: 33, message: "Cannot read all data: cut frame") }
      let checksum = unsafe frames.withRawBytes { unsafe cityHash128(UnsafeRawBufferPointer(rebasing: $0[at + 16..<at + 16 + size])) }
      guard checksum.low == UInt64(bitPattern: Int64(little(frames, at, 8))),
        checksum.high == UInt64(bitPattern: Int64(little(frames, at + 8, 8)))
      else { throw BodyError(code: 271, message: "Checksum doesn't match: corrupted data") }
      let data = frames[at + 25..<at + 16 + size]
      switch frames[at + 16] {
      case 0x02: plain += data
      case 0x82: try decompress(data, plainSize: plainSize, into: &plain)
      default: throw BodyError(code: 432, message: "Unknown codec family code: \(frames[at + 16])")
      }
      at += 16 + size
    }
    return plain
  }

  private static func little(_ bytes: [UInt8], _ at: Int, _ count: Int) -> Int {
    var value: UInt64 = 0
    for index in 0..<count { value |= UInt64(bytes[at + index]) << UInt64(8 * index) }
    return Int(Int64(bitPattern: value))
  }

  // One LZ4 block: literals, then a copy from what was written, again and again; the last sequence has literals only.
  private static func decompress(_ data: ArraySlice<UInt8>, plainSize: Int, into plain: inout [UInt8]) throws(BodyError) {
    let start = plain.count
    let broken = BodyError(code: 271, message: "Cannot decompress")
    var at = data.startIndex
    func length(_ nibble: UInt8) throws(BodyError) -> Int {
      var length = Int(nibble)
      guard nibble == 15 else { return length }
      while true {
        guard at < data.endIndex else { throw broken }
        let more = data[at]
        at += 1
        length += Int(more)
        if more < 255 { return length }
      }
    }
    while at < data.endIndex {
      let token = data[at]
      at += 1
      let literals = try length(token >> 4)
      guard data.endIndex - at >= literals else { throw broken }
      plain += data[at..<at + literals]
      at += literals
      if at == data.endIndex { break }
      guard data.endIndex - at >= 2 else { throw broken }
      let distance = Int(data[at]) | Int(data[at + 1]) << 8
      at += 2
      let count = try length(token & 15) + 4
      guard distance > 0, distance <= plain.count - start, plain.count - start + count <= plainSize else { throw broken }
      for _ in 0..<count { plain.append(plain[plain.count - distance]) }
    }
    guard plain.count - start == plainSize else { throw broken }
  }

  /// The rows of one Native block, which must be all of `bytes`. `types`: of the table's columns by name; others are refused.
  static func rows(native bytes: [UInt8], types: [(name: String, type: String)]) throws(BodyError) -> [ServerRow] {
    do {
      var reader = ByteReader(bytes)
      let columns = try reader.varint()
      let count = Int(try reader.varint())
      guard count <= bytes.count else { throw BodyError(code: 33, message: "Cannot read all data: \(count) rows") }
      var rows = [ServerRow](repeating: ServerRow(eventID: "", group: 0, amount: 0, at: 0, provenance: ""), count: count)
      for _ in 0..<columns {
        let name = try reader.string()
        let type = try reader.string()
        guard let column = types.first(where: { $0.name == name }) else {
          throw BodyError(code: 16, message: "No such column \(name) in table")
        }
        guard column.type == type else { throw BodyError(code: 53, message: "Type mismatch in column \(name): \(type) and \(column.type)") }
        try read(name, type, &reader, &rows)
      }
      guard reader.remaining == 0 else { throw BodyError(code: 33, message: "\(reader.remaining) bytes behind the block") }
      return rows
    } catch let error as BodyError {
      throw error
    } catch {
      throw BodyError(code: 33, message: "Cannot read all data: \(error)")
    }
  }

  private static func read(_ name: String, _ type: String, _ reader: inout ByteReader, _ rows: inout [ServerRow]) throws {
    if type.hasPrefix("LowCardinality(") {
      let values = try lowCardinality(&reader, count: rows.count)
      for index in rows.indices { set(name, text: values[index], &rows[index]) }
      return
    }
    for index in rows.indices {
      switch type {
      case "String": set(name, text: try reader.string(), &rows[index])
      case "UInt32", "DateTime": set(name, number: Int64(try reader.integer(UInt32.self)), &rows[index])
      case "Int64", "DateTime64(3)": set(name, number: try reader.integer(Int64.self), &rows[index])
      default: throw BodyError(code: 50, message: "Unknown type \(type)")
      }
    }
  }

  private static func lowCardinality(_ reader: inout ByteReader, count: Int) throws -> [String] {
    if count == 0 { return [] }
    guard try reader.integer(UInt64.self) == 1 else { throw BodyError(code: 117, message: "Invalid version for LowCardinality") }
    let flags = try reader.integer(UInt64.self)
    let keyCount = Int(try reader.integer(UInt64.self))
    guard keyCount <= reader.remaining else { throw BodyError(code: 33, message: "Cannot read all data: \(keyCount) keys") }
    var keys: [String] = []
    for _ in 0..<keyCount { keys.append(try reader.string()) }
    guard try reader.integer(UInt64.self) == UInt64(count) else { throw BodyError(code: 117, message: "Wrong number of indexes") }
    var values: [String] = []
    for _ in 0..<count {
      let index =
        switch flags & 0xff {
        case 0: Int(try reader.integer(UInt8.self))
        case 1: Int(try reader.integer(UInt16.self))
        case 2: Int(try reader.integer(UInt32.self))
        default: Int(try reader.integer(UInt64.self))
        }
      guard index < keys.count else { throw BodyError(code: 117, message: "Index \(index) of \(keys.count) keys") }
      values.append(keys[index])
    }
    return values
  }

  private static func set(_ name: String, text: String, _ row: inout ServerRow) {
    switch name {
    case "event_id": row.eventID = text
    case "sub": row.sub = text
    default: row.provenance = text
    }
  }

  private static func set(_ name: String, number: Int64, _ row: inout ServerRow) {
    switch name {
    case "k": row.group = UInt32(truncatingIfNeeded: number)
    case "amount": row.amount = number
    default: row.at = number
    }
  }
}
