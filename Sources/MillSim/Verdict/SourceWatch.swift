internal import MillBase
internal import MillLog

/// Which number each source has and where it began, read off the log's records. It believes nothing that the engine says.
///
/// A number is one topic's for ever; a topic keeps it while the file has it, and gets another one when it comes back.
package struct SourceWatch: Sendable {
  /// By number. Newest, durable or not.
  private(set) var named: [NamedSource] = []
  /// The same of the newest plan that has been durable.
  private var durable: [NamedSource] = []
  /// By number and partition, as recorded last.
  private var starts: [SourceNumber: [Int64]] = [:]
  /// Whose start has been durable.
  private var begun: Set<SourceNumber> = []
  private var lineage: Lineage?

  /// The names of the sources that the file has, by number.
  package var names: [Int32: String] {
    Dictionary(named.filter { !$0.isGone }.map { (Int32($0.number.rawValue), $0.name) }) { first, _ in first }
  }

  /// Numbers of the sources that the file has.
  var present: [Int32] { names.keys.sorted() }

  /// The topic of a source's number.
  func topic(of number: Int32) -> String? { named.first { $0.number.rawValue == number }?.topic }

  /// Where a slot's first record was to be read; a partition that was added begins at 0. Nil: nothing tells.
  func begin(_ slot: Int32) -> Int64? {
    let (number, partition) = (SourceNumber(rawValue: UInt16(slot >> 20)), Int(slot & 0xfffff))
    return starts[number].map { partition < $0.count ? $0[partition] : 0 }
  }

  /// A lineage that is new knows nothing of the one before.
  mutating func take(_ restart: Restart) {
    if restart.lineage != lineage { (durable, begun) = ([], []) }
    lineage = restart.lineage
  }

  /// - Returns: what is wrong.
  mutating func take(_ start: SourceStart, isCopy: Bool) -> String? {
    starts[start.source] = start.offsets
    guard !isCopy, begun.contains(start.source) else { return nil }
    return "source number \(start.source.rawValue) begins again, at \(start.offsets), though its start was durable"
  }

  mutating func becomeDurable(startOf source: SourceNumber) { begun.insert(source) }

  /// - Returns: what is wrong with the numbers.
  mutating func take(_ sources: [NamedSource], isCopy: Bool) -> String? {
    named = sources
    guard !isCopy else { return nil }
    for before in durable {
      guard let now = sources.first(where: { $0.number == before.number }) else { return "source \(before) has lost its number" }
      if now.topic != before.topic { return "number \(before.number.rawValue) was topic \(before.topic)'s, and is \(now.topic)'s" }
      if before.isGone, !now.isGone { return "number \(before.number.rawValue) of \(before.topic) was gone, and is given again" }
      if !before.isGone, let other = sources.first(where: { !$0.isGone && $0.topic == before.topic && $0.number != before.number }) {
        return "topic \(before.topic) had number \(before.number.rawValue), and has \(other.number.rawValue)"
      }
    }
    return nil
  }

  mutating func becomeDurable(_ sources: [NamedSource]) { durable = sources }
}
