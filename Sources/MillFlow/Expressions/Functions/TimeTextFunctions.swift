/// Times by a format: MySQL's signs, as in ClickHouse.
extension Function {
  static let timeTexts: [Function] = [
    Function("formatDateTime", "(t, format)", 2...2) { (call) throws(ExpressionProblem) in
      let (node, zone) = try call.time(0)
      let type = node.type.bare
      // A Date has no offset to show.
      let pieces = try pieces(call, 1, type.isDay ? TimeFormat.written.replacing("z", with: "") : TimeFormat.written)
      return try call.result([node], .string) { call in
        let reader = Times.Reader(call.argument(0), type, zone)
        written(&call) { row, writer in
          let local = reader.local(row)
          let moment = type.isDay ? local.seconds : reader.moment(row).seconds
          TimeFormat.append(pieces, local, moment, reader.ticksPerSecond, to: &writer)
        }
      }
    },
    Function("parseDateTime", "(s, format[, zone])", 2...3) { (call) throws(ExpressionProblem) in
      let pieces = try pieces(call, 1, TimeFormat.read)
      let type = DataType.dateTime(zone: call.arguments.count > 2 ? try call.zoneName(2) : nil)
      let zone = try call.typer.zone(type, call.offset)
      return try call.result([call.text(0)], type) { call in
        let (texts, writer) = (call.slices(0), Times.Writer(call.output, type, zone))
        call.rows.each { row in
          guard let seconds = TimeFormat.parse(texts[row], pieces) else { return call.fail(row, .invalidText) }
          let code = writer.store(local: Times.Instant(seconds: seconds, ticks: 0), row)
          if code != .none { call.fail(row, code) }
        }
      }
    },
  ]

  private static func pieces(_ call: Call, _ index: Int, _ known: String) throws(ExpressionProblem) -> [TimeFormat.Piece] {
    let format = try call.constantText(index, "a format")
    do throws(TimeFormat.Problem) { return try TimeFormat.pieces(format, known) } catch {
      throw call.problem(error.message, at: index)
    }
  }
}

enum TimeFormat {
  struct Problem: Error {
    var message: String
  }

  enum Piece: Sendable {
    case literal(UInt8)
    /// The letter behind a `%`.
    case sign(UInt8)
  }

  /// Letters that formatDateTime knows, and those of parseDateTime.
  static let written = "YymdeHIhisSMbaWjuwpTFDRQVGfzCkl"
  static let read = "YmdHisTF"

  static func pieces(_ format: [UInt8], _ known: String) throws(Problem) -> [Piece] {
    var pieces: [Piece] = []
    var index = 0
    while index < format.count {
      let byte = format[index]
      index += 1
      guard byte == UInt8(ascii: "%") else {
        pieces.append(.literal(byte))
        continue
      }
      guard index < format.count else { throw Problem(message: "the format ends with a lone %; %% is the sign itself") }
      let letter = format[index]
      index += 1
      switch letter {
      case UInt8(ascii: "%"): pieces.append(.literal(letter))
      case UInt8(ascii: "n"): pieces.append(.literal(0x0A))
      case UInt8(ascii: "t"): pieces.append(.literal(0x09))
      case _ where known.utf8.contains(letter): pieces.append(.sign(letter))
      default:
        let list = known.map { "%\($0)" }.joined(separator: " ")
        throw Problem(message: "'%\(String(decoding: [letter], as: UTF8.self))' has no meaning here; there are \(list)")
      }
    }
    return pieces
  }

  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
  ]
  private static let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

  static func append(_ pieces: [Piece], _ local: Times.Instant, _ moment: Int64, _ unit: Int64, to writer: inout TextWriter) {
    let wall = WallTime(local.seconds)
    for piece in pieces {
      switch piece {
      case .literal(let byte): writer.append(byte)
      case .sign(UInt8(ascii: "f")): TextOutput.appendDigits(UInt64(local.ticks * (1_000_000_000 / unit) / 1000), least: 6, to: &writer)
      case .sign(UInt8(ascii: "z")):
        let minutes = (local.seconds - moment) / 60
        writer.append(minutes < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+"))
        TextOutput.appendDigits(UInt32(minutes.magnitude / 60 * 100 + minutes.magnitude % 60), least: 4, to: &writer)
      case .sign(let letter): append(letter, wall, to: &writer)
      }
    }
  }

  private static func append(_ letter: UInt8, _ wall: WallTime, to writer: inout TextWriter) {
    let (year, month, day) = wall.date
    let (hour, minute, second) = (wall.second / 3600, wall.second / 60 % 60, wall.second % 60)
    func digits(_ value: Int, _ least: Int) { TextOutput.appendDigits(UInt32(value), least: least, to: &writer) }
    func join(_ letters: String, _ sign: UInt8) {
      for (index, letter) in letters.utf8.enumerated() {
        if index > 0 { writer.append(sign) }
        append(letter, wall, to: &writer)
      }
    }
    switch letter {
    case UInt8(ascii: "Y"): digits(year, 4)
    case UInt8(ascii: "y"): digits(year % 100, 2)
    case UInt8(ascii: "C"): digits(year / 100, 2)
    case UInt8(ascii: "m"): digits(month, 2)
    case UInt8(ascii: "d"): digits(day, 2)
    case UInt8(ascii: "e"): digits(day, 1)
    case UInt8(ascii: "H"), UInt8(ascii: "k"): digits(hour, 2)
    case UInt8(ascii: "I"), UInt8(ascii: "h"), UInt8(ascii: "l"): digits((hour + 11) % 12 + 1, 2)
    case UInt8(ascii: "i"): digits(minute, 2)
    case UInt8(ascii: "s"), UInt8(ascii: "S"): digits(second, 2)
    case UInt8(ascii: "p"): writer.append(hour < 12 ? "AM" : "PM")
    case UInt8(ascii: "M"): writer.append(months[month - 1])
    case UInt8(ascii: "b"): writer.append(String(months[month - 1].prefix(3)))
    case UInt8(ascii: "W"): writer.append(days[wall.dayOfWeek - 1])
    case UInt8(ascii: "a"): writer.append(String(days[wall.dayOfWeek - 1].prefix(3)))
    case UInt8(ascii: "j"): digits(wall.dayOfYear, 3)
    case UInt8(ascii: "u"): digits(wall.dayOfWeek, 1)
    case UInt8(ascii: "w"): digits(wall.dayOfWeek % 7, 1)
    case UInt8(ascii: "Q"): digits((month + 2) / 3, 1)
    case UInt8(ascii: "V"): digits(wall.isoWeek, 2)
    case UInt8(ascii: "G"): digits(wall.isoYear, 4)
    case UInt8(ascii: "T"): join("His", UInt8(ascii: ":"))
    case UInt8(ascii: "R"): join("Hi", UInt8(ascii: ":"))
    case UInt8(ascii: "F"): join("Ymd", UInt8(ascii: "-"))
    case UInt8(ascii: "D"): join("mdy", UInt8(ascii: "/"))
    default: preconditionFailure("no sign %\(letter)")
    }
  }

  /// Seconds that the wall shows; nil where the text isn't by the format, or the day or time doesn't exist. What the format leaves out is
  /// that of 1970-01-01 00:00:00.
  static func parse(_ text: Slice, _ pieces: [Piece]) -> Int64? {
    var index = 0
    var (year, month, day, hour, minute, second) = (1970, 1, 1, 0, 0, 0)
    func number(_ count: Int) -> Int? {
      guard text.count - index >= count else { return nil }
      var value = 0
      for place in index..<(index + count) {
        let digit = text[place] &- 0x30
        guard digit <= 9 else { return nil }
        value = value * 10 + Int(digit)
      }
      index += count
      return value
    }
    func read(_ letter: UInt8) -> Bool {
      guard let value = number(letter == UInt8(ascii: "Y") ? 4 : 2) else { return false }
      switch letter {
      case UInt8(ascii: "Y"): year = value
      case UInt8(ascii: "m"): month = value
      case UInt8(ascii: "d"): day = value
      case UInt8(ascii: "H"): hour = value
      case UInt8(ascii: "i"): minute = value
      default: second = value
      }
      return true
    }
    func literal(_ byte: UInt8) -> Bool {
      guard index < text.count, text[index] == byte else { return false }
      index += 1
      return true
    }
    for piece in pieces {
      let isRight: Bool
      switch piece {
      case .literal(let byte): isRight = literal(byte)
      case .sign(UInt8(ascii: "T")):
        isRight =
          read(UInt8(ascii: "H")) && literal(UInt8(ascii: ":")) && read(UInt8(ascii: "i")) && literal(UInt8(ascii: ":"))
          && read(UInt8(ascii: "s"))
      case .sign(UInt8(ascii: "F")):
        isRight =
          read(UInt8(ascii: "Y")) && literal(UInt8(ascii: "-")) && read(UInt8(ascii: "m")) && literal(UInt8(ascii: "-"))
          && read(UInt8(ascii: "d"))
      case .sign(let letter): isRight = read(letter)
      }
      guard isRight else { return nil }
    }
    guard index == text.count, month >= 1, month <= 12, day >= 1, day <= dayCount(year: year, month: month), hour <= 23, minute <= 59,
      second <= 59
    else { return nil }
    return Int64(daysSince1970(year: year, month: month, day: day)) * 86_400 + Int64(hour * 3600 + minute * 60 + second)
  }
}
