import MillConfig
import Testing

/// A small seeded generator (SplitMix64), so that every run mutates the same way.
private struct Draws: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

private let pieces: [String] = [
  "${", "}", "${file:x}", "&a", "*a", "<<: ", "!t ", "- ", ": ", "\n", "  ", "{", "[", "]", "\"", "'", "null", "-1", "99999999999999999999",
  "$offset", "\u{0}", "\u{feff}", "---\n", "...", "? ", "|", ">", "%YAML 1.1\n", "é", "\t", "#",
]

@Test func `no mutation of the reference traps or is refused without a reason`() {
  // The comments are most of the reference and mutate to nothing.
  let lines = Reference.render().split(separator: "\n").filter { !$0.drop(while: { $0 == " " }).hasPrefix("#") }
  let seed = Array(lines.joined(separator: "\n").utf8)
  var draws = Draws(state: 42)
  var refused = 0
  for _ in 0..<3000 {
    var bytes = seed
    for _ in 0..<Int.random(in: 1...4, using: &draws) {
      let at = Int.random(in: 0..<bytes.count, using: &draws)
      switch Int.random(in: 0..<5, using: &draws) {
      case 0: bytes[at] = UInt8.random(in: 0...255, using: &draws)
      case 1: bytes.remove(at: at)
      case 2: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...60, using: &draws)))
      case 3: bytes.insert(contentsOf: pieces.randomElement(using: &draws)!.utf8, at: at)
      default:
        let end = min(bytes.count, at + Int.random(in: 1...80, using: &draws))
        bytes.insert(contentsOf: bytes[at..<end], at: Int.random(in: 0...bytes.count, using: &draws))
      }
      if bytes.isEmpty { bytes = seed }
    }
    let found = problems(bytes)
    if !found.isEmpty { refused += 1 }
    #expect(!found.contains { $0.message == PipelineFile.unnamedProblem }, "\(String(decoding: bytes, as: UTF8.self))")
    #expect(found == found.sorted { ($0.line, $0.column) < ($1.line, $1.column) })
  }
  #expect(refused > 1000)
}
