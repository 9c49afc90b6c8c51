internal import MillBase
internal import MillLog

/// Which number each source of the file has. A number is given once: what a state directory's slots say stays true when sources come, go
/// and change their names.
struct SourceNumbers {
  /// Every number that was ever given, by number.
  private(set) var all: [NamedSource] = []
  /// Index: source.
  private(set) var ofSources: [SourceNumber] = []

  /// - Parameter known: as recorded last; empty at birth.
  ///
  /// A source keeps its number by its name; where no one had that name, by the topic of a source which is gone. Any other is new, one too
  /// that had been there before it was taken out: what was read of it then isn't known any more. Nil: no number is left.
  init?(known: [NamedSource], sources: [SourceOptions]) {
    all = known
    var found: [SourceNumber?] = sources.map { source in known.first { !$0.isGone && $0.name == source.name }?.number }
    for (index, source) in sources.enumerated() where found[index] == nil {
      found[index] = known.first { !$0.isGone && $0.topic == source.topic && !found.contains($0.number) }?.number
      if found[index] != nil { Reach.mark(.sourceKnownByTopic) }
    }
    for (index, source) in sources.enumerated() {
      let number = found[index] ?? SourceNumber(rawValue: UInt16(min(all.count, Int(UInt16.max))))
      guard number.rawValue <= SourceNumber.max else { return nil }
      ofSources.append(number)
      let named = NamedSource(number: number, name: source.name, topic: source.topic)
      if found[index] == nil { all.append(named) } else { all[Int(number.rawValue)] = named }
    }
    for named in all where !ofSources.contains(named.number) { all[Int(named.number.rawValue)].isGone = true }
  }
}
