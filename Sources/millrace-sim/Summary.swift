internal import Glibc
internal import MillBase
internal import MillSim

/// What many seeds showed together. One process adds its outcomes; shares of other processes come in as lines (``take(_:)``).
struct Summary {
  /// Failed seeds whose trace is printed.
  static let reportCount = 3

  /// One value a seed.
  private(set) var epochs: [Int] = []
  private(set) var faults: [Int] = []
  private(set) var crashes: [Int] = []
  private(set) var failed: [UInt64] = []
  private(set) var legalStops = 0
  /// How often, by the names of faults and branches.
  private(set) var counts: [String: Int] = [:]
  /// Processor time of all processes.
  private(set) var cpuSeconds = 0.0
  private var reported: Set<UInt64> = []

  /// Adds a seed and prints it where it failed.
  mutating func add(_ outcome: Outcome) {
    for line in Self.lines(of: outcome) { _ = take(line) }
    for fault in Fault.allCases { counts[fault.rawValue, default: 0] += outcome.faults[fault] }
  }

  /// Adds what this process has counted apart from outcomes; once, at its end.
  mutating func addProcess() {
    for branch in Branch.allCases { counts[branch.name, default: 0] += Reach.count(branch) }
    cpuSeconds += seconds(CLOCK_PROCESS_CPUTIME_ID)
  }

  // MARK: - Lines

  /// A seed as lines: its numbers, and what is printed of it when it failed.
  static func lines(of outcome: Outcome) -> [String] {
    let numbers = [outcome.epochs, outcome.faults.total, outcome.crashes, outcome.stopped == nil ? 0 : 1]
    var lines = ["seed \(outcome.seed) " + numbers.map(String.init).joined(separator: " ")]
    guard let failure = outcome.failures.first else { return lines }
    lines.append("failed \(outcome.seed) \(failure)")
    lines += outcome.tail.suffix(60).map { "report \(outcome.seed)   \($0)" }
    lines += outcome.failures.map { "report \(outcome.seed)   verdict: \($0)" }
    lines.append(
      "report \(outcome.seed)   repro: millrace-sim --seed \(outcome.seed)\(outcome.profile == .usual ? "" : " --profile \(outcome.profile.rawValue)")"
    )
    return lines
  }

  /// What a share's process tells at its end.
  static func closing(_ faults: FaultTally) -> [String] {
    Fault.allCases.map { "count \($0.rawValue) \(faults[$0])" } + Branch.allCases.map { "count \($0.name) \(Reach.count($0))" }
      + ["cpu \(seconds(CLOCK_PROCESS_CPUTIME_ID))"]
  }

  /// Takes a line of ``lines(of:)`` or ``closing(_:)``, and prints what there is to print. Returns false for any other line.
  mutating func take(_ line: some StringProtocol) -> Bool {
    let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard words.count > 1 else { return false }
    let rest = words.count > 2 ? words[2] : ""
    switch words[0] {
    case "seed":
      let numbers = rest.split(separator: " ").compactMap { Int($0) }
      guard UInt64(words[1]) != nil, numbers.count == 4 else { return false }
      epochs.append(numbers[0])
      faults.append(numbers[1])
      crashes.append(numbers[2])
      legalStops += numbers[3]
    case "failed":
      guard let seed = UInt64(words[1]) else { return false }
      failed.append(seed)
      if reported.count < Self.reportCount { reported.insert(seed) }
      print("seed \(seed) FAILED: \(rest)")
    case "report":
      guard let seed = UInt64(words[1]) else { return false }
      if reported.contains(seed) { print(rest) }
    case "count":
      guard let count = Int(rest) else { return false }
      counts[String(words[1]), default: 0] += count
    case "cpu":
      guard let spent = Double(String(words[1])) else { return false }
      cpuSeconds += spent
    default: return false
    }
    return true
  }

  // MARK: - The end

  /// Prints all of it. True where no seed has failed and, when asked for, every fault and branch was hit.
  func finish(wallSeconds: Double, jobs: Int, requiresReach: Bool, _ profile: Profile) -> Bool {
    var missed: [String] = []
    func list(_ title: String, _ names: [String]) {
      print(title)
      for name in names {
        let count = counts[name] ?? 0
        print("  \(name) \(count)")
        if count == 0 { missed.append(name) }
      }
    }
    list("faults", Fault.allCases.filter { $0.isOf(profile) }.map(\.rawValue))
    let branches = Branch.allCases.filter { $0.isOf(profile) }
    if !branches.isEmpty { list("branches", branches.map(\.name)) }
    print("never hit: \(missed.isEmpty ? "none" : missed.joined(separator: " "))")
    print("a seed, median and mean: epochs \(Self.middle(epochs))  faults \(Self.middle(faults))  crashes \(Self.middle(crashes))")
    let each = cpuSeconds * 1000 / Double(max(1, epochs.count))
    print(
      "seeds \(epochs.count)  epochs \(epochs.reduce(0, +))  legal stops \(legalStops)  CPU ms a seed \(Self.tenths(each))  "
        + "seconds \(Self.tenths(wallSeconds)) in \(jobs) \(jobs == 1 ? "process" : "processes")")
    let seeds = failed.sorted()
    print(seeds.isEmpty ? "failed 0" : "failed \(seeds.count): \(seeds.prefix(20).map { "\($0)" }.joined(separator: " "))")
    return failed.isEmpty && (!requiresReach || missed.isEmpty)
  }

  private static func middle(_ values: [Int]) -> String {
    guard !values.isEmpty else { return "none" }
    return "\(values.sorted()[values.count / 2]) \(tenths(Double(values.reduce(0, +)) / Double(values.count)))"
  }

  private static func tenths(_ value: Double) -> Double { (value * 10).rounded() / 10 }
}

/// What a clock of the system shows.
func seconds(_ clock: clockid_t) -> Double {
  var time = timespec()
  unsafe clock_gettime(clock, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
