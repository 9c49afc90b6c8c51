import MillBase
import MillFlow
import Testing

@Suite struct RecordBufferTests {
  @Test(arguments: UInt64(1)...10)
  func `buffers that share memory give back what was appended, in order, however it is consumed`(seed: UInt64) {
    var random = SeededRandom(seed)
    let memory = RecordMemory()
    let buffers = (0..<3).map { _ in RecordBuffer(nextOffset: 0, memory: memory) }
    var expected = [[[UInt8]?]](repeating: [], count: 3)
    for _ in 0..<60 {
      let at = Int(random.next(below: 3))
      if random.next(below: 4) > 0 {
        for _ in 0..<random.next(below: 30) {
          // Now and then a tombstone, or more than a block's least room.
          let size = random.next(below: 60) == 0 ? 100_000 : Int(random.next(below: 300))
          let byte = UInt8(truncatingIfNeeded: random.next())
          let payload = random.next(below: 9) == 0 ? nil : [UInt8](repeating: byte, count: size)
          append(payload, to: buffers[at])
          expected[at].append(payload)
        }
      } else {
        let count = random.next(below: 2) == 0 ? buffers[at].count : Int(random.next(below: buffers[at].count + 1))
        buffers[at].consume(count)
        expected[at].removeFirst(count)
      }
      let isRight = zip(buffers, expected).allSatisfy { contents($0) == $1 }
      #expect(isRight)
    }
  }

  private func append(_ payload: [UInt8]?, to buffer: RecordBuffer) {
    let offset = buffer.nextOffset
    guard let payload else { return unsafe buffer.append(offset: offset, timestamp: 1, key: nil, payload: nil, headers: nil) }
    unsafe payload.withUnsafeBytes { raw in
      unsafe buffer.append(offset: offset, timestamp: 1, key: nil, payload: raw, headers: nil)
    }
  }

  /// The payloads still to be processed.
  private func contents(_ buffer: RecordBuffer) -> [[UInt8]?] {
    buffer.entries[buffer.head...].map { entry in
      guard entry.payloadByteCount >= 0 else { return nil }
      return unsafe Array(UnsafeRawBufferPointer(start: buffer.bytes + entry.payloadStart, count: Int(entry.payloadByteCount)))
    }
  }
}
