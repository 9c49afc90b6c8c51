import MillBase
import Testing

/// The log's own test finds mistakes in the log. One at a time: a mutant is switched on for the whole process.
@Suite(.serialized) struct MutantTests {
  @Test(arguments: [Mutant.skipDirectorySync, .skipTailCopy])
  func `a planted mistake is found`(_ mutant: Mutant) {
    unsafe MutantSwitch.active = mutant
    defer { unsafe MutantSwitch.active = nil }
    #expect(throws: (any Error).self) {
      for seed in 0..<100 as Range<UInt64> { try walk(seed: seed, steps: 120) }
    }
  }
}
