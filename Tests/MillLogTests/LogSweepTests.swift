import MillBase
import MillLog
import MillTestKit
import Testing

/// One step of a script.
private enum Step: CaseIterable {
  case append, sync, truncate, restart
}

/// What is done to a log while it is crashed everywhere: some thirty records in several segments, three starts, truncation.
private let script: [Step] = [
  .restart, .append, .append, .sync, .append, .append, .append, .sync, .append, .append, .append, .append, .append, .restart, .append,
  .append, .truncate, .append, .sync, .append, .append, .append, .append, .sync, .truncate, .append, .restart, .append, .sync,
]

/// Runs the script until it ends or the disk's process does. Broken promises are thrown on.
private func run(_ model: inout LogModel) throws {
  do {
    for step in script {
      switch step {
      case .append: try model.append()
      case .sync: try model.sync()
      case .truncate: try model.truncate()
      case .restart: try model.start(vouched: model.durable)
      }
    }
  } catch let error as BrokenPromise {
    throw error
  } catch {
    guard model.disk.isStopped else { throw BrokenPromise(description: "stopped by itself: \(error)") }
  }
  model.log = nil
}

/// Crashes the script at each of its operations, and each recovery at each of its own.
private func sweep(seed: UInt64, subsets: Int) throws -> Int {
  var recoveries = 0
  var operation = 1
  while true {
    var random = SeededRandom(seed).split(UInt64(operation))
    let disk = SimDisk(seed: random.next())
    disk.stopAfter(operations: operation)
    var model = LogModel(disk, seed: seed)
    try run(&model)
    let isWhole = !disk.isStopped
    for subset in 0...subsets {
      do {
        recoveries += try recoverEverywhere(model, isKill: subset == 0, &random)
      } catch {
        throw BrokenPromise(description: "seed \(seed), operation \(operation), subset \(subset): \(error)")
      }
    }
    if isWhole { return recoveries }
    operation += 1
  }
}

private func recoverEverywhere(_ model: LogModel, isKill: Bool, _ random: inout SeededRandom) throws -> Int {
  let disk = model.disk.copy()
  if !isKill { disk.crash(&random) }
  // A manifest may vouch for anything that was durable.
  let vouched = random.pick([0, model.durable])
  var stop = 1
  while true {
    let second = disk.copy()
    second.stopAfter(operations: stop)
    var crashed = model.on(second)
    do {
      try crashed.start(vouched: vouched)
    } catch let error as BrokenPromise {
      throw error
    } catch {
      try promise(second.isStopped, "a start fails: \(error)")
    }
    let isWhole = !second.isStopped
    crashed.log = nil
    if random.chance(0.3) { second.kill9() } else { second.crash(&random) }
    if !isWhole { crashed.written = model.written }
    try crashed.recoverAndGoOn(vouched: vouched, &random)
    if isWhole { return stop }
    stop += 1
  }
}

/// Runs at random, with failing syncs, full disks, kills and power cuts, and never stops to compare.
private func walk(seed: UInt64, steps: Int) throws {
  var random = SeededRandom(seed)
  let disk = SimDisk(seed: seed)
  var model = LogModel(disk, seed: seed)
  try model.start(vouched: 0)
  for _ in 0..<steps {
    let vouched = random.pick([0, model.durable])
    do {
      switch random.next(below: 20) {
      case 0..<10: try model.append()
      case 10..<14: try model.sync()
      case 14: try model.truncate()
      case 15: disk.failNextSync()
      case 16: disk.capacity = disk.usedByteCount + random.next(below: 400)
      case 17: disk.capacity = nil
      case 18:
        disk.kill9()
        disk.capacity = nil
        try model.start(vouched: vouched)
      default:
        disk.crash(&random)
        disk.capacity = nil
        try model.start(vouched: vouched)
      }
    } catch LogError.outOfSpace {
      // Waits for room.
      continue
    } catch LogError.poisoned, LogError.disk(.syncFailed) {
      // The process stops; what the page cache shows may not be on the disk.
      disk.kill9()
      try model.start(vouched: vouched)
    }
  }
}

@Suite struct LogSweepTests {
  @Test(arguments: 1...1 as ClosedRange<UInt64>)
  func `wherever a process or the power ends, what was durable is found again`(_ seed: UInt64) throws {
    #expect(try sweep(seed: seed, subsets: 3) > 500)
  }

  @Test func `through failing syncs, full disks, kills and power cuts nothing durable is lost`() throws {
    for seed in 0..<300 as Range<UInt64> {
      do {
        try walk(seed: seed, steps: 120)
      } catch {
        Issue.record("seed \(seed): \(error)")
      }
    }
    for branch in [Branch.r5TornTail, .r5TailCopied, .r5TwoSegmentsSamePositions, .r5SyncFailed, .r5OutOfSpace, .r16SegmentRemoved] {
      #expect(Reach.count(branch) > 0, "\(branch) was never taken")
    }
  }

  @Test func `on a disk that is full at any byte the log waits, and goes on once there is room`() throws {
    var limit = 0
    while true {
      let disk = SimDisk(seed: 5)
      disk.capacity = limit
      var model = LogModel(disk, seed: 5)
      var waits = 0
      func retrying(_ step: (inout LogModel) throws -> Void) throws {
        while true {
          do {
            return try step(&model)
          } catch LogError.outOfSpace {
            // A start on the still full disk finds the same.
            if model.log != nil && waits % 2 == 0 {
              disk.kill9()
              model.log = nil
              while model.log == nil {
                do {
                  try model.start(vouched: model.durable)
                } catch LogError.outOfSpace {
                  disk.capacity = disk.capacity! + 97
                }
              }
            }
            waits += 1
            disk.capacity = disk.capacity! + 97
          }
        }
      }
      for step in script {
        try retrying { model in
          switch step {
          case .append: try model.append()
          case .sync: try model.sync()
          case .truncate: try model.truncate()
          case .restart: try model.start(vouched: model.durable)
          }
        }
      }
      try model.readChunks()
      if waits == 0 { break }
      limit += 29
    }
    #expect(limit > 1000)
  }

  @Test func `the simulated disk gives the same end for the same seed`() throws {
    func names(_ seed: UInt64) throws -> [String] {
      let disk = SimDisk(seed: seed)
      disk.stopAfter(operations: 40)
      var model = LogModel(disk, seed: seed)
      try run(&model)
      var random = SeededRandom(seed)
      disk.crash(&random)
      return try disk.list(LogModel.directory).map { "\($0) \(try disk.read(LogModel.directory + "/" + $0))" }
    }
    #expect(try names(8) == names(8))
  }
}
