import MillBase
import MillLog

/// Records of every kind, with fields drawn at random; no two chunks are alike.
struct Samples {
  var random: SeededRandom

  mutating func record() -> LogRecord {
    switch random.next(below: 11) {
    case 0: .restart(Restart(lineage: Lineage(number()), instance: number(), lastKeptEpoch: number(), wallMilliseconds: signed()))
    case 1: .plan(plan())
    case 2, 3: .intent(intent())
    case 4: .chunk(random.bytes(random.next(below: 60)))
    case 5: .seal(seal())
    case 6:
      .retire(Retire(destination: destination(), batch: number(), wallMilliseconds: signed(), replacements: many(2) { $0.batch() }))
    case 7: .ack(Ack(destination: destination(), batch: number()))
    case 8: .gap(Gap(slot: Slot(rawValue: Int32(truncatingIfNeeded: signed())), start: signed(), next: signed()))
    case 9:
      .sourceStart(
        SourceStart(source: source(), topic: text(), clusterID: "c", topicID: text(), offsets: many(3) { $0.signed() }))
    default: .deadline(Deadline(destination: destination(), batch: number(), seconds: signed()))
    }
  }

  mutating func intent() -> Intent {
    let parts = sources().map { part($0) }
    return Intent(epoch: number(), clockMilliseconds: signed(), planHash: number(), parts: parts, inputDigest: digest())
  }

  private mutating func part(_ source: SourceNumber) -> IntentPart {
    IntentPart(
      source: source,
      ranges: many(3) { samples in
        PartitionRange(
          partition: samples.random.pick([0, 1, 39, Slot.partitionMax - 1]), start: samples.signed(), next: samples.signed(),
          anchorOffset: samples.signed(), anchorTimestamp: samples.signed(), anchorChecksum: UInt32(truncatingIfNeeded: samples.number()))
      }, partitionCount: 40, idle: Set(many(3) { Int32($0.random.next(below: 40)) }))
  }

  /// Ascending.
  private mutating func sources() -> [SourceNumber] {
    random.pick([[0], [0], [1], [0, 1], [0, 3, SourceNumber.max], []]).map(SourceNumber.init)
  }
  private mutating func source() -> SourceNumber { SourceNumber(rawValue: random.pick([0, 1, SourceNumber.max])) }

  mutating func seal() -> Seal {
    var seal = Seal(
      epoch: number(), covered: many(2) { Seal.Coverage(destination: $0.destination(), firstEpoch: $0.number()) },
      batches: many(2) { $0.batch() }, counters: random.chance(0.5) ? counters() : nil)
    seal.continues = random.chance(0.2)
    return seal
  }

  mutating func batch() -> SealedBatch {
    let chunks = many(4) { $0.number() }
    let number = number()
    return SealedBatch(
      destination: destination(), number: number, rowStart: self.number(), rowCount: self.number(), digest: digest(), token: token(number),
      chunks: chunks, originChunkCount: UInt32(chunks.count / 2), byteCount: self.number(), target: text(),
      columns: many(2) { BatchColumn(name: $0.text(), type: $0.text()) }, contentSum: random.chance(0.5) ? self.number() : nil)
  }

  private mutating func counters() -> Counters {
    var counters = Counters()
    counters.records = number()
    counters.emitted = number()
    counters.duplicate = number()
    counters.late = number()
    counters.skipped = number()
    counters.deadLettered = number()
    counters.nullKey = random.chance(0.3) ? 0 : number()
    counters.filtered = random.chance(0.5) ? 0 : number()
    return counters
  }

  /// Half of them of the usual form.
  private mutating func token(_ number: BatchNumber) -> String {
    guard random.chance(0.5) else { return text() }
    return TokenParts(prefix: "mr-\(Lineage(self.number()))-events-", number: number, digest: digest()).text
  }

  mutating func plan() -> PlanRecord {
    PlanRecord(
      hash: number(), replayVersion: UInt32(truncatingIfNeeded: number()), text: text(),
      destinations: random.pick([[], [0], [0, 2], [0, 3, 255]]).map {
        NamedDestination(destination: Destination(rawValue: $0), name: text(), target: text())
      },
      sources: (0..<UInt16(random.next(below: 4))).map {
        NamedSource(number: SourceNumber(rawValue: $0), name: random.pick(["", "users"]), topic: "t", isGone: random.chance(0.3))
      })
  }

  mutating func manifest(files: [Manifest.File] = []) -> Manifest {
    let numbers = many(3) { $0.number() }
    return Manifest(
      pipeline: text(), lineage: Lineage(number()), hashSeed: digest(), epoch: number(), clockMilliseconds: signed(), watermark: signed(),
      sources: sources().map { source in
        Manifest.SourceState(
          number: source, name: text(), clusterID: text(), topic: text(), topicID: text(),
          partitions: many(3) {
            Manifest.PartitionState(
              nextOffset: $0.signed(), maxEventTime: $0.signed(), anchorOffset: $0.signed(), anchorTimestamp: $0.signed(),
              anchorChecksum: UInt32(truncatingIfNeeded: $0.number()))
          }, watermark: signed())
      }, plan: plan(), position: number(),
      unacked: many(3) {
        Manifest.UnackedBatch(destination: $0.destination(), number: $0.number(), seal: $0.number(), firstChunk: $0.number())
      }, nextBatchNumbers: numbers, files: files, tableIdentities: numbers.map { _ in text() })
  }

  mutating func files() -> [Manifest.File] {
    many(3) { Manifest.File(path: "state/\($0.number())", byteCount: $0.number(), sha256: $0.random.bytes(32)) }
  }

  private mutating func many<T>(_ most: Int, _ make: (inout Samples) -> T) -> [T] {
    (0..<random.next(in: 0...most)).map { _ in make(&self) }
  }

  /// Small, large and extreme numbers.
  private mutating func number() -> UInt64 {
    switch random.next(below: 4) {
    case 0: UInt64(random.next(below: 300))
    case 1: UInt64.max - UInt64(random.next(below: 2))
    default: random.next() >> UInt64(random.next(below: 64))
    }
  }

  private mutating func signed() -> Int64 { Int64(bitPattern: number()) }
  private mutating func digest() -> Digest128 { Digest128(low: number(), high: number()) }
  private mutating func destination() -> Destination {
    random.pick([.table, .deadLetters, Destination(rawValue: 2), Destination(rawValue: 200)])
  }
  private mutating func text() -> String { random.pick(["", "orders", "Größe Ø", "a\u{0}b", String(repeating: "x", count: 130)]) }
}
