/// Puts the records of one seal together, as they are met in the log's order (``Seal/continues``).
package struct SealParts<Place: Sendable>: Sendable {
  private var parts: [(seal: Seal, place: Place)] = []

  package init() {}

  /// Whether a seal was begun whose last record hasn't come.
  package var isAmid: Bool { !parts.isEmpty }

  /// Takes a seal's record; all of the seal's, oldest first, where it is the last one. `place`: what the caller knows it by.
  package mutating func take(_ seal: Seal, at place: Place) -> [(seal: Seal, place: Place)]? {
    parts.append((seal, place))
    if seal.continues { return nil }
    defer { parts = [] }
    return parts
  }

  /// At a `restart`: what the life before has begun will never be whole.
  package mutating func restart() { parts = [] }
}

extension Seal {
  /// The seal whose records these are, the last one behind the others.
  package static func joined(_ parts: [Seal]) -> Seal {
    guard var whole = parts.last else { preconditionFailure("a seal of no records") }
    whole.batches = parts.flatMap(\.batches)
    return whole
  }

  /// Cuts the seal so that no record's payload has more than so many bytes, but for one of a single batch that is larger.
  package func split(payloadByteCountMax: Int) -> [Seal] {
    if batches.count < 2 || LogRecord.seal(self).payload.count <= payloadByteCountMax { return [self] }
    var (first, second) = (self, self)
    first.batches = Array(batches[..<(batches.count / 2)])
    second.batches = Array(batches[(batches.count / 2)...])
    (first.continues, first.counters) = (true, nil)
    return first.split(payloadByteCountMax: payloadByteCountMax) + second.split(payloadByteCountMax: payloadByteCountMax)
  }
}
