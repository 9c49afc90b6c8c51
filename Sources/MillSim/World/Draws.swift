package import MillBase

/// A stream of draws out of the seed, shared by those who draw from it. Each part of the world has its own, so that one more draw in one
/// part doesn't reshuffle the others. One thread only.
package final class Draws {
  /// The generator itself, for those who take one.
  package var random: SeededRandom

  package init(_ random: SeededRandom) { self.random = random }

  /// The stream of a part of the world.
  package static func stream(seed: UInt64, _ label: String) -> Draws { Draws(SeededRandom(seed).split(label)) }

  /// 64 bits, evenly distributed.
  package func next() -> UInt64 { random.next() }

  /// 0 ..< bound; `bound` is above 0.
  package func below(_ bound: Int) -> Int { random.next(below: bound) }

  /// A value of the range, both ends included.
  package func within(_ range: ClosedRange<Int>) -> Int { random.next(in: range) }

  /// A value of the range, both ends included.
  package func within(_ range: ClosedRange<Int64>) -> Int64 {
    Int64(random.next(in: Int(range.lowerBound)...Int(range.upperBound)))
  }

  /// True with this probability; draws also for 0 and 1, so that changing a rate does not reshuffle what follows.
  package func chance(_ probability: Double) -> Bool { random.chance(probability) }

  /// One of them; there must be one.
  package func pick<T>(_ choices: [T]) -> T { random.pick(choices) }
}
