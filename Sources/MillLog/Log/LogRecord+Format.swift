package import MillBase

/// Payloads of records: a version byte, then the fields in order of their declaration. A `chunk` is its bytes and nothing else.
extension LogRecord {
  /// Of all payloads but a chunk's. 2: seals have counters, batches a content sum. 3: an intent has no ranges that don't move; what the
  /// batches of a record have in common stands once; a seal may have several records. 4: a plan names destinations and sources, an intent
  /// has a part for each source; a new source's start is a record.
  static let formatVersion: UInt8 = 4
  /// The oldest that is read.
  static let oldestFormatVersion: UInt8 = 1

  package var kind: Kind {
    switch self {
    case .restart: .restart
    case .plan: .plan
    case .intent: .intent
    case .chunk: .chunk
    case .seal: .seal
    case .retire: .retire
    case .ack: .ack
    case .deadline: .deadline
    case .gap: .gap
    case .sourceStart: .sourceStart
    }
  }

  /// The payload of the record on the disk.
  package var payload: [UInt8] {
    if case .chunk(let bytes) = self { return bytes }
    var writer = ByteWriter(reserving: 256)
    writer.integer(Self.formatVersion)
    switch self {
    case .chunk: break
    case .restart(let restart):
      writer.integer(restart.lineage.value)
      writer.integer(restart.instance)
      writer.integer(restart.lastKeptEpoch)
      writer.integer(restart.wallMilliseconds)
    case .plan(let plan): writer.plan(plan)
    case .intent(let intent):
      writer.integer(intent.epoch)
      writer.integer(intent.clockMilliseconds)
      writer.integer(intent.planHash)
      writer.parts(intent.parts)
      writer.digest(intent.inputDigest)
    case .seal(let seal):
      writer.integer(seal.epoch)
      writer.count(seal.covered.count)
      for coverage in seal.covered {
        writer.integer(coverage.destination.rawValue)
        writer.integer(coverage.firstEpoch)
      }
      writer.bool(seal.continues)
      writer.batches(seal.batches)
      writer.sealCounters(seal.counters)
    case .retire(let retire):
      writer.integer(retire.destination.rawValue)
      writer.integer(retire.batch)
      writer.integer(retire.wallMilliseconds)
      writer.batches(retire.replacements)
    case .ack(let ack):
      writer.integer(ack.destination.rawValue)
      writer.integer(ack.batch)
    case .deadline(let deadline):
      writer.integer(deadline.destination.rawValue)
      writer.integer(deadline.batch)
      writer.integer(deadline.seconds)
    case .gap(let gap):
      writer.integer(gap.slot.rawValue)
      writer.integer(gap.start)
      writer.integer(gap.next)
    case .sourceStart(let start):
      writer.integer(start.source.rawValue)
      writer.string(start.topic)
      writer.string(start.clusterID)
      writer.string(start.topicID)
      writer.count(start.offsets.count)
      for offset in start.offsets { writer.integer(offset) }
    }
    return writer.bytes
  }

  /// Reads a payload. Throws on anything that ``payload`` doesn't write; a newer version is named.
  package init(kind: Kind, payload: [UInt8]) throws(ByteReaderError) {
    if kind == .chunk {
      self = .chunk(payload)
      return
    }
    var reader = ByteReader(payload)
    let version = try reader.integer(UInt8.self)
    guard (Self.oldestFormatVersion...Self.formatVersion).contains(version) else {
      throw ByteReaderError(offset: 0, reason: "a \(kind) record of version \(version); this release reads up to \(Self.formatVersion)")
    }
    switch kind {
    case .chunk: preconditionFailure("read above")
    case .restart:
      self = .restart(
        Restart(
          lineage: Lineage(try reader.integer()), instance: try reader.integer(), lastKeptEpoch: try reader.integer(),
          wallMilliseconds: try reader.integer()))
    case .plan: self = .plan(try reader.plan(hasNames: version >= 4))
    case .intent:
      let epoch = try reader.integer(UInt64.self)
      let clock = try reader.integer(Int64.self)
      let planHash = try reader.integer(UInt64.self)
      let parts = try reader.parts(version)
      self = .intent(
        Intent(epoch: epoch, clockMilliseconds: clock, planHash: planHash, parts: parts, inputDigest: try reader.digest()))
    case .seal:
      let epoch = try reader.integer(UInt64.self)
      var covered: [Seal.Coverage] = []
      for _ in 0..<(try reader.count(itemByteCount: 9)) {
        covered.append(Seal.Coverage(destination: try reader.destination(), firstEpoch: try reader.integer()))
      }
      let continues = version < 3 ? false : try reader.bool()
      let batches = try reader.batches(version)
      let counters = version == 1 ? nil : try reader.sealCounters()
      var seal = Seal(epoch: epoch, covered: covered, batches: batches, counters: counters)
      seal.continues = continues
      self = .seal(seal)
    case .retire:
      let destination = try reader.destination()
      let number = try reader.integer(UInt64.self)
      let wall = try reader.integer(Int64.self)
      let replacements = try reader.batches(version)
      self = .retire(Retire(destination: destination, batch: number, wallMilliseconds: wall, replacements: replacements))
    case .ack: self = .ack(Ack(destination: try reader.destination(), batch: try reader.integer()))
    case .deadline:
      self = .deadline(Deadline(destination: try reader.destination(), batch: try reader.integer(), seconds: try reader.integer()))
    case .gap: self = .gap(Gap(slot: Slot(rawValue: try reader.integer()), start: try reader.integer(), next: try reader.integer()))
    case .sourceStart:
      let number = SourceNumber(rawValue: try reader.integer())
      guard number.rawValue <= SourceNumber.max else { throw reader.failure("a source \(number.rawValue)") }
      var start = SourceStart(
        source: number, topic: try reader.string(), clusterID: try reader.string(), topicID: try reader.string(), offsets: [])
      for _ in 0..<(try reader.count(itemByteCount: 8)) { start.offsets.append(try reader.integer()) }
      self = .sourceStart(start)
    }
    try reader.finish()
  }
}

extension ByteWriter {
  mutating func plan(_ plan: PlanRecord) {
    integer(plan.hash)
    integer(plan.replayVersion)
    string(plan.text)
    count(plan.destinations.count)
    for named in plan.destinations {
      integer(named.destination.rawValue)
      string(named.name)
      string(named.target)
    }
    count(plan.sources.count)
    for named in plan.sources {
      string(named.name)
      string(named.topic)
      bool(named.isGone)
    }
  }

  /// A seal's: 0 (there are none), or the sum of 1 and of what follows the six varints: 1 more for the records without a key, 2 more for
  /// the rows of each table, where there are others than number 0's, 4 more for the filtered records.
  mutating func sealCounters(_ counters: Counters?) {
    guard let counters else { return integer(UInt8(0)) }
    integer(
      1 + UInt8(counters.nullKey == 0 ? 0 : 1) + UInt8(counters.tableRows.isEmpty ? 0 : 2) + UInt8(counters.filtered == 0 ? 0 : 4))
    self.counters(counters)
    if counters.nullKey > 0 { varint(counters.nullKey) }
    if !counters.tableRows.isEmpty {
      count(counters.tableRows.count)
      for (table, rows) in counters.tableRows.sorted(by: { $0.key < $1.key }) {
        integer(table.rawValue)
        varint(rows)
      }
    }
    if counters.filtered > 0 { varint(counters.filtered) }
  }

  /// Six varints; the records are the first five's sum and the filtered ones, and what they differ from it follows.
  private mutating func counters(_ counters: Counters) {
    let sum =
      counters.emitted &+ counters.duplicate &+ counters.late &+ counters.skipped &+ counters.deadLettered &+ counters.filtered
    for part in [counters.emitted, counters.duplicate, counters.late, counters.skipped, counters.deadLettered, counters.records &- sum] {
      varint(part)
    }
  }

  /// A flag, and what it says is there.
  mutating func optional<T>(_ value: T?, _ write: (inout ByteWriter, T) -> Void) {
    bool(value != nil)
    if let value { write(&self, value) }
  }
}

extension ByteReader {
  mutating func destination() throws(ByteReaderError) -> Destination {
    Destination(rawValue: try integer())
  }

  /// - Parameter hasNames: older releases had one table and one source.
  mutating func plan(hasNames: Bool) throws(ByteReaderError) -> PlanRecord {
    var plan = PlanRecord(hash: try integer(), replayVersion: try integer(), text: try string())
    guard hasNames else { return plan }
    for _ in 0..<(try count(itemByteCount: 3)) {
      let named = NamedDestination(destination: try destination(), name: try string(), target: try string())
      guard named.destination.isTable, plan.destinations.last.map({ $0.destination < named.destination }) ?? true else {
        throw failure("destination \(named.destination.rawValue) of \(named.name) out of order")
      }
      plan.destinations.append(named)
    }
    let sourceCount = try count(itemByteCount: 3)
    guard sourceCount <= Int(SourceNumber.max) + 1 else { throw failure("\(sourceCount) sources") }
    for number in 0..<sourceCount {
      plan.sources.append(
        NamedSource(number: SourceNumber(rawValue: UInt16(number)), name: try string(), topic: try string(), isGone: try bool()))
    }
    return plan
  }

  mutating func sealCounters() throws(ByteReaderError) -> Counters? {
    let kind = try integer(UInt8.self)
    guard kind <= 8 else { throw failure("counters of kind \(kind), must be 0 to 8") }
    guard kind > 0 else { return nil }
    var counters = try counters()
    if (kind - 1) & 1 != 0 {
      counters.nullKey = try varint()
      guard counters.nullKey > 0 else { throw failure("no record without a key, but a place for them") }
    }
    if (kind - 1) & 2 != 0 { counters.setRows(try tableRows()) }
    if (kind - 1) & 4 != 0 {
      counters.filtered = try varint()
      guard counters.filtered > 0 else { throw failure("no filtered record, but a place for them") }
      counters.records &+= counters.filtered
    }
    return counters
  }

  /// Ascending, none of them 0, and not number 0's alone.
  private mutating func tableRows() throws(ByteReaderError) -> [Destination: UInt64] {
    var rows: [Destination: UInt64] = [:]
    var last: Destination?
    for _ in 0..<(try count(itemByteCount: 2)) {
      let table = try destination()
      rows[table] = try varint()
      guard table.isTable, rows[table] != 0, last.map({ $0 < table }) ?? true else { throw failure("rows of table \(table.rawValue)") }
      last = table
    }
    guard rows.keys.contains(where: { $0 != .table }) else { throw failure("rows of no other table than number 0's") }
    return rows
  }

  private mutating func counters() throws(ByteReaderError) -> Counters {
    var counters = Counters()
    counters.emitted = try varint()
    counters.duplicate = try varint()
    counters.late = try varint()
    counters.skipped = try varint()
    counters.deadLettered = try varint()
    let sum = counters.emitted &+ counters.duplicate &+ counters.late &+ counters.skipped &+ counters.deadLettered
    counters.records = try sum &+ varint()
    return counters
  }

  mutating func optional<T>(_ read: (inout ByteReader) throws(ByteReaderError) -> T) throws(ByteReaderError) -> T? {
    try bool() ? try read(&self) : nil
  }
}
