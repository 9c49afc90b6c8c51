import MillBase
import MillCore
import MillLog
import Testing

/// A running core whose partition is idle after a minute.
private struct Idling: ~Copyable {
  var start = Start(idleAfter: 60_000)
  var clock: Int64 = 2_000

  init() {
    _ = start.open([whole(start)])
    _ = start.look(witness: "millrace:\(Start.lineage):2")
    _ = start.core.step(.logBegun(end: 4, durableEnd: 4), now: start.now)
    _ = start.core.step(.stateOpened, now: start.now)
  }

  /// So many polls, each so long after the one before; whether the partition is idle after them.
  mutating func polls(
    _ count: Int, every milliseconds: Int64, rows: Int = 0, isAtEnd: Bool = true, isAsked: Bool = true, trouble: String? = nil
  ) -> Bool {
    for _ in 0..<count {
      clock += milliseconds
      let polled = Polled(
        next: [Int64(rows)], isAsked: isAsked, rows: [rows], byteCount: rows, isAtEnd: [isAtEnd], trouble: trouble, stop: nil)
      _ = start.core.step(.polled([polled]), now: Instant(wallMilliseconds: clock, monotonicMilliseconds: clock))
    }
    return start.core.progress.partitions[0].isIdle
  }
}

@Suite struct IdleTests {
  @Test func `a partition at whose end nothing comes for idle_after is idle, and no longer once a record has come`() {
    var running = Idling()
    #expect(running.start.core.progress.phase == .running)
    let early = running.polls(59, every: 1_000)
    #expect(!early)
    let late = running.polls(2, every: 1_000)
    #expect(late)
    let fed = running.polls(1, every: 1, rows: 1)
    #expect(!fed)
  }

  @Test func `a partition of which nothing is known, or where more stands than was fetched, is never idle`() {
    var running = Idling()
    let isIdle = running.polls(1_000, every: 1_000, isAtEnd: false)
    #expect(!isIdle)
  }

  @Test func `time in which nobody asked does not count: a wait for ClickHouse or for room, a process that was stopped`() {
    var running = Idling()
    let stopped = running.polls(3, every: 600_000)
    #expect(!stopped)
    // What was idle before the wait may have records now.
    let before = running.polls(100, every: 1_000)
    #expect(before)
    let after = running.polls(1, every: 600_000)
    #expect(!after)
  }

  @Test func `what was idle before a wait is no longer, while what lay in the buffers is worked off behind it`() {
    var running = Idling()
    let before = running.polls(100, every: 1_000)
    #expect(before)
    let soon = running.polls(1, every: 500, isAsked: false)
    #expect(soon)
    let after = running.polls(1, every: 600_000, isAsked: false)
    #expect(!after)
  }

  @Test func `while not all can be fetched no partition becomes idle, and one that was begins anew`() {
    var running = Idling()
    let troubled = running.polls(100, every: 1_000, trouble: "a broker is down")
    #expect(!troubled)
    let before = running.polls(100, every: 1_000)
    #expect(before)
    let again = running.polls(1, every: 1_000, trouble: "a broker is down")
    #expect(!again)
  }
}
