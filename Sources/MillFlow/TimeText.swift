/// A date and time as its text says it, before it is known what the type makes of it.
struct TimeText {
  /// Seconds since 1970 of what is written, as if it were UTC.
  var localSeconds: Int64
  /// Seconds east of UTC; nil where none are written.
  var offset: Int64?
  /// The digits behind the second's point.
  var fractionStart = 0
  var fractionEnd = 0

  /// `YYYY-MM-DD`, or with `T` or one space behind it `hh:mm[:ss[.fraction]]` and then `Z` or `±hh[[:]mm]`. The fraction's point may be a
  /// comma.
  ///
  /// Nil for anything else, days and times that don't exist, second 60 and hour 24 included.
  @inline(__always)
  init?(_ bytes: ByteView, _ start: Int, _ end: Int) {
    guard end &- start >= 10, let (century, years, month) = Self.yearAndMonth(bytes.load(UInt64.self, at: start)),
      let day = twoDigits(bytes, start &+ 8)
    else { return nil }
    let year = century &* 100 &+ years
    guard month >= 1, month <= 12, day >= 1, day <= 28 || day <= dayCount(year: year, month: month) else { return nil }
    localSeconds = Int64(daysSince1970(year: year, month: month, day: day)) &* 86_400
    if end &- start == 10 { return }
    var index = start &+ 10
    guard end &- index >= 6, bytes[index] == UInt8(ascii: "T") || bytes[index] == UInt8(ascii: " "),
      let hour = twoDigits(bytes, index &+ 1),
      bytes[index &+ 3] == UInt8(ascii: ":"), let minute = twoDigits(bytes, index &+ 4), hour <= 23, minute <= 59
    else { return nil }
    localSeconds &+= Int64(hour &* 3600 &+ minute &* 60)
    index &+= 6
    if index < end, bytes[index] == UInt8(ascii: ":") {
      guard end &- index >= 3, let second = twoDigits(bytes, index &+ 1), second <= 59 else { return nil }
      localSeconds &+= Int64(second)
      index &+= 3
      if index < end, bytes[index] == UInt8(ascii: ".") || bytes[index] == UInt8(ascii: ",") {
        index &+= 1
        fractionStart = index
        skipDigits(bytes, &index, end)
        fractionEnd = index
        guard fractionEnd > fractionStart else { return nil }
      }
    }
    if index == end { return }
    if bytes[index] == UInt8(ascii: "Z"), end &- index == 1 {
      offset = 0
      return
    }
    guard let written = Self.offset(bytes, index, end) else { return nil }
    offset = written
  }

  /// The numbers of `YYYY-MM-`, the year's in two halves; nil for anything else. All eight bytes are looked at together.
  @inline(__always)
  private static func yearAndMonth(_ text: UInt64) -> (Int, Int, Int)? {
    // Digits become their values, dashes 0.
    let values = UInt64(littleEndian: text) ^ 0x2D30_302D_3030_3030
    // What isn't a digit or dash has a high half, or gets one by adding what the largest right value just lacks.
    guard (values | (values &+ 0x0F06_060F_0606_0606)) & 0xF0F0_F0F0_F0F0_F0F0 == 0 else { return nil }
    let pairs = (values &* 10 &+ (values >> 8)) & 0x00FF_00FF_00FF_00FF
    return (Int(pairs & 0xFF), Int(pairs >> 16 & 0xFF), Int((values >> 40 & 0xF) &* 10 &+ (values >> 48 & 0xF)))
  }

  private static func offset(_ bytes: ByteView, _ start: Int, _ end: Int) -> Int64? {
    let sign: Int
    switch bytes[start] {
    case UInt8(ascii: "+"): sign = 1
    case UInt8(ascii: "-"): sign = -1
    default: return nil
    }
    let count = end - start
    guard count >= 3, let hours = twoDigits(bytes, start + 1), hours <= 23 else { return nil }
    if count == 3 { return Int64(sign * hours * 3600) }
    let minuteStart = bytes[start + 3] == UInt8(ascii: ":") ? start + 4 : start + 3
    guard end - minuteStart == 2, let minutes = twoDigits(bytes, minuteStart), minutes <= 59 else { return nil }
    return Int64(sign * (hours * 3600 + minutes * 60))
  }

  /// Seconds since 1970 UTC: by the offset written, else by the zone, else as UTC. Nil where the zone's clocks never show the time.
  @inline(__always)
  func seconds(_ zone: ZoneRules?) -> Int64? {
    if let offset { return localSeconds &- offset }
    guard let zone else { return localSeconds }
    return zone.utc(local: localSeconds)
  }

  /// The fraction in units of 10^-precision seconds; digits beyond that must not be there, unless they may be dropped.
  @inline(__always)
  func ticks(_ bytes: ByteView, precision: Int, drop: Bool) -> Int64? {
    let count = fractionEnd &- fractionStart
    guard count <= precision || drop else { return nil }
    var value: Int64 = 0
    var place = 0
    while place < precision {
      value &*= 10
      if place < count { value &+= Int64(bytes[fractionStart &+ place] &- 0x30) }
      place &+= 1
    }
    return value
  }
}

@inline(__always)
private func twoDigits(_ bytes: ByteView, _ index: Int) -> Int? {
  let tens = bytes[index] &- 0x30
  let ones = bytes[index &+ 1] &- 0x30
  guard tens <= 9, ones <= 9 else { return nil }
  return Int(tens) &* 10 &+ Int(ones)
}
