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

  @Test(arguments: [3] as [UInt64])
  func `the same seed takes the same way again`(seed: UInt64) {
    #expect(simulate(seed: seed).hash == simulate(seed: seed).hash)
  }

  @Test func `other seeds draw other scenarios`() {
    #expect(Set((1...50).map { (seed: UInt64) in "\(Scenario(seed: seed))" }).count == 50)
  }
}
