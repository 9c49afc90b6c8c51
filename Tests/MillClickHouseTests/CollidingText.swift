/// The n-th of 2^64 texts with one and the same CityHash128: each of its steps can be taken backwards, so that what a text's last words
/// have done to its state its first ones undo.
func collidingText(_ number: UInt64) -> [UInt8] {
  // The last 32 bytes' words at 24 and 16, then the state after both.
  let c = pair(number &+ k1, k3)
  let d = pair(32, 0)
  let words = [0, 0, undone(k3 &+ d), undone(c), 0 &- c, number]
  return words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
}

private let (k1, k3): (UInt64, UInt64) = (0xb492_b66f_be98_f273, 0xc949_d7c7_509e_6557)
private let inverseOfK1 = (0..<6).reduce(k1) { inverse, _ in inverse &* (2 &- k1 &* inverse) }

/// The word that turns `state` into zero.
private func undone(_ state: UInt64) -> UInt64 { mixed(state &* inverseOfK1) &* inverseOfK1 }

private func mixed(_ value: UInt64) -> UInt64 { value ^ (value >> 47) }

private func pair(_ low: UInt64, _ high: UInt64) -> UInt64 {
  let multiplier: UInt64 = 0x9ddf_ea08_eb38_2d69
  return mixed((high ^ mixed((low ^ high) &* multiplier)) &* multiplier) &* multiplier
}
