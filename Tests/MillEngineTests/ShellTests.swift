import MillBase
import MillCore
import MillEngine
import MillSim
import Testing

/// The threads around the core: the real loop, lanes, files and clock, with ends that misbehave. `make tsan` runs it under the thread
/// sanitizer, on more records than are affordable unoptimised.
@Suite struct ShellTests {
  #if DEBUG
    private static let recordCount = 24_000
  #else
    private static let recordCount = 400_000
  #endif

  @Test func `on real threads, through an outage, a standstill and a stop request, the table has each row once`() throws {
    let shell = try Shell(recordCount: Self.recordCount, seed: 11)
    let first = try shell.live(stopsAtHalf: true)
    #expect(first.stop.kind == .done, "\(first.stop.message)")
    let second = try shell.live(stopsAtHalf: false)
    #expect(second.stop.kind == .done, "\(second.stop.message)")
    let report = shell.server.close()
    #expect(report.unreadable == [])
    #expect(shell.problems(report.rows) == [])
    #expect(try shell.deadLetterCount() == shell.topic.garbageCount)

    // What it was all for did happen.
    #expect(first.publishedCount >= 4 && second.publishedCount >= 1)
    #expect(first.flushCount > 4 && first.dropCount + second.dropCount > 0)
    #expect(first.heldBackCount > 0 && !report.isImpatient)
    #expect(report.refusedCount == 3 && report.faults[.serverCrash] == 1)
    try shell.disk.removeTree(shell.root)
  }
}
