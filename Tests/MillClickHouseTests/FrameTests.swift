internal import MillClickHouse
internal import Testing

@Suite struct FrameTests {
  @Test func `a frame that ClickHouse wrote is unpacked to what it was made from`() throws {
    for entry in try recorded("frames-18.16.json") {
      let frame = hex(try #require(entry["frame"] as? String))
      #expect(try hex(Frames.decode([frame])) == entry["plain"] as? String)
    }
  }

  @Test func `a frame of ours is unpacked to what it was made from`() throws {
    for entry in try recorded("frames-18.16.json") {
      let plain = hex(try #require(entry["plain"] as? String))
      #expect(try Frames.decode(Frames.encode(plain)) == plain)
    }
  }

  @Test func `any changed bit of a frame is found`() throws {
    for entry in try recorded("frames-18.16.json").prefix(12) {
      let frame = hex(try #require(entry["frame"] as? String))
      for bit in 0..<(frame.count * 8) {
        var changed = frame
        changed[bit / 8] ^= 1 << UInt8(bit % 8)
        #expect(throws: FrameError.self) { try Frames.decode([changed]) }
      }
    }
  }

  @Test func `a cut frame is named by where it begins`() throws {
    let chunk = Frames.encode([1, 2, 3])[0]
    #expect(throws: FrameError.cut(offset: chunk.count)) { try Frames.decode([chunk, Array(chunk.dropLast())]) }
    #expect(throws: FrameError.cut(offset: 0)) { try Frames.decode([Array(chunk.prefix(10))]) }
  }

  @Test func `frames hold at most one MiB, chunks hold whole frames, no bytes give none`() throws {
    var state: UInt64 = 1
    let noise = (0..<(3 << 20) + 17).map { _ -> UInt8 in
      state = state &* 6_364_136_223_846_793_005 &+ 1
      return UInt8(truncatingIfNeeded: state >> 33)
    }
    let chunks = Frames.encode(noise)
    #expect(chunks.count == 4)
    for chunk in chunks { #expect(try Frames.decode([chunk]).count <= 1 << 20) }
    #expect(try Frames.decode(chunks) == noise)
    #expect(Frames.encode([]).isEmpty)
    #expect(throws: FrameError.tooLong(byteCountMax: 2 << 20)) { try Frames.decode(chunks, byteCountMax: 2 << 20) }
  }
}
