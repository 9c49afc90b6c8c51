import CSimdjson
import Foundation
import MillBase
import MillFlow
import Testing

/// Our reader and two others must agree on what is one JSON object, over generated and then broken documents.
///
/// `MILLRACE_DIFFERENTIAL_DOCUMENTS` says how many (default 20,000; a release build does a million in less than a minute). Where judges
/// differ
/// by design, the difference is one of those that the two `isListed` name.
struct DifferentialTests {
  private static let documentCount = ProcessInfo.processInfo.environment["MILLRACE_DIFFERENTIAL_DOCUMENTS"].flatMap { Int($0) } ?? 20_000

  @Test func `what is taken as JSON is what simdjson takes`() throws {
    try compare(seed: 11) {
      check($0)
    } isListed: { reason, verdict, _ in
      switch reason {
      // A number that no double holds is a number all the same.
      case nil: verdict == Int32(MR_SIMDJSON_NUMBER)
      case .tooDeep: true
      // simdjson 3.0.1 takes some escaped halves of surrogate pairs.
      case .loneSurrogate: true
      default: false
      }
    }
  }

  @Test func `what is taken as JSON is what Foundation takes`() throws {
    try compare(seed: 12) { bytes in
      guard let value = try? JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed]) else {
        return Int32(MR_SIMDJSON_REFUSED)
      }
      return value is [String: Any] ? Int32(MR_SIMDJSON_OBJECT) : Int32(MR_SIMDJSON_OTHER_VALUE)
    } isListed: { reason, _, document in
      // A zero byte near the beginning makes Foundation read UTF-16 or UTF-32.
      if document.prefix(4).contains(0), check(document) == Int32(MR_SIMDJSON_REFUSED) { return reason != nil }
      return switch reason {
      // Foundation too refuses a number that no double holds.
      case nil: check(document) == Int32(MR_SIMDJSON_NUMBER)
      case .tooDeep, .loneSurrogate: true
      // It takes a comma before a closing bracket, which the grammar doesn't.
      case .malformedJSON: hasTrailingComma(document) && check(document) != Int32(MR_SIMDJSON_OBJECT)
      default: false
      }
    }
  }

  /// simdjson's verdict.
  private func check(_ document: [UInt8]) -> Int32 {
    unsafe document.withUnsafeBufferPointer { unsafe mr_simdjson_check($0.baseAddress, $0.count) }
  }

  /// Whether somewhere a comma stands before a closing bracket.
  private func hasTrailingComma(_ document: [UInt8]) -> Bool {
    let dense = document.filter { ![0x20, 0x0A, 0x0D, 0x09].contains($0) }
    return zip(dense, dense.dropFirst()).contains { $0 == UInt8(ascii: ",") && ($1 == UInt8(ascii: "]") || $1 == UInt8(ascii: "}")) }
  }

  private func compare(
    seed: UInt64, judge: ([UInt8]) -> Int32, isListed: (DecodeReason?, Int32, [UInt8]) -> Bool
  ) throws {
    let plan = try source([field("Nullable(String)", name: "no_such_key")])
    let decoder = RecordDecoder(plan: plan)
    var generator = DocumentGenerator(seed: seed)
    var agreed = 0
    var taken = 0
    var listed = 0
    var failures: [DecodeFailure] = []
    let rows = DecodedRows(plan)
    while agreed + listed < Self.documentCount {
      let documents = (0..<256).map { _ in generator.document() }
      rows.removeAll()
      failures.removeAll()
      decoder.decode(buffer(documents.map { Record(bytes: $0) }), first: documents.count, partition: 0, into: rows, failures: &failures)
      let reasons = Dictionary(uniqueKeysWithValues: failures.map { ($0.entryIndex, $0.reason) })
      for (index, document) in documents.enumerated() {
        let verdict = judge(document)
        let reason = reasons[index]
        if (reason == nil) == (verdict == Int32(MR_SIMDJSON_OBJECT)) {
          agreed += 1
          if reason == nil { taken += 1 }
        } else if isListed(reason, verdict, document) {
          listed += 1
        } else {
          Issue.record(
            "ours: \(reason?.rawValue ?? "taken"), the judge: \(verdict), \(String(decoding: document, as: UTF8.self).debugDescription)")
          return
        }
      }
    }
    // Both sides of the line have been walked, and the list isn't what makes the test pass.
    #expect(taken * 5 > agreed && (agreed - taken) * 5 > agreed && listed * 20 < agreed)
  }
}

/// Documents of all kinds of values, spaces and escapes; two in three are then broken somewhere.
private struct DocumentGenerator {
  private var random: SeededRandom
  private static let hostile =
    Array("{}[]\",:\\/u0123456789eE+-.tfn \0\u{7F}\u{1}dD89aA".utf8) + [0x80, 0xC3, 0xA4, 0xE2, 0xED, 0xA0, 0xF0, 0xF4, 0x90, 0xFF]

  init(seed: UInt64) { random = SeededRandom(seed) }

  mutating func document() -> [UInt8] {
    var out: [UInt8] = []
    spaces(&out)
    if random.chance(0.97) { object(&out, depth: 0) } else { value(&out, depth: 0) }
    spaces(&out)
    if random.chance(0.4) { return out }
    for _ in 0..<random.next(in: 1...3) where !out.isEmpty {
      let at = random.next(below: out.count)
      switch random.next(below: 6) {
      case 0, 1: out[at] = random.pick(Self.hostile)
      case 2: out.insert(random.pick(Self.hostile), at: at)
      case 3: out.remove(at: at)
      case 4: out.removeSubrange(at...)
      default: out.insert(contentsOf: out[at..<min(at + random.next(below: 12), out.count)], at: random.next(below: out.count))
      }
    }
    return out
  }

  private mutating func spaces(_ out: inout [UInt8]) {
    if random.chance(0.15) { out += random.pick([[0x20], [0x0A], [0x09, 0x20], [0x0D, 0x0A]]) }
  }

  private mutating func object(_ out: inout [UInt8], depth: Int) {
    out.append(UInt8(ascii: "{"))
    spaces(&out)
    for index in 0..<random.next(below: depth == 0 ? 6 : 3) {
      if index > 0 {
        out.append(UInt8(ascii: ","))
        spaces(&out)
      }
      string(&out)
      spaces(&out)
      out.append(UInt8(ascii: ":"))
      spaces(&out)
      value(&out, depth: depth + 1)
      spaces(&out)
    }
    out.append(UInt8(ascii: "}"))
  }

  private mutating func value(_ out: inout [UInt8], depth: Int) {
    switch random.next(below: depth > 4 ? 6 : 9) {
    case 0, 1, 2: string(&out)
    case 3, 4: number(&out)
    case 5: out += Array(random.pick(["true", "false", "null"]).utf8)
    case 6: object(&out, depth: depth)
    default:
      out.append(UInt8(ascii: "["))
      spaces(&out)
      for index in 0..<random.next(below: 4) {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        spaces(&out)
        value(&out, depth: depth + 1)
        spaces(&out)
      }
      out.append(UInt8(ascii: "]"))
    }
  }

  private mutating func number(_ out: inout [UInt8]) {
    if random.chance(0.3) { out.append(UInt8(ascii: "-")) }
    out += Array(random.pick(["0", "\(random.next(in: 1...9999))", "\(random.next(in: 1...9_000_000_000_000_000_000))"]).utf8)
    if random.chance(0.3) { out += Array(".\(random.next(below: 100_000))".utf8) }
    if random.chance(0.2) { out += Array("\(random.pick(["e", "E"]))\(random.pick(["", "+", "-"]))\(random.next(below: 200))".utf8) }
  }

  private mutating func string(_ out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    for _ in 0..<random.next(below: random.chance(0.1) ? 40 : 8) {
      switch random.next(below: 12) {
      case 0: out += Array(random.pick(["\\n", "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\r", "\\t"]).utf8)
      case 1: out += Array(random.pick(["\\u00e4", "\\u0000", "\\uD83D\\uDE00", "\\uFFFF", "\\u20aC"]).utf8)
      case 2: out += Array(random.pick(["ä", "€", "😀", "\u{7FF}", "\u{FFFF}", "\u{10FFFF}"]).utf8)
      default: out.append(UInt8(random.next(in: 0x23...0x5B)))
      }
    }
    out.append(UInt8(ascii: "\""))
  }
}
