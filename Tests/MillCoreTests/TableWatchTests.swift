import MillBase
import MillCore
import MillLog
import Testing

/// The table is looked at again while the pipeline runs.
@Suite struct TableWatchTests {
  private let interval: Int64 = 30_000

  private func describe(_ commands: [Command]) -> UInt64? {
    for command in commands { if case .exchange(_, let id, .describe) = command { return id } }
    return nil
  }

  private func facts(_ mode: DeliveryMode = .tokenAndProvenance, warnings: [String] = []) -> TableFacts {
    TableFacts(
      mode: mode, window: 1000, partitionsMax: 1, windowSeconds: 0, identity: "table", hasProvenance: true, warnings: warnings)
  }

  /// One interval on; the look's number.
  private func look(_ sealing: inout Sealing) throws -> UInt64 {
    sealing.clock += interval
    return try #require(describe(sealing.step(.wake)))
  }

  @Test func `once an interval, one look at a time, and batches go on meanwhile`() throws {
    var sealing = Sealing()
    #expect(describe(sealing.live()) == nil)
    sealing.clock += interval - 3_000
    #expect(describe(sealing.step(.wake)) == nil)
    let asked = try look(&sealing)
    #expect(insert(sealing.seal(batch(1, rows: 5)), 1) != nil, "the look held a batch up")
    sealing.clock += 10 * interval
    #expect(describe(sealing.step(.wake)) == nil, "a second look beside the first")
    #expect(describe(sealing.step(.sink(0, exchange: asked, .described(facts())))) == nil)
    #expect(sealing.start.core.wakeAt.map { $0 <= sealing.clock + interval } == true, "nothing wakes it for the next look")
    _ = try look(&sealing)
  }

  @Test func `what has become unfit ends it, named`() throws {
    var sealing = Sealing()
    _ = sealing.live()
    let ended = stop(sealing.step(.sink(0, exchange: try look(&sealing), .unfit(["column `p` has a TTL"]))))
    #expect(ended?.kind == .promise && ended?.rule == "R6" && ended?.message.contains("column `p` has a TTL") == true)
  }

  @Test func `a smaller window ends it, a larger one is for the next start`() throws {
    var sealing = Sealing()
    _ = sealing.live()
    let ended = stop(sealing.step(.sink(0, exchange: try look(&sealing), .described(facts(.readBack)))))
    #expect(ended?.rule == "R9" && ended?.message.contains("read-back") == true)
    for mode in [DeliveryMode.readBack, .tokenOnly] {
      var other = Sealing(mode: mode)
      _ = other.live()
      #expect(stop(other.step(.sink(0, exchange: try look(&other), .described(facts(.tokenAndProvenance))))) == nil)
      #expect(other.start.core.tables[0]?.mode == mode)
    }
  }

  @Test func `a warning is told when it appears, once, and again when it was gone`() throws {
    var sealing = Sealing()
    _ = sealing.live()
    var told: [[String]] = []
    for now in [["a b: 1"], ["a b: 2", "c"], [], ["a b: 3"]] {
      told.append(warnings(sealing.step(.sink(0, exchange: try look(&sealing), .described(facts(warnings: now))))))
    }
    #expect(told == [["a b: 1"], ["c"], [], ["a b: 3"]])
  }

  @Test func `a server that doesn't answer a look is no trouble of its own`() throws {
    var sealing = Sealing()
    _ = sealing.live()
    for answer in [SinkAnswer.unanswered(reason: "gone"), .denied(reason: "no right")] {
      let asked = try look(&sealing)
      let before = sealing.start.core.progress.waits
      let commands = sealing.step(.sink(0, exchange: asked, answer))
      let after = sealing.start.core.progress.waits
      #expect(stop(commands) == nil && warnings(commands).isEmpty && after == before)
    }
  }
}

@Suite struct OtherWritersTests {
  private func facts(_ mode: DeliveryMode, reserve: Int?, _ writers: [String]) -> TableFacts {
    TableFacts(
      mode: mode, window: 1000, partitionsMax: 1, reserve: reserve, windowSeconds: 0, identity: "table", hasProvenance: true, warnings: [],
      writers: writers)
  }

  @Test func `rows of others are told with what follows for the window, our own are not`() {
    let ours = Lineage(0xabc)
    func text(_ writers: [String], reserve: Int? = 500, mode: DeliveryMode = .tokenAndProvenance) -> String? {
      facts(mode, reserve: reserve, writers).othersWarning([ours], table: "d.t")
    }
    #expect(text([]) == nil && text(["mr-\(ours)"]) == nil)
    #expect(text(["", "mr-\(ours)"])?.hasPrefix("d.t has rows of other writers: ") == true)
    #expect(text(["", "x", "mr-\(Lineage(5))"])?.contains("of other writers and of other lineages (mr-\(Lineage(5)))") == true)
    #expect(text(["x"])?.contains("window of 1000; window_reserve lets them take 500") == true)
    #expect(text(["x"], reserve: nil)?.contains("window_reserve is unlimited") == true)
    #expect(text(["x"], mode: .readBack) == nil, "where every INSERT is read back the window doesn't matter")
  }
}
