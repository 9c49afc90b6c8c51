import MillBase
import MillClickHouse
import MillLog
import Testing

@Suite struct PartitionCutTests {
  private func pieces(_ answer: String, _ rowCount: Int, _ partitionsMax: Int) -> [[Range<Int>]]? {
    PartitionCut.pieces(Array(answer.utf8), rowCount: rowCount, partitionsMax: partitionsMax, piecesMax: 256)
  }

  @Test func `rows go by their partitions, neighbours in one run`() {
    #expect(pieces("[0,3]\n[1,2]\n[4]\n", 5, 1) == [[0..<1, 3..<4], [1..<3], [4..<5]])
    #expect(pieces("[0,3]\n[1,2]\n[4]\n", 5, 2) == [[0..<4], [4..<5]])
    // The order of an answer is the server's own affair.
    #expect(pieces("[3,0]\n[2,1]\n[4]\n", 5, 2) == [[0..<4], [4..<5]])
  }

  @Test func `no more partitions than a piece may have are no pieces`() {
    #expect(pieces("[0,3]\n[1,2]\n[4]\n", 5, 3) == [])
    #expect(pieces("[0,1]\n", 2, 1) == [])
  }

  @Test(arguments: [
    "", "\n", "[0,1]\n", "[0,1,2,2]\n", "[0,1,3]\n", "[0]\n[1]\n[0]\n", "[0,1,x]\n", "[-1,0,1,2]\n", "[0,1,99999999999]\n", "[,]\n",
  ])
  func `an answer that isn't about these rows is none`(answer: String) {
    #expect(pieces(answer, 3, 1) == nil)
  }

  @Test func `every row is in one piece, and no piece has more partitions than allowed, however they are mixed`() throws {
    var random = SeededRandom(7)
    for _ in 0..<200 {
      let rowCount = Int(random.next(below: 300)) + 1
      let partitionCount = Int(random.next(below: 40)) + 1
      let most = Int(random.next(below: 12)) + 1
      let partitionOf = (0..<rowCount).map { _ in Int(random.next(below: partitionCount)) }
      let lines = Dictionary(grouping: 0..<rowCount) { partitionOf[$0] }.values.map { "[\($0.map(String.init).joined(separator: ","))]\n" }
      let found = try #require(pieces(lines.joined(), rowCount, most))
      if lines.count <= most {
        #expect(found.isEmpty)
        continue
      }
      #expect(found.flatMap { $0.flatMap(Array.init) }.sorted() == Array(0..<rowCount))
      for piece in found { #expect(Set(piece.joined().map { partitionOf[$0] }).count <= most) }
      #expect(found.count == (lines.count + most - 1) / most)
      #expect(found.allSatisfy { runs in zip(runs, runs.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound } })
    }
  }

  @Test func `one retire names no more pieces than its record has room for`() throws {
    func batch(_ columnCount: Int) -> SealedBatch {
      SealedBatch(
        destination: .table, number: 1, rowStart: 0, rowCount: 9, digest: Digest128(low: 0, high: 0),
        token: String(repeating: "x", count: 100),
        chunks: [], originChunkCount: 0, byteCount: 0, target: "d.t",
        columns: (0..<columnCount).map { BatchColumn(name: "a_column_\($0)", type: "LowCardinality(Nullable(String))") })
    }
    #expect(PartitionCut.piecesMax(of: batch(5)) == 256)
    for columnCount in [100, 1000, 30_000] {
      let most = PartitionCut.piecesMax(of: batch(columnCount))
      #expect(most == 2 || most > 2 && most * columnCount * 50 < 2 << 20, "\(most) pieces of \(columnCount) columns")
    }
    let answer = Array((0..<10_000).map { "[\($0)]\n" }.joined().utf8)
    #expect(try #require(PartitionCut.pieces(answer, rowCount: 10_000, partitionsMax: 1, piecesMax: 7)).count == 7)
  }
}
