internal import MillBase
internal import MillLog

/// Work for the state lane: every change of the state, in the order of epochs, one at a time (R18).
struct StateLane {
  private(set) var queue: [StateWork] = []
  private var isBusy = false
  private(set) var retryAt: Int64?
  private(set) var nextFreezeID: UInt64 = 1
  /// Tables that are frozen, or being frozen, and not flushed yet.
  private(set) var frozenUnflushed = 0
  /// The active table is full.
  var needsFreeze = false

  /// A full table waits for the one before.
  var isFull: Bool { needsFreeze && frozenUnflushed > 0 }

  mutating func add(_ work: StateWork) { queue.append(work) }

  /// The number under which the active table is frozen now.
  mutating func freeze() -> UInt64 {
    defer { nextFreezeID += 1 }
    frozenUnflushed += 1
    needsFreeze = false
    return nextFreezeID
  }

  mutating func takeFrozen(_ id: UInt64) {
    require(frozenUnflushed > 0 && id < nextFreezeID, "the state was frozen under \(id), which nobody has ordered")
    add(.flush(id: id))
  }

  /// What is to be done now, if anything.
  mutating func next(_ monotonic: Int64) -> StateWork? {
    guard !isBusy, let work = queue.first, (retryAt ?? 0) <= monotonic else { return nil }
    retryAt = nil
    isBusy = true
    return work
  }

  mutating func takeDone(_ work: StateWork) {
    require(isBusy && queue.first == work, "R18: the state lane has done \(work), which is not what was next")
    isBusy = false
    queue.removeFirst()
    if case .flush = work { frozenUnflushed -= 1 }
  }

  /// The work under way had no room on the disk.
  mutating func retry(at moment: Int64) {
    isBusy = false
    retryAt = moment
  }
}

extension Core {
  mutating func orderFreeze() { commands.append(.freeze(id: lane.freeze(), epoch: epoch)) }

  mutating func takeFrozen(_ id: UInt64, _ position: LogPosition) {
    logReaches(position)
    lane.takeFrozen(id)
    if checkpoint.stage == .freezing(id: id) { frozenForCheckpoint(position) }
  }

  mutating func advanceState() {
    if let work = lane.next(monotonic) { commands.append(.stateWork(work)) }
  }

  mutating func takeStateWork(_ work: StateWork) {
    lane.takeDone(work)
    switch work {
    case .flush, .drop: foundSpace(.state)
    case .checkpoint:
      foundSpace(.checkpoint)
      checkpoint.stateIsDone = true
    }
  }
}
