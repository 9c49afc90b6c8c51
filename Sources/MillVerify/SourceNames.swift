internal import MillBase
package import MillLog

/// What people are told a slot is: of several sources the source's name and the partition, of one the partition.
package struct SourceNames: Sendable {
  private var named: [NamedSource] = []

  package init() {}

  /// As the newest checkpoint and the log behind it have them.
  init(_ parts: VerifyParts, _ history: HistoryReader) {
    for entry in history.log.entries {
      if case .record(.plan(let plan)) = entry.item, !plan.sources.isEmpty { named = plan.sources }
    }
    // The record of the start that the pipeline runs since may be gone from the log.
    if named.isEmpty { named = Self.inCheckpoints(parts) }
    if named.isEmpty, let only = parts.sources.first { named = [NamedSource(number: .first, name: only.name, topic: only.topic)] }
  }

  private static func inCheckpoints(_ parts: VerifyParts) -> [NamedSource] {
    var known = KnownDigests()
    do throws(CheckpointError) {
      let found = try CheckpointStore(parts.disk, directory: parts.checkpointDirectory).list(.manifestOnly, known: &known)
      return found.lazy.compactMap(\.manifest?.plan.sources).first { !$0.isEmpty } ?? []
    } catch {
      // A directory that this user can't read: numbers stand for names then.
      return []
    }
  }

  package func name(_ number: SourceNumber) -> String? { named.first { $0.number == number }?.name }

  /// `partition 3`, or `partition 3 of users`.
  package func place(_ slot: Slot) -> String {
    guard named.count > 1 || slot.source != .first else { return "partition \(slot.partition)" }
    return "partition \(slot.partition) of \(name(slot.source) ?? "source number \(slot.source.rawValue)")"
  }

  /// Which source of the file has this number; nil: none has it any more.
  func source(_ number: SourceNumber, _ sources: [VerifySource]) -> VerifySource? {
    guard let named = named.first(where: { $0.number == number }), !named.isGone else { return nil }
    return sources.first { $0.name == named.name } ?? sources.first { $0.topic == named.topic }
  }
}
