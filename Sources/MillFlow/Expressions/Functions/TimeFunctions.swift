extension Function {
  static let times: [Function] =
    [
      part("toYear", .uint16) { UInt16($0.year) }, part("toQuarter", .uint8) { UInt8(($0.month + 2) / 3) },
      part("toMonth", .uint8) { UInt8($0.month) }, part("toDayOfYear", .uint16) { UInt16($0.dayOfYear) },
      part("toDayOfMonth", .uint8) { UInt8($0.day) }, part("toDayOfWeek", .uint8) { UInt8($0.dayOfWeek) },
      part("toISOWeek", .uint8) { UInt8($0.isoWeek) }, part("toISOYear", .uint16) { UInt16($0.isoYear) },
      part("toHour", .uint8, ofDays: false) { UInt8($0.second / 3600) },
      part("toMinute", .uint8, ofDays: false) { UInt8($0.second / 60 % 60) },
      part("toSecond", .uint8, ofDays: false) { UInt8($0.second % 60) },
      Function("toUnixTimestamp", "(t)", 1...1) { (call) throws(ExpressionProblem) in
        let (node, zone) = try call.time(0)
        let type = node.type.bare
        return try call.result([node], .uint32) { call in
          let (reader, out) = (Times.Reader(call.argument(0), type, zone), call.results(UInt32.self))
          call.rows.each { row in
            let seconds = type.isDay ? reader.local(row).seconds : reader.moment(row).seconds
            guard let value = UInt32(exactly: seconds) else { return call.fail(row, .overflow) }
            out[row] = value
          }
        }
      },
      Function("toTimeZone", "(t, zone)", 2...2) { (call) throws(ExpressionProblem) in
        let (node, _) = try call.time(0)
        let name = try call.zoneName(1)
        let type: DataType
        switch node.type.bare {
        case .dateTime: type = .dateTime(zone: name)
        case .dateTime64(let precision, _): type = .dateTime64(precision: precision, zone: name)
        default: throw call.wrong(0, wanted: "a DateTime or DateTime64")
        }
        return try call.result([node], type, nulls: .seen, Copying.kernel(width: type.width))
          .withType(type.nullable(node.type.isNullable))
      },
      Function("now", "()", 0...0) { (call) throws(ExpressionProblem) in
        let clock = Operation("now", isPure: false) { call in
          let out = call.results(Int64.self)
          let clock = call.clock
          call.rows.each { row in out[row] = clock }
        }
        return try call.typer.apply(clock, [], .dateTime64(precision: 3, zone: nil), call.offset)
      },
      Function("dateDiff", "(unit, a, b)", 3...3) { (call) throws(ExpressionProblem) in try difference(call) },
    ] + toTicks + fromTicks

  /// A number read off the calendar and the clock in the type's zone.
  private static func part<R: BitwiseCopyable>(
    _ name: String, _ result: DataType, ofDays: Bool = true, _ body: @escaping @Sendable (WallTime) -> R
  ) -> Function {
    Function(name, "(t)", 1...1) { (call) throws(ExpressionProblem) in
      let (node, zone) = try call.time(0)
      let type = node.type.bare
      guard ofDays || !type.isDay else { throw call.wrong(0, wanted: "a DateTime or DateTime64") }
      return try call.result([node], result) { call in
        let (reader, out) = (Times.Reader(call.argument(0), type, zone), call.results(R.self))
        call.rows.each { row in out[row] = body(WallTime(reader.local(row).seconds)) }
      }
    }
  }

  private static let toTicks: [Function] = [("Milli", 3), ("Micro", 6), ("Nano", 9)].map { name, digits in
    Function("toUnixTimestamp64" + name, "(t)", 1...1) { (call) throws(ExpressionProblem) in
      let (node, zone) = try call.time(0)
      guard case .dateTime64(let precision, _) = node.type.bare else { throw call.wrong(0, wanted: "a DateTime64") }
      guard precision <= digits else {
        throw call.problem("a DateTime64(\(precision)) has more digits than \(digits): cast it to DateTime64(\(digits)) first", at: 0)
      }
      let factor = Times.ticksPerSecond(digits - precision)
      _ = zone
      return try call.result([node], .int64) { call in
        let (a, out) = (call.values(0, Int64.self), call.results(Int64.self))
        call.rows.each { row in
          let (value, isOver) = a[row].multipliedReportingOverflow(by: factor)
          if isOver { return call.fail(row, .overflow) }
          out[row] = value
        }
      }
    }
  }

  private static let fromTicks: [Function] = [("Second", 0), ("Milli", 3), ("Micro", 6), ("Nano", 9)].map { name, digits in
    Function("fromUnixTimestamp64" + name, "(ticks[, zone])", 1...2) { (call) throws(ExpressionProblem) in
      let ticks = try call.count(0)
      let type = DataType.dateTime64(precision: digits, zone: call.arguments.count > 1 ? try call.zoneName(1) : nil)
      let unit = Times.ticksPerSecond(digits)
      return try call.result([ticks], type) { call in
        let (values, writer) = (call.values(0, Int64.self), Times.Writer(call.output, type, nil))
        call.rows.each { row in
          let seconds = floorDivide(values[row], by: unit)
          let code = writer.store(moment: Times.Instant(seconds: seconds, ticks: values[row] - seconds * unit), row)
          if code != .none { call.fail(row, code) }
        }
      }
    }
  }

  /// How many bounds of a unit lie between two times.
  private static func difference(_ call: Call) throws(ExpressionProblem) -> Node {
    let unit = try call.unit(0)
    let ((a, zoneA), (b, zoneB)) = (try call.time(1), try call.time(2))
    let (typeA, typeB) = (a.type.bare, b.type.bare)
    // A Date's midnight is one where the other's clock stands.
    let (first, second) = (typeA.isDay ? zoneB : zoneA, typeB.isDay ? zoneA : zoneB)
    guard first == second else {
      throw call.problem("the two times are in different zones: toTimeZone(t, 'UTC') brings one to the other's")
    }
    return try call.result([a, b], .int64) { call in
      let (x, y) = (Times.Reader(call.argument(0), typeA, zoneA), Times.Reader(call.argument(1), typeB, zoneB))
      let out = call.results(Int64.self)
      call.rows.each { row in out[row] = number(y, row, unit, second) - number(x, row, unit, first) }
    }
  }

  /// How many bounds of a unit lie before a time, counted from some moment.
  @inline(__always)
  private static func number(_ reader: Times.Reader, _ row: Int, _ unit: TimeUnit, _ zone: ZoneRules?) -> Int64 {
    let local = reader.local(row).seconds
    guard unit == .second || unit == .minute || unit == .hour else { return WallTime(local).number(unit) }
    // Moments, which go on evenly where clocks are set, moved by what the zone's are off full hours.
    let moment = reader.type.isDay ? zone?.first(local: local) ?? local : reader.moment(row).seconds
    let length: Int64 = unit == .hour ? 3600 : unit == .minute ? 60 : 1
    return floorDivide(moment + (zone?.offset(at: moment) ?? 0) % length, by: length)
  }
}

extension DataType {
  var isDay: Bool { self == .date || self == .date32 }
}

extension Node {
  /// The same value, called another type that is kept alike.
  func withType(_ type: DataType) -> Node { Node(kind, type, offset) }
}

extension Call {
  /// An argument that is a time, and its type's zone.
  func time(_ index: Int) throws(ExpressionProblem) -> (node: Node, zone: ZoneRules?) {
    let node = try argument(index, nullAs: .dateTime(zone: nil))
    guard node.type.bare.isTime else { throw wrong(index, wanted: "a Date, Date32, DateTime or DateTime64") }
    return (node, try typer.zone(node.type, node.offset))
  }

  func zoneName(_ index: Int) throws(ExpressionProblem) -> String {
    let name = String(decoding: try constantText(index, "a zone's name"), as: UTF8.self)
    _ = try typer.zone(named: name, arguments[index].offset)
    return name
  }

  func unit(_ index: Int) throws(ExpressionProblem) -> TimeUnit {
    let word = String(decoding: try constantText(index, "a unit"), as: UTF8.self)
    guard let unit = TimeUnit(rawValue: word.lowercased()) else {
      let units = TimeUnit.allCases.map(\.rawValue)
      throw problem("'\(word)' is no unit: \(units.joined(separator: ", "))" + suggestion(word, units), at: index)
    }
    return unit
  }
}

/// What calendar and clock show.
struct WallTime {
  /// Since 1970-01-01.
  let days: Int
  /// Of the day.
  let second: Int

  init(_ localSeconds: Int64) {
    days = Int(floorDivide(localSeconds, by: 86_400))
    second = Int(localSeconds) - days * 86_400
  }

  var date: (year: Int, month: Int, day: Int) { civilDate(daysSince1970: days) }
  var year: Int { date.year }
  var month: Int { date.month }
  var day: Int { date.day }
  var dayOfYear: Int { days - daysSince1970(year: year, month: 1, day: 1) + 1 }

  /// Monday is 1.
  var dayOfWeek: Int { ((days + 3) % 7 + 7) % 7 + 1 }

  /// The week of ISO 8601 begins on Monday; the first of a year is the one with its first Thursday.
  var isoYear: Int { WallTime(Int64(days + 4 - dayOfWeek) * 86_400).year }
  var isoWeek: Int { (WallTime(Int64(days + 4 - dayOfWeek) * 86_400).dayOfYear - 1) / 7 + 1 }

  /// How many bounds of a unit of days or more lie before it, counted from some moment.
  func number(_ unit: TimeUnit) -> Int64 {
    switch unit {
    case .second, .minute, .hour, .day: Int64(days)
    case .week: floorDivide(Int64(days + 3), by: 7)
    case .month: Int64(year * 12 + month - 1)
    case .quarter: Int64(year * 4 + (month - 1) / 3)
    case .year: Int64(year)
    }
  }
}
