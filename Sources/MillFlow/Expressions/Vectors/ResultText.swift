internal import MillBase

extension Column {
  /// A row's value as ClickHouse's toString writes it, arrays and maps with quotes around their texts; nil for NULL. For people: one value
  /// at a time, and bytes that are no UTF-8 are replaced.
  package func text(_ row: Int) -> String? {
    if isNullable, unsafe nulls.raw[row] != 0 { return nil }
    let base = unsafe UnsafePointer(bytes.base.assumingMemoryBound(to: UInt8.self))
    let slice: Slice
    switch layout {
    case .fixed(let byteCount): unsafe slice = Slice(base: base + row * byteCount, count: byteCount)
    case .text:
      let ends = unsafe self.ends.base.assumingMemoryBound(to: UInt32.self)
      let start = row == 0 ? 0 : unsafe Int(ends[row - 1])
      unsafe slice = Slice(base: base + start, count: Int(ends[row]) - start)
    }
    let register = Register(width: 0, rowCount: 1)
    var writer = TextWriter(register)
    var index = 0
    ResultText.append(type.plain.bare, slice, &index, isInside: false, to: &writer)
    guard writer.end(0) else { return "…" }
    return unsafe String(decoding: register.view(isConstant: true).slice.raw, as: UTF8.self)
  }
}

extension View {
  /// The text of row 0.
  fileprivate var slice: Slice { Slices(self, width: 0)[0] }
}

/// Arrays and maps as texts.
enum ResultText {
  /// Reads a value at `index`: inside of arrays and maps texts have their length before them.
  static func append(_ type: DataType, _ bytes: Slice, _ index: inout Int, isInside: Bool, to writer: inout TextWriter) {
    switch type {
    case .nullable(let inner):
      let isNull = bytes[index] == 1
      index += 1
      if isNull { return writer.append("NULL") }
      append(inner, bytes, &index, isInside: isInside, to: &writer)
    case .lowCardinality(let inner): append(inner, bytes, &index, isInside: isInside, to: &writer)
    case .array(let item):
      writer.append(UInt8(ascii: "["))
      for number in 0..<bytes.count(at: &index) {
        if number > 0 { writer.append(UInt8(ascii: ",")) }
        append(item, bytes, &index, isInside: true, to: &writer)
      }
      writer.append(UInt8(ascii: "]"))
    case .map(let key, let value):
      writer.append(UInt8(ascii: "{"))
      for number in 0..<bytes.count(at: &index) {
        if number > 0 { writer.append(UInt8(ascii: ",")) }
        append(key, bytes, &index, isInside: true, to: &writer)
        writer.append(UInt8(ascii: ":"))
        append(value, bytes, &index, isInside: true, to: &writer)
      }
      writer.append(UInt8(ascii: "}"))
    default:
      let count = type.width > 0 ? type.width : isInside ? bytes.count(at: &index) : bytes.count - index
      let isQuoted = isInside && !type.isNumber && type != .bool
      if isQuoted { writer.append(UInt8(ascii: "'")) }
      appendEscaped(type, bytes.part(index, index + count), isQuoted, to: &writer)
      if isQuoted { writer.append(UInt8(ascii: "'")) }
      index += count
    }
  }

  private static func appendEscaped(_ type: DataType, _ value: Slice, _ isQuoted: Bool, to writer: inout TextWriter) {
    guard isQuoted, type == .string else { return TextOutput.Format(type).append(value, to: &writer) }
    for index in 0..<value.count {
      switch value[index] {
      case UInt8(ascii: "'"): writer.append("\\'")
      case UInt8(ascii: "\\"): writer.append("\\\\")
      case UInt8(ascii: "\n"): writer.append("\\n")
      case UInt8(ascii: "\t"): writer.append("\\t")
      case UInt8(ascii: "\r"): writer.append("\\r")
      case 0: writer.append("\\0")
      case let byte: writer.append(byte)
      }
    }
  }
}

extension Slice {
  /// LEB128, as arrays, maps and texts in them have before their items.
  func count(at index: inout Int) -> Int {
    var (value, shift) = (0, 0)
    while true {
      let byte = self[index]
      index += 1
      value |= Int(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
  }
}
