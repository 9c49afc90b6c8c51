internal import Glibc
internal import MillBase
internal import MillSim

/// What the simulator of this build does besides: it runs seeds, each mutant for itself, until one fails.
///
///     millrace-sim --mutant NAME    until this one is caught
///     millrace-sim --mutants        every one; [--limit N]: seeds each, as many as the table says unless told
///
/// Returns where the command line asks for something else.
func huntIfAsked(_ words: [String]) {
  guard words.contains("--mutant") || words.contains("--mutants") else { return }
  var mutants = Mutant.allCases
  var limit: UInt64?
  var rest = words[...]
  while let word = rest.popFirst() {
    switch word {
    case "--mutants": break
    case "--mutant":
      let name = rest.popFirst() ?? ""
      guard let mutant = Mutant(rawValue: name) else {
        fail("--mutant \(name): one of \(Mutant.allCases.map(\.rawValue).joined(separator: " "))")
      }
      mutants = [mutant]
    case "--limit":
      let text = rest.popFirst() ?? ""
      guard let number = UInt64(text), number > 0 else { fail("--limit \(text): a number above 0") }
      limit = number
    default: fail("\(word): doesn't go with --mutant")
    }
  }
  hunt(mutants, limit)
}

private func hunt(_ mutants: [Mutant], _ limit: UInt64?) -> Never {
  var caught = 0
  for mutant in mutants {
    let limit = limit ?? mutant.seedLimit
    if let (seeds, failure) = seedsToCatch(mutant, limit: limit) {
      caught += 1
      print("\(mutant.rawValue) caught after \(seeds) seeds: \(failure.prefix(120))")
    } else {
      print("\(mutant.rawValue) NOT caught in \(limit) seeds")
    }
    // Hours may lie between two lines.
    fflush(nil)
  }
  print("caught \(caught)/\(mutants.count)")
  exit(caught == mutants.count ? 0 : 1)
}

/// Seeds until one fails, or nil.
private func seedsToCatch(_ mutant: Mutant, limit: UInt64) -> (seeds: UInt64, failure: String)? {
  unsafe MutantSwitch.active = mutant
  defer { unsafe MutantSwitch.active = nil }
  for seed in 1...limit {
    let outcome = simulate(seed: seed)
    if let failure = outcome.failures.first { return (seed, failure) }
  }
  return nil
}
