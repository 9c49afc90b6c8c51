/// Reads a file of the tz database (TZif, RFC 8536) of version 2 and up: its transitions, and the rule for the years after them.
struct ZoneFileReader {
  private static let yearMax = 2300

  private let name: String
  private let bytes: [UInt8]
  private var index = 0

  init(name: String, bytes: [UInt8]) {
    self.name = name
    self.bytes = bytes
  }

  mutating func rules() throws(ZoneProblem) -> ZoneRules {
    let old = try header()
    // The block of version 1 has times of 32 bits; the one behind it repeats it with 64.
    try skip(old.times * 5 + old.types * 6 + old.characters + old.leaps * 8 + old.standards + old.universals)
    let counts = try header()
    guard counts.leaps == 0 else { throw problem("it counts leap seconds") }
    guard counts.types > 0 else { throw problem("it has no local time types") }
    var starts: [Int64] = []
    for _ in 0..<counts.times { starts.append(Int64(bitPattern: try big(8))) }
    var kinds: [Int] = []
    for _ in 0..<counts.times { kinds.append(Int(try big(1))) }
    var typeOffsets: [Int32] = []
    for _ in 0..<counts.types {
      typeOffsets.append(Int32(truncatingIfNeeded: try big(4)))
      try skip(2)
    }
    try skip(counts.characters + counts.standards + counts.universals)
    var offsets = [typeOffsets[0]]
    for kind in kinds {
      guard kind < typeOffsets.count else { throw problem("a transition names type \(kind) of \(typeOffsets.count)") }
      offsets.append(typeOffsets[kind])
    }
    guard zip(starts, starts.dropFirst()).allSatisfy({ $0 < $1 }), typeOffsets.allSatisfy({ abs(Int($0)) < 26 * 3600 }) else {
      throw problem("its transitions aren't in order")
    }
    try appendRule(&starts, &offsets)
    return ZoneRules(name: name, starts: starts, offsets: offsets)
  }

  private func problem(_ what: String) -> ZoneProblem { ZoneProblem(message: "the file of the time zone '\(name)' can't be used: \(what)") }

  private mutating func skip(_ count: Int) throws(ZoneProblem) {
    guard count >= 0, bytes.count - index >= count else { throw problem("it is cut short") }
    index += count
  }

  private mutating func big(_ byteCount: Int) throws(ZoneProblem) -> UInt64 {
    let from = index
    try skip(byteCount)
    return bytes[from..<index].reduce(0) { $0 << 8 | UInt64($1) }
  }

  private mutating func header() throws(ZoneProblem) -> Counts {
    guard try big(4) == 0x545A_6966 else { throw problem("it is no TZif file") }
    guard try big(1) >= 0x32 else { throw problem("its version is 1, which ends in 2038") }
    try skip(15)
    return Counts(
      universals: Int(try big(4)), standards: Int(try big(4)), leaps: Int(try big(4)), times: Int(try big(4)), types: Int(try big(4)),
      characters: Int(try big(4)))
  }

  private struct Counts {
    var universals, standards, leaps, times, types, characters: Int
  }

  /// Spells out the POSIX rule of the footer, year by year.
  private mutating func appendRule(_ starts: inout [Int64], _ offsets: inout [Int32]) throws(ZoneProblem) {
    guard index < bytes.count, bytes[index] == 0x0A, let end = bytes[(index + 1)...].firstIndex(of: 0x0A) else {
      throw problem("its footer is missing")
    }
    let text = Array(bytes[(index + 1)..<end])
    if text.isEmpty { return }
    guard let rule = PosixRule(text) else { throw problem("its rule '\(String(decoding: text, as: UTF8.self))' can't be read") }
    guard let summer = rule.summer else {
      if starts.isEmpty { offsets = [Int32(rule.offset)] }
      return
    }
    let firstYear = starts.last.map { civilDate(daysSince1970: Int(floorDivide($0, by: 86_400))).year } ?? 1900
    guard firstYear <= Self.yearMax else { return }
    for year in firstYear...Self.yearMax {
      let changes = [
        (moment: summer.begin.moment(year: year) - Int64(rule.offset), offset: Int32(summer.offset)),
        (moment: summer.end.moment(year: year) - Int64(summer.offset), offset: Int32(rule.offset)),
      ].sorted { $0.moment < $1.moment }
      for change in changes where change.moment > starts.last ?? Int64.min {
        starts.append(change.moment)
        offsets.append(change.offset)
      }
    }
  }
}

/// A rule of POSIX's TZ variable as the footers have it: `CET-1CEST,M3.5.0,M10.5.0/3`. Offsets here count east of UTC, in seconds.
struct PosixRule {
  struct Summer {
    var offset: Int
    var begin: Change
    var end: Change
  }

  /// A day of the year and the local time of day at which clocks change.
  struct Change {
    enum Day {
      /// Day 1...365, February 29 is never counted.
      case withoutLeapDay(Int)
      /// Day 0...365.
      case ofYear(Int)
      /// The week-th (5: last) weekday (0: Sunday) of a month.
      case ofMonth(month: Int, week: Int, weekday: Int)
    }
    var day: Day
    var second: Int

    /// Seconds since 1970 of the local time at which the change happens, as if the zone were UTC.
    func moment(year: Int) -> Int64 {
      let days: Int
      switch day {
      case .withoutLeapDay(let number):
        days = daysSince1970(year: year, month: 1, day: 1) + number - 1 + (isLeap(year) && number >= 60 ? 1 : 0)
      case .ofYear(let number): days = daysSince1970(year: year, month: 1, day: 1) + number
      case .ofMonth(let month, let week, let weekday):
        let first = daysSince1970(year: year, month: month, day: 1)
        // 1970-01-01 was a Thursday.
        let firstWeekday = ((first % 7) + 7 + 4) % 7
        var day = (weekday - firstWeekday + 7) % 7 + (week - 1) * 7
        if day >= dayCount(year: year, month: month) { day -= 7 }
        days = first + day
      }
      return Int64(days) * 86_400 + Int64(second)
    }
  }

  var offset: Int
  var summer: Summer?
  private var bytes: [UInt8]
  private var index = 0

  init?(_ text: [UInt8]) {
    bytes = text
    offset = 0
    guard name(), let west = time() else { return nil }
    offset = -west
    if index == bytes.count { return }
    guard name() else { return nil }
    var summerOffset = offset + 3600
    if index < bytes.count, bytes[index] != UInt8(ascii: ",") {
      guard let west = time() else { return nil }
      summerOffset = -west
    }
    guard let begin = change(), let end = change(), index == bytes.count else { return nil }
    summer = Summer(offset: summerOffset, begin: begin, end: end)
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard index < bytes.count, bytes[index] == byte else { return false }
    index += 1
    return true
  }

  private mutating func name() -> Bool {
    let start = index
    if take(UInt8(ascii: "<")) {
      while index < bytes.count, bytes[index] != UInt8(ascii: ">") { index += 1 }
      return take(UInt8(ascii: ">"))
    }
    while index < bytes.count, bytes[index] | 0x20 >= 0x61, bytes[index] | 0x20 <= 0x7A { index += 1 }
    return index - start >= 3
  }

  private mutating func number(_ max: Int) -> Int? {
    let start = index
    var value = 0
    while index < bytes.count, bytes[index] >= 0x30, bytes[index] <= 0x39, index - start < 4 {
      value = value * 10 + Int(bytes[index] - 0x30)
      index += 1
    }
    return index > start && value <= max ? value : nil
  }

  /// `[+-]h[h[h]][:mm[:ss]]` in seconds.
  private mutating func time() -> Int? {
    let isNegative = take(UInt8(ascii: "-"))
    if !isNegative { _ = take(UInt8(ascii: "+")) }
    guard let hours = number(167) else { return nil }
    var seconds = hours * 3600
    if take(UInt8(ascii: ":")) {
      guard let minutes = number(59) else { return nil }
      seconds += minutes * 60
      if take(UInt8(ascii: ":")) {
        guard let rest = number(59) else { return nil }
        seconds += rest
      }
    }
    return isNegative ? -seconds : seconds
  }

  private mutating func change() -> Change? {
    guard take(UInt8(ascii: ",")) else { return nil }
    let day: Change.Day
    if take(UInt8(ascii: "M")) {
      guard let month = number(12), month > 0, take(UInt8(ascii: ".")), let week = number(5), week > 0, take(UInt8(ascii: ".")),
        let weekday = number(6)
      else { return nil }
      day = .ofMonth(month: month, week: week, weekday: weekday)
    } else if take(UInt8(ascii: "J")) {
      guard let number = number(365), number > 0 else { return nil }
      day = .withoutLeapDay(number)
    } else {
      guard let number = number(365) else { return nil }
      day = .ofYear(number)
    }
    var second = 7200
    if take(UInt8(ascii: "/")) {
      guard let time = time() else { return nil }
      second = time
    }
    return Change(day: day, second: second)
  }
}
