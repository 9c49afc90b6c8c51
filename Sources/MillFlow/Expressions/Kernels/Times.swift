/// Points in time, as seconds since 1970 UTC and a fraction.
enum Times {
  static func ticksPerSecond(_ precision: Int) -> Int64 { (0..<precision).reduce(Int64(1)) { power, _ in power * 10 } }

  /// A time of any type: seconds, and units of its precision behind them.
  struct Instant {
    var seconds: Int64
    /// 0 or more.
    var ticks: Int64
  }

  /// Values of one type of time; integers stand for days of a Date, seconds of others.
  @safe struct Reader {
    let type: DataType
    private let view: View
    private let unit: Int64
    private let zone: ZoneRules?

    init(_ view: View, _ type: DataType, _ zone: ZoneRules?) {
      self.view = view
      self.type = type
      self.zone = zone
      if case .dateTime64(let precision, _) = type { unit = Times.ticksPerSecond(precision) } else { unit = 1 }
    }

    var ticksPerSecond: Int64 { unit }

    /// Seconds read off the wall in the type's zone; a Date's midnight.
    @inline(__always)
    func local(_ row: Int) -> Instant {
      switch type {
      case .date: return Instant(seconds: Int64(Values<UInt16>(view)[row]) * 86_400, ticks: 0)
      case .date32: return Instant(seconds: Int64(Values<Int32>(view)[row]) * 86_400, ticks: 0)
      default:
        var instant = moment(row)
        if let zone { instant.seconds += zone.offset(at: instant.seconds) }
        return instant
      }
    }

    /// Seconds since 1970 UTC; not of Dates, which are no moments.
    @inline(__always)
    func moment(_ row: Int) -> Instant {
      if case .dateTime = type { return Instant(seconds: Int64(Values<UInt32>(view)[row]), ticks: 0) }
      let ticks = Values<Int64>(view)[row]
      let seconds = floorDivide(ticks, by: unit)
      return Instant(seconds: seconds, ticks: ticks - seconds * unit)
    }
  }

  /// Results of one type of time.
  @safe struct Writer {
    private let type: DataType
    private let view: View
    let ticksPerSecond: Int64
    private let zone: ZoneRules?

    init(_ view: View, _ type: DataType, _ zone: ZoneRules?) {
      self.view = view
      self.type = type
      self.zone = zone
      if case .dateTime64(let precision, _) = type { ticksPerSecond = Times.ticksPerSecond(precision) } else { ticksPerSecond = 1 }
    }

    /// From what the wall shows in the type's zone; `ticks` are the type's own.
    func store(local: Instant, _ row: Int) -> FailureCode {
      guard !isDay, let zone else { return store(moment: local, row) }
      guard let seconds = zone.utc(local: local.seconds) else { return .noSuchLocalTime }
      return store(moment: Instant(seconds: seconds, ticks: local.ticks), row)
    }

    private var isDay: Bool { type == .date || type == .date32 }

    func store(moment: Instant, _ row: Int) -> FailureCode {
      let seconds = moment.seconds
      switch type {
      case .date:
        let days = floorDivide(seconds, by: 86_400)
        guard days >= 0, days <= 65_535 else { return .outOfRange }
        Results<UInt16>(view)[row] = UInt16(days)
      case .date32:
        let days = floorDivide(seconds, by: 86_400)
        guard days >= -25_567, days <= 120_529 else { return .outOfRange }
        Results<Int32>(view)[row] = Int32(days)
      case .dateTime:
        guard seconds >= 0, seconds <= 4_294_967_295 else { return .outOfRange }
        Results<UInt32>(view)[row] = UInt32(seconds)
      default:
        guard seconds >= -2_208_988_800, seconds <= 10_413_791_999 else { return .outOfRange }
        let (whole, isOver) = seconds.multipliedReportingOverflow(by: ticksPerSecond)
        let (value, isTooMuch) = whole.addingReportingOverflow(moment.ticks)
        guard !isOver, !isTooMuch else { return .outOfRange }
        Results<Int64>(view)[row] = value
      }
      return .none
    }
  }

  /// A time as another type, or as an integer: days of a Date, else whole seconds. Digits of a second aren't lost; the time of day is,
  /// where a Date is asked for. From an integer the same way.
  static func conversion(_ from: DataType, _ to: DataType, orNull: Bool, _ zones: (from: ZoneRules?, to: ZoneRules?)) -> Kernel? {
    if from.isTime, to.isTime { return between(from, to, orNull, zones) }
    if from.isTime, let kind = IntegerKind(to) { return toInteger(from, kind, orNull) }
    if let kind = IntegerKind(from), to.isTime { return fromInteger(kind, to, orNull) }
    return nil
  }

  private static func between(_ from: DataType, _ to: DataType, _ orNull: Bool, _ zones: (from: ZoneRules?, to: ZoneRules?)) -> Kernel {
    let isDay = from == .date || from == .date32 || to == .date || to == .date32
    return { call in
      let (reader, writer) = (Reader(call.argument(0), from, zones.from), Writer(call.output, to, zones.to))
      call.rows.each { row in
        var instant = isDay ? reader.local(row) : reader.moment(row)
        if to != .date, to != .date32 {
          // Both units are powers of ten.
          if writer.ticksPerSecond >= reader.ticksPerSecond {
            instant.ticks *= writer.ticksPerSecond / reader.ticksPerSecond
          } else {
            let factor = reader.ticksPerSecond / writer.ticksPerSecond
            guard instant.ticks % factor == 0 else { return call.refuse(row, .losesDigits, orNull) }
            instant.ticks /= factor
          }
        }
        let code = isDay ? writer.store(local: instant, row) : writer.store(moment: instant, row)
        if code != .none { call.refuse(row, code, orNull) }
      }
    }
  }

  private static func toInteger(_ from: DataType, _ kind: IntegerKind, _ orNull: Bool) -> Kernel {
    { call in
      let (reader, out) = (Reader(call.argument(0), from, nil), WideResults(call.output, kind))
      let isDay = from == .date || from == .date32
      call.rows.each { row in
        let instant = isDay ? reader.local(row) : reader.moment(row)
        guard instant.ticks == 0 else { return call.refuse(row, .losesDigits, orNull) }
        let value = isDay ? instant.seconds / 86_400 : instant.seconds
        if !out.store(Wide(value), row) { call.refuse(row, .overflow, orNull) }
      }
    }
  }

  private static func fromInteger(_ kind: IntegerKind, _ to: DataType, _ orNull: Bool) -> Kernel {
    { call in
      let (values, writer) = (WideValues(call.argument(0), kind), Writer(call.output, to, nil))
      let factor: Int64 = to == .date || to == .date32 ? 86_400 : 1
      call.rows.each { row in
        let value = values[row]
        // Far beyond every type of time.
        guard value.magnitude < UInt256(low: 1 << 40) else { return call.refuse(row, .outOfRange, orNull) }
        let code = writer.store(moment: Instant(seconds: value.int64 * factor, ticks: 0), row)
        if code != .none { call.refuse(row, code, orNull) }
      }
    }
  }
}
