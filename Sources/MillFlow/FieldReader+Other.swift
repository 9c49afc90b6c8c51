extension FieldReader {
  /// The kinds that ``read(_:_:_:into:row:)`` doesn't know by itself.
  @inline(never)
  func readOther(_ bytes: ByteView, _ slot: ValueSlot, _ aids: FieldAids?, into writer: inout ColumnWriter, row: Int) throws(DecodeFault) {
    let (start, end) = (Int(slot.start), Int(slot.end))
    switch (slot.kind, kind) {
    case (.string, .date32): try storeTime(bytes, slot, aids, into: &writer, row: row)
    case (.string, .fixedString):
      guard unsafe writer.storePadded(bytes.base + start, count: end - start, row: row) else { throw fault(.outOfRange, slot) }
    case (.string, .ipv4):
      guard let address = ipv4(bytes, start, end) else { throw fault(.invalidIP, slot) }
      writer.store(UInt64(address), row: row)
    case (.string, .ipv6):
      guard let address = ipv6(bytes, start, end) else { throw fault(.invalidIP, slot) }
      writer.store(address.first.bigEndian, address.second.bigEndian, row: row)
    case (.number, .wide):
      guard let aids else { preconditionFailure("no bounds for a wide number") }
      let (magnitude, isNegative) = try wideMagnitude(bytes, start, end, shift: Int(scale), at: slot.start)
      try store(magnitude, isNegative: isNegative, aids, slot, into: &writer, row: row)
    case (.string, .enumeration):
      guard let value = aids?.enumNames?.value(named: bytes, start, end) else { throw fault(.unknownName, slot) }
      writer.store(UInt64(bitPattern: Int64(value)), row: row)
    case (.number, .enumeration):
      let value = try DecimalNumber(bytes, start, end).integer(shift: 0, drop: false, at: slot.start)
      guard let names = aids?.enumNames, names.hasName(value) else { throw fault(.unknownName, slot) }
      writer.store(UInt64(bitPattern: value), row: row)
    case (.array, .composed), (.object, .composed):
      guard let composed = aids?.composed else { preconditionFailure("no reader for an Array or Map") }
      try composed.read(bytes, slot, into: &writer, row: row)
    default: throw fault(.wrongType, slot)
    }
  }

  /// A whole number from a record's metadata.
  func storeInteger(_ value: Int64, _ slot: ValueSlot, _ aids: FieldAids?, into writer: inout ColumnWriter, row: Int) throws(DecodeFault) {
    guard kind == .wide, let aids else { return try store(DecimalNumber(value), slot, into: &writer, row: row) }
    try store(UInt256(low: UInt128(value.magnitude)), isNegative: value < 0, aids, slot, into: &writer, row: row)
  }

  private func store(
    _ magnitude: UInt256, isNegative: Bool, _ aids: FieldAids, _ slot: ValueSlot, into writer: inout ColumnWriter, row: Int
  ) throws(DecodeFault) {
    guard magnitude <= (isNegative ? aids.wideBounds.negative : aids.wideBounds.positive) else { throw fault(.outOfRange, slot) }
    writer.store(isNegative ? magnitude.negated : magnitude, row: row)
  }
}

/// The magnitude of a number's text · 10^shift as a whole number, without rounding: a fraction is an error.
private func wideMagnitude(_ bytes: ByteView, _ start: Int, _ end: Int, shift: Int, at position: Int32) throws(DecodeFault)
  -> (magnitude: UInt256, isNegative: Bool)
{
  let isNegative = bytes[start] == UInt8(ascii: "-")
  let first = isNegative ? start + 1 : start
  let (digitCount, exponent) = digitsAndExponent(bytes, first, end)
  let places = exponent + shift
  // Digits behind the last place must be zeros.
  let kept = places < 0 ? max(digitCount + places, 0) : digitCount
  var value = UInt256(low: 0)
  var number = 0
  var index = first
  while number < digitCount {
    let digit = bytes[index] &- 0x30
    index += 1
    if digit > 9 { continue }
    if number >= kept {
      guard digit == 0 else { throw DecodeFault(reason: .losesDigits, position: position) }
    } else {
      guard let next = value.times(10, plus: UInt64(digit)) else { throw DecodeFault(reason: .outOfRange, position: position) }
      value = next
    }
    number += 1
  }
  if places <= 0 || value == UInt256(low: 0) { return (value, isNegative) }
  for _ in 0..<min(places, 78) {
    guard let next = value.times(10, plus: 0) else { throw DecodeFault(reason: .outOfRange, position: position) }
    value = next
  }
  return (value, isNegative)
}

/// How many digits the number has before its exponent, and by which power of ten they are to be taken.
private func digitsAndExponent(_ bytes: ByteView, _ start: Int, _ end: Int) -> (digitCount: Int, exponent: Int) {
  var index = start
  skipDigits(bytes, &index, end)
  var digitCount = index - start
  var exponent = 0
  if index < end, bytes[index] == UInt8(ascii: ".") {
    let point = index + 1
    index = point
    skipDigits(bytes, &index, end)
    digitCount += index - point
    exponent = point - index
  }
  if index == end { return (digitCount, exponent) }
  index += 1
  let isNegative = bytes[index] == UInt8(ascii: "-")
  if isNegative || bytes[index] == UInt8(ascii: "+") { index += 1 }
  var value = 0
  while index < end {
    // No text is so long that its digits could make up for an exponent of that size.
    if value < 1_000_000_000_000_000 { value = value * 10 + Int(bytes[index] - 0x30) }
    index += 1
  }
  return (digitCount, exponent + (isNegative ? -value : value))
}
