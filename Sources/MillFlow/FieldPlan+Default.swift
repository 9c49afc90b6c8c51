internal import MillBase

extension FieldPlan {
  /// The default's bytes as the column holds them, read by the code that reads records.
  ///
  /// An Array's or Map's default is JSON. Other texts are what a record's string would be; a number too, where only numbers are taken.
  func encodeDefault(_ text: String) throws(DecodeFault) -> [UInt8] {
    let column = Column(type)
    var writer = ColumnWriter(column, rowsToCome: 1)
    // Composed values are found by the scanner of records, as the value of one key.
    let opening = type.isComposed ? "{\"v\":" : ""
    let whole = opening + text + (type.isComposed ? "}" : "")
    let copy = unsafe copied(Array(whole.utf8) + [UInt8](repeating: 0, count: RecordBuffer.slack))
    defer { unsafe copy.deallocate() }
    let bytes = unsafe ByteView(copy)
    let slot = try type.isComposed ? composedSlot(bytes, count: whole.utf8.count) : slot(of: text, bytes)
    try FieldReader(self).read(bytes, slot, FieldAids(self), into: &writer, row: 0)
    writer.finish(rowCount: 1)
    return unsafe Array(column.bytes.raw)
  }

  private func composedSlot(_ bytes: ByteView, count: Int) throws(DecodeFault) -> ValueSlot {
    var indexes: [Int] = []
    let tree = KeyTree(paths: [["v"]], slotIndexes: &indexes)
    var scanner = JSONScanner(bytes, count: count, tree: tree)
    try scanner.scanRecord()
    let slot = unsafe tree.slots[0]
    // A text that goes on with another key is no single value.
    let isWhole = (Int(slot.end)..<(count - 1)).allSatisfy { bytes[$0] <= 0x20 } && (5..<Int(slot.start)).allSatisfy { bytes[$0] <= 0x20 }
    guard isWhole else { throw DecodeFault(reason: .trailingBytes, position: slot.end) }
    return slot
  }

  private func slot(of text: String, _ bytes: ByteView) -> ValueSlot {
    let count = text.utf8.count
    var slot = ValueSlot(start: 0, end: Int32(count), kind: .string)
    switch type.base {
    case .bool: slot.kind = text == "true" ? .true : text == "false" ? .false : .string
    case .enum8(let names), .enum16(let names):
      let isName = names.elements.contains { $0.name.elementsEqual(text.utf8) }
      if !isName, numberEnd(bytes, 0, count) == count { slot.kind = .number }
    default: if type.base.isTime, format.unixDigits != nil, numberEnd(bytes, 0, count) == count { slot.kind = .number }
    }
    return slot
  }
}
