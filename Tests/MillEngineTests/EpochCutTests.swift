import MillBase
import MillEngine
import MillFlow
import Testing

/// How far an epoch goes into the buffers.
struct EpochCutTests {
  private let bound: RowBound

  init() throws {
    // 16 bytes of a row for each of a record.
    bound = RowBound(try SourcePlan(name: "s", topic: "t", fields: [FieldPlan(name: "v", type: .array(.int256))]))
  }

  private func append(_ count: Int, of byteCount: Int, to buffer: RecordBuffer) {
    let payload = [UInt8](repeating: 0x30, count: byteCount)
    for _ in 0..<count {
      // Every other offset: markers stand between.
      unsafe payload.withUnsafeBytes {
        unsafe buffer.append(offset: buffer.nextOffset + 1, timestamp: 0, key: nil, payload: $0, headers: nil)
      }
    }
  }

  private func cost(_ buffers: [RecordBuffer], _ ends: [Int64]) -> Int {
    zip(buffers, ends).reduce(0) { sum, pair in
      let count = pair.0.count(before: pair.1)
      return sum + bound.rowByteCount(recordCount: count, byteCount: pair.0.byteCount(ofFirst: count))
    }
  }

  @Test func `all that fits is taken at once`() {
    let buffers = (0..<3).map { _ in RecordBuffer(nextOffset: 0) }
    append(10, of: 100, to: buffers[1])
    var cut = EpochCut([bound], byteCountMax: 1 << 20)
    #expect(cut.ends([buffers]) == nil && !cut.isPassed(by: [buffers]))
  }

  @Test(arguments: UInt64(1)...30)
  func `what doesn't fit is worked off in epochs that do, and no partition waits for another one's backlog`(seed: UInt64) {
    var random = SeededRandom(seed)
    let buffers = (0..<5).map { _ in RecordBuffer(nextOffset: 0) }
    for buffer in buffers { append(random.next(below: 200), of: random.pick([3, 100, 3000]), to: buffer) }
    let most = random.pick([20_000, 100_000, 500_000])
    var cut = EpochCut([bound], byteCountMax: most)
    var epochs = 0
    while let ends = cut.ends([buffers])?[0] {
      epochs += 1
      #expect(cut.isPassed(by: [buffers]))
      let some = zip(buffers, ends).map { $0.count(before: $1) }
      let total = some.reduce(0, +)
      #expect(total > 0 && (total == 1 || cost(buffers, ends) <= most), "\(some)")
      let waiting = buffers.map { cost([$0], [$0.nextOffset]) }
      for (index, buffer) in buffers.enumerated() {
        #expect(ends[index] <= buffer.nextOffset)
        if buffer.count > 0 {
          let one = cost([buffer], [buffer.entries[buffer.head].offset + 1])
          let share = most * waiting[index] / waiting.reduce(0, +)
          #expect(some[index] > 0 || share <= one, "partition \(index) waits: \(some)")
        }
      }
      for (index, buffer) in buffers.enumerated() { buffer.consume(some[index]) }
    }
    // The shares are those of what waits: about as much is left of each.
    #expect(epochs < 1000)
  }

  @Test func `records of which none fits in its share come one by one, from each partition in its turn`() {
    let buffers = (0..<3).map { _ in RecordBuffer(nextOffset: 0) }
    for buffer in buffers { append(4, of: 10_000, to: buffer) }
    var cut = EpochCut([bound], byteCountMax: 1000)
    var order: [Int] = []
    while let ends = cut.ends([buffers])?[0] {
      let some = zip(buffers, ends).map { $0.count(before: $1) }
      #expect(some.reduce(0, +) == 1)
      order.append(some.firstIndex(of: 1) ?? -1)
      for (index, buffer) in buffers.enumerated() { buffer.consume(some[index]) }
    }
    // The last one needs no cut.
    #expect(order.count == 11 && Set(order.prefix(3)) == [0, 1, 2], "\(order)")
  }

  /// 1 byte of a row for each of a record, but for the list of numbers.
  @Test func `sources share an epoch by what their own records take`() throws {
    let plain = RowBound(try SourcePlan(name: "p", topic: "p", fields: [FieldPlan(name: "v", type: .string)]))
    let buffers = [[RecordBuffer(nextOffset: 0)], [RecordBuffer(nextOffset: 0), RecordBuffer(nextOffset: 0)]]
    append(100, of: 1000, to: buffers[0][0])
    append(100, of: 1000, to: buffers[1][1])
    let most = 200_000
    var cut = EpochCut([bound, plain], byteCountMax: most)
    var taken = [0, 0]
    var epochs = 0
    while let ends = cut.ends(buffers) {
      epochs += 1
      let some = [buffers[0][0].count(before: ends[0][0]), buffers[1][1].count(before: ends[1][1])]
      #expect(some[0] > 0 && some[1] > 0, "a source waits: \(some)")
      let costs = [
        bound.rowByteCount(recordCount: some[0], byteCount: some[0] * 1000),
        plain.rowByteCount(recordCount: some[1], byteCount: some[1] * 1000),
      ]
      #expect(costs.reduce(0, +) <= most, "\(costs)")
      for source in 0...1 { taken[source] += some[source] }
      buffers[0][0].consume(some[0])
      buffers[1][1].consume(some[1])
    }
    #expect(epochs > 3 && taken.allSatisfy { $0 > 0 }, "\(taken)")
  }
}
