internal import MillFlow

/// The topics of a world, and which of them a slot is of.
package final class Topics {
  package let first: SimBroker
  /// The second source's; nil in most worlds.
  package let second: SimBroker?
  private let watch: LogWatch

  package init(_ first: SimBroker, second: SimBroker? = nil, watch: LogWatch) {
    self.first = first
    self.second = second
    self.watch = watch
  }

  package var all: [SimBroker] { second.map { [first, $0] } ?? [first] }

  /// The one of a source's number, by what the log says of it.
  func broker(number: Int32) -> SimBroker {
    if let second, watch.sources.topic(of: number) == second.topic { return second }
    return first
  }

  /// The topic and the partition of a slot.
  func place(_ slot: Int32) -> (broker: SimBroker, partition: Int) { (broker(number: slot >> 20), Int(slot & 0xfffff)) }

  /// Whether partitions of the two may be confused in what is read of them: the same for every number of one topic.
  func key(_ origin: Origin) -> Origin {
    let (broker, partition) = place(origin.partition)
    return key(of: broker, partition: Int32(partition), offset: origin.offset)
  }

  func key(of broker: SimBroker, partition: Int32, offset: Int64) -> Origin {
    Origin(partition: (broker === first ? 0 : 1 << 20) | partition, offset: offset)
  }

  /// What the generator put there, whether or not it is still there. `origin`: of a slot.
  package func record(_ origin: Origin) -> LogicalRecord? {
    let (broker, partition) = place(origin.partition)
    return broker.record(Origin(partition: Int32(partition), offset: origin.offset))
  }
}
