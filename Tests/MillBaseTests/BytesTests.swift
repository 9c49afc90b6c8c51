import MillBase
import Testing

@Suite struct BytesTests {
  @Test func `what a writer wrote a reader reads`() throws {
    var writer = ByteWriter()
    writer.integer(UInt8(200))
    writer.integer(Int16(-2))
    writer.integer(UInt32(0x0102_0304))
    writer.integer(Int64.min)
    for value in [0, 127, 128, 300, 1 << 63, UInt64.max] as [UInt64] { writer.varint(value) }
    writer.bool(true)
    writer.string("Größe")
    writer.blob([1, 2])
    writer.digest(Digest128(low: 1, high: 2))
    #expect(Array(writer.bytes[3..<7]) == [4, 3, 2, 1])
    var reader = ByteReader(writer.bytes)
    #expect(try reader.integer(UInt8.self) == 200)
    #expect(try reader.integer(Int16.self) == -2)
    #expect(try reader.integer(UInt32.self) == 0x0102_0304)
    #expect(try reader.integer(Int64.self) == .min)
    for value in [0, 127, 128, 300, 1 << 63, UInt64.max] as [UInt64] { #expect(try reader.varint() == value) }
    #expect(try reader.bool())
    #expect(try reader.string() == "Größe")
    #expect(try reader.blob() == [1, 2])
    #expect(try reader.digest() == Digest128(low: 1, high: 2))
    try reader.finish()
  }

  @Test(
    arguments: [
      [], [0x80], [0x80, 0], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
      [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
    ] as [[UInt8]])
  func `a varint that is cut off, too large or longer than needed is refused`(_ bytes: [UInt8]) {
    var reader = ByteReader(bytes)
    #expect(throws: ByteReaderError.self) { try reader.varint() }
  }

  @Test func `a count that can't fit is refused before anything is allocated`() {
    var writer = ByteWriter()
    writer.varint(1 << 60)
    writer.raw([1, 2, 3, 4])
    var reader = ByteReader(writer.bytes)
    #expect(throws: ByteReaderError(offset: 0, reason: "a count of 1152921504606846976, but at most 2 fit into what is left")) {
      try reader.count(itemByteCount: 2)
    }
    var again = ByteReader(writer.bytes)
    #expect(throws: ByteReaderError.self) { try again.string() }
  }

  @Test func `bytes that aren't UTF-8, a flag of 2, and bytes behind the end are refused`() {
    var text = ByteReader([2, 0xc3, 0x28])
    #expect(throws: ByteReaderError(offset: 0, reason: "a string of 2 bytes isn't UTF-8")) { try text.string() }
    var flag = ByteReader([2])
    #expect(throws: ByteReaderError(offset: 0, reason: "a flag is 2, must be 0 or 1")) { try flag.bool() }
    #expect(throws: ByteReaderError(offset: 0, reason: "1 bytes stand behind the end")) { try ByteReader([2]).finish() }
  }

  @Test func `any bytes are read or refused, never trapped on`() {
    var random = SeededRandom(6)
    for _ in 0..<3000 {
      var reader = ByteReader(random.bytes(random.next(below: 24)))
      do {
        while true {
          switch random.next(below: 6) {
          case 0: _ = try reader.integer(UInt64.self)
          case 1: _ = try reader.varint()
          case 2: _ = try reader.string()
          case 3: _ = try reader.blob()
          case 4: _ = try reader.bool()
          default: _ = try reader.raw(random.next(below: 10))
          }
        }
      } catch {
        #expect(reader.remaining >= 0)
      }
    }
  }

  @Test func `seeded numbers are the same everywhere and parts don't disturb each other`() {
    // SplitMix64 from 0 fills the state; the published xoshiro256** goes on from there.
    var random = SeededRandom(0)
    #expect(random.next() == 0x99ec_5f36_cb75_f2b4)
    #expect(random.next() == 0xbf6e_1f78_4956_452a)
    var parent = SeededRandom(7)
    let before = parent.split("disk")
    _ = parent.next()
    #expect(parent.split("disk") == before)
    #expect(parent.split("kafka") != before)
    #expect(parent.split(1) != parent.split(2))
  }

  @Test func `seeded numbers stay within their bounds and reach them`() {
    var random = SeededRandom(8)
    var seen: Set<Int> = []
    for _ in 0..<1000 { seen.insert(random.next(in: -2...3)) }
    #expect(seen == [-2, -1, 0, 1, 2, 3])
    #expect((0..<1000).allSatisfy { _ in random.next(below: 3) < 3 })
    #expect((0..<100).allSatisfy { _ in !random.chance(0) && random.chance(1) })
    #expect(random.bytes(13).count == 13)
    #expect(systemRandomBytes(32) != systemRandomBytes(32))
  }
}
