import MillBase
import MillState
import Testing

/// What holds the files of a schedule: a simulated disk and memory, or a real directory and RocksDB.
protocol Ground {
  var disk: any Disk { get }
  var stores: any RunStoreOpener { get }
  var root: String { get }
  /// Makes `live` ready to be opened as what the checkpoint in `directory` holds.
  func clone(_ directory: String, to live: String) throws
}

/// One epoch: rows that arrive in blocks, under the watermark of its start.
struct Epoch {
  var blocks: [[Row]] = []
  var watermark: Int64
  var kept: [[Bool]] = []
}

/// Runs seeded rows through a state whose tables are frozen, flushed, released, expired, checkpointed and restored at random moments, and
/// compares every answer with the model's.
struct Schedule {
  enum LaneJob {
    case flush(FrozenTable)
    case drop([BucketID])
    case checkpoint(Int)
  }

  let ground: any Ground
  let options: DeduplicateOptions
  var random: SeededRandom
  var store: any RunStore
  var lane: DeduplicateLane
  var state: DeduplicateState
  var model: Model
  /// Epochs so far, with the answers given first; replays must give the same.
  var epochs: [Epoch] = []
  var jobs: [LaneJob] = []
  var flushed: [FlushedTable] = []
  /// Of a complete checkpoint: after how many epochs, where, and the model (and the highest time) then.
  var complete: (epochs: Int, directory: String)?
  var models: [Int: (model: Model, maxTime: Int64)] = [:]
  var lives = 0
  var restarts = 0
  var time: Int64
  var maxTime: Int64
  var offset: Int64 = 0
  let keyCount: Int
  let outOfOrderness: Int64

  /// `bucketMilliseconds`: no bucket is shorter.
  init(_ seed: UInt64, _ ground: any Ground, exact: Bool, bucketMilliseconds: Int64 = 1) throws {
    random = SeededRandom(seed)
    let within = [Int64(1), 7, 100, 1000, 1 << 40][random.next(below: 5)]
    let lateness = [Int64(0), 3, 200, 5000][random.next(below: 4)]
    options = DeduplicateOptions(
      stateNumber: UInt16(random.next(below: 3)), withinMilliseconds: within, allowedLatenessMilliseconds: lateness, exact: exact,
      memoryByteCount: [0, 3000, 20_000, 1 << 20][random.next(below: 4)], bucketsPerWindow: [1, 3, 8, 50][random.next(below: 4)],
      usesEventTime: true, bucketMillisecondsMin: bucketMilliseconds, partKeysMax: [1, 5, 40, 1 << 24][random.next(below: 4)])
    self.ground = ground
    model = Model(within: within)
    time = [Int64(0), -5000, 1_700_000_000_000, .max - 20_000, .min + 100][random.next(below: 5)]
    maxTime = time
    keyCount = random.next(in: 1...60)
    outOfOrderness = [Int64(0), 10, 500][random.next(below: 3)]
    store = try ground.stores.open(ground.root + "/live-0")
    lane = DeduplicateLane(options: options, store: store, disk: ground.disk)
    state = DeduplicateState(options: options, store: store, filters: lane.filters)
  }

  mutating func run(epochs count: Int) throws {
    for _ in 0..<count {
      try runEpoch(newEpoch())
      try boundary()
      if random.next(below: 12) == 0, complete != nil { try restart() }
    }
  }

  private var watermark: Int64 { clamped(Int128(maxTime) - Int128(outOfOrderness)) }

  private func clamped(_ value: Int128) -> Int64 { Int64(clamping: value) }

  private mutating func newEpoch() -> Epoch {
    var epoch = Epoch(watermark: watermark)
    let oldest = Int128(epoch.watermark) - Int128(options.allowedLatenessMilliseconds)
    for _ in 0..<random.next(in: 1...3) {
      var rows: [Row] = []
      for _ in 0..<random.next(in: 1...25) {
        time = clamped(Int128(time) + Int128(random.next(below: Int(min(options.withinMilliseconds, 2000)) / 8 + 2)))
        let back = random.next(below: 4) == 0 ? random.next(below: Int(outOfOrderness + options.allowedLatenessMilliseconds) + 50) : 0
        let eventTime = clamped(Int128(time) - Int128(back))
        offset += Int64(random.next(in: 1...1000))
        rows.append(
          Row(
            key: random.next(below: keyCount), time: eventTime, partition: Int32(random.next(below: 5)), offset: offset,
            isLate: Int128(eventTime) < oldest))
      }
      epoch.blocks.append(rows)
    }
    return epoch
  }

  private mutating func runEpoch(_ epoch: Epoch) throws {
    var epoch = epoch
    let isReplay = !epoch.kept.isEmpty
    for (at, rows) in epoch.blocks.enumerated() {
      try moveOn()
      var block = Block(rows, exact: options.exact)
      let kept = try block.run(state)
      let expected = rows.map { $0.isLate ? false : model.take($0) }
      try #require(kept == expected, "epoch \(epochs.count), \(options)")
      if isReplay { try #require(kept == epoch.kept[at]) } else { epoch.kept.append(kept) }
      for row in rows { maxTime = max(maxTime, row.time) }
    }
    epochs.append(epoch)
  }

  /// The lane does what it has been given at random moments, in order; so do releases.
  private mutating func moveOn() throws {
    while !jobs.isEmpty && random.next(below: 3) == 0 { try runJob(jobs.removeFirst()) }
    while !flushed.isEmpty && random.next(below: 3) == 0 { state.release(flushed.removeFirst()) }
  }

  private mutating func runJob(_ job: LaneJob) throws {
    switch job {
    case .flush(let table): flushed.append(try lane.flush(table))
    case .drop(let buckets): try lane.drop(buckets)
    case .checkpoint(let epochs):
      let directory = ground.root + "/checkpoint-\(lives)-\(epochs)"
      try ground.disk.createDirectory(directory + "/filters")
      try store.checkpoint(to: directory + "/store")
      let names = try lane.writeFilters(into: directory + "/filters")
      #expect(try ground.disk.list(directory + "/filters") == names.sorted())
      complete = (epochs, directory)
    }
  }

  private mutating func boundary() throws {
    let number = EpochNumber(epochs.count)
    if random.next(below: 3) == 0 {
      let expired = state.expire(watermark: watermark)
      if !expired.isEmpty { jobs.append(.drop(expired)) }
    }
    let checkpoints = random.next(below: 5) == 0
    if checkpoints || state.needsFreeze || random.next(below: 6) == 0 { jobs.append(.flush(state.freeze(epoch: number))) }
    if checkpoints {
      jobs.append(.checkpoint(epochs.count))
      models[epochs.count] = (model, maxTime)
    }
    try moveOn()
  }

  /// Forgets all that is in memory, opens the last checkpoint and replays the epochs after it.
  mutating func restart() throws {
    guard let complete else { return }
    restarts += 1
    lives += 1
    jobs = []
    flushed = []
    store.close()
    let live = ground.root + "/live-\(lives)"
    try ground.clone(complete.directory + "/store", to: live)
    store = try ground.stores.open(live)
    lane = DeduplicateLane(options: options, store: store, disk: ground.disk)
    try lane.restore(from: complete.directory + "/filters")
    state = DeduplicateState(options: options, store: store, filters: lane.filters)
    (model, maxTime) = try #require(models[complete.epochs])
    let replayed = epochs[complete.epochs...]
    epochs.removeSubrange(complete.epochs...)
    for epoch in replayed {
      try runEpoch(epoch)
      try boundary()
    }
  }

  /// Everything that the lane has been given.
  mutating func finish() throws {
    while !jobs.isEmpty { try runJob(jobs.removeFirst()) }
    while !flushed.isEmpty { state.release(flushed.removeFirst()) }
  }
}
