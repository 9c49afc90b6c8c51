internal import MillBase
internal import MillLog

/// Files of dead letters against the batches that were sealed for them.
extension Verification {
  func checkDeadLetters(_ report: inout VerifyReport, _ history: HistoryReader, _ tally: HistoryTally) throws {
    let directory = parts.deadLetterDirectory
    let begin = "\(parts.pipeline)-mr-"
    let names = parts.disk.exists(directory) ? try parts.disk.list(directory) : []
    var unknown = Set(names.filter { $0.hasPrefix(begin) && $0.hasSuffix(".jsonl") })
    var found = report
    _ = try history.forEach { entry in
      for batch in entry.batches where batch.destination == .deadLetters {
        let name = "\(parts.pipeline)-\(batch.token).jsonl"
        let isThere = unknown.remove(name) != nil
        let isInFlight = tally.inFlight[Ack(destination: .deadLetters, batch: batch.number)] != nil
        if let problem = problem(batch, directory + "/" + name, isThere: isThere, isInFlight: isInFlight) {
          found.add(VerifyReport.Finding(kind: .deadLetters, rows: batch.rowCount, text: problem, token: batch.token))
        }
      }
    }
    if !unknown.isEmpty, found.lostHistory.isEmpty {
      _ = try readHistory().forEach { entry in
        for batch in entry.batches { unknown.remove("\(parts.pipeline)-\(batch.token).jsonl") }
      }
      for name in unknown.sorted() where isOurs(name, tally) {
        found.add(VerifyReport.Finding(kind: .deadLetters, text: "\(directory)/\(name) is of a batch that nobody sealed"))
      }
    }
    report = found
  }

  private func problem(_ batch: HistoryBatch, _ path: String, isThere: Bool, isInFlight: Bool) -> String? {
    guard isThere else { return isInFlight ? nil : "\(path) with \(batch.rowCount) records is not there" }
    guard let parts = TokenParts(batch.token) else { return "\(batch.token) is no token" }
    let bytes: [UInt8]
    do throws(DiskError) {
      bytes = try self.parts.disk.read(path)
    } catch {
      return "\(path) can't be read: \(error)"
    }
    let digest = unsafe bytes.withRawBytes { unsafe cityHash128($0) }
    return digest == parts.digest ? nil : "\(path) has other bytes than were sealed"
  }

  /// Another directory of the same pipeline's name may write there too.
  private func isOurs(_ name: String, _ tally: HistoryTally) -> Bool {
    tally.lineages.contains { name.hasPrefix("\(parts.pipeline)-mr-\($0)-") }
  }
}
