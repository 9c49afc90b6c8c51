internal import MillBase
internal import MillFlow

extension NativeColumn {
  /// The version of each LowCardinality in the type, which stands before all values.
  static func writePrefix(_ type: DataType, _ out: inout GrowableBytes) {
    switch type {
    case .lowCardinality: Native.dictionaryVersion(&out)
    case .array(let element): writePrefix(element, &out)
    case .map(let key, let value):
      writePrefix(key, &out)
      writePrefix(value, &out)
    default: break
    }
  }

  /// The values of these rows, run after run, as a column of their own, out of the block's bytes.
  func write(_ runs: [Range<Int>], of bytes: [UInt8], _ out: inout GrowableBytes) {
    if let nullsStart { for run in runs { Self.copy(bytes, nullsStart + run.lowerBound, run.count, &out) } }
    switch values {
    case .fixed(let start, let width): for run in runs { Self.copy(bytes, start + run.lowerBound * width, run.count * width, &out) }
    case .texts(let begins):
      for run in runs { Self.copy(bytes, begins[run.lowerBound], begins[run.upperBound] - begins[run.lowerBound], &out) }
    case .dictionary(let keys, let start, let indexWidth): writeDictionary(keys, start, indexWidth, runs, of: bytes, &out)
    case .list(let start, let parts):
      var items: [Range<Int>] = []
      var end: UInt64 = 0
      for run in runs {
        let its = Self.items(start, run, bytes)
        for row in run { out.append((end + Self.word(bytes, start + row * 8, 8) - UInt64(its.lowerBound)).littleEndian) }
        end += UInt64(its.count)
        items.append(its)
      }
      for part in parts { part.write(items, of: bytes, &out) }
    }
  }

  /// A dictionary of the keys that these values have, in the order in which they first appear, after the default (and the place of NULL):
  /// what the encoder makes of the values.
  private func writeDictionary(
    _ keys: NativeColumn, _ start: Int, _ indexWidth: Int, _ runs: [Range<Int>], of bytes: [UInt8], _ out: inout GrowableBytes
  ) {
    let count = runs.reduce(0) { $0 + $1.count }
    if count == 0 { return }
    let fixed = min(isNullAtZero ? 2 : 1, keys.count)
    var kept = Array(0..<fixed)
    var places = [UInt32](repeating: .max, count: keys.count)
    for key in kept { places[key] = UInt32(key) }
    var indexes: [UInt32] = []
    indexes.reserveCapacity(count)
    for place in runs.joined() {
      let key = Int(Self.word(bytes, start + place * indexWidth, indexWidth))
      if places[key] == .max {
        places[key] = UInt32(truncatingIfNeeded: kept.count)
        kept.append(key)
      }
      indexes.append(places[key])
    }
    Native.dictionaryHead(keyCount: kept.count, &out)
    for key in kept { keys.write([key..<(key + 1)], of: bytes, &out) }
    Native.indexes(indexes, keyCount: kept.count, &out)
  }

  private static func copy(_ bytes: [UInt8], _ start: Int, _ count: Int, _ out: inout GrowableBytes) {
    unsafe bytes.withRawBytes { unsafe out.append(UnsafeRawBufferPointer(rebasing: $0[start..<(start + count)])) }
  }
}
