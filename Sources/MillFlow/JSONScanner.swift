internal import CPlatform
internal import MillBase

/// Walks over one JSON text, checks all of it against RFC 8259 and UTF-8, and notes where the values of a ``KeyTree`` stand.
///
/// Strict: no comments, no trailing commas, no byte order mark, no lone surrogates. Only bytes before `end` count; up to
/// ``RecordBuffer/slack`` more are loaded and never believed.
@safe struct JSONScanner {
  private let bytes: ByteView
  private let end: Int
  private var index = 0
  private let nodes: UnsafeMutablePointer<KeyTree.Node>
  private let keys: UnsafeMutablePointer<KeyTree.Key>
  private let names: UnsafeMutablePointer<UInt8>
  private let slots: UnsafeMutablePointer<ValueSlot>

  /// The tree must outlive the scanner.
  @inline(__always)
  init(_ bytes: ByteView, count: Int, tree: borrowing KeyTree) {
    self.bytes = bytes
    self.end = count
    unsafe nodes = tree.nodes
    unsafe keys = tree.keys
    unsafe names = tree.names
    unsafe slots = tree.slots
  }

  /// Scans the record's object and nothing behind it. Slots must be cleared before.
  @inline(__always)
  mutating func scanRecord() throws(DecodeFault) {
    skipSpaces()
    guard index < end else { throw fault(.malformedJSON) }
    guard bytes[index] == UInt8(ascii: "{") else {
      // A text that is JSON, but no object, is told from one that is none.
      _ = try scanValue(depth: 0)
      throw DecodeFault(reason: .notAnObject, position: 0)
    }
    try scanObject(node: 1, depth: 1)
    skipSpaces()
    guard index == end else { throw fault(.trailingBytes) }
  }

  @inline(__always)
  private func fault(_ reason: DecodeReason) -> DecodeFault {
    DecodeFault(reason: reason, position: Int32(truncatingIfNeeded: min(index, end)))
  }

  @inline(__always)
  private mutating func skipSpaces() {
    while index < end {
      let byte = bytes[index]
      guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
      index &+= 1
    }
  }

  /// Takes one structural character.
  @inline(__always)
  private mutating func take(_ byte: UInt8) -> Bool {
    guard index < end, bytes[index] == byte else { return false }
    index &+= 1
    return true
  }

  /// At `{`.
  private mutating func scanObject(node: Int, depth: Int) throws(DecodeFault) {
    guard depth <= RecordDecoder.depthMax else { throw fault(.tooDeep) }
    index &+= 1
    skipSpaces()
    if take(UInt8(ascii: "}")) { return }
    let firstKey = unsafe Int(nodes[node].firstKey)
    let endKey = unsafe firstKey &+ Int(nodes[node].keyCount)
    var predicted = firstKey
    while true {
      guard take(UInt8(ascii: "\"")) else { throw fault(.malformedJSON) }
      var key = -1
      if predicted < endKey, isNext(predicted) {
        key = predicted
        unsafe index &+= Int(keys[key].nameCount) &+ 1
      } else {
        let start = index
        let isEscaped = try scanString()
        if firstKey < endKey { key = find(firstKey, endKey, start, index &- 1, isEscaped) }
      }
      if key >= 0 { predicted = key &+ 1 }
      skipSpaces()
      guard take(UInt8(ascii: ":")) else { throw fault(.malformedJSON) }
      skipSpaces()
      if key < 0 { _ = try scanValue(depth: depth) } else { try scanValue(of: key, depth: depth) }
      skipSpaces()
      if take(UInt8(ascii: ",")) {
        skipSpaces()
        continue
      }
      guard take(UInt8(ascii: "}")) else { throw fault(.malformedJSON) }
      return
    }
  }

  /// A value that a path leads to or through. Of a repeated key the last one counts, with all that is below it.
  @inline(__always)
  private mutating func scanValue(of key: Int, depth: Int) throws(DecodeFault) {
    let entry = unsafe keys[key]
    if entry.child == 0 {
      unsafe slots[Int(entry.slot)] = try scanValue(depth: depth)
      return
    }
    let start = index
    let isObject = index < end && bytes[index] == UInt8(ascii: "{")
    var slot = ValueSlot(start: 0, end: 0, kind: .object)
    if isObject {
      clear(entry, .missing)
      try scanObject(node: Int(entry.child), depth: depth &+ 1)
      slot = ValueSlot(start: Int32(truncatingIfNeeded: start), end: Int32(truncatingIfNeeded: index), kind: .object)
    } else {
      slot = try scanValue(depth: depth)
      clear(entry, slot.kind == .null ? .null : .blocked, start: slot.start, end: slot.end)
    }
    if entry.slot >= 0 { unsafe slots[Int(entry.slot)] = slot }
  }

  private func clear(_ key: KeyTree.Key, _ kind: ValueKind, start: Int32 = 0, end: Int32 = 0) {
    for slot in Int(key.firstSlotBelow)..<Int(key.firstSlotBelow + key.slotCountBelow) {
      unsafe slots[slot] = ValueSlot(start: start, end: end, kind: kind)
    }
  }

  /// At `[`.
  private mutating func scanArray(depth: Int) throws(DecodeFault) {
    guard depth <= RecordDecoder.depthMax else { throw fault(.tooDeep) }
    index &+= 1
    skipSpaces()
    if take(UInt8(ascii: "]")) { return }
    while true {
      _ = try scanValue(depth: depth)
      skipSpaces()
      if take(UInt8(ascii: ",")) {
        skipSpaces()
        continue
      }
      guard take(UInt8(ascii: "]")) else { throw fault(.malformedJSON) }
      return
    }
  }

  /// One value inside something `depth` deep.
  private mutating func scanValue(depth: Int) throws(DecodeFault) -> ValueSlot {
    guard index < end else { throw fault(.malformedJSON) }
    let start = index
    var kind: ValueKind
    switch bytes[index] {
    case UInt8(ascii: "\""):
      index &+= 1
      kind = try scanString() ? .escapedString : .string
      return ValueSlot(start: Int32(truncatingIfNeeded: start &+ 1), end: Int32(truncatingIfNeeded: index &- 1), kind: kind)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      try scanNumber()
      kind = .number
    case UInt8(ascii: "{"):
      try scanObject(node: 0, depth: depth &+ 1)
      kind = .object
    case UInt8(ascii: "["):
      try scanArray(depth: depth &+ 1)
      kind = .array
    case UInt8(ascii: "t"):
      guard end &- index >= 4, bytes.load(UInt32.self, at: index) == 0x6575_7274 else { throw fault(.malformedJSON) }
      index &+= 4
      kind = .true
    case UInt8(ascii: "f"):
      guard end &- index >= 5, bytes.load(UInt32.self, at: index &+ 1) == 0x6573_6C61 else { throw fault(.malformedJSON) }
      index &+= 5
      kind = .false
    case UInt8(ascii: "n"):
      guard end &- index >= 4, bytes.load(UInt32.self, at: index) == 0x6C6C_756E else { throw fault(.malformedJSON) }
      index &+= 4
      kind = .null
    default: throw fault(.malformedJSON)
    }
    return ValueSlot(start: Int32(truncatingIfNeeded: start), end: Int32(truncatingIfNeeded: index), kind: kind)
  }

  @inline(__always)
  private mutating func scanNumber() throws(DecodeFault) {
    guard let next = numberEnd(bytes, index, end) else { throw fault(.malformedJSON) }
    index = next
  }

  /// Behind the opening quote; goes behind the closing one. True where something is escaped.
  @inline(__always)
  private mutating func scanString() throws(DecodeFault) -> Bool {
    var isEscaped = false
    while index < end {
      let mask = unsafe mr_scan_string(bytes.base + index)
      if mask == 0 {
        index &+= 16
        continue
      }
      index &+= mask.trailingZeroBitCount
      guard index < end else { break }
      let byte = bytes[index]
      if byte == UInt8(ascii: "\"") {
        index &+= 1
        return isEscaped
      }
      if byte >= 0x80 {
        try scanUTF8()
      } else {
        guard byte == UInt8(ascii: "\\") else { throw fault(.malformedJSON) }
        try scanEscape()
        isEscaped = true
      }
    }
    throw fault(.malformedJSON)
  }

  /// At a backslash.
  @inline(never)
  private mutating func scanEscape() throws(DecodeFault) {
    guard index &+ 1 < end else { throw fault(.malformedJSON) }
    switch bytes[index &+ 1] {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
      UInt8(ascii: "r"),
      UInt8(ascii: "t"):
      index &+= 2
    case UInt8(ascii: "u"):
      guard let unit = hexUnit(bytes, at: index &+ 2), index &+ 6 <= end else { throw fault(.malformedJSON) }
      if unit & 0xF800 != 0xD800 {
        index &+= 6
        return
      }
      guard unit < 0xDC00, index &+ 12 <= end, bytes[index &+ 6] == UInt8(ascii: "\\"), bytes[index &+ 7] == UInt8(ascii: "u"),
        let low = hexUnit(bytes, at: index &+ 8), low & 0xFC00 == 0xDC00
      else { throw fault(.loneSurrogate) }
      index &+= 12
    default: throw fault(.malformedJSON)
    }
  }

  /// At a byte of 0x80 or up; goes over all that follow. A sequence that runs over the end is none, whatever stands behind it.
  @inline(never)
  private mutating func scanUTF8() throws(DecodeFault) {
    repeat {
      guard let count = utf8SequenceCount(bytes, at: index), index &+ count <= end else {
        throw fault(.invalidUTF8)
      }
      index &+= count
    } while index < end && bytes[index] >= 0x80
  }

  /// Whether the key's name and a quote stand at the index.
  @inline(__always)
  private func isNext(_ key: Int) -> Bool {
    let entry = unsafe keys[key]
    let count = Int(entry.nameCount)
    guard entry.isPlain, end &- index > count, bytes[index &+ count] == UInt8(ascii: "\"") else { return false }
    return isEqual(entry, index, count)
  }

  @inline(__always)
  private func isEqual(_ key: KeyTree.Key, _ start: Int, _ count: Int) -> Bool {
    var done = 0
    let name = unsafe UnsafeRawPointer(names + Int(key.nameStart))
    while count &- done >= 8 {
      guard unsafe bytes.load(UInt64.self, at: start &+ done) == name.loadUnaligned(fromByteOffset: done, as: UInt64.self) else {
        return false
      }
      done &+= 8
    }
    if done == count { return true }
    // Shifts out what stands behind both.
    let shift = UInt64(8 &* (8 &- (count &- done)))
    let difference = unsafe bytes.load(UInt64.self, at: start &+ done) ^ name.loadUnaligned(fromByteOffset: done, as: UInt64.self)
    return UInt64(littleEndian: difference) &<< shift == 0
  }

  /// The key among `first ..< last` that a scanned name is, or -1.
  @inline(never)
  private func find(_ first: Int, _ last: Int, _ start: Int, _ end: Int, _ isEscaped: Bool) -> Int {
    if isEscaped { return findEscaped(first, last, start, end) }
    for key in first..<last {
      let entry = unsafe keys[key]
      if Int(entry.nameCount) == end &- start, entry.isPlain, isEqual(entry, start, end &- start) { return key }
    }
    return -1
  }

  @inline(never)
  private func findEscaped(_ first: Int, _ last: Int, _ start: Int, _ end: Int) -> Int {
    let name = UnsafeMutablePointer<UInt8>.allocate(capacity: end - start + RecordBuffer.slack)
    defer { unsafe name.deallocate() }
    let count = unsafe unescape(bytes, start, end, to: name)
    for key in first..<last {
      let entry = unsafe keys[key]
      guard Int(entry.nameCount) == count else { continue }
      var index = 0
      while index < count, unsafe name[index] == names[Int(entry.nameStart) + index] { index += 1 }
      if index == count { return key }
    }
    return -1
  }
}
