import MillBase
import MillLog
import Testing

/// Changes bytes the way disks and mistakes do.
private func mutate(_ bytes: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
  var bytes = bytes
  for _ in 0..<random.next(in: 1...3) where !bytes.isEmpty {
    let at = random.next(below: bytes.count)
    switch random.next(below: 5) {
    case 0: bytes[at] ^= 1 << UInt8(random.next(below: 8))
    case 1: bytes[at] = random.pick([0, 1, 0x7f, 0x80, 0xff])
    case 2: bytes.removeSubrange(at...)
    case 3: bytes.insert(contentsOf: random.bytes(random.next(in: 1...9)), at: at)
    default: bytes.remove(at: at)
    }
  }
  return bytes
}

@Suite struct FormatTests {
  @Test func `every record comes back from its payload`() throws {
    var samples = Samples(random: SeededRandom(11))
    for _ in 0..<2000 {
      let record = samples.record()
      #expect(try LogRecord(kind: record.kind, payload: record.payload) == record)
    }
  }

  @Test func `what is read from a damaged payload is written back as the same bytes`() {
    var samples = Samples(random: SeededRandom(12))
    var random = SeededRandom(13)
    var refused = 0
    for _ in 0..<5000 {
      let record = samples.record()
      let bytes = mutate(record.payload, &random)
      // What an older release wrote is read, and written as of today.
      if record.kind != .chunk, bytes.first != record.payload[0] { continue }
      do {
        #expect(try LogRecord(kind: record.kind, payload: bytes).payload == bytes)
      } catch {
        refused += 1
      }
    }
    #expect(refused > 1000)
  }

  @Test func `intents, seals and retires of older releases are read`() throws {
    var samples = Samples(random: SeededRandom(23))
    for _ in 0..<500 {
      var intent = samples.intent()
      let ranges = (0..<4).map { index in
        var range = PartitionRange(partition: Int32(index), start: 10, next: index == 2 ? 10 : 12 + Int64(index))
        range.anchorOffset = range.next - 1
        return range
      }
      intent.parts = [IntentPart(source: .first, ranges: ranges, partitionCount: 4, idle: [1, 2])]
      let seal = samples.seal()
      let retire = Retire(destination: .table, batch: 7, wallMilliseconds: 8, replacements: [samples.batch(), samples.batch()])
      for version in 1...2 as ClosedRange<UInt8> {
        var moved = intent
        moved.parts[0].ranges.remove(at: 2)
        #expect(try LogRecord(kind: .intent, payload: OldPayload.intent(intent, version)) == .intent(moved))
        #expect(try LogRecord(kind: .seal, payload: OldPayload.seal(seal, version)) == .seal(OldPayload.known(seal, version)))
        let known = OldPayload.known(retire.replacements, version)
        guard case .retire(let read) = try LogRecord(kind: .retire, payload: OldPayload.retire(retire, version)) else {
          Issue.record("no retire")
          return
        }
        #expect(read.replacements == known)
      }
    }
  }

  /// The third format has no parts: number of partitions, idleness and ranges stand behind the plan's hash.
  @Test func `an intent of the third format is of the first source`() throws {
    let ranges = [PartitionRange(partition: 3, start: 7, next: 9, anchorOffset: 8, anchorTimestamp: 5, anchorChecksum: 6)]
    let intent = Intent(
      epoch: 1, clockMilliseconds: 2, planHash: 3, ranges: ranges, partitionCount: 9, idle: [8], inputDigest: Digest128(low: 4, high: 5))
    var payload = LogRecord.intent(intent).payload
    #expect(payload[25...26] == [1, 0], "one part, of source 0")
    payload.removeSubrange(25...26)
    payload[0] = 3
    #expect(try LogRecord(kind: .intent, payload: payload) == .intent(intent))
  }

  @Test func `a slot says which source's partition it is, and the first source's are Kafka's numbers`() {
    for number in [0, 1, 700, SourceNumber.max] as [UInt16] {
      for partition in [0, 1, 4711, Slot.partitionMax - 1] as [Int32] {
        let slot = Slot(SourceNumber(rawValue: number), partition)
        #expect(slot.source.rawValue == number && slot.partition == partition && slot.rawValue >= 0)
        #expect(number > 0 || slot.rawValue == partition)
      }
    }
  }

  @Test func `filtered records take a place in a seal only where there are any`() throws {
    func payload(_ nullKey: UInt64, _ filtered: UInt64) throws -> [UInt8] {
      var counters = Counters()
      (counters.emitted, counters.duplicate, counters.nullKey, counters.filtered) = (300, 3, nullKey, filtered)
      counters.records = 303 + filtered
      #expect(counters.isWhole)
      let record = LogRecord.seal(Seal(epoch: 1, covered: [], batches: [], counters: counters))
      #expect(try LogRecord(kind: .seal, payload: record.payload) == record)
      return record.payload
    }
    // The kind and six numbers, as the present release writes them: what the records differ from their sum by is 0.
    #expect(try payload(0, 0).suffix(8) == [1, 0xAC, 2, 3, 0, 0, 0, 0])
    #expect(try payload(5, 0).suffix(9) == [2, 0xAC, 2, 3, 0, 0, 0, 0, 5])
    #expect(try payload(0, 9).suffix(9) == [5, 0xAC, 2, 3, 0, 0, 0, 0, 9])
    #expect(throws: ByteReaderError.self) { try LogRecord(kind: .seal, payload: payload(5, 9).dropLast() + [0]) }
    #expect(throws: ByteReaderError.self) { try LogRecord(kind: .seal, payload: payload(5, 9).dropLast()) }
  }

  @Test func `what batches have in common stands once`() {
    var samples = Samples(random: SeededRandom(24))
    var batch = samples.batch()
    (batch.rowStart, batch.rowCount, batch.byteCount, batch.chunks) = (1000, 2, 300, [1000, 1001])
    batch.columns = (0..<200).map { BatchColumn(name: "column \($0)", type: "Nullable(Decimal(76, 10))") }
    func payload(_ count: Int) -> Int {
      let batches = (0..<count).map { number in
        var batch = batch
        batch.number = BatchNumber(number)
        batch.token = TokenParts(prefix: "mr-0000000000000001-events-", number: batch.number, digest: batch.digest).text
        return batch
      }
      return LogRecord.seal(Seal(epoch: 1, covered: [], batches: batches)).payload.count
    }
    #expect(payload(1) > 5000)
    #expect(payload(1001) - payload(1) < 50_000)
  }

  @Test func `a seal is cut into records that fit, and joined again`() {
    var samples = Samples(random: SeededRandom(25))
    for count in 0...40 {
      let whole = Seal(epoch: 9, covered: [], batches: (0..<count).map { _ in samples.batch() }, counters: Counters())
      for limit in [1, 400, 2000, 1_000_000] {
        let parts = whole.split(payloadByteCountMax: limit)
        #expect(Seal.joined(parts) == whole)
        #expect(parts.allSatisfy { $0.batches.count < 2 || LogRecord.seal($0).payload.count <= limit })
        #expect(parts.dropLast().allSatisfy { $0.continues && $0.counters == nil } && parts.last?.continues == false)
        #expect(limit < 1_000_000 || parts.count == 1)
      }
    }
  }

  @Test func `an intent is as long as what moves, not as the topic has partitions`() {
    var intent = Intent(
      epoch: 1, clockMilliseconds: 2, planHash: 3, ranges: [PartitionRange(partition: 150, start: 7, next: 9)], partitionCount: 200,
      inputDigest: Digest128(low: 0, high: 0))
    #expect(LogRecord.intent(intent).payload.count < 80)
    intent.parts[0].idle = Set(0..<200)
    #expect(LogRecord.intent(intent).payload.count < 110)
  }

  @Test func `a record of another version is refused by that version`() {
    var payload = LogRecord.ack(Ack(destination: .table, batch: 1)).payload
    payload[0] = 9
    #expect(throws: ByteReaderError(offset: 0, reason: "a ack record of version 9; this release reads up to 4")) {
      try LogRecord(kind: .ack, payload: payload)
    }
  }

  @Test func `every manifest comes back from its bytes`() throws {
    var samples = Samples(random: SeededRandom(14))
    for _ in 0..<500 {
      let files = samples.files()
      let manifest = samples.manifest(files: files)
      #expect(try ManifestFormat.decode(ManifestFormat.encode(manifest)) == manifest)
    }
  }

  @Test func `no changed byte of a manifest goes unnoticed`() {
    var samples = Samples(random: SeededRandom(15))
    let files = samples.files()
    let bytes = ManifestFormat.encode(samples.manifest(files: files))
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 0x10
      #expect(throws: ManifestFormat.Failure.self) { try ManifestFormat.decode(changed) }
      #expect(throws: ManifestFormat.Failure.self) { try ManifestFormat.decode(Array(bytes[..<index])) }
    }
  }

  @Test func `a damaged manifest whose CRC fits is read or refused, never trapped on`() {
    var samples = Samples(random: SeededRandom(16))
    var random = SeededRandom(17)
    var refused = 0
    for _ in 0..<3000 {
      let files = samples.files()
      let whole = ManifestFormat.encode(samples.manifest(files: files))
      let payload = mutate(Array(whole[16..<(whole.count - 4)]), &random)
      let bytes = sealed(Array(whole[..<8]), payload)
      do {
        #expect(ManifestFormat.encode(try ManifestFormat.decode(bytes)) == bytes)
      } catch {
        refused += 1
      }
    }
    #expect(refused > 1000)
  }

  @Test func `a manifest of a newer version is refused by its number`() {
    var samples = Samples(random: SeededRandom(18))
    let whole = ManifestFormat.encode(samples.manifest())
    var head = Array(whole[..<8])
    head[4] = 7
    let bytes = sealed(head, Array(whole[16..<(whole.count - 4)]))
    #expect(throws: ManifestFormat.Failure.newerVersion(found: 7, supported: 3)) { try ManifestFormat.decode(bytes) }
  }

  @Test func `plans and manifests of releases that had one source and one table are read`() throws {
    var samples = Samples(random: SeededRandom(24))
    for _ in 0..<200 {
      var manifest = samples.manifest(files: samples.files())
      (manifest.plan.destinations, manifest.plan.sources) = ([], [])
      var source = Manifest.SourceState(
        name: "events", clusterID: "c", topic: "t", topicID: "", partitions: [], watermark: manifest.watermark)
      source.partitions = manifest.sources.first?.partitions ?? []
      manifest.sources = [source]
      (manifest.nextBatchNumbers, manifest.tableIdentities) = ([3, 4], ["uuid", ""])
      let whole = ManifestFormat.encode(manifest)
      var payload = Array(whole[16..<(whole.count - 4)])
      // No number and no watermark stood before the source's name.
      var before = ByteWriter()
      before.string(manifest.pipeline)
      let name = before.bytes.count + 8 + 16 + 3 * 8 + 1
      payload.removeSubrange(name..<name + 2 + 8)
      // Its end was the one table's identity, and no lists of destinations and sources stood behind the plan's text.
      payload.removeLast(1 + 5 + 1)
      payload += [4] + Array("uuid".utf8)
      var plan = ByteWriter()
      plan.integer(manifest.plan.hash)
      plan.integer(manifest.plan.replayVersion)
      plan.string(manifest.plan.text)
      let starts = 0...(payload.count - plan.bytes.count)
      let start = try #require(starts.first { payload[$0...].starts(with: plan.bytes) })
      payload.removeSubrange(start + plan.bytes.count..<start + plan.bytes.count + 2)
      var head = Array(whole[..<8])
      head[4] = 2
      #expect(try ManifestFormat.decode(sealed(head, payload)) == manifest)
      #expect(try LogRecord(kind: .plan, payload: [3] + plan.bytes) == .plan(manifest.plan))
    }
  }

  @Test(arguments: ["../up", "/etc/passwd", "a/../b", "a//b", "", "a/./b", "nul\u{0}", "dir/"])
  func `a manifest can't name a file outside of its directory`(_ path: String) {
    var samples = Samples(random: SeededRandom(19))
    let bytes = ManifestFormat.encode(
      samples.manifest(files: [Manifest.File(path: path, byteCount: 1, sha256: Array(repeating: 1, count: 32))]))
    #expect(throws: ManifestFormat.Failure.self) { try ManifestFormat.decode(bytes) }
  }

  /// A manifest's first eight bytes, a payload, and the length and CRC that fit.
  private func sealed(_ head: [UInt8], _ payload: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.raw(head)
    writer.integer(UInt64(payload.count))
    writer.raw(payload)
    writer.integer(crc32c(0, writer.bytes))
    return writer.bytes
  }
}
