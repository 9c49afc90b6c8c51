import MillSim
import Testing

@Suite struct SimulationTests {
  @Test(arguments: Array(1...24) as [UInt64])
  func `through kills, power cuts and faults of every end the table has each row once`(seed: UInt64) {
    let outcome = simulate(seed: seed)
    #expect(outcome.failures == [])
    #expect(outcome.epochs > 0)
  }

  @Test(arguments: [3, 7, 11] as [UInt64])
  func `the same seed takes the same way again`(seed: UInt64) {
    #expect(simulate(seed: seed).hash == simulate(seed: seed).hash)
  }
}
