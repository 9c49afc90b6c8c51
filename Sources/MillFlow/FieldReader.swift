internal import MillBase

/// How the values of one field are read: its plan in a form that the loop over records can use without touching an object.
struct FieldReader {
  enum Kind: UInt8 {
    case bool, integer, float32, float64, string, uuid, date, dateTime, dateTime64
    /// What ``readOther(_:_:_:into:row:)`` reads.
    case wide, fixedString, date32, ipv4, ipv6, enumeration, composed
  }

  let kind: Kind
  let isNullable: Bool
  let coerce: Bool
  let truncate: Bool
  /// Digits of a second that the type holds, or those behind the point of a Decimal.
  let scale: Int8
  /// ``FieldFormat/unixDigits``, or -1.
  let unixDigits: Int8
  /// Greatest magnitude of a value below zero, and of one above.
  let negativeMax: UInt64
  let positiveMax: UInt64

  init(_ plan: FieldPlan) { self.init(plan, type: plan.type) }

  /// Reads values of `type`, the plan's or that of items in it, as the plan says.
  init(_ plan: FieldPlan, type: DataType) {
    isNullable = type.isNullable
    coerce = plan.coerce
    truncate = plan.truncate
    unixDigits = Int8(plan.format.unixDigits ?? -1)
    var scale = 0
    var bounds: (UInt64, UInt64) = (0, 0)
    switch type.base {
    case .bool: kind = .bool
    case .int8: (kind, bounds) = (.integer, (1 << 7, 1 << 7 - 1))
    case .int16: (kind, bounds) = (.integer, (1 << 15, 1 << 15 - 1))
    case .int32: (kind, bounds) = (.integer, (1 << 31, 1 << 31 - 1))
    case .int64: (kind, bounds) = (.integer, (1 << 63, 1 << 63 - 1))
    case .uint8: (kind, bounds) = (.integer, (0, 1 << 8 - 1))
    case .uint16: (kind, bounds) = (.integer, (0, 1 << 16 - 1))
    case .uint32: (kind, bounds) = (.integer, (0, 1 << 32 - 1))
    case .uint64: (kind, bounds) = (.integer, (0, .max))
    case .int128, .int256, .uint128, .uint256: kind = .wide
    case .decimal(let precision, let digits) where precision > 18: (kind, scale) = (.wide, digits)
    case .decimal(let precision, let digits):
      kind = .integer
      scale = digits
      let most = (0..<precision).reduce(UInt64(1)) { power, _ in power * 10 } - 1
      bounds = (most, most)
    case .float32: kind = .float32
    case .float64: kind = .float64
    case .string, .nullable, .lowCardinality: kind = .string
    case .uuid: kind = .uuid
    case .date: kind = .date
    case .dateTime: kind = .dateTime
    case .dateTime64(let precision, _):
      kind = .dateTime64
      scale = precision
    case .fixedString: kind = .fixedString
    case .date32: kind = .date32
    case .ipv4: kind = .ipv4
    case .ipv6: kind = .ipv6
    case .enum8, .enum16: kind = .enumeration
    case .array, .map: kind = .composed
    }
    self.scale = Int8(scale)
    (negativeMax, positiveMax) = bounds
  }

  /// Reads one value that is there and not null into `row`. Writes nothing that counts where it throws.
  @inline(__always)
  func read(_ bytes: ByteView, _ slot: ValueSlot, _ aids: FieldAids?, into writer: inout ColumnWriter, row: Int) throws(DecodeFault) {
    let (start, end) = (Int(slot.start), Int(slot.end))
    switch (slot.kind, kind) {
    case (.string, .string):
      guard unsafe writer.storeText(bytes.base + start, count: end &- start, row: row) else { throw fault(.outOfRange, slot) }
    case (.number, .integer): try store(DecimalNumber(bytes, start, end), slot, into: &writer, row: row)
    case (.string, .dateTime64), (.string, .dateTime), (.string, .date): try storeTime(bytes, slot, aids, into: &writer, row: row)
    case (.string, .uuid): try storeUUID(bytes, slot, into: &writer, row: row)
    case (.number, .float32), (.number, .float64): try storeFloat(bytes, slot, into: &writer, row: row)
    case (.true, .bool): writer.store(1, row: row)
    case (.false, .bool): writer.store(0, row: row)
    default: try readSeldom(bytes, slot, aids, into: &writer, row: row)
    }
  }

  func fault(_ reason: DecodeReason, _ slot: ValueSlot) -> DecodeFault { DecodeFault(reason: reason, position: slot.start) }

  @inline(never)
  private func readSeldom(_ bytes: ByteView, _ slot: ValueSlot, _ aids: FieldAids?, into writer: inout ColumnWriter, row: Int)
    throws(DecodeFault)
  {
    let (start, end) = (Int(slot.start), Int(slot.end))
    switch (slot.kind, kind) {
    case (.escapedString, .string):
      guard writer.storeUnescaped(bytes, start, end, row: row) else { throw fault(.outOfRange, slot) }
    case (.true, .string), (.false, .string), (.number, .string), (.object, .string), (.array, .string):
      guard coerce else { throw fault(.wrongType, slot) }
      guard unsafe writer.storeText(bytes.base + start, count: end - start, row: row) else { throw fault(.outOfRange, slot) }
    case (.string, .integer), (.string, .float32), (.string, .float64), (.string, .wide):
      guard numberEnd(bytes, start, end) == end else { throw fault(.notANumber, slot) }
      try read(bytes, ValueSlot(start: slot.start, end: slot.end, kind: .number), aids, into: &writer, row: row)
    case (.escapedString, .bool): throw fault(.wrongType, slot)
    case (.escapedString, _):
      let text = UnsafeMutablePointer<UInt8>.allocate(capacity: end - start + RecordBuffer.slack)
      defer { unsafe text.deallocate() }
      let count = unsafe unescape(bytes, start, end, to: text)
      do throws(DecodeFault) {
        try unsafe read(ByteView(text), ValueSlot(start: 0, end: Int32(count), kind: .string), aids, into: &writer, row: row)
      } catch {
        throw fault(error.reason, slot)
      }
    case (.number, .date), (.number, .date32), (.number, .dateTime), (.number, .dateTime64):
      guard unixDigits >= 0 else { throw fault(.wrongType, slot) }
      try storeUnix(DecimalNumber(bytes, start, end), digits: Int(unixDigits), slot, into: &writer, row: row)
    default: try readOther(bytes, slot, aids, into: &writer, row: row)
    }
  }

  /// Integers and Decimals.
  @inline(__always)
  func store(_ number: DecimalNumber, _ slot: ValueSlot, into writer: inout ColumnWriter, row: Int) throws(DecodeFault) {
    let magnitude = try number.magnitude(shift: Int(scale), drop: false, at: slot.start).value
    guard magnitude <= (number.isNegative ? negativeMax : positiveMax) else { throw fault(.outOfRange, slot) }
    writer.store(number.isNegative ? 0 &- magnitude : magnitude, row: row)
  }

  private func storeFloat(_ bytes: ByteView, _ slot: ValueSlot, into writer: inout ColumnWriter, row: Int) throws(DecodeFault) {
    if kind == .float32 {
      let value = nearestFloat(bytes, Int(slot.start), Int(slot.end))
      guard value.isFinite else { throw fault(.outOfRange, slot) }
      writer.store(UInt64(value.bitPattern), row: row)
    } else {
      let value = nearestDouble(bytes, Int(slot.start), Int(slot.end))
      guard value.isFinite else { throw fault(.outOfRange, slot) }
      writer.store(value.bitPattern, row: row)
    }
  }

  private func storeUUID(_ bytes: ByteView, _ slot: ValueSlot, into writer: inout ColumnWriter, row: Int) throws(DecodeFault) {
    let start = Int(slot.start)
    guard slot.end &- slot.start == 36 else { throw fault(.invalidUUID, slot) }
    var halves: (UInt64, UInt64) = (0, 0)
    var bad: UInt8 = 0
    for index in 0..<36 {
      let byte = bytes[start &+ index]
      if index == 8 || index == 13 || index == 18 || index == 23 {
        if byte != UInt8(ascii: "-") { bad = 0xFF }
        continue
      }
      let digit = hexDigit(byte)
      bad |= digit & 0xF0
      if index < 18 { halves.0 = halves.0 &<< 4 | UInt64(digit & 15) } else { halves.1 = halves.1 &<< 4 | UInt64(digit & 15) }
    }
    guard bad == 0 else { throw fault(.invalidUUID, slot) }
    writer.store(halves.0, halves.1, row: row)
  }

  @inline(__always)
  func storeTime(_ bytes: ByteView, _ slot: ValueSlot, _ aids: FieldAids?, into writer: inout ColumnWriter, row: Int)
    throws(DecodeFault)
  {
    guard let time = TimeText(bytes, Int(slot.start), Int(slot.end)) else { throw fault(.invalidDate, slot) }
    guard let seconds = time.seconds(aids?.zone) else { throw fault(.noSuchLocalTime, slot) }
    guard let ticks = time.ticks(bytes, precision: Int(scale), drop: truncate) else { throw fault(.losesDigits, slot) }
    try storeSeconds(seconds, ticks, slot, into: &writer, row: row)
  }

  /// A number of seconds, or of 10^-digits of one, since 1970.
  func storeUnix(_ number: DecimalNumber, digits: Int, _ slot: ValueSlot, into writer: inout ColumnWriter, row: Int) throws(DecodeFault) {
    let all = try number.integer(shift: Int(scale) - digits, drop: truncate, at: slot.start)
    let unit = Self.ticksPerSecond(Int(scale))
    // Not what the quotient leaves: multiplied back, a quotient that was rounded down may be beyond Int64.
    let remainder = all % unit
    try storeSeconds(floorDivide(all, by: unit), remainder < 0 ? remainder + unit : remainder, slot, into: &writer, row: row)
  }

  private static func ticksPerSecond(_ precision: Int) -> Int64 {
    var ticks: Int64 = 1
    for _ in 0..<precision { ticks &*= 10 }
    return ticks
  }

  @inline(__always)
  private func storeSeconds(_ seconds: Int64, _ ticks: Int64, _ slot: ValueSlot, into writer: inout ColumnWriter, row: Int)
    throws(DecodeFault)
  {
    switch kind {
    case .date, .date32:
      let days = floorDivide(seconds, by: 86_400)
      guard truncate || seconds % 86_400 == 0 else { throw fault(.losesDigits, slot) }
      // Date32's bounds: 1900-01-01 to 2299-12-31.
      guard kind == .date ? days >= 0 && days <= 65_535 : days >= -25_567 && days <= 120_529 else { throw fault(.outOfRange, slot) }
      writer.store(UInt64(bitPattern: days), row: row)
    case .dateTime:
      guard seconds >= 0, seconds <= 4_294_967_295 else { throw fault(.outOfRange, slot) }
      writer.store(UInt64(seconds), row: row)
    default:
      // ClickHouse's bounds: 1900-01-01 to 2299-12-31, and with 9 digits what Int64 holds.
      guard seconds >= -2_208_988_800, seconds <= 10_413_791_999 else { throw fault(.outOfRange, slot) }
      let (whole, overflow) = seconds.multipliedReportingOverflow(by: Self.ticksPerSecond(Int(scale)))
      let (value, carry) = whole.addingReportingOverflow(ticks)
      guard !overflow, !carry else { throw fault(.outOfRange, slot) }
      writer.store(UInt64(bitPattern: value), row: row)
    }
  }
}
