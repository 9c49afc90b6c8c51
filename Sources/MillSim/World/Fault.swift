package import MillBase

/// Everything that the world does to the engine, by name; each is counted, so that a run can say what it never tried.
package enum Fault: String, CaseIterable, Sendable {
  // The engine's process and machine
  case kill, powerCut, wallJump, terminate
  // Disk
  case syncFailed, outOfSpace, stateOutOfSpace
  // Kafka
  case kafkaOutage, kafkaSlow, kafkaGap, kafkaGapAtEnd, kafkaStall, kafkaPartitionAdded, kafkaWitnessExpired, kafkaCommitFailed
  case kafkaCommitTookEffect, kafkaRetention, kafkaTopicAnew, kafkaCut, garbageRecord, lateRecord, aheadRecord, refusedRecord
  // The way to ClickHouse
  case connectionRefused, requestLost, requestDelayed, arrivedAfterClose, answerLost, bodyTorn
  // ClickHouse
  case serverCrash, tokenBurnt, halfCommitted, serverPaused, serverSlow, transientError, unknownOutcome
  case headerException, tailException, insertDeduplicated, lateGuarded, rowsRefused, rowsRefusedAmidst, constraintAmidst, tooManyPartitions,
    viewFailed
  // Outside of the promise
  case serverPowerCut, lossVerified
  // Weather that stays
  case alwaysSlow, longOutage, queryHangs, serverClockBack
  // Views, replicas
  case viewFailedAmidst, transientAmidst, replicaLags, replicaCaughtUp
  case anyRefusal, anyUnknown, tableDetached, tableAltered, rightsTaken, tableDropped, othersWrote
  // Several sinks
  case secondTable
  // Several sources
  case secondSource, sourceFileChanged, sourceOut

  /// The worlds that it is of.
  package func isOf(_ profile: Profile) -> Bool {
    switch self {
    case .serverPowerCut, .lossVerified: profile == .powerCut
    case .alwaysSlow, .longOutage, .queryHangs, .serverClockBack: profile == .weather
    default: profile == .usual
    }
  }
}

/// How often each ``Fault`` happened. One thread only.
package struct FaultTally {
  private var counts = [Int](repeating: 0, count: Fault.allCases.count)
  private static let indexes: [Fault: Int] = Dictionary(uniqueKeysWithValues: Fault.allCases.enumerated().map { ($1, $0) })

  package init() {}

  package subscript(fault: Fault) -> Int {
    get { counts[Self.indexes[fault]!] }
    set { counts[Self.indexes[fault]!] = newValue }
  }

  /// All of them together.
  package var total: Int { counts.reduce(0, +) }

  /// Adds what another run counted.
  package mutating func add(_ other: FaultTally) {
    for index in counts.indices { counts[index] += other.counts[index] }
  }
}

/// What happened in a run, line by line, and a hash of it all: two runs of one seed must agree. One thread only.
package final class Trace: @unchecked Sendable {
  /// Lines are kept only up to this many, the newest; the hash covers all.
  private let kept: Int
  private var lines: [String] = []
  private var start = 0
  private static let numbers: [Fault: Int] = Dictionary(uniqueKeysWithValues: Fault.allCases.enumerated().map { ($1, $0) })
  /// FNV-1a over the times of all that was noted, the faults and the core's steps; the same with and without lines.
  package private(set) var hash: UInt64 = 0xcbf2_9ce4_8422_2325
  package var tally = FaultTally()
  /// Whether lines are printed as they come.
  package let isVerbose: Bool
  private let clock: () -> Int64

  /// `isVerbose`: lines are printed as they come. `clock`: simulated milliseconds.
  package init(kept: Int, isVerbose: Bool = false, clock: @escaping () -> Int64) {
    self.kept = kept
    self.isVerbose = isVerbose
    self.clock = clock
  }

  /// Counts a fault and notes it.
  package func hit(_ fault: Fault, _ detail: @autoclosure () -> String = "") {
    tally[fault] += 1
    mix(UInt64(Self.numbers[fault]!))
    note("fault \(fault.rawValue) \(detail())")
  }

  /// Adds to the hash only: for what happens too often to be written down.
  package func mix(_ value: UInt64) { hash = (hash ^ value) &* 0x100_0000_01b3 }

  /// Notes a line.
  package func note(_ text: @autoclosure () -> String) {
    mix(UInt64(bitPattern: clock()))
    guard kept > 0 || isVerbose else { return }
    let line = "\(clock()) \(text())"
    if isVerbose { print(line) }
    if lines.count < kept {
      lines.append(line)
    } else if kept > 0 {
      lines[start] = line
      start = (start + 1) % kept
    }
  }

  /// The newest lines, oldest first.
  package var tail: [String] { Array(lines[start...] + lines[..<start]) }
}

extension Branch {
  /// The worlds that must take it.
  package func isOf(_ profile: Profile) -> Bool {
    switch self {
    case .r7ProbeSlow: profile == .weather
    default: profile == .usual
    }
  }
}
