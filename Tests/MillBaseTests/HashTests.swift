import MillBase
import Testing

/// `count` bytes that count up from 0.
private func counting(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0) } }

private func hex(_ bytes: [UInt8]) -> String {
  bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
}

/// A digest as the sixteen bytes of the published algorithm's output.
private func outputBytes(_ digest: Digest128) -> [UInt8] {
  var writer = ByteWriter()
  writer.digest(digest)
  return writer.bytes
}

@Suite struct HashTests {
  @Test(
    arguments: [
      ([UInt8]("123456789".utf8), 0xe306_9283), ([], 0), ([UInt8](repeating: 0, count: 32), 0x8a91_36aa),
      ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43), (counting(32), 0x46dd_794e),
    ] as [([UInt8], UInt32)])
  func `CRC-32C gives the published values`(_ bytes: [UInt8], _ crc: UInt32) {
    #expect(crc32c(0, bytes) == crc)
    #expect(unsafe bytes.withRawBytes { unsafe crc32cByTable(0, $0) } == crc)
  }

  @Test func `CRC-32C by instruction and by table agree, and go on where they stopped`() {
    var random = SeededRandom(1)
    for _ in 0..<300 {
      let bytes = random.bytes(random.next(below: 200))
      let cut = random.next(below: bytes.count + 1)
      let whole = crc32c(0, bytes)
      #expect(unsafe bytes.withRawBytes { unsafe crc32cByTable(0, $0) } == whole)
      #expect(crc32c(crc32c(0, Array(bytes[..<cut])), Array(bytes[cut...])) == whole)
    }
  }

  @Test(arguments: [
    (0, "a3817f04ba25a8e66df67214c7550293"), (1, "da87c1d86b99af44347659119b22fc45"), (15, "5493e99933b0a8117e08ec0f97cfc3d9"),
    (63, "5150d1772f50834a503e069a973fbd7c"),
  ])
  func `SipHash gives the published values`(_ count: Int, _ expected: String) {
    let key = Digest128(low: 0x0706_0504_0302_0100, high: 0x0f0e_0d0c_0b0a_0908)
    let digest = unsafe counting(count).withRawBytes { unsafe siphash128(key: key, $0) }
    #expect(hex(outputBytes(digest)) == expected)
  }

  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
  ])
  func `SHA-256 gives the published values`(_ text: String, _ expected: String) {
    #expect(hex(SHA256.digest(Array(text.utf8))) == expected)
  }

  @Test func `SHA-256 in pieces is that of the whole`() {
    let bytes = SeededRandom(2).split("sha").drawing(1000)
    var hash = SHA256()
    for start in stride(from: 0, to: 1000, by: 77) {
      unsafe Array(bytes[start..<min(start + 77, 1000)]).withRawBytes { unsafe hash.update($0) }
    }
    #expect(hash.digest() == SHA256.digest(bytes))
  }
}

extension SeededRandom {
  fileprivate func drawing(_ count: Int) -> [UInt8] {
    var copy = self
    return copy.bytes(count)
  }
}
