internal import MillBase

/// One JSON text at a time, checked and then walked through. Memory is kept from text to text.
struct JSONDocument: ~Copyable {
  /// The text that was looked into last.
  typealias View = ByteView

  /// A number in it.
  struct Number {
    var view: View
    var slot: ValueSlot

    /// Nil for a fraction, and beyond 64 bits.
    var integer: Int128? {
      let number = DecimalNumber(view, Int(slot.start), Int(slot.end))
      guard let value = try? number.magnitude(shift: 0, drop: false, at: 0) else { return nil }  // it has a fraction, or is too great
      return number.isNegative ? -Int128(value.value) : Int128(value.value)
    }

    /// Nil where it is none that is finite.
    var double: Double? {
      let value = nearestDouble(view, Int(slot.start), Int(slot.end))
      return value.isFinite ? value : nil
    }
  }

  private var bytes = GrowableBytes()
  /// Of no paths: the scanner only checks.
  private let tree: KeyTree

  init() {
    var slots: [Int] = []
    tree = KeyTree(paths: [], slotIndexes: &slots)
  }

  var view: View { unsafe ByteView(UnsafePointer(bytes.base.assumingMemoryBound(to: UInt8.self))) }

  /// Copies the text, which readers look behind, and checks it. The value at the end of the path; nil where there is none.
  mutating func find(_ text: Slice, _ path: [JSONStep]) -> ValueSlot? {
    bytes.count = 0
    bytes.reserve(text.count + RecordBuffer.slack)
    unsafe bytes.append(text.raw)
    unsafe bytes.end.initializeMemory(as: UInt8.self, repeating: 0, count: RecordBuffer.slack)
    guard isJSON(text.count) else { return nil }
    let view = self.view
    let whole = jsonValue(view, skippedSpaces(view, 0))
    guard skippedSpaces(view, whole.end) >= text.count else { return nil }
    var slot = whole.slot
    for step in path {
      guard let next = Self.step(view, slot, step) else { return nil }
      slot = next
    }
    return slot
  }

  private func isJSON(_ count: Int) -> Bool {
    var scanner = JSONScanner(view, count: count, tree: tree)
    do throws(DecodeFault) {
      try scanner.scanRecord()
      return true
    } catch {
      // Checked too, what stands behind the value aside.
      return error.reason == .notAnObject
    }
  }

  private static func step(_ view: View, _ slot: ValueSlot, _ step: JSONStep) -> ValueSlot? {
    switch (step, slot.kind) {
    case (.key(let key), .object): return value(view, slot) { start, end, isEscaped in isEqual(view, start, end, isEscaped, key) }
    case (.item(let number), .array), (.number(let number), .array):
      let items = count(view, slot)
      return item(view, slot, number > 0 ? number - 1 : items + number, items)
    case (.number(let number), .object):
      var values: [ValueSlot] = []
      _ = value(view, slot, each: { values.append($0) }) { _, _, _ in false }
      let place = number > 0 ? number - 1 : values.count + number
      return number != 0 && values.indices.contains(place) ? values[place] : nil
    default: return nil
    }
  }

  /// The first value of an object whose key passes; `each` sees all before it.
  private static func value(
    _ view: View, _ slot: ValueSlot, each: (ValueSlot) -> Void = { _ in }, _ passes: (Int, Int, Bool) -> Bool
  ) -> ValueSlot? {
    var index = skippedSpaces(view, Int(slot.start) + 1)
    while view[index] == UInt8(ascii: "\"") {
      let key = jsonValue(view, index)
      // Behind the colon.
      let value = jsonValue(view, skippedSpaces(view, skippedSpaces(view, key.end) + 1))
      if passes(Int(key.slot.start), Int(key.slot.end), key.slot.kind == .escapedString) { return value.slot }
      each(value.slot)
      index = skippedSpaces(view, value.end)
      if view[index] == UInt8(ascii: ",") { index = skippedSpaces(view, index + 1) }
    }
    return nil
  }

  private static func isEqual(_ view: View, _ start: Int, _ end: Int, _ isEscaped: Bool, _ key: [UInt8]) -> Bool {
    guard isEscaped else { return end - start == key.count && key.indices.allSatisfy { view[start + $0] == key[$0] } }
    return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: end - start + RecordBuffer.slack) { buffer in
      let count = unsafe unescape(view, start, end, to: buffer.baseAddress!)
      return count == key.count && key.indices.allSatisfy { unsafe buffer[$0] == key[$0] }
    }
  }

  private static func count(_ view: View, _ slot: ValueSlot) -> Int {
    var (count, index) = (0, skippedSpaces(view, Int(slot.start) + 1))
    while view[index] != UInt8(ascii: "]") {
      count += 1
      index = skippedSpaces(view, jsonValue(view, index).end)
      if view[index] == UInt8(ascii: ",") { index = skippedSpaces(view, index + 1) }
    }
    return count
  }

  private static func item(_ view: View, _ slot: ValueSlot, _ place: Int, _ count: Int) -> ValueSlot? {
    guard place >= 0, place < count else { return nil }
    var index = skippedSpaces(view, Int(slot.start) + 1)
    for _ in 0..<place { index = skippedSpaces(view, skippedSpaces(view, jsonValue(view, index).end) + 1) }
    return jsonValue(view, index).slot
  }

  /// A value as it stands, a string's quotes too; or what a string stands for.
  func append(_ slot: ValueSlot, asSource: Bool, to writer: inout TextWriter) {
    let isText = slot.kind == .string || slot.kind == .escapedString
    let quote = asSource && isText ? 1 : 0
    let (start, end) = (Int(slot.start) - quote, Int(slot.end) + quote)
    guard !asSource, slot.kind == .escapedString else { return unsafe writer.append(Slice(base: view.base + start, count: end - start)) }
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: end - start + RecordBuffer.slack) { buffer in
      let count = unsafe unescape(view, start, end, to: buffer.baseAddress!)
      unsafe writer.append(Slice(base: UnsafePointer(buffer.baseAddress!), count: count))
    }
  }
}
