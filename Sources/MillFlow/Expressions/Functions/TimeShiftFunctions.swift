/// Times brought to the start of a unit, and moved by units.
extension Function {
  static let timeShifts: [Function] =
    [
      Function("toStartOfWeek", "(t[, mode])", 1...2) { (call) throws(ExpressionProblem) in
        let mode = call.arguments.count > 1 ? try call.constantInteger(1, in: 0...9) : 0
        // The odd modes begin on Monday, the even ones on Sunday.
        return try start(call, 0, .week, sunday: mode % 2 == 0)
      },
      Function("dateTrunc", "(unit, t)", 2...2) { (call) throws(ExpressionProblem) in try start(call, 1, call.unit(0), sunday: false) },
    ]
    + [
      ("Year", .year), ("Quarter", .quarter), ("Month", .month), ("Day", .day), ("Hour", .hour), ("Minute", .minute), ("Second", .second),
    ].map { (name: String, unit: TimeUnit) in
      Function("toStartOf" + name, "(t)", 1...1) { (call) throws(ExpressionProblem) in try start(call, 0, unit, sunday: false) }
    }
    + TimeUnit.allCases.flatMap { unit in
      [1, -1].map { (sign: Int64) in
        let name = unit.rawValue.prefix(1).uppercased() + unit.rawValue.dropFirst() + "s"
        return Function((sign > 0 ? "add" : "subtract") + name, "(t, count)", 2...2) { (call) throws(ExpressionProblem) in
          let (node, _) = try call.time(0)
          return try call.typer.moved(node, by: call.count(1), unit, sign: sign, call.offset)
        }
      }
    }

  /// The start of the unit that a time is in, in its type's zone: a Date for weeks and more, else a DateTime, of seconds what came in.
  private static func start(_ call: Call, _ index: Int, _ unit: TimeUnit, sunday: Bool) throws(ExpressionProblem) -> Node {
    let (node, _) = try call.time(index)
    return try call.typer.start(node, unit, count: 1, sunday: sunday, call.offset, call.name)
  }
}

extension Typer {
  /// `toStartOfInterval`: `count` units, where a day, year or minute has a whole number of them.
  func interval(_ node: Node, _ count: Int64, _ unit: TimeUnit, _ offset: Int) throws(ExpressionProblem) -> Node {
    let whole: Int64 =
      switch unit {
      case .second, .minute: 60
      case .hour: 24
      case .month: 12
      case .quarter: 4
      case .day, .week, .year: 1
      }
    guard count > 0, whole % count == 0 else {
      throw problem(
        "toStartOfInterval takes \(whole == 1 ? "1 \(unit.rawValue)" : "a number of \(unit.rawValue)s that divides \(whole)"), this is \(count)",
        offset)
    }
    guard node.type.bare.isTime else { throw problem("toStartOfInterval takes a time, this is \(settledType(node))", node.offset) }
    return try start(node, unit, count: Int(count), sunday: false, offset, "toStartOfInterval")
  }

  func start(_ node: Node, _ unit: TimeUnit, count: Int, sunday: Bool, _ offset: Int, _ name: String) throws(ExpressionProblem) -> Node {
    let type = node.type.bare
    let zone = try zone(type, offset)
    let zoneName = zone?.name
    if type.isDay, [.hour, .minute, .second].contains(unit) {
      throw problem("\(name): argument is \(type), wanted is a DateTime or DateTime64", node.offset)
    }
    switch unit {
    case .year, .quarter, .month, .week:
      return try apply(Operation(name, TimeShift.startOfDays(type, zone, unit, count, sunday: sunday)), [node], .date, offset)
    case .day:
      return try apply(Operation(name, TimeShift.startOfDay(type, zone)), [node], .dateTime(zone: zoneName), offset)
    case .hour, .minute, .second:
      let result: DataType
      // A DateTime64 keeps its precision at seconds.
      if unit == .second, count == 1, case .dateTime64(let precision, _) = type {
        result = .dateTime64(precision: name == "dateTrunc" ? 0 : precision, zone: zoneName)
      } else {
        result = .dateTime(zone: zoneName)
      }
      return try apply(Operation(name, TimeShift.startOfClock(type, zone, result, unit, count)), [node], result, offset)
    }
  }

  /// A time moved by a number of units; months and more keep the day, or take the month's last.
  func moved(_ node: Node, by count: Node, _ unit: TimeUnit, sign: Int64, _ offset: Int) throws(ExpressionProblem) -> Node {
    let type = node.type.bare
    let zone = try zone(type, offset)
    var result = type
    if type.isDay, [.hour, .minute, .second].contains(unit) {
      guard type == .date else { throw problem("a Date32 can't be moved by \(unit.rawValue)s: cast it to DateTime64 first", offset) }
      result = .dateTime(zone: nil)
    }
    return try apply(Operation("interval", TimeShift.move(type, result, zone, unit, sign)), [node, count], result, offset)
  }
}

enum TimeShift {
  static func startOfDays(_ type: DataType, _ zone: ZoneRules?, _ unit: TimeUnit, _ count: Int, sunday: Bool) -> Kernel {
    { call in
      let (reader, writer) = (Times.Reader(call.argument(0), type, zone), Times.Writer(call.output, .date, nil))
      call.rows.each { row in
        let wall = WallTime(reader.local(row).seconds)
        let (year, month, _) = wall.date
        let days: Int
        switch unit {
        case .week: days = sunday ? wall.days - wall.dayOfWeek % 7 : wall.days - wall.dayOfWeek + 1
        case .month: days = daysSince1970(year: year, month: (month - 1) / count * count + 1, day: 1)
        case .quarter: days = daysSince1970(year: year, month: (month - 1) / (3 * count) * 3 * count + 1, day: 1)
        default: days = daysSince1970(year: year, month: 1, day: 1)
        }
        let code = writer.store(moment: Times.Instant(seconds: Int64(days) * 86_400, ticks: 0), row)
        if code != .none { call.fail(row, code) }
      }
    }
  }

  static func startOfDay(_ type: DataType, _ zone: ZoneRules?) -> Kernel {
    let result = DataType.dateTime(zone: zone?.name)
    return { call in
      let (reader, writer) = (Times.Reader(call.argument(0), type, zone), Times.Writer(call.output, result, zone))
      call.rows.each { row in
        let local = Int64(WallTime(reader.local(row).seconds).days) * 86_400
        // Where clocks skip midnight the day begins when they are set.
        let moment = zone?.first(local: local) ?? local
        let code = writer.store(moment: Times.Instant(seconds: moment, ticks: 0), row)
        if code != .none { call.fail(row, code) }
      }
    }
  }

  static func startOfClock(_ type: DataType, _ zone: ZoneRules?, _ result: DataType, _ unit: TimeUnit, _ count: Int) -> Kernel {
    let length = Int64(count) * (unit == .hour ? 3600 : unit == .minute ? 60 : 1)
    return { call in
      let (reader, writer) = (Times.Reader(call.argument(0), type, zone), Times.Writer(call.output, result, zone))
      call.rows.each { row in
        let local = reader.local(row).seconds
        // Counted back on the clock from the moment itself, which also holds in an hour that the clocks show twice.
        let past = Int64(WallTime(local).second) % length
        let code = writer.store(moment: Times.Instant(seconds: reader.moment(row).seconds - past, ticks: 0), row)
        if code != .none { call.fail(row, code) }
      }
    }
  }

  static func move(_ type: DataType, _ result: DataType, _ zone: ZoneRules?, _ unit: TimeUnit, _ sign: Int64) -> Kernel {
    { call in
      let (reader, writer) = (Times.Reader(call.argument(0), type, zone), Times.Writer(call.output, result, zone))
      let counts = call.values(1, Int64.self)
      call.rows.each { row in
        // More leaves every type's range.
        guard counts[row].magnitude < 1 << 40 else { return call.fail(row, .outOfRange) }
        let count = sign * counts[row]
        let code: FailureCode
        switch unit {
        case .second, .minute, .hour:
          var instant = type.isDay ? reader.local(row) : reader.moment(row)
          instant.seconds += count * (unit == .hour ? 3600 : unit == .minute ? 60 : 1)
          code = writer.store(moment: instant, row)
        case .day, .week:
          var instant = reader.local(row)
          instant.seconds += count * (unit == .week ? 7 : 1) * 86_400
          code = writer.store(local: instant, row)
        case .month, .quarter, .year:
          var instant = reader.local(row)
          guard let seconds = months(instant.seconds, count * (unit == .year ? 12 : unit == .quarter ? 3 : 1)) else {
            return call.fail(row, .outOfRange)
          }
          instant.seconds = seconds
          code = writer.store(local: instant, row)
        }
        if code != .none { call.fail(row, code) }
      }
    }
  }

  /// Nil beyond the years 0 to 9999.
  private static func months(_ seconds: Int64, _ count: Int64) -> Int64? {
    let wall = WallTime(seconds)
    let (year, month, day) = wall.date
    let number = Int64(year) * 12 + Int64(month) - 1 + count
    guard number >= 0, number < 120_000 else { return nil }
    let (newYear, newMonth) = (Int(number / 12), Int(number % 12) + 1)
    let days = daysSince1970(year: newYear, month: newMonth, day: min(day, dayCount(year: newYear, month: newMonth)))
    return Int64(days) * 86_400 + Int64(wall.second)
  }
}

extension ZoneRules {
  /// The moment when clocks first show `local` or more.
  func first(local: Int64) -> Int64 {
    if let moment = utc(local: local) { return moment }
    // They skip it: the moment of the skip lies within the hours around.
    var (low, high) = (local - 26 * 3600, local + 26 * 3600)
    while low + 1 < high {
      let middle = (low + high) / 2
      if middle + offset(at: middle) >= local { high = middle } else { low = middle }
    }
    return high
  }
}
