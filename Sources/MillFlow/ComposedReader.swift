internal import MillBase

/// What the Arrays and Maps of a decoder's fields take.
final class ComposedRoom {
  /// Bytes that those of one row may still take.
  var byteCount = Int.max
  /// How many there were, inner ones too.
  var count = 0
}

/// Reads arrays and objects of JSON into RowBinary (see ``ColumnLayout/text``). Has working memory of its own; one owner.
final class ComposedReader {
  private let items: ItemReader
  /// The value in the making.
  private var memory = GrowableBytes()

  private let room: ComposedRoom
  private static let capacityKept = 1 << 20

  init(_ plan: FieldPlan, type: DataType, room: ComposedRoom) {
    items = ItemReader(plan, type: type, room: room)
    self.room = room
  }

  /// A value that the scanner has found to be JSON. Errors name the place of the item.
  func read(_ bytes: ByteView, _ slot: ValueSlot, into writer: inout ColumnWriter, row: Int) throws(DecodeFault) {
    // A large value's memory isn't kept: another field may have the next one.
    if memory.capacity > Self.capacityKept { memory = GrowableBytes() }
    memory.count = 0
    _ = try items.read(bytes, Int(slot.start), into: &memory, limit: room.byteCount)
    room.byteCount -= memory.count
    memory.reserve(RecordBuffer.slack)
    let stored = unsafe writer.storeText(UnsafePointer(memory.base.assumingMemoryBound(to: UInt8.self)), count: memory.count, row: row)
    guard stored else { throw DecodeFault(reason: .outOfRange, position: slot.start) }
  }
}

/// Reads the values of one type inside an array or a map.
private final class ItemReader {
  private let reader: FieldReader
  private let aids: FieldAids?
  private let isNullable: Bool
  /// Of an Array or Map: what reads its items or values; keys are texts.
  private let inner: ItemReader?
  private let isMap: Bool
  /// Takes one value of a type that isn't composed.
  private let scratch: Column
  private var writer: ColumnWriter
  private let room: ComposedRoom

  init(_ plan: FieldPlan, type: DataType, room: ComposedRoom) {
    self.room = room
    reader = FieldReader(plan, type: type)
    isNullable = type.isNullable
    switch type {
    case .array(let element): (inner, isMap) = (ItemReader(plan, type: element, room: room), false)
    case .map(_, let value): (inner, isMap) = (ItemReader(plan, type: value, room: room), true)
    default: (inner, isMap) = (nil, false)
    }
    aids = inner == nil ? FieldAids(items: plan) : nil
    scratch = Column(type)
    writer = ColumnWriter(scratch, rowsToCome: 1)
  }

  /// Reads the value that begins at `start`; returns where it ends. `limit`: bytes of `out` that are too many.
  func read(_ bytes: ByteView, _ start: Int, into out: inout GrowableBytes, limit: Int) throws(DecodeFault) -> Int {
    guard out.count <= limit else { throw DecodeFault(reason: .tooLarge, position: Int32(truncatingIfNeeded: start)) }
    if let inner {
      let opening = isMap ? UInt8(ascii: "{") : UInt8(ascii: "[")
      guard bytes[start] == opening else {
        throw DecodeFault(reason: bytes[start] == UInt8(ascii: "n") ? .nullItem : .wrongType, position: Int32(truncatingIfNeeded: start))
      }
      return isMap ? try inner.readMap(bytes, start, into: &out, limit) : try inner.readArray(bytes, start, into: &out, limit)
    }
    let (slot, end) = jsonValue(bytes, start)
    if slot.kind == .null {
      guard isNullable else { throw DecodeFault(reason: .nullItem, position: slot.start) }
      out.append(UInt8(1))
      return end
    }
    try reader.read(bytes, slot, aids, into: &writer, row: 0)
    if isNullable { out.append(UInt8(0)) }
    unsafe writer.takeFirst { value, isText in
      if isText { appendLength(value.count, &out) }
      unsafe out.append(value)
    }
    return end
  }

  /// At `[`. The count stands before the items, but is known behind them.
  private func readArray(_ bytes: ByteView, _ start: Int, into out: inout GrowableBytes, _ limit: Int) throws(DecodeFault) -> Int {
    let place = out.count
    var count = 0
    var index = skippedSpaces(bytes, start + 1)
    while bytes[index] != UInt8(ascii: "]") {
      index = skippedSpaces(bytes, try read(bytes, index, into: &out, limit: limit))
      count += 1
      if bytes[index] == UInt8(ascii: ",") { index = skippedSpaces(bytes, index + 1) }
    }
    insertLength(count, at: place, &out)
    room.count &+= 1
    return index + 1
  }

  /// At `{`. Of a repeated key the last value counts, at its place.
  private func readMap(_ bytes: ByteView, _ start: Int, into out: inout GrowableBytes, _ limit: Int) throws(DecodeFault) -> Int {
    let place = out.count
    var entries: [MapEntry] = []
    var index = skippedSpaces(bytes, start + 1)
    while bytes[index] != UInt8(ascii: "}") {
      let begin = out.count
      // What is remembered of each entry counts too.
      guard begin + entries.count * MemoryLayout<MapEntry>.stride <= limit else {
        throw DecodeFault(reason: .tooLarge, position: Int32(truncatingIfNeeded: index))
      }
      let (key, keyEnd) = jsonValue(bytes, index)
      appendText(bytes, key, &out)
      let valueStart = out.count
      // Behind the colon.
      index = skippedSpaces(bytes, skippedSpaces(bytes, keyEnd) + 1)
      index = skippedSpaces(bytes, try read(bytes, index, into: &out, limit: limit))
      entries.append(MapEntry(begin: begin, valueStart: valueStart, end: out.count))
      if bytes[index] == UInt8(ascii: ",") { index = skippedSpaces(bytes, index + 1) }
    }
    room.count &+= 1
    let count = dropRepeated(entries, from: place, &out)
    insertLength(count, at: place, &out)
    return index + 1
  }
}

/// Where a key and its value stand in RowBinary.
private struct MapEntry {
  var begin: Int
  var valueStart: Int
  var end: Int
}

/// Takes out entries whose key comes again behind them; returns how many are left.
private func dropRepeated(_ entries: [MapEntry], from place: Int, _ out: inout GrowableBytes) -> Int {
  let base = unsafe UnsafePointer(out.base.assumingMemoryBound(to: UInt8.self))
  let key = { (entry: MapEntry) in unsafe UnsafeBufferPointer(start: base + entry.begin, count: entry.valueStart - entry.begin) }
  // Equal keys side by side, the last one last.
  let order = entries.indices.sorted { a, b in
    let (x, y) = unsafe (key(entries[a]), key(entries[b]))
    if unsafe x.lexicographicallyPrecedes(y) { return true }
    return unsafe a < b && x.elementsEqual(y)
  }
  var isDropped = [Bool](repeating: false, count: entries.count)
  var dropped = 0
  for (one, next) in zip(order, order.dropFirst()) where unsafe key(entries[one]).elementsEqual(key(entries[next])) {
    isDropped[one] = true
    dropped += 1
  }
  if dropped == 0 { return entries.count }
  var end = place
  for (entry, isDropped) in zip(entries, isDropped) where !isDropped {
    unsafe memoryMove(out.base + entry.begin, to: out.base + end, count: entry.end - entry.begin)
    end += entry.end - entry.begin
  }
  out.count = end
  return entries.count - dropped
}

private func memoryMove(_ from: UnsafeMutableRawPointer, to: UnsafeMutableRawPointer, count: Int) {
  unsafe to.copyMemory(from: UnsafeRawPointer(from), byteCount: count)
}

/// LEB128.
private func appendLength(_ length: Int, _ out: inout GrowableBytes) {
  var rest = length
  while rest >= 0x80 {
    out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
    rest >>= 7
  }
  out.append(UInt8(truncatingIfNeeded: rest))
}

/// Puts a length before what has been written since `place`.
private func insertLength(_ length: Int, at place: Int, _ out: inout GrowableBytes) {
  let end = out.count
  appendLength(length, &out)
  let added = out.count - end
  out.reserve(added)
  // The length goes behind for a moment, and to the front once that is free.
  unsafe (out.base + out.count).copyMemory(from: out.base + end, byteCount: added)
  unsafe memoryMove(out.base + place, to: out.base + place + added, count: end - place)
  unsafe (out.base + place).copyMemory(from: out.base + out.count, byteCount: added)
}

private func appendText(_ bytes: ByteView, _ slot: ValueSlot, _ out: inout GrowableBytes) {
  let (start, end) = (Int(slot.start), Int(slot.end))
  guard slot.kind == .escapedString else {
    appendLength(end - start, &out)
    unsafe out.append(UnsafeRawBufferPointer(start: bytes.base + start, count: end - start))
    return
  }
  let place = out.count
  out.reserve(end - start + RecordBuffer.slack)
  let count = unsafe unescape(bytes, start, end, to: out.end.assumingMemoryBound(to: UInt8.self))
  out.count += count
  insertLength(count, at: place, &out)
}
