internal import CPlatform

/// The value that begins at `start`, in a text that is known to be JSON, and where it ends.
func jsonValue(_ bytes: ByteView, _ start: Int) -> (slot: ValueSlot, end: Int) {
  var kind: ValueKind
  var end = start
  switch bytes[start] {
  case UInt8(ascii: "\""):
    let isEscaped = skipString(bytes, &end)
    let slot = ValueSlot(
      start: Int32(truncatingIfNeeded: start + 1), end: Int32(truncatingIfNeeded: end - 1), kind: isEscaped ? .escapedString : .string)
    return (slot, end)
  case UInt8(ascii: "{"), UInt8(ascii: "["):
    kind = bytes[start] == UInt8(ascii: "{") ? .object : .array
    skipNested(bytes, &end)
  case UInt8(ascii: "t"): (kind, end) = (.true, start + 4)
  case UInt8(ascii: "f"): (kind, end) = (.false, start + 5)
  case UInt8(ascii: "n"): (kind, end) = (.null, start + 4)
  default:
    kind = .number
    while isNumberByte(bytes[end]) { end += 1 }
  }
  return (ValueSlot(start: Int32(truncatingIfNeeded: start), end: Int32(truncatingIfNeeded: end), kind: kind), end)
}

/// The first place from `start` on that isn't white space; there must be one.
func skippedSpaces(_ bytes: ByteView, _ start: Int) -> Int {
  var index = start
  while bytes[index] == 0x20 || bytes[index] == 0x0A || bytes[index] == 0x0D || bytes[index] == 0x09 { index += 1 }
  return index
}

private func isNumberByte(_ byte: UInt8) -> Bool {
  switch byte {
  case 0x30...0x39, UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): true
  default: false
  }
}

/// At the opening quote; goes behind the closing one. True where something is escaped.
private func skipString(_ bytes: ByteView, _ index: inout Int) -> Bool {
  var isEscaped = false
  index += 1
  while true {
    let mask = unsafe mr_scan_string(bytes.base + index)
    if mask == 0 {
      index += 16
      continue
    }
    index += mask.trailingZeroBitCount
    switch bytes[index] {
    case UInt8(ascii: "\""):
      index += 1
      return isEscaped
    case UInt8(ascii: "\\"):
      isEscaped = true
      index += 2
    default: index += 1
    }
  }
}

/// At an opening bracket; goes behind the one that closes it.
private func skipNested(_ bytes: ByteView, _ index: inout Int) {
  var depth = 0
  repeat {
    switch bytes[index] {
    case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
    case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
    case UInt8(ascii: "\""):
      _ = skipString(bytes, &index)
      continue
    default: break
    }
    index += 1
  } while depth > 0
}
