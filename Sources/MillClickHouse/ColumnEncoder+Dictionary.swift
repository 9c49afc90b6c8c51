internal import MillBase
internal import MillFlow

extension ColumnEncoder {
  /// LowCardinality: the keys in the order in which they first appear, after the default key (and the place of NULL), then an index a row.
  func encodeDictionary(_ fit: Fit, nullable: Bool, _ out: inout GrowableBytes) {
    var keys = KeyTable(target.type.layout, nullable: nullable)
    var indexes = [UInt32](repeating: 0, count: rows.count)
    switch (source.layout, fit) {
    case (.text, _): numberTexts(&keys, &indexes)
    case (.fixed(let width), .same):
      precondition(source.bytes.count >= rows.upperBound * width, "column \(target.name): \(source.bytes.count) bytes")
      unsafe numberValues(source.bytes.base + rows.lowerBound * width, width, &keys, &indexes)
    case (.fixed(let width), .widened(let from, let to)):
      precondition(source.bytes.count >= rows.upperBound * width, "column \(target.name): \(source.bytes.count) bytes")
      var wide = GrowableBytes()
      widen(from, to, &wide)
      unsafe numberValues(wide.base, to.byteCount, &keys, &indexes)
    }
    Native.dictionaryVersion(&out)
    keys.write(indexes, &out)
  }

  private func numberTexts(_ keys: inout KeyTable, _ indexes: inout [UInt32]) {
    precondition(source.ends.count >= rows.upperBound * 4, "column \(target.name): \(source.ends.count) bytes of ends")
    var start = end(rows.lowerBound - 1)
    for (place, row) in rows.enumerated() {
      let stop = end(row)
      precondition(start <= stop && stop <= source.bytes.count, "column \(target.name), row \(row): text ends at \(stop)")
      if !isNull(row) {
        indexes[place] = unsafe keys.index(of: UnsafeRawBufferPointer(start: source.bytes.base + start, count: stop - start))
      }
      start = stop
    }
  }

  private func numberValues(_ values: UnsafeMutableRawPointer, _ width: Int, _ keys: inout KeyTable, _ indexes: inout [UInt32]) {
    for (place, row) in rows.enumerated() where !isNull(row) {
      indexes[place] = unsafe keys.index(of: UnsafeRawBufferPointer(start: values + place * width, count: width))
    }
  }
}

/// The distinct values of a LowCardinality column, numbered as they come; the type's default is the first, behind NULL where there is one.
@safe struct KeyTable: ~Copyable {
  /// The keys so far: texts with their LEB128 length, others as they are.
  private var encoded = GrowableBytes()
  private var count = 0
  private let isText: Bool
  private let firstIndex: UInt32
  /// Open addressing; 0 is free, else key number + 1.
  private var slots = [UInt32](repeating: 0, count: 1024)
  private var hashes: [UInt64] = []
  /// So that nobody can send texts that all come to one slot; a hash without a key would let him compute them.
  private let secret = Digest128(low: systemRandomUInt64(), high: systemRandomUInt64())
  private var starts: [Int] = []
  private var lengths: [Int] = []

  init(_ layout: ColumnLayout, nullable: Bool) {
    isText = layout == .text
    firstIndex = nullable ? 1 : 0
    let width = if case .fixed(let byteCount) = layout { byteCount } else { 0 }
    let zeros = [UInt8](repeating: 0, count: width)
    unsafe zeros.withRawBytes { zero in
      // What stands at NULL's place is never read.
      if nullable { unsafe append(zero) }
      _ = unsafe index(of: zero)
    }
  }

  /// The number of a value, as it stands in a column of its type.
  mutating func index(of key: UnsafeRawBufferPointer) -> UInt32 {
    let hash = unsafe siphash128(key: secret, key).low
    var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[slot] != 0 {
      let number = Int(slots[slot]) - 1
      if hashes[number] == hash, unsafe isEqual(number, key) { return firstIndex + UInt32(number) }
      slot = (slot + 1) & (slots.count - 1)
    }
    unsafe append(key)
    starts.append(encoded.count - key.count)
    lengths.append(key.count)
    hashes.append(hash)
    count += 1
    slots[slot] = UInt32(count)
    if count * 2 > slots.count { grow() }
    return firstIndex + UInt32(count - 1)
  }

  /// Keys and indexes, all that stands behind the version.
  func write(_ indexes: [UInt32], _ out: inout GrowableBytes) {
    let keyCount = count + Int(firstIndex)
    Native.dictionaryHead(keyCount: keyCount, &out)
    unsafe out.append(encoded.raw)
    Native.indexes(indexes, keyCount: keyCount, &out)
  }

  private mutating func append(_ key: UnsafeRawBufferPointer) {
    if isText { Native.length(UInt64(key.count), &encoded) }
    unsafe encoded.append(key)
  }

  private func isEqual(_ number: Int, _ key: UnsafeRawBufferPointer) -> Bool {
    guard lengths[number] == key.count else { return false }
    let known = unsafe UnsafeRawBufferPointer(rebasing: encoded.raw[starts[number]..<(starts[number] + key.count)])
    return unsafe known.elementsEqual(key)
  }

  private mutating func grow() {
    slots = [UInt32](repeating: 0, count: slots.count * 4)
    for number in 0..<count {
      var slot = Int(truncatingIfNeeded: hashes[number]) & (slots.count - 1)
      while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = UInt32(number + 1)
    }
  }
}
