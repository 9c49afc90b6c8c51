internal import MillBase
package import MillFlow

/// The engine's client of the ``SimBroker``: one an incarnation, with its own positions.
package final class SimKafka: Source, @unchecked Sendable {
  private let broker: SimBroker
  /// Next offset to deliver by partition; nil: not assigned, or nothing more comes.
  private var cursors: [Int64?] = []
  private var toldDown = false
  private var draws: Draws { broker.draws }

  package init(_ broker: SimBroker) { self.broker = broker }

  private func answer() throws(SourceError) {
    if broker.isDown || broker.isOut { throw .unavailable("all brokers down") }
    if draws.chance(broker.rates.outage) {
      broker.trace.hit(.kafkaOutage, "of one request")
      throw .unavailable("request timed out")
    }
  }

  package func describe() throws(SourceError) -> TopicDescription {
    try answer()
    return TopicDescription(
      clusterID: broker.clusterID, topicID: nil,
      partitions: broker.partitions.map { PartitionBounds(low: $0.low, stableEnd: $0.stableEnd, high: $0.end) })
  }

  package func resolve(_ start: StartPosition, partitionCount: Int) throws(SourceError) -> [Int64] {
    try answer()
    return (0..<min(partitionCount, broker.partitions.count)).map { index in
      let partition = broker.partitions[index]
      return switch start {
      case .earliest: partition.low
      case .latest: partition.stableEnd
      case .timestamp(let milliseconds): first(in: partition, atLeast: milliseconds)
      case .offsets(let offsets): offsets[Int32(index)] ?? partition.low
      }
    }
  }

  private func first(in partition: SimBroker.Partition, atLeast milliseconds: Int64) -> Int64 {
    var offset = partition.low
    while offset < partition.stableEnd {
      if case .record(let record, _)? = partition.slot(offset), record.timestamp >= milliseconds { return offset }
      offset += 1
    }
    return partition.stableEnd
  }

  package func anchor(partition: Int32, offset: Int64) throws(SourceError) -> Anchor? {
    try answer()
    guard broker.partitions.indices.contains(Int(partition)) else { return nil }
    let log = broker.partitions[Int(partition)]
    guard offset >= log.low, offset < log.stableEnd, case .record(let record, let payload)? = log.slot(offset) else { return nil }
    return Anchor(offset: offset, timestamp: record.timestamp, checksum: anchorChecksum(key: record.key, payload: payload))
  }

  package func readWitness() throws(SourceError) -> String? {
    try answer()
    return broker.committed?.witness
  }

  package func commitWitness(_ witness: String, offsets: [Int64]) throws(SourceError) {
    try answer()
    if draws.chance(broker.rates.commitFails) {
      broker.trace.hit(.kafkaCommitFailed)
      throw .unavailable("commit refused: coordinator is loading")
    }
    broker.committed = (witness, offsets)
    broker.trace.note("witness \(witness)")
    if draws.chance(broker.rates.commitTakesEffect) {
      broker.trace.hit(.kafkaCommitTookEffect)
      throw .unavailable("commit: request timed out")
    }
  }

  package func assign(_ offsets: [Int64?]) { cursors = offsets }

  package func poll(into buffers: [RecordBuffer], limit: Int) -> [SourceNotice] {
    if broker.isDown || broker.isOut {
      if toldDown { return [] }
      toldDown = true
      return [.unavailable("all brokers down")]
    }
    var notices: [SourceNotice] = []
    if toldDown {
      toldDown = false
      notices.append(.available)
    }
    if draws.chance(broker.rates.slow) {
      broker.trace.hit(.kafkaSlow)
      return notices
    }
    let count = min(buffers.count, cursors.count)
    guard count > 0 else { return notices }
    var left = max(1, draws.chance(0.5) ? limit : draws.within(1...max(1, limit)))
    let first = draws.below(count)
    for step in 0..<count where left > 0 {
      let index = (first + step) % count
      // A fetch answers for some partitions and not for others.
      if count > 1, draws.chance(0.2) { continue }
      deliver(index, into: buffers[index], left: &left, notices: &notices)
    }
    return notices
  }

  package func fetchedEnd(partition: Int32) -> Int64? {
    broker.partitions.indices.contains(Int(partition)) ? broker.partitions[Int(partition)].end : nil
  }

  private func deliver(_ index: Int, into buffer: RecordBuffer, left: inout Int, notices: inout [SourceNotice]) {
    guard var cursor = cursors[index], broker.partitions.indices.contains(index) else { return }
    let log = broker.partitions[index]
    if cursor < log.low || cursor > log.end {
      cursors[index] = nil
      notices.append(.positionLost(partition: Int32(index), offset: cursor, reason: "offset out of range \(log.low)...\(log.end)"))
      return
    }
    while left > 0, cursor < log.stableEnd {
      if case .record(let record, let payload)? = log.slot(cursor) {
        append(record, payload: payload, at: cursor, to: buffer)
        left -= 1
      }
      cursor += 1
    }
    if cursor >= log.stableEnd { buffer.end(at: cursor) }
    cursors[index] = cursor
  }

  private func append(_ record: LogicalRecord, payload: [UInt8]?, at offset: Int64, to buffer: RecordBuffer) {
    let key = record.key ?? []
    let value = payload ?? []
    unsafe key.withRawBytes { keyBytes in
      unsafe value.withRawBytes { valueBytes in
        unsafe buffer.append(
          offset: offset, timestamp: record.timestamp, key: record.key == nil ? nil : keyBytes,
          payload: payload == nil ? nil : valueBytes, headers: nil)
      }
    }
  }
}

/// CRC32C over key and payload, each preceded by its count as i32 little endian (-1: null), as ``Anchor`` says.
func anchorChecksum(key: [UInt8]?, payload: [UInt8]?) -> UInt32 {
  var bytes: [UInt8] = []
  for part in [key, payload] {
    let count = part.map { Int32($0.count) } ?? -1
    for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: count >> Int32(shift))) }
    bytes += part ?? []
  }
  return crc32c(0, bytes)
}
