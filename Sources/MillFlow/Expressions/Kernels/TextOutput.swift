internal import Glibc

/// Values as texts, as ClickHouse's toString has them.
enum TextOutput {
  /// Of a type that is no array or map.
  static func kernel(_ type: DataType) -> Kernel {
    if type.isInteger, let kernel = type.dispatch(Integers()) { return kernel }
    let format = Format(type)
    let width = type.width
    return { call in
      let values = call.slices(0, width: width)
      var writer = call.textWriter()
      call.rows.each { row in
        format.append(values[row], to: &writer)
        writer.end(row, &call)
      }
      writer.finish(&call)
    }
  }

  private struct Integers: IntegerMaker {
    func make<T: NativeInteger>(_: T.Type) -> Kernel {
      { call in
        let values = call.values(0, T.self)
        var writer = call.textWriter()
        call.rows.each { row in
          appendInteger(values[row], to: &writer)
          writer.end(row, &call)
        }
        writer.finish(&call)
      }
    }
  }

  @inline(__always)
  static func appendInteger<T: NativeInteger>(_ value: T, to writer: inout TextWriter) {
    if value < 0 { writer.append(UInt8(ascii: "-")) }
    appendDigits(value.magnitude, least: 1, to: &writer)
  }

  /// With leading zeros up to `least` digits.
  @inline(__always)
  static func appendDigits<T: FixedWidthInteger & UnsignedInteger>(_ value: T, least: Int, to writer: inout TextWriter) {
    // 39 digits of 128 bits at most.
    var digits = InlineArray<40, UInt8>(repeating: 0x30)
    var rest = value
    var count = 0
    while rest > 0 || count < least {
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      digits[39 - count] = 0x30 + UInt8(truncatingIfNeeded: digit)
      rest = quotient
      count += 1
    }
    for index in (40 - count)..<40 { writer.append(digits[index]) }
  }

  /// How values of one type are written.
  struct Format: Sendable {
    private let type: DataType
    /// The type's zone; nil is UTC.
    private let zone: ZoneRules?

    init(_ type: DataType) {
      self.type = type
      let name: String? =
        switch type.bare {
        case .dateTime(let zone), .dateTime64(_, let zone): zone
        default: nil
        }
      zone = name.map { name in
        do throws(ZoneProblem) { return try ZoneRules.load(name) } catch {
          // A type of a field or of a cast has been looked up already; another zone's hours would be wrong without a word.
          preconditionFailure("time zone \(name) can't be read any more: \(error.message)")
        }
      }
    }

    /// A value's bytes as a column has them.
    func append(_ value: Slice, to writer: inout TextWriter) {
      switch type {
      case .string: writer.append(value)
      case .fixedString:
        // Zero bytes at the end only fill it up.
        var count = value.count
        while count > 0, value[count - 1] == 0 { count -= 1 }
        writer.append(value.part(0, count))
      case .bool: writer.append(value[0] == 0 ? "false" : "true")
      case .float32: appendFloat("\(value.load(Float.self))", to: &writer)
      case .float64: appendFloat("\(value.load(Double.self))", to: &writer)
      case .decimal(_, let scale): appendDecimal(value.wide(type.storage ?? type), scale, to: &writer)
      case .enum8(let names), .enum16(let names):
        writer.append(names.name(of: Int16(truncatingIfNeeded: value.wide(type.storage ?? type).int64)) ?? [])
      case .uuid: appendUUID(value, to: &writer)
      case .ipv4: appendIPv4(value.load(UInt32.self), to: &writer)
      case .ipv6: appendIPv6(value, to: &writer)
      case .date, .date32: appendDay(value.wide(type.storage ?? type).int64, to: &writer)
      case .dateTime: appendTime(Int64(value.load(UInt32.self)), to: &writer)
      case .dateTime64(let precision, _):
        let ticks = value.load(Int64.self)
        let unit = Times.ticksPerSecond(precision)
        let seconds = floorDivide(ticks, by: unit)
        appendTime(seconds, to: &writer)
        guard precision > 0 else { return }
        writer.append(UInt8(ascii: "."))
        appendDigits(UInt64(ticks - seconds * unit), least: precision, to: &writer)
      default: writer.append("\(value.wide(type))")
      }
    }

    private func appendTime(_ seconds: Int64, to writer: inout TextWriter) {
      let local = seconds + (zone?.offset(at: seconds) ?? 0)
      let days = floorDivide(local, by: 86_400)
      appendDay(days, to: &writer)
      let second = UInt32(local - days * 86_400)
      writer.append(UInt8(ascii: " "))
      appendDigits(second / 3600, least: 2, to: &writer)
      writer.append(UInt8(ascii: ":"))
      appendDigits(second / 60 % 60, least: 2, to: &writer)
      writer.append(UInt8(ascii: ":"))
      appendDigits(second % 60, least: 2, to: &writer)
    }
  }

  static func appendDay(_ days: Int64, to writer: inout TextWriter) {
    let (year, month, day) = civilDate(daysSince1970: Int(days))
    appendDigits(UInt32(year), least: 4, to: &writer)
    writer.append(UInt8(ascii: "-"))
    appendDigits(UInt32(month), least: 2, to: &writer)
    writer.append(UInt8(ascii: "-"))
    appendDigits(UInt32(day), least: 2, to: &writer)
  }

  /// Without zeros at the end of the fraction.
  static func appendDecimal(_ value: Wide, _ scale: Int, to writer: inout TextWriter) {
    var digits = Array(value.magnitude.digits.utf8)
    if digits.count <= scale { digits = [UInt8](repeating: 0x30, count: scale + 1 - digits.count) + digits }
    if value.isNegative { writer.append(UInt8(ascii: "-")) }
    let point = digits.count - scale
    var end = digits.count
    while end > point, digits[end - 1] == 0x30 { end -= 1 }
    for index in 0..<end {
      if index == point { writer.append(UInt8(ascii: ".")) }
      writer.append(digits[index])
    }
  }

  /// The shortest digits that give the number, as Swift's text has them, in ClickHouse's form: whole up to 10^21, 1e21 beyond, 1e-7 below.
  private static func appendFloat(_ text: String, to writer: inout TextWriter) {
    if text.hasSuffix("inf") || text.hasSuffix("nan") { return writer.append(text) }
    var digits: [UInt8] = []
    var point: Int?
    var exponent = 0
    var isNegative = false
    var isBehind = false
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "-") where digits.isEmpty: isNegative = true
      case UInt8(ascii: "."): point = digits.count
      case UInt8(ascii: "e"): isBehind = true
      case _ where isBehind: break
      default: digits.append(byte)
      }
    }
    if let mark = text.utf8.firstIndex(of: UInt8(ascii: "e")) { exponent = Int(text[text.utf8.index(after: mark)...]) ?? 0 }
    exponent += point ?? digits.count
    while digits.count > 1, digits[0] == 0x30 {
      digits.removeFirst()
      exponent -= 1
    }
    while digits.count > 1, digits[digits.count - 1] == 0x30 { digits.removeLast() }
    if isNegative { writer.append(UInt8(ascii: "-")) }
    if digits == [0x30] { return writer.append(UInt8(ascii: "0")) }
    appendScaled(digits, exponent, to: &writer)
  }

  /// 0.DIGITS · 10^exponent.
  private static func appendScaled(_ digits: [UInt8], _ exponent: Int, to writer: inout TextWriter) {
    switch exponent {
    case 1...21:
      for index in 0..<max(digits.count, exponent) {
        if index == exponent { writer.append(UInt8(ascii: ".")) }
        writer.append(index < digits.count ? digits[index] : 0x30)
      }
    case -5...0:
      writer.append("0.")
      for _ in 0..<(0 - exponent) { writer.append(UInt8(ascii: "0")) }
      writer.append(digits)
    default:
      writer.append(digits[0])
      if digits.count > 1 {
        writer.append(UInt8(ascii: "."))
        writer.append(Array(digits[1...]))
      }
      writer.append("e\(exponent - 1)")
    }
  }

  private static func appendUUID(_ value: Slice, to writer: inout TextWriter) {
    for half in 0..<2 {
      let bits = value.part(half * 8, half * 8 + 8).load(UInt64.self)
      for place in 0..<16 {
        if half == 0 && (place == 8 || place == 12) || half == 1 && (place == 0 || place == 4) { writer.append(UInt8(ascii: "-")) }
        writer.append(hexDigits[Int(bits >> UInt64(60 - 4 * place) & 15)])
      }
    }
  }

  private static func appendIPv4(_ value: UInt32, to writer: inout TextWriter) {
    for place in 0..<4 {
      if place > 0 { writer.append(UInt8(ascii: ".")) }
      appendDigits(value >> UInt32(24 - 8 * place) & 255, least: 1, to: &writer)
    }
  }

  /// By the C library, which shortens the longest run of zeros as RFC 5952 says.
  private static func appendIPv6(_ value: Slice, to writer: inout TextWriter) {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    _ = unsafe inet_ntop(AF_INET6, value.base, &text, socklen_t(text.count))
    for byte in text { if byte != 0 { writer.append(UInt8(bitPattern: byte)) } else { break } }
  }

  static let hexDigits = Array("0123456789abcdef".utf8)
  static let upperHexDigits = Array("0123456789ABCDEF".utf8)
}

extension Slice {
  @inline(__always)
  func load<T: BitwiseCopyable>(_: T.Type) -> T {
    assert(count >= MemoryLayout<T>.size)
    return unsafe UnsafeRawPointer(base).loadUnaligned(as: T.self)
  }

  /// An integer of any type.
  func wide(_ type: DataType) -> Wide {
    switch type {
    case .int8: Wide(load(Int8.self))
    case .int16: Wide(load(Int16.self))
    case .int32: Wide(load(Int32.self))
    case .int64: Wide(load(Int64.self))
    case .int128: Wide(load(Int128.self))
    case .int256: Wide(signed: load(UInt256.self))
    case .uint8: Wide(load(UInt8.self))
    case .uint16: Wide(load(UInt16.self))
    case .uint32: Wide(load(UInt32.self))
    case .uint64: Wide(load(UInt64.self))
    case .uint128: Wide(load(UInt128.self))
    case .uint256: Wide(load(UInt256.self))
    default: preconditionFailure("\(type) is no integer")
    }
  }
}

extension Wide {
  /// The value must fit.
  var int64: Int64 { Int64(truncatingIfNeeded: bits.low) }
}
