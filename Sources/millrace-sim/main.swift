internal import Glibc
internal import MillBase
internal import MillSim

/// What the command line asks for.
struct Arguments {
  var seed: UInt64?
  var seeds: ClosedRange<UInt64>?
  var minutes: Double?
  var requiresReach = false
  var mutant: String?
  var allMutants = false
  /// Seeds that a mutant may take before it counts as not caught.
  var limit: UInt64 = 2000
}

let usage = """
  usage: millrace-sim --seed N            one seed, its trace and hash
         millrace-sim --seeds A..B        many, and a summary [--require-reach: fail where a fault or branch was never hit]
         millrace-sim --minutes M         as many as there is time for [--seeds A..B: from A]
         millrace-sim --mutant NAME       until the planted mistake is caught (builds made with MILLRACE_MUTANTS=1)
         millrace-sim --mutants           every one of them; [--limit N]: seeds each
  """

func fail(_ text: String) -> Never {
  let message = Array((text + "\n" + usage + "\n").utf8)
  _ = unsafe message.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
  exit(2)
}

func parse(_ words: [String]) -> Arguments {
  var arguments = Arguments()
  var rest = words[...]
  func value(_ name: String) -> String {
    guard let value = rest.popFirst() else { fail("\(name) needs a value") }
    return value
  }
  while let word = rest.popFirst() {
    switch word {
    case "--seed":
      let text = value(word)
      guard let seed = UInt64(text) else { fail("--seed \(text): a number, 0 or more") }
      arguments.seed = seed
    case "--seeds":
      let text = value(word)
      let ends = text.split(separator: ".", omittingEmptySubsequences: true).compactMap { UInt64($0) }
      guard ends.count == 2, ends[0] <= ends[1] else { fail("--seeds \(text): A..B with A at most B") }
      arguments.seeds = ends[0]...ends[1]
    case "--minutes":
      let text = value(word)
      guard let minutes = Double(text), minutes > 0 else { fail("--minutes \(text): a number above 0") }
      arguments.minutes = minutes
    case "--limit":
      let text = value(word)
      guard let limit = UInt64(text), limit > 0 else { fail("--limit \(text): a number above 0") }
      arguments.limit = limit
    case "--require-reach": arguments.requiresReach = true
    case "--mutant": arguments.mutant = value(word)
    case "--mutants": arguments.allMutants = true
    default: fail("unknown argument \(word)")
    }
  }
  return arguments
}

func report(_ outcome: Outcome) {
  print("seed \(outcome.seed) FAILED")
  for line in outcome.tail.suffix(60) { print("  \(line)") }
  for failure in outcome.failures { print("  verdict: \(failure)") }
  print("  repro: millrace-sim --seed \(outcome.seed)")
}

func one(_ seed: UInt64) -> Never {
  print(Scenario(seed: seed))
  let outcome = simulate(seed: seed, isVerbose: true)
  for failure in outcome.failures { print("verdict: \(failure)") }
  if let stopped = outcome.stopped { print("stopped: \(stopped)") }
  print(
    "epochs \(outcome.epochs)  batches \(outcome.batches)  crashes \(outcome.crashes)  faults \(outcome.faults.total)  steps \(outcome.steps)"
  )
  print("hash \(outcome.hash.paddedHex)  \(outcome.failures.isEmpty ? "ok" : "FAILED")")
  exit(outcome.failures.isEmpty ? 0 : 1)
}

func seconds() -> Double {
  var time = timespec()
  unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func many(_ seeds: ClosedRange<UInt64>, minutes: Double?, requiresReach: Bool) -> Never {
  let start = seconds()
  var tally = FaultTally()
  var epochs: [Int] = []
  var crashes = 0
  var failed: [UInt64] = []
  var stopped = 0
  for seed in seeds {
    if let minutes, seconds() - start > minutes * 60 { break }
    let outcome = simulate(seed: seed)
    tally.add(outcome.faults)
    epochs.append(outcome.epochs)
    crashes += outcome.crashes
    if outcome.stopped != nil { stopped += 1 }
    if !outcome.failures.isEmpty {
      failed.append(seed)
      if failed.count <= 3 { report(outcome) } else { print("seed \(seed) FAILED: \(outcome.failures[0])") }
    }
  }
  let took = seconds() - start
  var missed: [String] = []
  print("faults")
  for fault in Fault.allCases {
    print("  \(fault.rawValue) \(tally[fault])")
    if tally[fault] == 0 { missed.append(fault.rawValue) }
  }
  print("branches")
  for branch in Branch.allCases {
    print("  \(branch.rawValue) \(Reach.count(branch))")
    if Reach.count(branch) == 0 { missed.append(branch.rawValue) }
  }
  print("never hit: \(missed.isEmpty ? "none" : missed.joined(separator: " "))")
  let median = epochs.isEmpty ? 0 : epochs.sorted()[epochs.count / 2]
  let perSeed = took * 1000 / Double(max(1, epochs.count))
  print(
    "seeds \(epochs.count)  epochs \(epochs.reduce(0, +)) (median \(median))  faults \(tally.total)  crashes \(crashes)  legal stops \(stopped)  "
      + "ms a seed \(Int(perSeed * 10) / 10)")
  print(failed.isEmpty ? "failed 0" : "failed \(failed.count): \(failed.prefix(20).map { "\($0)" }.joined(separator: " "))")
  exit(failed.isEmpty && (!requiresReach || missed.isEmpty) ? 0 : 1)
}

#if MUTANTS
  /// Seeds until one fails, or nil.
  func seedsToCatch(_ mutant: Mutant, limit: UInt64) -> (seeds: UInt64, failure: String)? {
    unsafe MutantSwitch.active = mutant
    defer { unsafe MutantSwitch.active = nil }
    for seed in 1...limit {
      let outcome = simulate(seed: seed)
      if let failure = outcome.failures.first { return (seed, failure) }
    }
    return nil
  }
#endif

func hunt(_ arguments: Arguments) -> Never {
  #if MUTANTS
    var mutants = Mutant.allCases
    if let name = arguments.mutant {
      guard let mutant = Mutant(rawValue: name) else {
        fail("--mutant \(name): one of \(Mutant.allCases.map(\.rawValue).joined(separator: " "))")
      }
      mutants = [mutant]
    }
    var caught = 0
    for mutant in mutants {
      if let (seeds, failure) = seedsToCatch(mutant, limit: arguments.limit) {
        caught += 1
        print("\(mutant.rawValue) caught after \(seeds) seeds: \(failure.prefix(120))")
      } else {
        print("\(mutant.rawValue) NOT caught in \(arguments.limit) seeds")
      }
      // Hours may lie between two lines.
      fflush(nil)
    }
    print("caught \(caught)/\(mutants.count)")
    exit(caught == mutants.count ? 0 : 1)
  #else
    fail("this build has no mutants: build with MILLRACE_MUTANTS=1")
  #endif
}

let arguments = parse(Array(CommandLine.arguments.dropFirst()))
if let seed = arguments.seed {
  one(seed)
} else if arguments.mutant != nil || arguments.allMutants {
  hunt(arguments)
} else if let seeds = arguments.seeds {
  many(seeds, minutes: arguments.minutes, requiresReach: arguments.requiresReach)
} else if let minutes = arguments.minutes {
  many(1...UInt64.max, minutes: minutes, requiresReach: arguments.requiresReach)
} else {
  fail("nothing to do")
}
