import MillKafka
import Testing

@Suite struct EventGeneratorTests {
  private struct Event: Hashable {
    var payload: [UInt8]
    var key: [UInt8]
    var partition: Int32
    var kind: EventGenerator.Kind
  }

  private func events(_ count: Int, _ change: (inout EventGenerator.Options) -> Void) -> [Event] {
    var options = EventGenerator.Options()
    change(&options)
    var generator = EventGenerator(options)
    return (0..<count).map {
      generator.next(atMilliseconds: 1_769_860_800_000 + Int64($0))
      return Event(payload: generator.payload, key: generator.key, partition: generator.partition, kind: generator.kind)
    }
  }

  private func text(_ event: Event) -> String { String(decoding: event.payload, as: UTF8.self) }

  @Test func `the same seed makes the same events, another one others`() {
    func make(_ seed: UInt64) -> [Event] {
      events(2000) {
        $0.seed = seed
        $0.duplicatePercent = 10
        $0.garbagePercent = 5
        $0.disorderMilliseconds = 5000
        $0.partitionCount = 4
      }
    }
    #expect(make(7) == make(7))
    #expect(Set(make(7)).isDisjoint(with: make(8)))
  }

  @Test func `an event has the documented fields, in about 195 bytes`() throws {
    let made = events(1000) { $0.userCount = 50 }
    let form =
      #/
      \{"event_id":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
      "user_id":([1-9][0-9]*),"amount":(0|[1-9][0-9]{0,3})\.[0-9]{2},
      "created_at":"(2026-01-31T12:00:0[0-9]\.[0-9]{3}Z)","name":"[a-z]+","text":"[a-z\x20]+"\}
      /#
    for (number, event) in made.enumerated() {
      let match = try #require(text(event).wholeMatch(of: form), "\(text(event))")
      #expect(1...50 ~= Int(match.1)!)
      #expect(match.3 == "2026-01-31T12:00:00.\(String(1000 + number).suffix(3))Z")
      #expect(text(event).dropFirst(13).prefix(36) == String(decoding: event.key, as: UTF8.self)[...])
    }
    let mean = made.reduce(0) { $0 + $1.payload.count } / made.count
    #expect(180...210 ~= mean)
    #expect(Set(made.map(\.key)).count == made.count)
  }

  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"), (951_782_400_123, "2000-02-29T00:00:00.123Z"), (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
    (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"), (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
  ])
  func `times are written in the calendar of the world`(milliseconds: Int64, expected: String) {
    var generator = EventGenerator(.init())
    generator.next(atMilliseconds: milliseconds)
    #expect(String(decoding: generator.payload, as: UTF8.self).contains("\"created_at\":\"\(expected)\""))
  }

  @Test func `duplicates have their share, repeat a recent original byte by byte and stay in its partition`() {
    let made = events(20_000) {
      $0.duplicatePercent = 10
      $0.duplicateReach = 100
      $0.disorderMilliseconds = 1000
      $0.partitionCount = 8
    }
    var originals: [Event] = []
    var duplicates = 0
    for event in made {
      guard event.kind == .duplicate else {
        originals.append(event)
        continue
      }
      duplicates += 1
      #expect(originals.suffix(100).contains { $0.payload == event.payload && $0.key == event.key && $0.partition == event.partition })
    }
    #expect(1800...2200 ~= duplicates)
    #expect(Set(originals.map(\.payload)).count == originals.count)
    #expect(Set(made.map(\.partition)) == Set(0..<8))
  }

  @Test func `duplicates move to other partitions when asked to`() {
    let made = events(5000) {
      $0.duplicatePercent = 20
      $0.duplicatesMove = true
      $0.partitionCount = 8
    }
    var home: [[UInt8]: Int32] = [:]
    for event in made where event.kind == .original { home[event.key] = event.partition }
    #expect(made.contains { $0.kind == .duplicate && home[$0.key] != $0.partition })
  }

  @Test func `garbage has its share and is never a whole object`() {
    let made = events(10_000) { $0.garbagePercent = 5 }.filter { $0.kind == .garbage }
    #expect(400...600 ~= made.count)
    for event in made { #expect(!(text(event).hasPrefix("{") && text(event).hasSuffix("}"))) }
  }

  @Test func `disorder moves event times back by at most what is asked for`() {
    let made = events(3000) { $0.disorderMilliseconds = 400 }
    let times = made.map { String(text($0).split(separator: "\"created_at\":\"")[1].prefix(24)) }
    #expect(times != times.sorted())
    for (number, time) in times.enumerated() where number >= 400 {
      let seconds = Int(time.dropFirst(17).prefix(2))!
      let milliseconds = seconds * 1000 + Int(time.dropFirst(20).prefix(3))!
      #expect(number - 400...number ~= milliseconds)
    }
  }

  @Test func `over a span created_at runs evenly, and a duplicate of any age repeats its original byte by byte`() {
    let made = events(10_000) {
      $0.duplicatePercent = 20
      $0.duplicateReach = 1_000_000_000
      $0.disorderMilliseconds = 300
      $0.history = .init(first: 1_769_860_800_000, spanMilliseconds: 8_000_000, originalCount: 8000)
    }
    let originals = made.filter { $0.kind == .original }
    let known = Set(originals)
    #expect(Set(originals.map(\.payload)).count == originals.count)
    var oldest = 0
    for (number, event) in made.enumerated() where event.kind == .duplicate {
      #expect(known.contains(Event(payload: event.payload, key: event.key, partition: event.partition, kind: .original)))
      oldest = max(oldest, number - (made.firstIndex { $0.key == event.key } ?? number))
    }
    #expect(oldest > 5000, "duplicates reach back over all that was written")
    // One second each, up to 300 ms early: two hours and 13 minutes in all.
    let times = originals.map { String(text($0).split(separator: "\"created_at\":\"")[1].prefix(19)) }
    #expect(times[0] >= "2026-01-31T11:59:59" && times[3601] >= "2026-01-31T13:00:00" && times[3600] <= "2026-01-31T13:00:00")
    #expect(times.last! > "2026-01-31T14:00:00" && times.last! < "2026-01-31T14:30:00")
  }

  @Test func `options out of range are named with what would be right`() {
    var options = EventGenerator.Options()
    #expect(options.issues.isEmpty)
    options.partitionCount = 0
    options.duplicatePercent = 101
    #expect(options.issues == ["partitions 0: must be 1 to 10000", "duplicates 101.0 %: must be 0 to 100"])
    options = .init()
    options.duplicateReach = 20_000_000
    #expect(options.issues == ["reach 20000000: must be at most 10000000 unless a span is given, since each original's time is kept"])
    options.history = .init(first: 0, spanMilliseconds: 1, originalCount: 1)
    #expect(options.issues.isEmpty)
    options = .init()
    options.duplicatePercent = 60
    options.garbagePercent = 50
    #expect(options.issues.count == 1)
  }
}
