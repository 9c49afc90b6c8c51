internal import Glibc
internal import MillBase
internal import MillSim

/// What the command line asks for.
struct Arguments {
  var seed: UInt64?
  var seeds: ClosedRange<UInt64>?
  var minutes: Double?
  /// Processes that the seeds are shared by; nil: one a processor.
  var jobs: Int?
  /// This process does one of several shares.
  var share: (index: UInt64, count: UInt64)?
  var requiresReach = false
  var profile = Profile.usual
}

let usage = """
  usage: millrace-sim --seed N            one seed, its trace and hash
         millrace-sim --seeds A..B        many, and a summary [--require-reach: fail where a fault or branch was never hit]
         millrace-sim --minutes M         as many as there is time for [--seeds A..B: from A]
                                          both of them [--jobs N: in N processes; one a processor unless told]
                                          all of them [--profile usual, power-cut or weather: see ARCHITECTURE.md]
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
    case "--jobs":
      let text = value(word)
      guard let jobs = Int(text), (1...256).contains(jobs) else { fail("--jobs \(text): a number of 1 to 256") }
      arguments.jobs = jobs
    case "--share":
      let text = value(word)
      let parts = text.split(separator: "/").compactMap { UInt64($0) }
      guard parts.count == 2, parts[0] < parts[1] else { fail("--share \(text): I/N with I below N") }
      arguments.share = (parts[0], parts[1])
    case "--require-reach": arguments.requiresReach = true
    case "--profile":
      let text = value(word)
      guard let profile = Profile(rawValue: text) else {
        fail("--profile \(text): one of \(Profile.allCases.map(\.rawValue).joined(separator: " "))")
      }
      arguments.profile = profile
    default: fail("unknown argument \(word)")
    }
  }
  return arguments
}

func one(_ seed: UInt64, _ profile: Profile) -> Never {
  print(Scenario(seed: seed, profile: profile))
  let outcome = simulate(seed: seed, profile: profile, isVerbose: true)
  for failure in outcome.failures { print("verdict: \(failure)") }
  if let stopped = outcome.stopped { print("stopped: \(stopped)") }
  print(
    "epochs \(outcome.epochs)  batches \(outcome.batches)  crashes \(outcome.crashes)  faults \(outcome.faults.total)  steps \(outcome.steps)"
  )
  print("hash \(outcome.hash.paddedHex)  \(outcome.failures.isEmpty ? "ok" : "FAILED")")
  exit(outcome.failures.isEmpty ? 0 : 1)
}

func many(_ seeds: ClosedRange<UInt64>, _ arguments: Arguments) -> Never {
  let start = seconds(CLOCK_MONOTONIC)
  let jobs = arguments.jobs ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
  var summary: Summary
  if jobs > 1 {
    summary = Shares.run(seeds, arguments.profile, minutes: arguments.minutes, jobs: jobs)
  } else {
    summary = Summary()
    for seed in seeds {
      if let minutes = arguments.minutes, seconds(CLOCK_MONOTONIC) - start > minutes * 60 { break }
      summary.add(simulate(seed: seed, profile: arguments.profile))
    }
    summary.addProcess()
  }
  let took = seconds(CLOCK_MONOTONIC) - start
  exit(summary.finish(wallSeconds: took, jobs: jobs, requiresReach: arguments.requiresReach, arguments.profile) ? 0 : 1)
}

let arguments = parse(Array(CommandLine.arguments.dropFirst()))
if let seed = arguments.seed {
  one(seed, arguments.profile)
} else if arguments.seeds != nil || arguments.minutes != nil {
  let seeds = arguments.seeds ?? 1...UInt64.max
  guard let share = arguments.share else { many(seeds, arguments) }
  Shares.work(seeds, arguments.profile, index: share.index, count: share.count, minutes: arguments.minutes)
} else {
  fail("nothing to do")
}
