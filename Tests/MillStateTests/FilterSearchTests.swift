import CPlatform
import MillBase
import Testing

@Suite struct FilterSearchTests {
  @Test(arguments: [1, 2, 37, 4096])
  func `filters are searched alike word by word and as the processor does it best`(blockCount: Int) {
    var random = SeededRandom(UInt64(blockCount))
    // Dense enough that some keys pass and some do not.
    let words = (0..<(blockCount * 8)).map { _ in UInt32(truncatingIfNeeded: random.next() | random.next() | random.next()) }
    let hashes = (0..<2000).map { _ in Digest128(low: random.next(), high: random.next()) }
    let rows = (0..<1500).map { _ in Int32(random.next(below: hashes.count)) }
    var passes = [UInt8](repeating: 0, count: rows.count)
    passes[3] = 1
    var expected = passes
    unsafe mr_filter_search(words, UInt64(blockCount), hashes, rows, rows.count, &passes)
    unsafe mr_filter_search_by_words(words, UInt64(blockCount), hashes, rows, rows.count, &expected)
    #expect(passes == expected)
    #expect(passes[3] == 1)
    #expect(passes.contains(0) && passes.count { $0 == 1 } > 10)
  }

  @Test(arguments: [1, 37, 40_000])
  func `what was added is found, and little else`(blockCount: Int) {
    var random = SeededRandom(UInt64(blockCount))
    // 16 bits a key.
    let hashes = (0..<blockCount * 16).map { _ in Digest128(low: random.next(), high: random.next()) }
    var words = [UInt32](repeating: 0, count: blockCount * 8)
    for hash in hashes { unsafe mr_filter_add(&words, UInt64(blockCount), hash.low) }
    var passes = [UInt8](repeating: 0, count: hashes.count)
    unsafe mr_filter_search(words, UInt64(blockCount), hashes, (0..<hashes.count).map(Int32.init), hashes.count, &passes)
    #expect(passes.allSatisfy { $0 == 1 })
    let others = (0..<100_000).map { _ in Digest128(low: random.next(), high: random.next()) }
    var found = [UInt8](repeating: 0, count: others.count)
    unsafe mr_filter_search(words, UInt64(blockCount), others, (0..<others.count).map(Int32.init), others.count, &found)
    if blockCount == 40_000 { #expect(found.count { $0 == 1 } < 200, "about one in a thousand") }
  }
}
