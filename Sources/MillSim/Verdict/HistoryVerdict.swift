internal import MillBase
internal import MillLog

/// Ledger and log at the end of a run, against what went through the taps and against the oracle.
extension World {
  func judgeHistory(_ judged: [Oracle.Judged]) -> [String] {
    var tokens = [Set<String>](repeating: [], count: LogWatch.destinationCount)
    var next: [Int32: Int64] = [:]
    var unsealed: [(through: UInt64, ranges: [OffsetRange])] = []
    var counters = Counters()
    do {
      let reader = try HistoryReader(disk, stateDirectory: Job.stateDirectory, pipeline: "sim")
      let gaps = try reader.forEach { entry in
        switch entry {
        case .ack, .gap: break
        case .retire(_, _, let replacements):
          for batch in replacements { tokens[Int(batch.destination.rawValue)].insert(batch.token) }
        case .restart(_, let lastKept, _): unsealed.removeAll { $0.through > lastKept }
        case .epochs(let through, let ranges): unsealed.append((through, ranges))
        case .seal(let seal):
          for batch in seal.batches { tokens[Int(batch.destination.rawValue)].insert(batch.token) }
          if let added = seal.counters { counters.add(added) }
        }
      }
      if let gap = gaps.first { return ["ledger: nothing tells of \(gap)"] }
    } catch {
      return ["ledger: \(error)"]
    }
    for (_, ranges) in unsealed { for range in ranges { next[range.slot.rawValue] = range.next } }
    return compare(tokens, next) + compare(counters, judged)
  }

  private func compare(_ tokens: [Set<String>], _ next: [Int32: Int64]) -> [String] {
    var failures: [String] = []
    for index in tokens.indices {
      let sealed = Set(watch.sealed[index].values.map(\.token))
      if sealed != tokens[index] {
        let lost = sealed.subtracting(tokens[index]).sorted().prefix(3)
        failures.append("ledger: batches \(lost) are lost, \(tokens[index].subtracting(sealed).sorted().prefix(3)) were never sealed")
      }
    }
    let last = watch.epochs.values.max { $0.number < $1.number }
    for range in last?.ranges ?? [] where range.next >= 0 && next[range.partition] ?? range.next != range.next {
      failures.append("ledger: partition \(range.partition) was read up to \(next[range.partition] ?? 0), the log says \(range.next)")
    }
    return failures
  }

  private func compare(_ counters: Counters, _ judged: [Oracle.Judged]) -> [String] {
    var expected = Counters()
    for one in judged {
      expected.records += 1
      switch one.fate {
      case .emitted:
        expected.emit(1, for: .table)
        if second != nil { expected.emit(1, for: SecondTable.destination) }
      case .duplicate: expected.duplicate += 1
      case .late: expected.late += 1
      case .undecodable, .failed(.deadLetter): expected.deadLettered += 1
      case .failed(.skip): expected.skipped += 1
      case .filtered: expected.filtered += 1
      }
    }
    return counters == expected ? [] : ["ledger: it counts \(counters), the oracle \(expected)"]
  }
}
