import MillSim
import Testing

/// A few seeds, unoptimised; `make sim` runs thousands.
@Suite(.serialized) struct SimulationTests {
  @Test(arguments: [1, 3, 5, 8] as [UInt64])
  func `through kills, power cuts and faults of every end the table has each row once`(seed: UInt64) {
    let outcome = simulate(seed: seed)
    #expect(outcome.failures == [])
    #expect(outcome.epochs > 0)
  }

  @Test(arguments: [15, 40] as [UInt64])
  func `a second source that joins, is called otherwise, goes and comes back leaves each row there once`(seed: UInt64) {
    let outcome = simulate(seed: seed)
    #expect(outcome.failures == [])
    #expect(outcome.faults[.sourceFileChanged] > 0)
  }

  @Test(arguments: [3, 15] as [UInt64])
  func `the same seed takes the same way again`(seed: UInt64) {
    #expect(simulate(seed: seed).hash == simulate(seed: seed).hash)
  }

  @Test func `other seeds draw other scenarios`() {
    #expect(Set((1...50).map { (seed: UInt64) in "\(Scenario(seed: seed))" }).count == 50)
  }

  @Test func `verify finds the rows that a power cut of the server's machine takes`() {
    let outcomes = (1...12).map { (seed: UInt64) in simulate(seed: seed, profile: .powerCut) }
    #expect(outcomes.flatMap(\.failures) == [])
    #expect(outcomes.contains { $0.faults[.lossVerified] > 0 })
  }

  @Test func `keys of two texts read the same one behind the other, and differ`() {
    func event(_ shape: UInt8) -> LogicalRecord.Event { LogicalRecord.Event(id: 234, shape: shape, group: 0, amount: 0, at: 0) }
    let boundary = "\u{c}\0\0\0\0"
    let keys = [1, 2].map { event($0) }
    #expect(keys[0].eventID + boundary + keys[0].sub == keys[1].eventID + boundary + keys[1].sub)
    let plain = [3, 4].map { event($0) }
    #expect(plain[0].eventID + plain[0].sub == plain[1].eventID + plain[1].sub)
    #expect(Set((1...4).map { event($0).eventID + "|" + event($0).sub }).count == 4)
  }
}
