internal import MillBase

/// Makes synthetic events, the same ones for the same options: what `millrace generate`, the demo and benchmarks write.
///
/// One event is a JSON object of about 195 bytes with these fields, in this order:
/// - `event_id` string: a lower-case UUID, different for every original event; also the record's key
/// - `user_id` integer: 1 ... `userCount`
/// - `amount` number with exactly two decimals, 0.00 ... 9999.99
/// - `created_at` string: ISO 8601 in UTC with milliseconds, `2026-01-31T12:00:00.000Z`
/// - `name` string: one of a few product names
/// - `text` string: filler of ASCII letters
///
/// A duplicate repeats one of the last `duplicateReach` originals byte by byte. Garbage is never a JSON object. One thread.
package struct EventGenerator {
  package struct Options: Hashable, Sendable {
    package var seed: UInt64 = 1
    /// Of the partitions that ``partition`` names.
    package var partitionCount = 1
    /// How many users there are.
    package var userCount = 10_000
    /// Per cent of all events that repeat an earlier one.
    package var duplicatePercent = 0.0
    /// A duplicate repeats one of so many last originals.
    package var duplicateReach = 1000
    /// Where it is given, `created_at` doesn't follow the clock.
    package var history: History?
    /// A duplicate goes to any partition, rather than to that of its original.
    package var duplicatesMove = false
    /// `created_at` stands up to so many milliseconds before the time given.
    package var disorderMilliseconds = 0
    /// Per cent of all events that aren't JSON objects.
    package var garbagePercent = 0.0

    package init() {}

    /// `created_at` of originals, evenly over some time: what a long backlog looks like.
    package struct History: Hashable, Sendable {
      /// `created_at` of the first original, milliseconds since 1970.
      package var first: Int64
      package var spanMilliseconds: Int
      /// Originals that the span is divided by.
      package var originalCount: Int

      package init(first: Int64, spanMilliseconds: Int, originalCount: Int) {
        self.first = first
        self.spanMilliseconds = spanMilliseconds
        self.originalCount = originalCount
      }

      func time(of number: Int) -> Int64 { first + Int64(Double(spanMilliseconds) * (Double(number) / Double(max(originalCount, 1)))) }
    }

    /// Originals whose times are kept, 8 bytes each.
    private static let rememberedMax = 10_000_000

    /// What is wrong with the options, in sentences that name the option and what would be right.
    package var issues: [String] {
      var issues: [String] = []
      func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) {
        if !range.contains(value) { issues.append("\(name) \(value): must be \(range.lowerBound) to \(range.upperBound)") }
      }
      check("partitions", partitionCount, 1...10_000)
      check("users", userCount, 1...1_000_000_000)
      check("reach", duplicateReach, 1...100_000_000_000)
      check("disorder in milliseconds", disorderMilliseconds, 0...86_400_000)
      for (name, share) in [("duplicates", duplicatePercent), ("garbage", garbagePercent)] where !(0...100).contains(share) {
        issues.append("\(name) \(share) %: must be 0 to 100")
      }
      if history == nil, duplicateReach > Self.rememberedMax {
        issues.append(
          "reach \(duplicateReach): must be at most \(Self.rememberedMax) unless a span is given, since each original's time is kept")
      }
      if issues.isEmpty, duplicatePercent + garbagePercent > 100 {
        issues.append("duplicates \(duplicatePercent) % and garbage \(garbagePercent) %: must be at most 100 % together")
      }
      return issues
    }
  }

  package enum Kind: Hashable, Sendable { case original, duplicate, garbage }

  /// The current event's bytes; overwritten by the next.
  package private(set) var payload: [UInt8] = []
  /// The current event's key: its `event_id`; of garbage, an id that stands nowhere else.
  package private(set) var key: [UInt8] = []
  package private(set) var partition: Int32 = 0
  package private(set) var kind = Kind.original
  /// Events so far, by kind.
  package private(set) var originalCount = 0
  package private(set) var duplicateCount = 0
  package private(set) var garbageCount = 0

  private let options: Options
  private let contents: SeededRandom
  private var decisions: SeededRandom
  /// Without a history `created_at` of the last originals; an original's slot is its number modulo `duplicateReach`.
  private var recent: [Int64] = []

  /// `options` must have no ``Options/issues``.
  package init(_ options: Options) {
    precondition(options.issues.isEmpty, options.issues.joined(separator: "; "))
    self.options = options
    contents = SeededRandom(options.seed).split("contents")
    decisions = SeededRandom(options.seed).split("decisions")
  }

  /// Makes the next event, as happening at `milliseconds` since 1970 (less the disorder).
  package mutating func next(atMilliseconds milliseconds: Int64) {
    let draw = Double(decisions.next(below: 1_000_000)) / 10_000
    let delay = options.disorderMilliseconds == 0 ? 0 : decisions.next(in: 0...options.disorderMilliseconds)
    if draw < options.garbagePercent {
      writeGarbage()
    } else if draw < options.garbagePercent + options.duplicatePercent, originalCount > 0 {
      let back = decisions.next(below: min(originalCount, options.duplicateReach)) + 1
      let number = originalCount - back
      write(number, time(of: number))
      if options.duplicatesMove { partition = Int32(decisions.next(below: options.partitionCount)) }
      kind = .duplicate
      duplicateCount += 1
    } else {
      if options.history == nil { remember(milliseconds - Int64(delay)) }
      write(originalCount, time(of: originalCount))
      kind = .original
      originalCount += 1
    }
  }

  private mutating func remember(_ created: Int64) {
    if recent.count < options.duplicateReach { recent.append(created) } else { recent[originalCount % options.duplicateReach] = created }
  }

  /// `created_at` of an original.
  private func time(of number: Int) -> Int64 {
    guard let history = options.history else { return recent[number % options.duplicateReach] }
    let delay = options.disorderMilliseconds
    guard delay > 0 else { return history.time(of: number) }
    var random = contents.split("delay").split(UInt64(number))
    return history.time(of: number) - Int64(random.next(in: 0...delay))
  }

  // MARK: Bytes

  private static let names = ["anvil", "bellows", "cartwheel", "dovetail", "endstone", "flywheel", "gristmill", "headrace"]
    .map { Array($0.utf8) }
  private static let texts = [
    "the wheel turns as long as the stream runs", "grain goes in above and flour comes out below",
    "two stones never touch while they do their work", "a full sack weighs the same whoever carries it",
  ].map { Array($0.utf8) }
  private static let hex = Array("0123456789abcdef".utf8)
  /// What stands before each value, and after the last.
  private static let parts = [
    #"{"event_id":""#, #"","user_id":"#, #","amount":"#, #","created_at":""#, #"","name":""#, #"","text":""#, #""}"#,
  ].map { Array($0.utf8) }

  /// Writes original number `number`: its bytes follow from the seed, the number and the time alone.
  private mutating func write(_ number: Int, _ created: Int64) {
    var random = contents.split(UInt64(number))
    writeKey(&random)
    let cents = random.next(below: 1_000_000)
    payload.removeAll(keepingCapacity: true)
    payload += Self.parts[0]
    payload += key
    payload += Self.parts[1]
    append(random.next(below: options.userCount) + 1, digits: 1)
    payload += Self.parts[2]
    append(cents / 100, digits: 1)
    payload.append(UInt8(ascii: "."))
    append(cents % 100, digits: 2)
    payload += Self.parts[3]
    appendTime(created)
    payload += Self.parts[4]
    payload += Self.names[random.next(below: Self.names.count)]
    payload += Self.parts[5]
    payload += Self.texts[random.next(below: Self.texts.count)]
    payload += Self.parts[6]
  }

  /// A UUID of version 4, and with it the partition.
  private mutating func writeKey(_ random: inout SeededRandom) {
    let (high, low) = (random.next(), random.next())
    partition = Int32((high ^ low) % UInt64(options.partitionCount))
    key.removeAll(keepingCapacity: true)
    let words = [high & ~0xf000 | 0x4000, low & ~(3 << 62) | 1 << 63]
    for index in 0..<32 {
      if index == 8 || index == 12 || index == 16 || index == 20 { key.append(UInt8(ascii: "-")) }
      key.append(Self.hex[Int(words[index >> 4] >> UInt64(60 - 4 * (index & 15)) & 15)])
    }
  }

  /// An object cut short, words that aren't JSON, or bytes that aren't even text.
  private mutating func writeGarbage() {
    let number = UInt64(garbageCount)
    var random = contents.split("garbage").split(number)
    write(Int(number), Int64(random.next(below: 4_000_000_000)) * 1000)
    writeKey(&random)
    switch random.next(below: 3) {
    case 0: payload.removeLast(random.next(in: 1...payload.count))
    case 1: payload = Array("not a JSON object, number \(number)".utf8)
    default: payload = [0xff] + random.bytes(random.next(in: 0...200))
    }
    kind = .garbage
    garbageCount += 1
  }

  private mutating func append(_ value: Int, digits: Int) {
    var power = 1
    for _ in 1..<max(digits, 1) { power *= 10 }
    while value / power >= 10 { power *= 10 }
    while power > 0 {
      payload.append(UInt8(ascii: "0") + UInt8(value / power % 10))
      power /= 10
    }
  }

  /// ISO 8601 of the proleptic Gregorian calendar, years 0 to 9999.
  private mutating func appendTime(_ milliseconds: Int64) {
    let day = 86_400_000
    let time = Int(min(max(milliseconds, -62_167_219_200_000), 253_402_300_799_999))
    let ofDay = (time % day + day) % day
    // Days since March 1 of the year 0, in cycles of 400 years, which all have 146,097 days.
    let days = (time - ofDay) / day + 719_468
    let cycle = (days >= 0 ? days : days - 146_096) / 146_097
    let ofCycle = days - cycle * 146_097
    let yearOfCycle = (ofCycle - ofCycle / 1460 + ofCycle / 36_524 - ofCycle / 146_096) / 365
    let ofYear = ofCycle - (365 * yearOfCycle + yearOfCycle / 4 - yearOfCycle / 100)
    let shifted = (5 * ofYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    append(yearOfCycle + cycle * 400 + (month <= 2 ? 1 : 0), digits: 4)
    payload.append(UInt8(ascii: "-"))
    append(month, digits: 2)
    payload.append(UInt8(ascii: "-"))
    append(ofYear - (153 * shifted + 2) / 5 + 1, digits: 2)
    payload.append(UInt8(ascii: "T"))
    append(ofDay / 3_600_000, digits: 2)
    payload.append(UInt8(ascii: ":"))
    append(ofDay / 60_000 % 60, digits: 2)
    payload.append(UInt8(ascii: ":"))
    append(ofDay / 1000 % 60, digits: 2)
    payload.append(UInt8(ascii: "."))
    append(ofDay % 1000, digits: 3)
    payload.append(UInt8(ascii: "Z"))
  }
}
