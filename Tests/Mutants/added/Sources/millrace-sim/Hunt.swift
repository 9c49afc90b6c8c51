internal import Glibc
internal import MillBase
internal import MillSim

/// What the simulator of this build does besides: it runs seeds, each mutant for itself, until one fails.
///
///     millrace-sim --mutant NAME    until this one is caught
///     millrace-sim --mutants        every one, each in a process of its own
///                                   both of them [--limit N]: seeds each, as many as the table says unless told
///
/// A mutant is also caught where the program's own assertions end its process.
/// Returns where the command line asks for something else.
func huntIfAsked(_ words: [String]) {
  guard words.contains("--mutant") || words.contains("--mutants") else { return }
  var one: Mutant?
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
      one = mutant
    case "--limit":
      let text = rest.popFirst() ?? ""
      guard let number = UInt64(text), number > 0 else { fail("--limit \(text): a number above 0") }
      limit = number
    default: fail("\(word): doesn't go with --mutant")
    }
  }
  if let one { hunt(one, limit) } else { huntAll(limit) }
}

private func hunt(_ mutant: Mutant, _ limit: UInt64?) -> Never {
  let limit = limit ?? mutant.seedLimit
  guard let (seeds, failure) = seedsToCatch(mutant, limit: limit) else {
    print("\(mutant.rawValue) NOT caught in \(limit) seeds")
    exit(1)
  }
  print("\(mutant.rawValue) caught after \(seeds) seeds: \(failure.prefix(120))")
  exit(0)
}

private func huntAll(_ limit: UInt64?) -> Never {
  // An assertion that catches one is no crash to be looked into.
  unsafe setenv("SWIFT_BACKTRACE", "enable=no", 1)
  let caught = Mutant.allCases.count { isCaught($0, limit) }
  print("caught \(caught)/\(Mutant.allCases.count)")
  exit(caught == Mutant.allCases.count ? 0 : 1)
}

/// Hunts for it in a process of its own, which tells what came of it.
private func isCaught(_ mutant: Mutant, _ limit: UInt64?) -> Bool {
  let words = ["millrace-sim", "--mutant", mutant.rawValue] + (limit.map { ["--limit", "\($0)"] } ?? [])
  var texts: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) }
  unsafe texts.append(nil)
  defer { unsafe texts.forEach { unsafe free($0) } }
  var process: pid_t = 0
  let failed = unsafe posix_spawn(&process, "/proc/self/exe", nil, nil, &texts, environ)
  guard failed == 0 else { fail("another process of this program can't be started: errno \(failed)") }
  var status: Int32 = 0
  while unsafe waitpid(process, &status, 0) < 0 {
    if errno != EINTR { fail("waitpid: errno \(errno)") }
  }
  let signal = status & 0x7f
  guard signal != 0 else { return status == 0 }
  let isAssertion = signal == SIGILL || signal == SIGTRAP
  print("\(mutant.rawValue) \(isAssertion ? "caught by an assertion of the program" : "NOT caught: ended by signal \(signal)")")
  // Hours may lie between two lines.
  fflush(nil)
  return isAssertion
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
