package import MillFlow

/// How far the next epoch may go into the buffers, so that its rows take no more memory than they may, whatever stands in the records.
///
/// What it says goes into the intent, so that nothing of it has to be the same in a replay. Flow thread only.
package struct EpochCut {
  /// Index: source.
  private let bounds: [RowBound]
  /// Bytes of an epoch's rows; its dead letters may take four times as many.
  private let byteCountMax: Int
  /// The partition that gives a record where no partition's next one fits in its share; each in its turn.
  private var turn = 0

  package init(_ bounds: [RowBound], byteCountMax: Int) {
    self.bounds = bounds
    self.byteCountMax = byteCountMax
  }

  /// Whether the buffers (index: source, then partition) hold more than one epoch may take.
  package func isPassed(by buffers: [[RecordBuffer]]) -> Bool {
    let (records, cost) = sums(buffers)
    return isPassed(records, cost)
  }

  /// Where the epoch ends in each source's partitions; nil: with all that the buffers hold.
  ///
  /// Each partition gives its part of the whole, so that none waits for another's backlog; there is at least one record.
  package mutating func ends(_ buffers: [[RecordBuffer]]) -> [[Int64]]? {
    let (records, whole) = sums(buffers)
    guard isPassed(records, whole) else { return nil }
    var ends = zip(bounds, buffers).map { bound, buffers in
      buffers.map { buffer in
        let share = Double(byteCountMax) * Double(Self.cost(bound, buffer.count, buffer.byteCount)) / Double(whole)
        return end(buffer, bound.fitting(buffer, limit: buffer.count, byteCount: Int(share)))
      }
    }
    let all = buffers.indices.flatMap { source in buffers[source].indices.map { (source: source, partition: $0) } }
    let isEmpty = all.allSatisfy { place in
      let buffer = buffers[place.source][place.partition]
      return buffer.count == 0 || ends[place.source][place.partition] == buffer.entries[buffer.head].offset
    }
    if isEmpty {
      turn += 1
      let order = all.indices.lazy.map { [turn] in all[(turn + $0) % all.count] }
      if let place = order.first(where: { buffers[$0.source][$0.partition].count > 0 }) {
        ends[place.source][place.partition] = end(buffers[place.source][place.partition], 1)
      }
    }
    return ends
  }

  private func end(_ buffer: RecordBuffer, _ count: Int) -> Int64 {
    count == buffer.count ? buffer.nextOffset : buffer.entries[buffer.head + count].offset
  }

  private func isPassed(_ records: Int, _ cost: Int) -> Bool { records > 1 && cost > byteCountMax }

  private static func cost(_ bound: RowBound, _ records: Int, _ bytes: Int) -> Int {
    max(bound.rowByteCount(recordCount: records, byteCount: bytes), bound.letterByteCount(recordCount: records, byteCount: bytes) / 4)
  }

  private func sums(_ buffers: [[RecordBuffer]]) -> (records: Int, cost: Int) {
    var sums = (records: 0, cost: 0)
    for (bound, buffers) in zip(bounds, buffers) {
      let (records, bytes) = buffers.reduce((0, 0)) { ($0.0 + $1.count, $0.1 + $1.byteCount) }
      sums.records += records
      sums.cost += Self.cost(bound, records, bytes)
    }
    return sums
  }
}
