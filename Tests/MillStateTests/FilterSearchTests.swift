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
}
